// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title C-DistriM: the ledger of a consortium
/// @notice Keeps members, campaigns, slots, ballots, tokens and model records. Nobody owns it.
/// @dev AUCs are fixed-point numbers in 1e-9, variances in 1e-18, times are seconds. Campaigns and
/// slots are numbered from 1; slot 0 is the public genesis model. Attempts of a slot count from 1.
/// A step is in time up to and including the second of its deadline.
interface ICDistriM {
    // ------------------------------------------------------------------ words

    /// @notice Where a campaign stands.
    enum CampaignState {
        Enrolling, // partners announce cases and data commitment
        Running, // exactly one slot is open
        Completed, // the last slot is over and at least one model was accepted
        Failed // it could not start, or nothing was accepted
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
        NotEnrolled // the slot's owner takes no part in this campaign
    }

    /// @notice What a ballot is about, and what a token is good for.
    enum Step {
        Fetch,
        Upload
    }

    /// @notice On what evidence upload ballots are decided.
    enum Mode {
        Holdout, // evaluators measure the candidate on their own hold-out
        Reported // partners judge the trainer's report on an agreed validation set
    }

    /// @notice State of a ballot. Derived from the votes, never stored.
    enum BallotState {
        None, // never opened
        Open,
        Passed, // yes >= quorum
        Rejected // the quorum is out of reach, or the ballot ended undecided: silence is no
    }

    /// @notice What an account said in a ballot.
    enum Choice {
        Silent,
        Yes,
        No
    }

    // ---------------------------------------------------------------- records

    /// @notice A founding member. `sealingKey` is the public key that receives sealed model keys.
    struct Founder {
        address account;
        string name;
        bytes sealingKey;
    }

    /// @notice A member. `sealingKeyDigest` is SHA-256 of the key that MemberAdmitted carries.
    struct Member {
        address account;
        string name;
        bytes32 sealingKeyDigest;
        bool active;
    }

    /// @notice Measurements behind a vote or a record; all zero where nothing was measured.
    struct Evidence {
        uint32 aucHead;
        uint32 aucCandidate;
        uint64 variance;
        uint32 positives;
        uint32 negatives;
    }

    /// @notice Seconds that each step may take before any member may close it.
    struct Deadlines {
        uint32 enrol;
        uint32 fetchRequest;
        uint32 fetchBallot;
        uint32 opening;
        uint32 training;
        uint32 uploadBallot;
        uint32 confirmation;
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

    /// @notice A partner's part in a campaign; `enrolled` is false while it has not enrolled.
    struct Enrolment {
        address account;
        string name;
        bool enrolled;
        uint32 cases;
        bytes32 dataCommitment;
        bool evaluator;
    }

    /// @notice A candidate or accepted model with its provenance. `name` is partner + slot.
    struct ModelRecord {
        string name;
        uint32 slot;
        uint16 attempt;
        address account;
        uint32 parent;
        bytes32 ciphertextHash;
        bytes32 weightsHash;
        bytes32 capsuleHash;
        uint32 cases;
        bytes32 dataCommitment;
        Evidence evidence;
    }

    /// @notice A campaign. `slot` is the open slot, 0 unless it runs; `slots` how many are planned;
    /// `quorum` what the spec asked for, 0 for a strict majority; `enrolments` one per partner in order.
    struct Campaign {
        uint256 number;
        bytes32 specHash;
        bytes32 genesisWeightsHash;
        CampaignState state;
        Mode mode;
        uint8 quorum;
        uint16 cycles;
        uint32 slots;
        uint32 slot;
        uint32 head;
        uint32 accepted;
        uint64 enrolDeadline;
        Deadlines deadlines;
        address[] order;
        Enrolment[] enrolments;
    }

    /// @notice A slot. `attempt` is 0 and `deadline` is 0 until it opens. The candidate's
    /// `weightsHash` is zero while there is none. An ended slot keeps the deadline of its last step.
    struct Slot {
        uint256 campaign;
        uint32 number;
        uint16 attempt;
        address owner;
        SlotState state;
        SkipReason skipReason;
        uint64 deadline;
        bytes32 requestKeyDigest;
        ModelRecord candidate;
    }

    /// @notice A ballot. The requester's request is its yes and is counted in `yes` and `approvals`.
    struct Ballot {
        Step step;
        BallotState state;
        uint8 yes;
        uint8 no;
        uint8 quorum;
        address[] electorate;
        address[] approvals;
        address[] refusals;
    }

    /// @notice Everything about the present of a campaign, as of one block. `slot` is all zero unless
    /// the campaign runs; `ballot` is the open slot's latest ballot (its state is None before any).
    struct Snapshot {
        Campaign campaign;
        Slot slot;
        Ballot ballot;
        uint64 blockNumber;
        uint64 timestamp;
    }

    // ----------------------------------------------------------------- events
    // In this order of a transaction they suffice to rebuild everything that the views tell.

    event MemberAdmitted(address indexed account, string name, bytes sealingKey);

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
        string name,
        uint32 cases,
        bytes32 dataCommitment,
        bool evaluator
    );

    event CampaignStarted(uint256 indexed campaign, uint8 enrolled, uint8 evaluators);

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

    /// @notice The requester's request counts as its yes; no VoteCast repeats it.
    /// Bit i of `electorate` stands for the partner at position i of the campaign's order.
    event BallotOpened(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        Step step,
        address indexed requester,
        uint32 head,
        uint8 quorum,
        uint64 electorate,
        uint64 deadline
    );

    event VoteCast(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        Step step,
        address indexed account,
        bool approve,
        Evidence evidence
    );

    event BallotClosed(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        Step step,
        bool passed,
        uint8 yes,
        uint8 no
    );

    event TokenGranted(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        Step step,
        address indexed account,
        uint64 deadline
    );

    event TokenRedeemed(
        uint256 indexed campaign,
        uint32 indexed slot,
        uint16 attempt,
        Step step,
        address indexed account
    );

    /// @notice The owner opened the head. `deadline` is when its training has to be over.
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
        string name,
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

    /// @notice A candidate was turned down: work goes on from `to`, the head, and not from slot `from`.
    event HeadRestored(
        uint256 indexed campaign, uint32 indexed slot, uint32 from, uint32 to, SkipReason reason
    );

    /// @notice The campaign is over; `state` is Completed or Failed.
    event CampaignCompleted(
        uint256 indexed campaign, CampaignState state, uint32 head, uint32 accepted
    );

    // ----------------------------------------------------------------- errors

    error NotAMember(address account);
    error NotAPartner(uint256 campaign, address account);
    error NotYourTurn(uint256 campaign, uint32 slot, address owner, address caller);
    error NoVote(address account);
    error AlreadyVoted(address account);
    error AlreadyEnrolled(uint256 campaign, address account);
    error NoCampaign(uint256 campaign);
    error NoSlot(uint256 campaign, uint32 slot);
    error NoModel(uint256 campaign, uint32 slot);
    error NoBallot(uint256 campaign, uint32 slot, uint16 attempt, Step step);
    error BallotAlreadyClosed(uint256 campaign, uint32 slot, uint16 attempt, Step step);
    error WrongCampaignState(CampaignState state, CampaignState needed);
    error WrongState(SlotState state, SlotState needed);
    error WrongSlot(uint256 campaign, uint32 asked, uint32 open);
    error WrongAttempt(uint16 asked, uint16 open);
    error WrongParent(uint32 expected, uint32 given);
    error DeadlinePassed(uint64 deadline, uint64 time);
    error DeadlineNotPassed(uint64 deadline, uint64 time);
    error RecordMismatch(bytes32 requestedWeightsHash, bytes32 givenWeightsHash);
    error HashTooEarly();
    error ZeroHash();
    error BadCases();
    error BadCycles(uint16 cycles);
    error BadDeadline(uint32 given);
    error BadEvidence(uint32 auc);
    error BadName(string name);
    error BadAccount(address account);
    error BadOrder(uint256 partners);
    error BadFounders(uint256 founders);
    error BadQuorum(uint8 quorum, uint256 partners);
    error BadSealingKey(uint256 length);
    error DuplicatePartner(address account);
    error DuplicateMember(address account, string name);

    // ---------------------------------------------------------------- actions

    /// @notice Opens a campaign; partners enrol until the enrol deadline.
    /// @param specHash SHA-256 of the spec's canonical JSON.
    /// @param genesisWeightsHash SHA-256 of the public weights that slot 1 starts from.
    /// @param order 2 to 50 distinct members; one cycle of slots.
    /// @param cycles How often the order is gone through, at least once.
    /// @param quorum Votes that each ballot needs at least; 0 for a strict majority, never less.
    /// @param mode On what evidence upload ballots are decided.
    /// @param deadlines Seconds per step, 1 second to 30 days.
    /// @return campaign Its number.
    function openCampaign(
        bytes32 specHash,
        bytes32 genesisWeightsHash,
        address[] calldata order,
        uint16 cycles,
        uint8 quorum,
        Mode mode,
        Deadlines calldata deadlines
    ) external returns (uint256 campaign);

    /// @notice A partner joins a campaign with its number of training cases and the root of its
    /// data commitment. When all partners are in, slot 1 opens.
    /// @param evaluator Whether it measures candidates on a hold-out of its own.
    function enrol(uint256 campaign, uint32 cases, bytes32 dataCommitment, bool evaluator) external;

    /// @notice The slot's owner asks for the head; all enrolled partners vote.
    /// @param requestKeyDigest SHA-256 of the one-time public key to which the head's key is sealed.
    function requestFetch(uint256 campaign, uint32 slot, uint16 attempt, bytes32 requestKeyDigest)
        external;

    /// @notice One vote; it may decide the ballot and with it the slot's next state.
    /// @dev Fetch: all enrolled partners. Upload: trainer and evaluators (holdout), or all (reported).
    function castVote(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Step step,
        bool approve,
        Evidence calldata evidence
    ) external;

    /// @notice The owner redeems its fetch token: the head is open, its weights hash is right.
    /// @param good Key shares that were usable, and `bad` and `missing` ones.
    function reportOpened(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        uint8 good,
        uint8 bad,
        uint8 missing
    ) external;

    /// @notice The owner fixes its candidate's record and asks for the upload ballot.
    function requestUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate calldata candidate
    ) external;

    /// @notice Reported mode: the owner redeems its upload token with the record that was voted on.
    function confirmUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate calldata candidate
    ) external;

    /// @notice Any member ends the open step once its deadline is over: the enrolment (the campaign
    /// starts with those enrolled, or fails with fewer than two partners or, in holdout mode, fewer
    /// than two evaluators), or the open slot (it is skipped).
    function closeExpired(uint256 campaign) external;

    // ------------------------------------------------------------------ views

    /// @notice Number of campaigns; they are numbered 1 to this.
    function campaigns() external view returns (uint256);

    /// @notice All members in order of admission.
    function members() external view returns (Member[] memory);

    /// @notice One member; all zero if the account never was one.
    function memberOf(address account) external view returns (Member memory);

    /// @notice A campaign's present in one consistent read.
    function snapshotOf(uint256 campaign) external view returns (Snapshot memory);

    /// @notice A campaign.
    function campaignOf(uint256 campaign) external view returns (Campaign memory);

    /// @notice A partner's part in a campaign; all zero if it is no partner.
    function enrolmentOf(uint256 campaign, address account) external view returns (Enrolment memory);

    /// @notice Slot number of the head; 0 is genesis.
    function headOf(uint256 campaign) external view returns (uint32);

    /// @notice A planned, open or ended slot.
    function slotOf(uint256 campaign, uint32 slot) external view returns (Slot memory);

    /// @notice At most `count` slots from `first` on.
    function slotsOf(uint256 campaign, uint32 first, uint32 count)
        external
        view
        returns (Slot[] memory);

    /// @notice The record of an accepted slot.
    function modelOf(uint256 campaign, uint32 slot) external view returns (ModelRecord memory);

    /// @notice A ballot; its state is None if it was never opened.
    function ballotOf(uint256 campaign, uint32 slot, uint16 attempt, Step step)
        external
        view
        returns (Ballot memory);

    /// @notice What an account said in a ballot. The evidence is in the VoteCast event.
    function voteOf(uint256 campaign, uint32 slot, uint16 attempt, Step step, address account)
        external
        view
        returns (Choice);
}
