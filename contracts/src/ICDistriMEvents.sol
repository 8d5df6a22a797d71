// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMTypes} from "./ICDistriMTypes.sol";
import {BallotId, Deadlines, Evidence} from "./ValueTypes.sol";

/// @title What happened, in the past tense
/// @notice In their order these events suffice to rebuild everything that the views tell.
interface ICDistriMEvents is ICDistriMTypes {
    // -------------------------------------------------------------- membership

    event MemberAdmitted(address indexed account, bytes32 name, uint8 seat);

    event MemberRemoved(address indexed account, uint8 seat);

    /// @notice `formerDigest` is zero the first time.
    event KeyRotated(
        address indexed account, bytes32 formerDigest, bytes32 sealingKeyDigest, bytes sealingKey
    );

    event AdmissionProposed(BallotId indexed ballot, address indexed account, bytes32 name);

    event RemovalProposed(BallotId indexed ballot, address indexed account);

    // ---------------------------------------------------------------- campaign

    event CampaignOpened(
        uint256 indexed campaign,
        address indexed opener,
        bytes32 specHash,
        bytes32 genesisWeightsHash,
        address[] order,
        uint16 cycles,
        uint8 quorum,
        Mode mode,
        Deadlines deadlines,
        uint64 enrolDeadline
    );

    event Enrolled(
        uint256 indexed campaign,
        address indexed account,
        uint32 cases,
        bytes32 dataCommitment,
        bool evaluator
    );

    event CampaignStarted(uint256 indexed campaign, uint8 enrolled, uint8 evaluators);

    event JoinRequested(
        BallotId indexed ballot,
        uint256 indexed campaign,
        uint32 cases,
        bytes32 dataCommitment,
        bool evaluator
    );

    /// @notice Its slots come at the end of this and each later cycle; who was invited and came late
    /// keeps its place in the order.
    event PartnerJoined(
        uint256 indexed campaign,
        address indexed account,
        uint32 cases,
        bytes32 dataCommitment,
        bool evaluator
    );

    /// @notice A head was dealt to these joiners: they vote from now on.
    event VotersAdded(uint256 indexed campaign, uint128 seats);

    /// @notice The campaign goes on without these former members.
    event PartnersRemoved(uint256 indexed campaign, uint128 seats);

    /// @notice The campaign is over; `state` is Completed or Failed.
    event CampaignCompleted(
        uint256 indexed campaign, CampaignState state, uint32 head, uint32 accepted
    );

    // -------------------------------------------------------- ballots and tokens

    /// @notice The opener's request counts as its yes if it is of the electorate; no VoteCast repeats it.
    /// Kind, slot, attempt and opener are in the ballot's id.
    event BallotOpened(
        BallotId indexed ballot,
        uint256 indexed campaign,
        uint32 head,
        uint8 quorum,
        uint128 electorate,
        uint64 deadline
    );

    event VoteCast(
        BallotId indexed ballot, address indexed account, bool approve, Evidence evidence
    );

    event BallotClosed(BallotId indexed ballot, bool passed, uint8 yes, uint8 no);

    /// @notice `slot` is the head for a token to the final model, `attempt` then the round.
    event TokenGranted(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        BallotKind kind,
        address indexed account,
        uint64 deadline
    );

    event TokenRedeemed(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        BallotKind kind,
        address indexed account
    );

    // -------------------------------------------------------------------- slots

    event SlotOpened(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed owner,
        uint32 head,
        uint64 deadline
    );

    event FetchRequested(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed account,
        bytes32 requestKeyDigest
    );

    /// @notice The owner opened the head. `deadline` is when its training has to be over. Of the final
    /// model, as TokenRedeemed before it tells, `attempt` is the round and `deadline` the token's.
    event ModelOpened(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed account,
        uint32 head,
        uint8 good,
        uint8 bad,
        uint8 missing,
        uint64 deadline
    );

    event CandidateSubmitted(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed account,
        Candidate candidate,
        uint32 cases,
        bytes32 dataCommitment
    );

    event ModelAccepted(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed account,
        bytes32 ciphertextHash,
        bytes32 weightsHash,
        bytes32 capsuleHash
    );

    event SlotSkipped(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed owner,
        SkipReason reason
    );

    /// @notice The slot starts over in `state` with its next attempt, `attempt`.
    event SlotRestarted(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        address indexed owner,
        SlotState state,
        RestartReason reason,
        uint64 deadline
    );

    // ------------------------------------------------------ restore, final model

    event RestoreRequested(
        BallotId indexed ballot, uint256 indexed campaign, uint32 target, RestoreReason reason
    );

    /// @notice Work goes on from `to`. `from` is a candidate that was turned down in its own slot, or
    /// the head until now: it and every model between are marked as undone.
    event HeadRestored(
        uint256 indexed campaign, uint32 indexed slot, uint32 from, uint32 to, RestoreReason reason
    );

    /// @notice A model's key was shared anew; the capsule is in the store under this hash.
    event CapsuleAdded(
        uint256 indexed campaign, uint32 indexed slot, address indexed account, bytes32 capsuleHash
    );

    event FinalModelRequested(
        BallotId indexed ballot, uint256 indexed campaign, bytes32 requestKeyDigest
    );

    /// @notice `purpose` is the digest of what the partner says about the use.
    event FinalModelUsed(
        uint256 indexed campaign, address indexed account, uint32 head, bytes32 purpose
    );
}
