// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {BallotBox} from "./BallotBox.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {ICDistriMViews} from "./ICDistriMViews.sol";
import {BallotId, ballotId} from "./ValueTypes.sol";

/// @title Derived views of a ledger
contract CDistriMViews is ICDistriMViews {
    // --------------------------------------------------------------- consortium

    /// @inheritdoc ICDistriMViews
    function members(ICDistriM ledger) external view returns (Member[] memory all) {
        all = new Member[](ledger.seats());
        for (uint256 seat = 0; seat < all.length; seat++) {
            all[seat] = ledger.memberAt(seat);
        }
    }

    // ----------------------------------------------------------------- campaign

    /// @inheritdoc ICDistriMViews
    function snapshotOf(ICDistriM ledger, uint256 campaign)
        external
        view
        returns (Snapshot memory snapshot)
    {
        snapshot.campaign = campaignOf(ledger, campaign);
        snapshot.blockNumber = uint64(block.number);
        snapshot.timestamp = uint64(block.timestamp);
        uint32 open = snapshot.campaign.slot;
        if (open == 0) return snapshot;
        Slot memory slot = slotOf(ledger, campaign, open);
        snapshot.slot = slot;
        bool upload = slot.state >= SlotState.UploadRequested;
        bool waits = slot.state == SlotState.Waiting;
        snapshot.ballot = ballotOf(
            ledger,
            ballotId(
                upload ? BallotKind.Upload : BallotKind.Fetch,
                campaign,
                open,
                upload || waits ? slot.attempt : slot.fetchAttempt,
                slot.owner
            )
        );
    }

    /// @inheritdoc ICDistriMViews
    function campaignOf(ICDistriM ledger, uint256 campaign)
        public
        view
        returns (Campaign memory view_)
    {
        CampaignRecord memory c = ledger.campaignRecord(campaign);
        view_.number = campaign;
        view_.specHash = c.specHash;
        view_.genesisWeightsHash = c.genesisWeightsHash;
        view_.state = c.state;
        view_.mode = c.mode;
        view_.quorum = c.quorum;
        view_.cycle = c.cycle;
        view_.cycles = c.cycles;
        view_.slots = _planned(c);
        view_.slot = c.state == CampaignState.Running ? c.slot : 0;
        view_.head = c.head;
        view_.accepted = c.accepted;
        view_.removalsPending = c.partners & ~ledger.activeSeats() != 0;
        view_.enrolDeadline = c.enrolDeadline;
        view_.deadlines = c.deadlines;
        uint8[] memory order = ledger.orderOf(campaign);
        view_.order = new address[](order.length);
        view_.enrolments = new Enrolment[](order.length);
        for (uint256 i = 0; i < order.length; i++) {
            Enrolment memory enrolment = _enrolment(ledger, campaign, c, order[i]);
            view_.enrolments[i] = enrolment;
            view_.order[i] = enrolment.account;
        }
    }

    /// @inheritdoc ICDistriMViews
    function headOf(ICDistriM ledger, uint256 campaign) external view returns (uint32) {
        return ledger.campaignRecord(campaign).head;
    }

    // ----------------------------------------------------------- slots, models

    /// @inheritdoc ICDistriMViews
    function slotOf(ICDistriM ledger, uint256 campaign, uint32 slot)
        public
        view
        returns (Slot memory view_)
    {
        CampaignRecord memory c = ledger.campaignRecord(campaign);
        if (slot == 0 || slot > _planned(c)) revert NoSlot(campaign, slot);
        SlotRecord memory s = ledger.slotRecord(campaign, slot);
        view_.campaign = campaign;
        view_.number = slot;
        view_.attempt = s.attempt;
        view_.fetchAttempt = s.fetchAttempt;
        view_.owner = ledger.memberAt(_seatAt(ledger, campaign, c, slot, s)).account;
        view_.state = s.state;
        view_.skipReason = s.skipReason;
        view_.deadline = s.deadline;
        view_.requestKeyDigest = s.requestKeyDigest;
        if (s.candidateDigest != 0) view_.candidate = _record(ledger, campaign, slot, s);
    }

    /// @inheritdoc ICDistriMViews
    function slotsOf(ICDistriM ledger, uint256 campaign, uint32 first, uint32 count)
        external
        view
        returns (Slot[] memory page)
    {
        uint256 planned = _planned(ledger.campaignRecord(campaign));
        if (first == 0 || first > planned) revert NoSlot(campaign, first);
        uint256 left = planned - first + 1;
        page = new Slot[](count < left ? count : left);
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = slotOf(ledger, campaign, first + uint32(i));
        }
    }

    /// @inheritdoc ICDistriMViews
    function modelOf(ICDistriM ledger, uint256 campaign, uint32 slot)
        public
        view
        returns (ModelRecord memory)
    {
        ledger.campaignRecord(campaign); // says so if there is none
        SlotRecord memory s = ledger.slotRecord(campaign, slot);
        if (s.state != SlotState.Accepted) revert NoModel(campaign, slot);
        return _record(ledger, campaign, slot, s);
    }

    /// @inheritdoc ICDistriMViews
    function lineageOf(ICDistriM ledger, uint256 campaign, uint32 slot, uint32 count)
        external
        view
        returns (ModelRecord[] memory page)
    {
        uint32 length = 0;
        uint32 next = slot;
        while (next != 0 && length < count) {
            next = _parentOf(ledger, campaign, next);
            length++;
        }
        page = new ModelRecord[](length);
        next = slot;
        for (uint256 i = 0; i < length; i++) {
            page[i] = modelOf(ledger, campaign, next);
            next = page[i].parent;
        }
    }

    /// @inheritdoc ICDistriMViews
    function contributionsOf(ICDistriM ledger, uint256 campaign, uint32 slot, uint32 count)
        external
        view
        returns (Contribution[] memory contributions, uint32 next)
    {
        uint8[] memory order = ledger.orderOf(campaign);
        contributions = new Contribution[](order.length);
        uint32[] memory cases = new uint32[](order.length);
        uint256[] memory placeOf = new uint256[](ledger.seats());
        for (uint256 i = 0; i < order.length; i++) {
            Member memory member = ledger.memberAt(order[i]);
            contributions[i].account = member.account;
            contributions[i].name = member.name;
            cases[i] = ledger.enrolmentRecord(campaign, member.account).cases;
            placeOf[order[i]] = i;
        }
        next = slot;
        for (uint32 i = 0; i < count && next != 0; i++) {
            SlotRecord memory s = ledger.slotRecord(campaign, next);
            if (s.state != SlotState.Accepted) revert NoModel(campaign, next);
            uint256 place = placeOf[s.ownerSeat];
            contributions[place].models++;
            contributions[place].cases += cases[place];
            next = s.parent;
        }
    }

    // ------------------------------------------------------------------ ballots

    /// @inheritdoc ICDistriMViews
    function ballotOf(ICDistriM ledger, BallotId ballot) public view returns (Ballot memory view_) {
        uint256 campaign = ballot.campaignOf();
        uint8 asked = campaign == 0 ? 0 : ledger.campaignRecord(campaign).quorum;
        view_.id = ballot;
        view_.state = ledger.ballotState(ballot);
        if (view_.state == BallotState.None) return view_;
        Box memory box = ledger.ballotRecord(ballot);
        view_.kind = ballot.kindOf();
        view_.campaign = campaign;
        view_.slot = ballot.slotOf();
        view_.attempt = ballot.attemptOf();
        view_.opener = ballot.openerOf();
        view_.model = box.model;
        view_.subject = ledger.subjectOf(ballot);
        view_.yes = BallotBox.count(box.approvals);
        view_.no = BallotBox.count(box.refusals);
        view_.quorum = BallotBox.quorumOf(BallotBox.count(box.electorate), asked);
        view_.deadline = box.deadline;
        if (box.deadline == 0) {
            view_.deadline = ledger.slotRecord(campaign, ballot.slotOf()).deadline;
        }
        view_.electorate = _accounts(ledger, box.electorate);
        view_.approvals = _accounts(ledger, box.approvals);
        view_.refusals = _accounts(ledger, box.refusals);
    }

    // -------------------------------------------------------------- derivation

    /// @dev Up to the open slot as numbered, then to the end of the order in each cycle that is left.
    function _planned(CampaignRecord memory c) private pure returns (uint32) {
        if (c.state == CampaignState.Completed || c.state == CampaignState.Failed) return c.slot;
        return c.slot + (c.places - 1 - c.place) + uint32(c.cycles - c.cycle) * c.places;
    }

    function _seatAt(
        ICDistriM ledger,
        uint256 campaign,
        CampaignRecord memory c,
        uint32 slot,
        SlotRecord memory s
    ) private view returns (uint8) {
        if (s.attempt != 0) return s.ownerSeat;
        return ledger.orderOf(campaign)[(uint256(c.place) + slot - c.slot) % c.places];
    }

    function _enrolment(ICDistriM ledger, uint256 campaign, CampaignRecord memory c, uint8 seat)
        private
        view
        returns (Enrolment memory)
    {
        Member memory member = ledger.memberAt(seat);
        EnrolmentRecord memory e = ledger.enrolmentRecord(campaign, member.account);
        uint128 bit = uint128(1) << seat;
        return Enrolment(
            member.account,
            member.name,
            c.partners & bit != 0,
            c.voters & bit != 0,
            e.cases,
            e.dataCommitment,
            e.evaluator
        );
    }

    function _record(ICDistriM ledger, uint256 campaign, uint32 slot, SlotRecord memory s)
        private
        view
        returns (ModelRecord memory record)
    {
        Member memory owner = ledger.memberAt(s.ownerSeat);
        EnrolmentRecord memory e = ledger.enrolmentRecord(campaign, owner.account);
        record.name = string.concat(_text(owner.name), "-", Strings.toString(slot));
        record.slot = slot;
        record.attempt = s.attempt;
        record.account = owner.account;
        record.parent = s.parent;
        record.undone = s.undone;
        record.ciphertextHash = s.ciphertextHash;
        record.weightsHash = s.weightsHash;
        record.capsuleHash = s.capsuleHash;
        record.cases = e.cases;
        record.dataCommitment = e.dataCommitment;
        record.candidateDigest = s.candidateDigest;
    }

    /// @dev A name without the zeros behind it.
    function _text(bytes32 name) private pure returns (string memory) {
        uint256 length = 0;
        while (length < 32 && name[length] != 0) length++;
        bytes memory text = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            text[i] = name[i];
        }
        return string(text);
    }

    function _parentOf(ICDistriM ledger, uint256 campaign, uint32 slot)
        private
        view
        returns (uint32)
    {
        SlotRecord memory s = ledger.slotRecord(campaign, slot);
        if (s.state != SlotState.Accepted) revert NoModel(campaign, slot);
        return s.parent;
    }

    function _accounts(ICDistriM ledger, uint128 mask)
        private
        view
        returns (address[] memory accounts)
    {
        accounts = new address[](BallotBox.count(mask));
        uint256 next = 0;
        for (uint256 seat = 0; mask != 0; seat++) {
            if (mask & 1 != 0) accounts[next++] = ledger.memberAt(seat).account;
            mask >>= 1;
        }
    }
}
