// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";
import {Turns} from "./Turns.sol";
import {BallotId, Deadlines} from "./ValueTypes.sol";

/// @title How a campaign begins, and who takes part in it
abstract contract Partners is Turns {
    uint32 private constant MAX_DEADLINE = 30 days;
    uint256 private constant MAX_SLOTS = 2000; // one restore can go back over so many

    /// @inheritdoc ICDistriM
    function openCampaign(
        bytes32 specHash,
        bytes32 genesisWeightsHash,
        address[] calldata order,
        uint16 cycles,
        uint8 quorum,
        Mode mode,
        Deadlines deadlines
    ) external onlyMember returns (uint256 campaign) {
        _requireHash(specHash);
        _requireHash(genesisWeightsHash);
        if (cycles == 0 || cycles * order.length > MAX_SLOTS) revert BadCycles(cycles);
        if (quorum > order.length) revert BadQuorum(quorum, order.length);
        _requireDeadlines(deadlines);
        campaign = ++campaigns;
        CampaignRecord storage c = _campaigns[campaign];
        c.invited = _storeOrder(campaign, order);
        c.places = uint8(order.length);
        c.place = c.places - 1; // the first slot is the one after the last of cycle 0
        c.specHash = specHash;
        c.genesisWeightsHash = genesisWeightsHash;
        c.mode = mode;
        c.quorum = quorum;
        c.cycles = cycles;
        c.enrolDeadline = uint48(block.timestamp + deadlines.secondsOf(Clock.Enrol));
        c.deadlines = deadlines;
        emit CampaignOpened(
            campaign,
            msg.sender,
            specHash,
            genesisWeightsHash,
            order,
            cycles,
            quorum,
            mode,
            deadlines,
            c.enrolDeadline
        );
    }

    /// @inheritdoc ICDistriM
    function enrol(uint256 campaign, uint32 cases, bytes32 dataCommitment, bool evaluator)
        external
        onlyMember
    {
        CampaignRecord storage c = _settled(campaign);
        _requireState(c, CampaignState.Enrolling);
        _requireInTime(c.enrolDeadline);
        uint128 bit = _bit(msg.sender);
        if (c.invited & bit == 0) revert NotAPartner(campaign, msg.sender);
        if (c.partners & bit != 0) revert AlreadyEnrolled(campaign, msg.sender);
        EnrolmentRecord memory e = EnrolmentRecord(cases, evaluator, dataCommitment);
        _storeEnrolment(campaign, e);
        _addPartner(c, bit, evaluator);
        emit Enrolled(campaign, msg.sender, cases, dataCommitment, evaluator);
        bool complete = c.partners == c.invited & _active;
        if (complete) _start(campaign, c);
    }

    /// @inheritdoc ICDistriM
    function requestJoin(uint256 campaign, uint32 cases, bytes32 dataCommitment, bool evaluator)
        external
        onlyMember
        returns (uint16)
    {
        CampaignRecord storage c = _settled(campaign);
        _requireState(c, CampaignState.Running);
        if (c.partners & _bit(msg.sender) != 0) revert AlreadyEnrolled(campaign, msg.sender);
        (BallotId ballot, uint16 round) = _nextRound(BallotKind.Join, campaign);
        EnrolmentRecord memory e = EnrolmentRecord(cases, evaluator, dataCommitment);
        _storeEnrolment(campaign, e);
        Box memory box;
        box.electorate = c.voters;
        box.deadline = _ballotEnd(c);
        _open(ballot, box, keccak256(abi.encode(e)), c.head);
        emit JoinRequested(ballot, campaign, cases, dataCommitment, evaluator);
        return round;
    }

    /// @inheritdoc ICDistriM
    function applyRemovals(uint256 campaign) external onlyMember {
        CampaignRecord storage c = _campaign(campaign);
        uint128 removed = _removed(c);
        if (removed == 0) revert NoRemovals(campaign);
        c.partners &= ~removed;
        c.voters &= ~removed;
        c.evaluators &= ~removed;
        c.dealt &= ~removed;
        emit PartnersRemoved(campaign, removed);
        if (c.state != CampaignState.Running) return;

        uint32 slot = c.slot;
        SlotRecord storage s = _slots[campaign][slot];
        if (!_canDecide(c)) return _end(campaign, c, slot, s, SkipReason.TooFewPartners);
        if (removed & (uint128(1) << s.ownerSeat) != 0) {
            return _skip(campaign, c, slot, s, SkipReason.OwnerRemoved);
        }
        RestartReason reason = RestartReason.PartnerRemoved;
        if (s.state == SlotState.FetchRequested) {
            _restart(campaign, c, slot, s, SlotState.Waiting, reason);
        } else if (s.state == SlotState.UploadRequested || s.state == SlotState.UploadGranted) {
            _restart(campaign, c, slot, s, SlotState.Training, reason);
        }
    }

    /// @inheritdoc ICDistriM
    function closeExpired(uint256 campaign) external onlyMember {
        CampaignRecord storage c = _settled(campaign);
        if (c.state == CampaignState.Enrolling) {
            _requireExpired(c.enrolDeadline);
            return _start(campaign, c);
        }
        _requireState(c, CampaignState.Running);
        SlotRecord storage s = _slots[campaign][c.slot];
        _requireExpired(s.deadline);
        _skip(campaign, c, c.slot, s, SkipReason.DeadlinePassed);
    }

    /// @dev The join ballot of an account passed. Who was invited has its place in the order already.
    function _join(uint256 campaign, address account) internal {
        CampaignRecord storage c = _campaigns[campaign];
        EnrolmentRecord storage e = _enrolments[campaign][account];
        uint128 bit = _bit(account);
        if (c.invited & bit == 0) {
            c.invited |= bit;
            _orders[campaign][c.places++] = _seatOf(account);
        }
        _addPartner(c, bit, e.evaluator);
        emit PartnerJoined(campaign, account, e.cases, e.dataCommitment, e.evaluator);
    }

    // ----------------------------------------------------------------- pieces

    function _addPartner(CampaignRecord storage c, uint128 bit, bool evaluator) private {
        c.partners |= bit;
        if (evaluator) c.evaluators |= bit;
    }

    function _storeEnrolment(uint256 campaign, EnrolmentRecord memory e) private {
        if (!_hasKey(msg.sender)) revert NoSealingKey(msg.sender);
        if (e.cases == 0) revert BadCases();
        _requireHash(e.dataCommitment);
        _enrolments[campaign][msg.sender] = e;
    }

    function _storeOrder(uint256 campaign, address[] calldata order)
        private
        returns (uint128 invited)
    {
        if (order.length < MIN_MEMBERS || order.length > MAX_MEMBERS) {
            revert BadOrder(order.length);
        }
        for (uint256 i = 0; i < order.length; i++) {
            _requireMember(order[i]);
            uint128 bit = _bit(order[i]);
            if (invited & bit != 0) revert DuplicatePartner(order[i]);
            invited |= bit;
            _orders[campaign][i] = _seatOf(order[i]);
        }
    }

    function _requireDeadlines(Deadlines deadlines) private pure {
        for (uint256 i = 0; i <= uint256(type(Clock).max); i++) {
            uint32 given = deadlines.secondsOf(Clock(i));
            if (given == 0 || given > MAX_DEADLINE) revert BadDeadline(given);
        }
        uint256 rest = Deadlines.unwrap(deadlines) >> 224; // above the seven
        if (rest != 0) revert BadDeadline(uint32(rest));
    }
}
