// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ballots} from "./Ballots.sol";
import {BallotBox} from "./BallotBox.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {BallotId} from "./ValueTypes.sol";

/// @title What is stored of campaigns, and the guards that every action passes
/// @notice Nothing here changes state.
abstract contract Campaigns is Ballots {
    uint32 internal constant GENESIS = 0;

    uint256 public campaigns;
    mapping(uint256 campaign => CampaignRecord) internal _campaigns;
    mapping(uint256 campaign => uint8[128]) internal _orders; // seats
    mapping(uint256 campaign => mapping(address account => EnrolmentRecord)) internal _enrolments;
    mapping(uint256 campaign => mapping(uint32 slot => SlotRecord)) internal _slots;
    mapping(uint256 campaign => mapping(address account => FinalFetchRecord)) internal _finals;

    // ------------------------------------------------------------------- views

    /// @inheritdoc ICDistriM
    function campaignRecord(uint256 campaign) external view returns (CampaignRecord memory) {
        return _campaign(campaign);
    }

    /// @inheritdoc ICDistriM
    function orderOf(uint256 campaign) external view returns (uint8[] memory order) {
        order = new uint8[](_campaign(campaign).places);
        for (uint256 i = 0; i < order.length; i++) {
            order[i] = _orders[campaign][i];
        }
    }

    /// @inheritdoc ICDistriM
    function enrolmentRecord(uint256 campaign, address account)
        external
        view
        returns (EnrolmentRecord memory)
    {
        return _enrolments[campaign][account];
    }

    /// @inheritdoc ICDistriM
    function slotRecord(uint256 campaign, uint32 slot) external view returns (SlotRecord memory) {
        return _slots[campaign][slot];
    }

    /// @inheritdoc ICDistriM
    function finalFetchRecord(uint256 campaign, address account)
        external
        view
        returns (FinalFetchRecord memory)
    {
        return _finals[campaign][account];
    }

    // -------------------------------------------------------------- derivation

    function _asked(BallotId ballot) internal view override returns (uint256) {
        return _campaigns[ballot.campaignOf()].quorum;
    }

    function _deadlineOf(BallotId ballot, Box memory box) internal view override returns (uint64) {
        return _isOfSlot(ballot) ? _slotOf(ballot).deadline : box.deadline;
    }

    /// @dev Compared is what the ballot kept from its opening with what it would be given now. No ballot
    /// comes back to life: slots, attempts, heads after the end, and openings do not, and where the
    /// electorate could become again what it was, the number of removals tells.
    function _holds(BallotId ballot, Box memory box) internal view override returns (bool) {
        BallotKind kind = ballot.kindOf();
        if (kind == BallotKind.Fetch) return _asks(ballot, SlotState.FetchRequested);
        if (kind == BallotKind.Upload) return _asks(ballot, SlotState.UploadRequested);
        if (box.removals != _removals()) return false;
        if (kind >= BallotKind.Admission) return box.electorate == _active;
        CampaignRecord storage c = _campaigns[ballot.campaignOf()];
        if (kind == BallotKind.Join) {
            return c.state == CampaignState.Running && box.electorate == c.voters;
        }
        if (kind == BallotKind.FinalFetch) return c.head == box.model;
        if (ballot.attemptOf() == 0) return c.head == ballot.slotOf(); // after the campaign's end
        SlotRecord storage s = _slotOf(ballot);
        return _isOpen(c, s, ballot) && box.opened == _wasOpened(s);
    }

    /// @inheritdoc ICDistriM
    function subjectOf(BallotId ballot) public view override(Ballots) returns (bytes32) {
        if (!_isOfSlot(ballot)) return _subjects[ballot];
        SlotRecord storage s = _slotOf(ballot);
        if (s.attempt != ballot.attemptOf()) return 0;
        return ballot.kindOf() == BallotKind.Fetch ? s.requestKeyDigest : s.candidateDigest;
    }

    /// @dev Whether the open slot waits for this ballot.
    function _asks(BallotId ballot, SlotState asking) private view returns (bool) {
        CampaignRecord storage c = _campaigns[ballot.campaignOf()];
        SlotRecord storage s = _slotOf(ballot);
        return _removed(c) == 0 && _isOpen(c, s, ballot) && s.state == asking;
    }

    function _isOpen(CampaignRecord storage c, SlotRecord storage s, BallotId ballot)
        private
        view
        returns (bool)
    {
        return c.state == CampaignState.Running && c.slot == ballot.slotOf()
            && s.attempt == ballot.attemptOf();
    }

    function _slotOf(BallotId ballot) internal view returns (SlotRecord storage) {
        return _slots[ballot.campaignOf()][ballot.slotOf()];
    }

    /// @dev Whether the slot's owner has opened the head in this attempt.
    function _wasOpened(SlotRecord storage s) internal view returns (bool) {
        return s.state >= SlotState.Training;
    }

    /// @dev Last second of a ballot that is opened now and is not the slot's own.
    function _ballotEnd(CampaignRecord storage c) internal view returns (uint48) {
        return uint48(block.timestamp + c.deadlines.secondsOf(Clock.FetchBallot));
    }

    function _ownerOf(SlotRecord storage s) internal view returns (address) {
        return _accountAt(s.ownerSeat);
    }

    /// @dev Partners that are no members any more.
    function _removed(CampaignRecord storage c) internal view returns (uint128) {
        return c.partners & ~_active;
    }

    /// @dev Whether enough partners are left to decide anything: nobody is judged by itself alone.
    function _canDecide(CampaignRecord storage c) internal view returns (bool) {
        if (BallotBox.count(c.voters) < MIN_MEMBERS) return false;
        return c.mode == Mode.Reported || BallotBox.count(c.evaluators & c.voters) >= MIN_MEMBERS;
    }

    // ------------------------------------------------------------------ guards

    function _campaign(uint256 campaign) internal view returns (CampaignRecord storage c) {
        c = _campaigns[campaign];
        if (c.places == 0) revert NoCampaign(campaign);
    }

    /// @dev A campaign from which everybody who left was taken out.
    function _settled(uint256 campaign) internal view returns (CampaignRecord storage c) {
        c = _campaign(campaign);
        uint128 removed = _removed(c);
        if (removed != 0) revert RemovalsPending(campaign, removed);
    }

    /// @dev The open slot of a running campaign, exactly as the caller believes it to be.
    function _openSlot(uint256 campaign, uint32 slot, uint16 attempt)
        internal
        view
        returns (CampaignRecord storage c, SlotRecord storage s)
    {
        c = _settled(campaign);
        _requireState(c, CampaignState.Running);
        if (slot != c.slot) revert WrongSlot(campaign, slot, c.slot);
        s = _slots[campaign][slot];
        if (attempt != s.attempt) revert WrongAttempt(attempt, s.attempt);
    }

    function _ownTurn(uint256 campaign, uint32 slot, uint16 attempt, SlotState needed)
        internal
        view
        returns (CampaignRecord storage c, SlotRecord storage s)
    {
        (c, s) = _openSlot(campaign, slot, attempt);
        address owner = _ownerOf(s);
        if (msg.sender != owner) revert NotYourTurn(campaign, slot, owner, msg.sender);
        if (s.state != needed) revert WrongState(s.state, needed);
        _requireInTime(s.deadline);
    }

    function _requirePartner(uint256 campaign, CampaignRecord storage c) internal view {
        if (c.partners & _bit(msg.sender) == 0) revert NotAPartner(campaign, msg.sender);
    }

    function _requireState(CampaignRecord storage c, CampaignState needed) internal view {
        if (c.state != needed) revert WrongCampaignState(c.state, needed);
    }

    function _requireInTime(uint64 deadline) internal view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline, uint64(block.timestamp));
    }

    function _requireExpired(uint64 deadline) internal view {
        if (block.timestamp <= deadline) {
            revert DeadlineNotPassed(deadline, uint64(block.timestamp));
        }
    }

    function _requireHash(bytes32 hash) internal pure {
        if (hash == 0) revert ZeroHash();
    }
}
