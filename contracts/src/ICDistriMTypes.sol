// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Deadlines, Evidence} from "./ValueTypes.sol";

/// @title The words of the ledger
/// @notice States, reasons and records, the same here, in Python, on the command line and in the docs.
/// @dev AUCs are fixed-point numbers in 1e-9, variances in 1e-18, times are seconds. Campaigns and
/// slots are numbered from 1; slot 0 is the public genesis model. Attempts of a slot and rounds of a
/// request count from 1. A step is in time up to and including the second of its deadline.
///
/// Every member has a *seat*, a number that is never given to anybody else. Bit s of a mask stands for
/// the member on seat s.
interface ICDistriMTypes {
    // ------------------------------------------------------------------ words

    /// @notice Where a campaign stands.
    enum CampaignState {
        Enrolling, // partners announce cases and data commitment
        Running, // exactly one slot is open
        Completed, // the last slot is over and the head is a partner's model
        Failed // it could not start, or nothing stayed accepted: the head is genesis
    }

    /// @notice Where a slot (one partner iteration) stands.
    enum SlotState {
        Waiting, // for the owner's fetch request
        FetchRequested, // the fetch ballot is open
        FetchGranted, // the owner holds a fetch token
        Training, // the owner opened the head
        UploadRequested, // the record is fixed, the upload ballot is open
        UploadGranted, // reported mode only: the owner holds an upload token
        Accepted, // the candidate is the head, or was
        Skipped // see SkipReason
    }

    /// @notice Why a slot was skipped.
    enum SkipReason {
        None,
        FetchRefused, // the fetch ballot failed
        Degraded, // the upload ballot failed: head restored, partner skipped
        DeadlinePassed, // the open step's time was over and a member closed it
        NotEnrolled, // the slot's owner takes no part in this campaign
        OwnerRemoved, // the slot's owner is no member any more
        TooFewPartners // removals left too few partners or evaluators: the campaign ends
    }

    /// @notice Why a slot starts over with its next attempt.
    enum RestartReason {
        HeadRestored, // a restore ballot passed
        PartnerRemoved // another partner was removed between a request and what follows from it
    }

    /// @notice Why the head is restored to an earlier model.
    enum RestoreReason {
        Degraded, // a candidate was voted down; the head stays what it was
        Unopenable, // the head can't be decrypted
        Irreproducible // the head opens, but it is not what its record says
    }

    /// @notice What a ballot is about. Fetch, Upload and FinalFetch grant a token of that kind.
    enum BallotKind {
        Fetch, // may the slot's owner open the head?
        Upload, // is the candidate accepted?
        Restore, // does the head go back to an ancestor?
        Join, // may a member join a running campaign?
        FinalFetch, // may a partner open the final model?
        Admission, // is somebody admitted to the consortium?
        Removal // is a member removed?
    }

    /// @notice What has a deadline. Restore and join ballots, and those on the final model, last as
    /// long as a fetch ballot.
    enum Clock {
        Enrol,
        FetchRequest,
        FetchBallot,
        Opening,
        Training,
        UploadBallot,
        Confirmation
    }

    /// @notice On what evidence upload ballots are decided.
    enum Mode {
        Holdout, // evaluators measure the candidate on their own hold-out
        Reported // partners judge the trainer's report on an agreed validation set
    }

    /// @notice State of a ballot. Derived from votes, time and members, never stored.
    enum BallotState {
        None, // never opened
        Open,
        Passed, // yes >= quorum
        Rejected // the quorum is out of reach, or it ended undecided (silence is no), or it is void
    }

    /// @notice Where a partner's fetch of the final model stands.
    enum FinalFetchState {
        None,
        Requested, // its ballot was opened
        Granted, // the partner holds a token
        Opened // the token was redeemed
    }

    // ---------------------------------------------------------------- records

    /// @notice Somebody to admit.
    /// @param name 1 to 31 of a-z, 0-9 and "-", no "-" in front; ASCII, zeros behind.
    struct Applicant {
        address account;
        bytes32 name;
    }

    /// @notice A member, or who was one.
    /// @param seat Bit of the member in every mask.
    /// @param sealingKeyDigest SHA-256 of its public sealing key; zero until it published one.
    /// @param keyChangedAt When it published that.
    struct Member {
        address account;
        bytes32 name;
        uint8 seat;
        bool active;
        bytes32 sealingKeyDigest;
        uint48 keyChangedAt;
    }

    /// @notice What the owner fixes when it requests the upload. `parent` is the head's slot number.
    /// @dev Reported mode encrypts after the grant: the request carries zero for `ciphertextHash`
    /// and `capsuleHash`, the confirmation repeats the other fields and supplies these two.
    struct Candidate {
        uint32 parent;
        bytes32 ciphertextHash;
        bytes32 weightsHash;
        bytes32 capsuleHash;
        Evidence evidence;
    }

    /// @notice A vote that its voter signed (EIP-712) and any member may hand in.
    /// @dev Signed is Vote(uint256 ballot,bytes32 subject,bool approve,uint256 evidence,uint64 deadline).
    /// `r` and `vs` as in EIP-2098.
    struct SignedVote {
        bool approve;
        Evidence evidence;
        uint64 deadline;
        bytes32 r;
        bytes32 vs;
    }

    // ------------------------------------------------- what is stored, as it is

    /// @notice A campaign as stored. `slot` is the open slot, or the last one.
    /// @param quorum Votes that the spec asks for in each ballot; 0 for a strict majority.
    /// @param cycle Cycle and `place` in the order of the slot; `places` is the order's length.
    /// @param accepted Number of models from the head back to genesis.
    /// @param invited Members named in the order at the opening, and who joined since.
    /// @param partners Who is enrolled or has joined; `voters` whom a head was dealt to.
    /// @param dealt Joiners who were partners when the open slot opened. Its candidate is dealt to them,
    /// too: no owner can have sealed it before it knew of them.
    struct CampaignRecord {
        bytes32 specHash;
        bytes32 genesisWeightsHash;
        CampaignState state;
        Mode mode;
        uint8 quorum;
        uint8 places;
        uint8 place;
        uint16 cycle;
        uint16 cycles;
        uint32 slot;
        uint32 head;
        uint32 accepted;
        uint48 enrolDeadline;
        uint128 partners;
        uint128 voters;
        uint128 evaluators;
        uint128 dealt;
        uint128 invited;
        Deadlines deadlines;
    }

    /// @notice A partner's part in a campaign as stored. `cases` is 0 until it has enrolled, or asked to join.
    struct EnrolmentRecord {
        uint32 cases;
        bool evaluator;
        bytes32 dataCommitment;
    }

    /// @notice A slot as stored. `attempt` is 0 until it opens. What a former attempt left behind stays
    /// there but for `candidateDigest`, and for `requestKeyDigest` if the head has to be asked for anew.
    /// @param fetchAttempt Attempt in which the head was last asked for: its key shares carry it.
    /// @param undone Whether a restore ballot took the head back behind this accepted model.
    /// @param parent Slot of the model that the candidate started from.
    /// @param candidateDigest Keccak-256 of the ABI-encoded Candidate that was voted on, evidence
    /// included; CandidateSubmitted has it in full. Zero while there is none.
    struct SlotRecord {
        SlotState state;
        SkipReason skipReason;
        uint16 attempt;
        uint16 fetchAttempt;
        uint48 deadline;
        uint8 ownerSeat;
        bool undone;
        uint32 parent;
        bytes32 requestKeyDigest;
        bytes32 candidateDigest;
        bytes32 ciphertextHash;
        bytes32 weightsHash;
        bytes32 capsuleHash;
    }

    /// @notice A partner's latest fetch of the final model. `head` is the model it is for.
    struct FinalFetchRecord {
        FinalFetchState state;
        uint16 round;
        uint48 deadline;
        uint32 head;
        bytes32 requestKeyDigest;
    }

    /// @notice A ballot as stored.
    /// @param deadline 0 for Fetch and Upload, whose deadline is the slot's.
    /// @param removals How often somebody had been removed when it was opened: void once it is more.
    /// 0 for Fetch and Upload, which are a matter of the campaign's partners only.
    /// @param model Restore: the ancestor. FinalFetch: the head it was opened on, and void with it.
    /// @param opened Restore: whether the owner had opened the head before.
    /// @param reason Restore: see RestoreReason.
    struct Box {
        uint128 electorate;
        uint128 approvals;
        uint128 refusals;
        uint48 deadline;
        uint32 removals;
        uint32 model;
        bool opened;
        uint8 reason;
    }
}
