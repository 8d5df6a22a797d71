// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "./BallotBox.sol";
import {Campaigns} from "./Campaigns.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {Members} from "./Members.sol";

/// @title C-DistriM: the ledger of a consortium
/// @notice Every action of the protocol and every change of state. No owner, no upgrade, no pause, no
/// external calls: who may do what is decided by membership, turn, ballot and deadline alone.
contract CDistriM is Campaigns {
    using BallotBox for BallotBox.Box;

    uint32 private constant MAX_DEADLINE = 30 days;
    uint32 private constant AUC_ONE = 1e9;
    uint256 private constant MIN_EVALUATORS = 2; // nobody is judged by itself alone

    constructor(Founder[] memory founders) Members(founders) {}

    // --------------------------------------------------------------- campaign

    /// @inheritdoc ICDistriM
    function openCampaign(
        bytes32 specHash,
        bytes32 genesisWeightsHash,
        address[] calldata order,
        uint16 cycles,
        uint8 quorum,
        Mode mode,
        Deadlines calldata deadlines
    ) external onlyMember returns (uint256 campaign) {
        if (specHash == 0 || genesisWeightsHash == 0) revert ZeroHash();
        if (cycles == 0) revert BadCycles(cycles);
        _requireDeadlines(deadlines);
        campaign = ++campaigns;
        StoredCampaign storage c = _campaigns[campaign];
        _storeOrder(c, order, quorum);
        c.specHash = specHash;
        c.genesisWeightsHash = genesisWeightsHash;
        c.mode = mode;
        c.quorum = quorum;
        c.cycles = cycles;
        c.enrolDeadline = uint64(block.timestamp) + deadlines.enrol;
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
        StoredCampaign storage c = _campaign(campaign);
        _requireCampaignState(c, CampaignState.Enrolling);
        _requireInTime(c.enrolDeadline);
        StoredEnrolment storage e = c.enrolments[msg.sender];
        if (e.place == 0) revert NotAPartner(campaign, msg.sender);
        if (e.cases != 0) revert AlreadyEnrolled(campaign, msg.sender);
        if (cases == 0) revert BadCases();
        if (dataCommitment == 0) revert ZeroHash();

        e.cases = cases;
        e.evaluator = evaluator;
        e.dataCommitment = dataCommitment;
        uint64 bit = uint64(1) << (e.place - 1);
        c.enrolled |= bit;
        if (evaluator) c.evaluators |= bit;
        emit Enrolled(campaign, msg.sender, _nameOf(msg.sender), cases, dataCommitment, evaluator);

        if (BallotBox.count(c.enrolled) == c.partners) _start(campaign, c);
    }

    /// @inheritdoc ICDistriM
    function closeExpired(uint256 campaign) external onlyMember {
        StoredCampaign storage c = _campaign(campaign);
        if (c.state == CampaignState.Enrolling) {
            _requireExpired(c.enrolDeadline);
            _start(campaign, c);
            return;
        }
        _requireCampaignState(c, CampaignState.Running);
        uint32 slot = c.slot;
        StoredSlot storage s = c.slots[slot];
        _requireExpired(s.deadline);
        if (s.state == SlotState.FetchRequested) {
            _emitClosed(campaign, slot, s.attempt, Step.Fetch, false);
        } else if (s.state == SlotState.UploadRequested) {
            _emitClosed(campaign, slot, s.attempt, Step.Upload, false);
        }
        _skip(campaign, slot, SkipReason.DeadlinePassed);
    }

    // ------------------------------------------------------------------- slot

    /// @inheritdoc ICDistriM
    function requestFetch(uint256 campaign, uint32 slot, uint16 attempt, bytes32 requestKeyDigest)
        external
        onlyMember
    {
        (StoredCampaign storage c, StoredSlot storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.Waiting);
        if (requestKeyDigest == 0) revert ZeroHash();
        s.requestKeyDigest = requestKeyDigest;
        emit FetchRequested(campaign, slot, attempt, msg.sender, requestKeyDigest);
        _moveTo(s, SlotState.FetchRequested, c.deadlines.fetchBallot);
        _openBallot(campaign, slot, attempt, Step.Fetch, c.enrolled);
    }

    /// @inheritdoc ICDistriM
    function reportOpened(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        uint8 good,
        uint8 bad,
        uint8 missing
    ) external onlyMember {
        (StoredCampaign storage c, StoredSlot storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.FetchGranted);
        emit TokenRedeemed(campaign, slot, attempt, Step.Fetch, msg.sender);
        uint64 deadline = _moveTo(s, SlotState.Training, c.deadlines.training);
        emit ModelOpened(campaign, slot, attempt, msg.sender, c.head, good, bad, missing, deadline);
    }

    /// @inheritdoc ICDistriM
    function requestUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate calldata candidate
    ) external onlyMember {
        (StoredCampaign storage c, StoredSlot storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.Training);
        if (candidate.parent != c.head) revert WrongParent(c.head, candidate.parent);
        if (candidate.weightsHash == 0) revert ZeroHash();
        bool reported = c.mode == Mode.Reported;
        if (reported && (candidate.ciphertextHash != 0 || candidate.capsuleHash != 0)) {
            revert HashTooEarly();
        }
        if (!reported && (candidate.ciphertextHash == 0 || candidate.capsuleHash == 0)) {
            revert ZeroHash();
        }
        _requireEvidence(candidate.evidence);

        _fix(s, candidate);
        _moveTo(s, SlotState.UploadRequested, c.deadlines.uploadBallot);
        StoredEnrolment storage e = c.enrolments[msg.sender];
        emit CandidateSubmitted(
            campaign,
            slot,
            attempt,
            msg.sender,
            _modelName(msg.sender, slot),
            candidate,
            e.cases,
            e.dataCommitment
        );
        uint64 electorate = reported ? c.enrolled : c.evaluators | _bit(c, msg.sender);
        _openBallot(campaign, slot, attempt, Step.Upload, electorate);
    }

    /// @inheritdoc ICDistriM
    function confirmUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate calldata candidate
    ) external onlyMember {
        (, StoredSlot storage s) = _ownTurn(campaign, slot, attempt, SlotState.UploadGranted);
        Candidate memory requested = _requested(s);
        requested.ciphertextHash = candidate.ciphertextHash;
        requested.capsuleHash = candidate.capsuleHash;
        if (keccak256(abi.encode(requested)) != keccak256(abi.encode(candidate))) {
            revert RecordMismatch(requested.weightsHash, candidate.weightsHash);
        }
        if (candidate.ciphertextHash == 0 || candidate.capsuleHash == 0) revert ZeroHash();

        s.candidate.ciphertextHash = candidate.ciphertextHash;
        s.candidate.capsuleHash = candidate.capsuleHash;
        emit TokenRedeemed(campaign, slot, attempt, Step.Upload, msg.sender);
        _accept(campaign, slot);
    }

    /// @inheritdoc ICDistriM
    function castVote(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Step step,
        bool approve,
        Evidence calldata evidence
    ) external onlyMember {
        (StoredCampaign storage c, StoredSlot storage s) = _openSlot(campaign, slot, attempt);
        BallotBox.Box storage box = _ballot(c, slot, attempt, step);
        _requireVote(campaign, slot, attempt, step, box, _bit(c, msg.sender));
        _requireInTime(s.deadline);
        _requireEvidence(evidence);

        if (approve) box.approvals |= _bit(c, msg.sender);
        else box.refusals |= _bit(c, msg.sender);
        emit VoteCast(campaign, slot, attempt, step, msg.sender, approve, evidence);

        BallotState state = BallotBox.tally(box);
        if (state == BallotState.Open) return;
        bool passed = state == BallotState.Passed;
        _emitClosed(campaign, slot, attempt, step, passed);
        if (step == Step.Fetch) _fetchDecided(campaign, slot, passed);
        else _uploadDecided(campaign, slot, passed);
    }

    // --------------------------------------------------- transitions of a slot

    function _fetchDecided(uint256 campaign, uint32 slot, bool passed) private {
        if (!passed) return _skip(campaign, slot, SkipReason.FetchRefused);
        StoredCampaign storage c = _campaigns[campaign];
        _grant(campaign, slot, Step.Fetch, SlotState.FetchGranted, c.deadlines.opening);
    }

    function _uploadDecided(uint256 campaign, uint32 slot, bool passed) private {
        StoredCampaign storage c = _campaigns[campaign];
        if (!passed) {
            emit HeadRestored(campaign, slot, slot, c.head, SkipReason.Degraded);
            return _skip(campaign, slot, SkipReason.Degraded);
        }
        if (c.mode == Mode.Holdout) return _accept(campaign, slot);
        _grant(campaign, slot, Step.Upload, SlotState.UploadGranted, c.deadlines.confirmation);
    }

    function _grant(uint256 campaign, uint32 slot, Step step, SlotState next, uint32 time) private {
        StoredCampaign storage c = _campaigns[campaign];
        StoredSlot storage s = c.slots[slot];
        uint64 deadline = _moveTo(s, next, time);
        emit TokenGranted(campaign, slot, s.attempt, step, _ownerOf(c, slot), deadline);
    }

    function _fix(StoredSlot storage s, Candidate calldata candidate) private {
        s.candidate = StoredCandidate(
            candidate.parent,
            candidate.evidence.aucHead,
            candidate.evidence.aucCandidate,
            candidate.evidence.variance,
            candidate.evidence.positives,
            candidate.evidence.negatives,
            candidate.ciphertextHash,
            candidate.weightsHash,
            candidate.capsuleHash
        );
    }

    function _accept(uint256 campaign, uint32 slot) private {
        StoredCampaign storage c = _campaigns[campaign];
        StoredSlot storage s = c.slots[slot];
        s.state = SlotState.Accepted;
        c.head = slot;
        c.accepted++;
        emit ModelAccepted(
            campaign,
            slot,
            s.attempt,
            _ownerOf(c, slot),
            s.candidate.ciphertextHash,
            s.candidate.weightsHash,
            s.candidate.capsuleHash
        );
        _openNext(campaign, c);
    }

    function _skip(uint256 campaign, uint32 slot, SkipReason reason) private {
        StoredCampaign storage c = _campaigns[campaign];
        _markSkipped(campaign, c, slot, reason);
        _openNext(campaign, c);
    }

    function _markSkipped(
        uint256 campaign,
        StoredCampaign storage c,
        uint32 slot,
        SkipReason reason
    ) private {
        StoredSlot storage s = c.slots[slot];
        s.state = SlotState.Skipped;
        s.skipReason = reason;
        emit SlotSkipped(campaign, slot, s.attempt, _ownerOf(c, slot), reason);
    }

    function _start(uint256 campaign, StoredCampaign storage c) private {
        uint8 enrolled = BallotBox.count(c.enrolled);
        uint8 evaluators = BallotBox.count(c.evaluators);
        bool judged = c.mode == Mode.Reported || evaluators >= MIN_EVALUATORS;
        if (enrolled < MIN_PARTNERS || !judged) return _complete(campaign, c);
        c.state = CampaignState.Running;
        emit CampaignStarted(campaign, enrolled, evaluators);
        _openNext(campaign, c);
    }

    /// @dev The loop is bounded by one cycle: at least two partners of the order are enrolled.
    function _openNext(uint256 campaign, StoredCampaign storage c) private {
        uint32 last = _plannedSlots(c);
        for (uint32 next = c.slot + 1; next <= last; next++) {
            StoredSlot storage s = c.slots[next];
            address owner = _ownerOf(c, next);
            s.attempt = 1;
            if (c.enrolled & _bitAt(c, next) != 0) {
                c.slot = next;
                uint64 deadline = _moveTo(s, SlotState.Waiting, c.deadlines.fetchRequest);
                emit SlotOpened(campaign, next, 1, owner, c.head, deadline);
                return;
            }
            _markSkipped(campaign, c, next, SkipReason.NotEnrolled);
        }
        _complete(campaign, c);
    }

    function _complete(uint256 campaign, StoredCampaign storage c) private {
        c.state = c.accepted == 0 ? CampaignState.Failed : CampaignState.Completed;
        emit CampaignCompleted(campaign, c.state, c.head, c.accepted);
    }

    /// @dev Every step's clock starts when the step before it closes.
    function _moveTo(StoredSlot storage s, SlotState next, uint32 time)
        private
        returns (uint64 deadline)
    {
        deadline = uint64(block.timestamp) + time;
        s.state = next;
        s.deadline = deadline;
    }

    // ----------------------------------------------------------------- ballots

    function _openBallot(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Step step,
        uint64 electorate
    ) private {
        StoredCampaign storage c = _campaigns[campaign];
        BallotBox.Box storage box = _ballot(c, slot, attempt, step);
        box.open(electorate, _bit(c, msg.sender), c.quorum);
        _emitOpened(campaign, slot, attempt, step, box);
    }

    function _emitOpened(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Step step,
        BallotBox.Box memory box
    ) private {
        uint32 head = _campaigns[campaign].head;
        uint64 deadline = _campaigns[campaign].slots[slot].deadline;
        emit BallotOpened(
            campaign, slot, attempt, step, msg.sender, head, box.quorum, box.electorate, deadline
        );
    }

    function _emitClosed(uint256 campaign, uint32 slot, uint16 attempt, Step step, bool passed)
        private
    {
        BallotBox.Box memory box = _ballot(_campaigns[campaign], slot, attempt, step);
        emit BallotClosed(
            campaign,
            slot,
            attempt,
            step,
            passed,
            BallotBox.count(box.approvals),
            BallotBox.count(box.refusals)
        );
    }

    // ------------------------------------------------------------------ guards

    function _requireVote(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Step step,
        BallotBox.Box memory box,
        uint64 voter
    ) private view {
        BallotState state = BallotBox.tally(box);
        if (state == BallotState.None) revert NoBallot(campaign, slot, attempt, step);
        if (box.electorate & voter == 0) revert NoVote(msg.sender);
        if ((box.approvals | box.refusals) & voter != 0) revert AlreadyVoted(msg.sender);
        if (state != BallotState.Open) revert BallotAlreadyClosed(campaign, slot, attempt, step);
    }

    /// @dev The open slot of a running campaign, exactly as the caller believes it to be.
    function _openSlot(uint256 campaign, uint32 slot, uint16 attempt)
        private
        view
        returns (StoredCampaign storage c, StoredSlot storage s)
    {
        c = _campaign(campaign);
        _requireCampaignState(c, CampaignState.Running);
        if (slot != c.slot) revert WrongSlot(campaign, slot, c.slot);
        s = c.slots[slot];
        if (attempt != s.attempt) revert WrongAttempt(attempt, s.attempt);
    }

    function _ownTurn(uint256 campaign, uint32 slot, uint16 attempt, SlotState needed)
        private
        view
        returns (StoredCampaign storage c, StoredSlot storage s)
    {
        (c, s) = _openSlot(campaign, slot, attempt);
        if (_bit(c, msg.sender) != _bitAt(c, slot)) {
            revert NotYourTurn(campaign, slot, _ownerOf(c, slot), msg.sender);
        }
        if (s.state != needed) revert WrongState(s.state, needed);
        _requireInTime(s.deadline);
    }

    function _storeOrder(StoredCampaign storage c, address[] calldata order, uint8 quorum) private {
        if (order.length < MIN_PARTNERS || order.length > MAX_PARTNERS) {
            revert BadOrder(order.length);
        }
        if (quorum > order.length) revert BadQuorum(quorum, order.length);
        for (uint256 i = 0; i < order.length; i++) {
            _requireMember(order[i]);
            StoredEnrolment storage e = c.enrolments[order[i]];
            if (e.place != 0) revert DuplicatePartner(order[i]);
            e.place = uint8(i + 1);
            c.order[i] = order[i];
        }
        c.partners = uint8(order.length);
    }

    function _requireDeadlines(Deadlines calldata d) private pure {
        uint32[7] memory all = [
            d.enrol,
            d.fetchRequest,
            d.fetchBallot,
            d.opening,
            d.training,
            d.uploadBallot,
            d.confirmation
        ];
        for (uint256 i = 0; i < all.length; i++) {
            if (all[i] == 0 || all[i] > MAX_DEADLINE) revert BadDeadline(all[i]);
        }
    }

    function _requireEvidence(Evidence calldata e) private pure {
        if (e.aucHead > AUC_ONE) revert BadEvidence(e.aucHead);
        if (e.aucCandidate > AUC_ONE) revert BadEvidence(e.aucCandidate);
    }

    function _requireCampaignState(StoredCampaign storage c, CampaignState needed) private view {
        if (c.state != needed) revert WrongCampaignState(c.state, needed);
    }

    function _requireInTime(uint64 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline, uint64(block.timestamp));
    }

    function _requireExpired(uint64 deadline) private view {
        if (block.timestamp <= deadline) {
            revert DeadlineNotPassed(deadline, uint64(block.timestamp));
        }
    }
}
