// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "./BallotBox.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {Members} from "./Members.sol";

/// @title What is stored of campaigns, and the views derived from it
/// @notice Nothing here changes state. Whatever can be derived is derived: model names, quorums'
/// electorates by account, ballot states, owners of slots.
abstract contract Campaigns is Members {
    using BallotBox for BallotBox.Box;

    struct StoredCampaign {
        bytes32 specHash;
        bytes32 genesisWeightsHash;
        // one word: what every step reads
        CampaignState state;
        Mode mode;
        uint8 quorum;
        uint8 partners;
        uint16 cycles;
        uint32 slot;
        uint32 head;
        uint32 accepted;
        uint64 enrolDeadline;
        // one word: bit i stands for the partner at position i of the order
        uint64 enrolled;
        uint64 evaluators;
        // one word
        Deadlines deadlines;
        mapping(uint256 place => address) order;
        mapping(address account => StoredEnrolment) enrolments;
        mapping(uint32 slot => StoredSlot) slots;
        mapping(bytes32 ballot => BallotBox.Box) ballots;
    }

    struct StoredEnrolment {
        uint8 place; // position in the order + 1; 0: no partner
        bool evaluator;
        uint32 cases; // 0: not enrolled
        bytes32 dataCommitment;
    }

    struct StoredSlot {
        SlotState state;
        SkipReason skipReason;
        uint16 attempt; // 0: not opened yet
        uint64 deadline;
        bytes32 requestKeyDigest;
        StoredCandidate candidate;
    }

    /// @dev Parent and evidence share one word.
    struct StoredCandidate {
        uint32 parent;
        uint32 aucHead;
        uint32 aucCandidate;
        uint64 variance;
        uint32 positives;
        uint32 negatives;
        bytes32 ciphertextHash;
        bytes32 weightsHash;
        bytes32 capsuleHash;
    }

    uint256 public campaigns;
    mapping(uint256 campaign => StoredCampaign) internal _campaigns;

    // ------------------------------------------------------------------ views

    /// @inheritdoc ICDistriM
    function snapshotOf(uint256 campaign) external view returns (Snapshot memory snapshot) {
        snapshot.campaign = campaignOf(campaign);
        snapshot.blockNumber = uint64(block.number);
        snapshot.timestamp = uint64(block.timestamp);
        uint32 open = snapshot.campaign.slot;
        if (open == 0) return snapshot;
        Slot memory slot = slotOf(campaign, open);
        snapshot.slot = slot;
        Step step = slot.candidate.weightsHash == 0 ? Step.Fetch : Step.Upload;
        snapshot.ballot = ballotOf(campaign, open, slot.attempt, step);
    }

    /// @inheritdoc ICDistriM
    function campaignOf(uint256 campaign) public view returns (Campaign memory view_) {
        StoredCampaign storage c = _campaign(campaign);
        view_.number = campaign;
        view_.specHash = c.specHash;
        view_.genesisWeightsHash = c.genesisWeightsHash;
        view_.state = c.state;
        view_.mode = c.mode;
        view_.quorum = c.quorum;
        view_.cycles = c.cycles;
        view_.slots = _plannedSlots(c);
        view_.slot = c.state == CampaignState.Running ? c.slot : 0;
        view_.head = c.head;
        view_.accepted = c.accepted;
        view_.enrolDeadline = c.enrolDeadline;
        view_.deadlines = c.deadlines;
        view_.order = new address[](c.partners);
        view_.enrolments = new Enrolment[](c.partners);
        for (uint256 i = 0; i < view_.order.length; i++) {
            view_.order[i] = c.order[i];
            view_.enrolments[i] = _enrolment(c, view_.order[i]);
        }
    }

    /// @inheritdoc ICDistriM
    function enrolmentOf(uint256 campaign, address account)
        external
        view
        returns (Enrolment memory enrolment)
    {
        StoredCampaign storage c = _campaign(campaign);
        if (c.enrolments[account].place == 0) return enrolment;
        return _enrolment(c, account);
    }

    /// @inheritdoc ICDistriM
    function headOf(uint256 campaign) external view returns (uint32) {
        return _campaign(campaign).head;
    }

    /// @inheritdoc ICDistriM
    function slotOf(uint256 campaign, uint32 slot) public view returns (Slot memory view_) {
        StoredCampaign storage c = _campaign(campaign);
        if (slot == 0 || slot > _plannedSlots(c)) revert NoSlot(campaign, slot);
        StoredSlot storage s = c.slots[slot];
        view_.campaign = campaign;
        view_.number = slot;
        view_.attempt = s.attempt;
        view_.owner = _ownerOf(c, slot);
        view_.state = s.state;
        view_.skipReason = s.skipReason;
        view_.deadline = s.deadline;
        view_.requestKeyDigest = s.requestKeyDigest;
        if (s.candidate.weightsHash != 0) view_.candidate = _record(c, slot);
    }

    /// @inheritdoc ICDistriM
    function slotsOf(uint256 campaign, uint32 first, uint32 count)
        external
        view
        returns (Slot[] memory page)
    {
        uint256 planned = _plannedSlots(_campaign(campaign));
        if (first == 0 || first > planned) revert NoSlot(campaign, first);
        uint256 left = planned - first + 1;
        page = new Slot[](count < left ? count : left);
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = slotOf(campaign, first + uint32(i));
        }
    }

    /// @inheritdoc ICDistriM
    function modelOf(uint256 campaign, uint32 slot) external view returns (ModelRecord memory) {
        StoredCampaign storage c = _campaign(campaign);
        if (c.slots[slot].state != SlotState.Accepted) revert NoModel(campaign, slot);
        return _record(c, slot);
    }

    /// @inheritdoc ICDistriM
    function ballotOf(uint256 campaign, uint32 slot, uint16 attempt, Step step)
        public
        view
        returns (Ballot memory view_)
    {
        StoredCampaign storage c = _campaign(campaign);
        BallotBox.Box memory box = _ballot(c, slot, attempt, step);
        view_.step = step;
        view_.state = _ballotState(c, box, slot, attempt, step);
        view_.yes = BallotBox.count(box.approvals);
        view_.no = BallotBox.count(box.refusals);
        view_.quorum = box.quorum;
        view_.electorate = _accounts(c, box.electorate);
        view_.approvals = _accounts(c, box.approvals);
        view_.refusals = _accounts(c, box.refusals);
    }

    /// @inheritdoc ICDistriM
    function voteOf(uint256 campaign, uint32 slot, uint16 attempt, Step step, address account)
        external
        view
        returns (Choice)
    {
        StoredCampaign storage c = _campaign(campaign);
        BallotBox.Box storage box = _ballot(c, slot, attempt, step);
        uint64 voter = _bit(c, account);
        if (box.approvals & voter != 0) return Choice.Yes;
        return box.refusals & voter != 0 ? Choice.No : Choice.Silent;
    }

    // -------------------------------------------------------------- derivation

    function _campaign(uint256 campaign) internal view returns (StoredCampaign storage c) {
        c = _campaigns[campaign];
        if (c.partners == 0) revert NoCampaign(campaign);
    }

    function _plannedSlots(StoredCampaign storage c) internal view returns (uint32) {
        return uint32(c.partners) * c.cycles;
    }

    function _ownerOf(StoredCampaign storage c, uint32 slot) internal view returns (address) {
        return c.order[(slot - 1) % c.partners];
    }

    function _ballot(StoredCampaign storage c, uint32 slot, uint16 attempt, Step step)
        internal
        view
        returns (BallotBox.Box storage)
    {
        return c.ballots[keccak256(abi.encode(slot, attempt, step))];
    }

    /// @dev The mask of a slot's owner.
    function _bitAt(StoredCampaign storage c, uint32 slot) internal view returns (uint64) {
        return uint64(1) << uint64((slot - 1) % c.partners);
    }

    /// @dev The mask of one partner; empty for anybody else.
    function _bit(StoredCampaign storage c, address account) internal view returns (uint64) {
        uint8 place = c.enrolments[account].place;
        return place == 0 ? 0 : uint64(1) << (place - 1);
    }

    function _modelName(address owner, uint32 slot) internal view returns (string memory) {
        return string.concat(_nameOf(owner), "-", _decimal(slot));
    }

    /// @dev A ballot that nobody decided is rejected once its step is over: silence is no.
    function _ballotState(
        StoredCampaign storage c,
        BallotBox.Box memory box,
        uint32 slot,
        uint16 attempt,
        Step step
    ) private view returns (BallotState state) {
        state = box.tally();
        if (state != BallotState.Open) return state;
        StoredSlot storage s = c.slots[slot];
        SlotState asks = step == Step.Fetch ? SlotState.FetchRequested : SlotState.UploadRequested;
        bool live = s.attempt == attempt && s.state == asks && block.timestamp <= s.deadline;
        return live ? BallotState.Open : BallotState.Rejected;
    }

    function _enrolment(StoredCampaign storage c, address account)
        private
        view
        returns (Enrolment memory)
    {
        StoredEnrolment storage e = c.enrolments[account];
        return
            Enrolment(
                account, _nameOf(account), e.cases != 0, e.cases, e.dataCommitment, e.evaluator
            );
    }

    function _record(StoredCampaign storage c, uint32 slot)
        private
        view
        returns (ModelRecord memory record)
    {
        StoredSlot storage s = c.slots[slot];
        record.account = _ownerOf(c, slot);
        StoredEnrolment storage e = c.enrolments[record.account];
        record.name = _modelName(record.account, slot);
        record.slot = slot;
        record.attempt = s.attempt;
        record.parent = s.candidate.parent;
        record.ciphertextHash = s.candidate.ciphertextHash;
        record.weightsHash = s.candidate.weightsHash;
        record.capsuleHash = s.candidate.capsuleHash;
        record.cases = e.cases;
        record.dataCommitment = e.dataCommitment;
        record.evidence = _evidence(s.candidate);
    }

    function _evidence(StoredCandidate storage stored) private view returns (Evidence memory) {
        return Evidence(
            stored.aucHead, stored.aucCandidate, stored.variance, stored.positives, stored.negatives
        );
    }

    /// @dev The record that was voted on, as the owner requested it.
    function _requested(StoredSlot storage s) internal view returns (Candidate memory) {
        StoredCandidate storage stored = s.candidate;
        return Candidate(
            stored.parent,
            stored.ciphertextHash,
            stored.weightsHash,
            stored.capsuleHash,
            _evidence(stored)
        );
    }

    function _accounts(StoredCampaign storage c, uint64 mask)
        private
        view
        returns (address[] memory accounts)
    {
        accounts = new address[](BallotBox.count(mask));
        uint256 next = 0;
        for (uint256 i = 0; mask != 0; i++) {
            if (mask & 1 != 0) accounts[next++] = c.order[i];
            mask >>= 1;
        }
    }

    function _decimal(uint32 value) private pure returns (string memory) {
        bytes memory digits = new bytes(10);
        uint256 start = digits.length;
        do {
            digits[--start] = bytes1(uint8(48 + value % 10));
            value /= 10;
        } while (value != 0);
        bytes memory text = new bytes(digits.length - start);
        for (uint256 i = 0; i < text.length; i++) {
            text[i] = digits[start + i];
        }
        return string(text);
    }
}
