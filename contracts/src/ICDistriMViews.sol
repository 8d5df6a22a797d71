// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";
import {ICDistriMTypes} from "./ICDistriMTypes.sol";
import {BallotId, Deadlines} from "./ValueTypes.sol";

/// @title What a ledger's records mean, derived so that nobody has to
/// @notice Stores nothing, changes nothing, and works for any ledger of this release: the first
/// argument of each function. Errors of the ledger come through.
interface ICDistriMViews is ICDistriMTypes {
    // ---------------------------------------------------------------- records

    /// @notice A partner's part in a campaign; `enrolled` is false while it does not take part.
    struct Enrolment {
        address account;
        bytes32 name;
        bool enrolled;
        bool voter;
        uint32 cases;
        bytes32 dataCommitment;
        bool evaluator;
    }

    /// @notice A candidate or accepted model with its provenance. `name` is partner + slot.
    /// @param undone Whether the head was restored to a model before it.
    struct ModelRecord {
        string name;
        uint32 slot;
        uint16 attempt;
        address account;
        uint32 parent;
        bool undone;
        bytes32 ciphertextHash;
        bytes32 weightsHash;
        bytes32 capsuleHash;
        uint32 cases;
        bytes32 dataCommitment;
        bytes32 candidateDigest;
    }

    /// @notice A campaign. `slot` is the open slot, 0 unless it runs; `slots` how many are planned.
    /// @param accepted Number of models from the head back to genesis.
    /// @param removalsPending Whether applyRemovals has to come before anything else.
    /// @param enrolments One per partner, in order.
    struct Campaign {
        uint256 number;
        bytes32 specHash;
        bytes32 genesisWeightsHash;
        CampaignState state;
        Mode mode;
        uint8 quorum;
        uint16 cycle;
        uint16 cycles;
        uint32 slots;
        uint32 slot;
        uint32 head;
        uint32 accepted;
        bool removalsPending;
        uint64 enrolDeadline;
        Deadlines deadlines;
        address[] order;
        Enrolment[] enrolments;
    }

    /// @notice A slot. `attempt` is 0 and `deadline` is 0 until it opens. The candidate's
    /// `candidateDigest` is zero while there is none. An ended slot keeps the deadline of its last step.
    /// @param fetchAttempt Attempt in which the head was last asked for; 0 if never.
    struct Slot {
        uint256 campaign;
        uint32 number;
        uint16 attempt;
        uint16 fetchAttempt;
        address owner;
        SlotState state;
        SkipReason skipReason;
        uint64 deadline;
        bytes32 requestKeyDigest;
        ModelRecord candidate;
    }

    /// @notice A ballot. `yes` and `approvals` have the opener's own, if it may vote. All is zero but the
    /// id where there is no such ballot.
    /// @param model Restore: slot of the ancestor. FinalFetch: slot of the model to open. Else 0.
    /// @param deadline Its last second; of Fetch and Upload that of the slot's present step.
    struct Ballot {
        BallotId id;
        BallotKind kind;
        uint256 campaign;
        uint32 slot;
        uint16 attempt;
        address opener;
        bytes32 subject;
        uint32 model;
        BallotState state;
        uint8 yes;
        uint8 no;
        uint8 quorum;
        uint64 deadline;
        address[] electorate;
        address[] approvals;
        address[] refusals;
    }

    /// @notice Everything about the present of a campaign, as of one block. `slot` is all zero unless
    /// the campaign runs; `ballot` is what the open slot waits for or waited for last (its state is None
    /// before any): of an upload that starts over the fetch ballot of an attempt before.
    struct Snapshot {
        Campaign campaign;
        Slot slot;
        Ballot ballot;
        uint64 blockNumber;
        uint64 timestamp;
    }

    /// @notice What a partner gave to the head: its models from there back to genesis, and its
    /// training cases summed over them.
    struct Contribution {
        address account;
        bytes32 name;
        uint32 models;
        uint64 cases;
    }

    // ----------------------------------------------------------------- errors

    error NoSlot(uint256 campaign, uint32 slot);
    error NoModel(uint256 campaign, uint32 slot);

    // ------------------------------------------------------------------ views

    /// @notice All members, former ones too, in order of admission.
    function members(ICDistriM ledger) external view returns (Member[] memory);

    /// @notice A campaign's present in one consistent read.
    function snapshotOf(ICDistriM ledger, uint256 campaign) external view returns (Snapshot memory);

    /// @notice A campaign.
    function campaignOf(ICDistriM ledger, uint256 campaign) external view returns (Campaign memory);

    /// @notice Slot number of the head; 0 is genesis.
    function headOf(ICDistriM ledger, uint256 campaign) external view returns (uint32);

    /// @notice A planned, open or ended slot.
    function slotOf(ICDistriM ledger, uint256 campaign, uint32 slot)
        external
        view
        returns (Slot memory);

    /// @notice At most `count` slots from `first` on.
    function slotsOf(ICDistriM ledger, uint256 campaign, uint32 first, uint32 count)
        external
        view
        returns (Slot[] memory);

    /// @notice The record of an accepted slot.
    function modelOf(ICDistriM ledger, uint256 campaign, uint32 slot)
        external
        view
        returns (ModelRecord memory);

    /// @notice At most `count` models from an accepted slot back by its parents, towards genesis.
    function lineageOf(ICDistriM ledger, uint256 campaign, uint32 slot, uint32 count)
        external
        view
        returns (ModelRecord[] memory);

    /// @notice What each partner gave in at most `count` models from `slot` back; pages add up.
    /// @return contributions One per partner, in order.
    /// @return next Slot where the next page begins; 0 once genesis is reached.
    function contributionsOf(ICDistriM ledger, uint256 campaign, uint32 slot, uint32 count)
        external
        view
        returns (Contribution[] memory contributions, uint32 next);

    /// @notice A ballot; its state is None if it was never opened, or refused as NoCampaign.
    function ballotOf(ICDistriM ledger, BallotId ballot) external view returns (Ballot memory);
}
