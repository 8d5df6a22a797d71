// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMErrors} from "./ICDistriMErrors.sol";
import {ICDistriMEvents} from "./ICDistriMEvents.sol";
import {BallotId, Deadlines, Evidence} from "./ValueTypes.sol";

/// @title C-DistriM: the ledger of a consortium
/// @notice Keeps members, campaigns, slots, ballots, tokens and model records. Nobody owns it.
/// @dev Everything here is for members only, views excepted. Views return what is stored, as it is;
/// what is derived from it is told by ICDistriMViews, at the address `views`.
interface ICDistriM is ICDistriMEvents, ICDistriMErrors {
    // -------------------------------------------------------------- membership

    /// @notice Publishes the caller's public sealing key, which receives sealed model keys, or puts
    /// another one in its place (rotation). 1 to 4096 bytes; the ledger keeps its SHA-256.
    function publishKey(bytes calldata sealingKey) external;

    /// @notice Asks all members to admit somebody; the proposal is the caller's yes.
    /// @dev Membership ballots last a week and are void as soon as anybody is admitted or removed.
    function proposeAdmission(Applicant memory applicant) external returns (uint16 round);

    /// @notice Asks all members to remove one; the proposal is the caller's yes. It takes effect in
    /// each campaign when any member applies it there; until then the campaign stands still.
    function proposeRemoval(address account) external returns (uint16 round);

    // ---------------------------------------------------------------- campaign

    /// @notice Opens a campaign; partners enrol until the enrol deadline.
    /// @param specHash SHA-256 of the spec's canonical JSON.
    /// @param genesisWeightsHash SHA-256 of the public weights that slot 1 starts from.
    /// @param order 2 to 50 distinct members; one cycle of slots.
    /// @param cycles How often the order is gone through, at least once and at most 2,000 slots in all;
    /// slots of those who join later come on top.
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
        Deadlines deadlines
    ) external returns (uint256 campaign);

    /// @notice A partner enrols with its number of training cases and the root of its data
    /// commitment. With the last of those who are invited and still members the first slot opens, or,
    /// with too few partners or evaluators to decide anything, the campaign fails. If the last one that
    /// was missing is removed instead, it goes on when the enrol deadline is over.
    /// @param evaluator Whether it measures candidates on a hold-out of its own.
    function enrol(uint256 campaign, uint32 cases, bytes32 dataCommitment, bool evaluator) external;

    /// @notice A member asks the partners of a running campaign to let it join.
    /// @dev The ballot is void as soon as voters are added, a member is removed or the campaign ends.
    function requestJoin(uint256 campaign, uint32 cases, bytes32 dataCommitment, bool evaluator)
        external
        returns (uint16 round);

    /// @notice Takes former members out of a campaign and out of the open slot's ballot.
    /// @dev Until this is done, whatever else concerns the campaign is refused.
    function applyRemovals(uint256 campaign) external;

    /// @notice Ends the open step once its deadline is over: the enrolment (the campaign starts with
    /// those enrolled, or fails with fewer than two partners or, in holdout mode, fewer than two
    /// evaluators), or the open slot (it is skipped).
    function closeExpired(uint256 campaign) external;

    // ------------------------------------------------------------------- slots

    /// @notice The slot's owner asks for the head; all voters of the campaign vote.
    /// @param requestKeyDigest SHA-256 of the one-time public key to which the head's key is sealed.
    function requestFetch(uint256 campaign, uint32 slot, uint16 attempt, bytes32 requestKeyDigest)
        external;

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
    /// @dev Holdout: trainer and evaluators vote and accept. Reported: all voters vote, and grant.
    function requestUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) external;

    /// @notice Reported mode: the owner redeems its upload token with the record that was voted on.
    function confirmUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) external;

    // ------------------------------------------------------------------- votes

    /// @notice One vote; if it decides the ballot, what was asked for happens at once.
    /// @param subject What the voter was asked, as of subjectOf: a vote does not count for something
    /// else that comes to stand under the ballot's name after the chain was reorganised. It
    /// does not have the head that a fetch is for, the digest of a candidate's parent, nor a restore's
    /// reason.
    function castVote(BallotId ballot, bytes32 subject, bool approve, Evidence evidence) external;

    /// @notice Votes that members signed, handed in by any of them. Who has voted before is passed
    /// over, so that nobody can spoil the transaction by voting meanwhile.
    function castVotes(BallotId ballot, bytes32 subject, SignedVote[] calldata votes) external;

    // ---------------------------------------------------------------- restoring

    /// @notice A partner asks the voters to take the head back to a strict ancestor. Once per partner and
    /// attempt, or, after the campaign's end (`slot` is the head, `attempt` is 0), and head. Over
    /// thousands of models it takes several restores, or more gas than a block has.
    /// @dev Void as soon as the owner opens the head, the head or the attempt changes, or a member is
    /// removed.
    /// @param target Slot of the ancestor; 0 is genesis.
    function requestRestore(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        uint32 target,
        RestoreReason reason
    ) external;

    /// @notice A partner tells where an accepted model's key was shared anew.
    function addCapsule(uint256 campaign, uint32 slot, bytes32 capsuleHash) external;

    // -------------------------------------------------------------- final model

    /// @notice A partner of a completed campaign asks for the final model. Who asks again gives up what
    /// was granted before, the right to record uses included.
    function requestFinalModel(uint256 campaign, bytes32 requestKeyDigest)
        external
        returns (uint16 round);

    /// @notice The partner redeems its token: the final model is open. Numbers as in reportOpened.
    function reportFinalOpened(uint256 campaign, uint8 good, uint8 bad, uint8 missing) external;

    /// @notice A partner that opened the final model records that it uses it.
    /// @param purpose SHA-256 of what it says about the use.
    function recordUse(uint256 campaign, bytes32 purpose) external;

    // ------------------------------------------------------------------- views

    /// @notice Where the derived views of this release are.
    function views() external view returns (address);

    /// @notice EIP-712 domain of signed votes: name "C-DistriM", version "1", chain id, contract.
    function domainSeparator() external view returns (bytes32);

    /// @notice Number of campaigns; they are numbered 1 to this.
    function campaigns() external view returns (uint256);

    /// @notice Number of seats ever given; they are numbered 0 to one less.
    function seats() external view returns (uint256);

    /// @notice Mask of the members.
    function activeSeats() external view returns (uint128);

    /// @notice Who has or had a seat; all zero if it was never given.
    function memberAt(uint256 seat) external view returns (Member memory);

    /// @notice One member; all zero if the account never was one.
    function memberOf(address account) external view returns (Member memory);

    /// @notice How often an account asked: round of its latest ballot of a kind that has rounds.
    function roundOf(BallotKind kind, uint256 campaign, address opener)
        external
        view
        returns (uint16);

    /// @notice A campaign as stored.
    function campaignRecord(uint256 campaign) external view returns (CampaignRecord memory);

    /// @notice Seats of the partners in their order, joiners last; one cycle of slots.
    function orderOf(uint256 campaign) external view returns (uint8[] memory);

    /// @notice A partner's enrolment, or a member's wish to join, as stored.
    function enrolmentRecord(uint256 campaign, address account)
        external
        view
        returns (EnrolmentRecord memory);

    /// @notice A slot as stored; all zero if it has not opened.
    function slotRecord(uint256 campaign, uint32 slot) external view returns (SlotRecord memory);

    /// @notice A partner's latest fetch of the final model.
    function finalFetchRecord(uint256 campaign, address account)
        external
        view
        returns (FinalFetchRecord memory);

    /// @notice A ballot as stored.
    function ballotRecord(BallotId ballot) external view returns (Box memory);

    /// @notice What a ballot is about. Fetch, FinalFetch: the one-time key's digest; Upload: the
    /// candidate's digest; Restore: Keccak-256 of the candidate digests of head and ancestor, 64 bytes,
    /// zero for genesis; Removal: the account; Join, Admission: Keccak-256 of the ABI-encoded
    /// EnrolmentRecord or Applicant. Of a slot's former attempt zero. Where there is no such
    /// ballot it means nothing, or reverts.
    function subjectOf(BallotId ballot) external view returns (bytes32);

    /// @notice State of a ballot, derived from votes, time and members.
    function ballotState(BallotId ballot) external view returns (BallotState);
}
