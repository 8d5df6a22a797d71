// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId, ballotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev requestRestore, and what its ballot does. In most tests slots 1 and 2 are accepted
/// and slot 3 is open: the head is 2, its ancestors are 1 and 0.
contract RestoresTest is Refusals {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Accepted);
    }

    // ----------------------------------------------------------------- opening

    function test_a_restore_asks_all_voters_with_the_openers_yes() public {
        BallotId restore = _requestRestore(campaign, partners[3], 1);
        Box memory box = ledger.ballotRecord(restore);
        assertState(restore, BallotState.Open);
        assertEq(box.electorate, 0xF, "electorate");
        assertEq(box.approvals, 1 << 3, "the opener's yes");
        assertEq(box.deadline, block.timestamp + 300, "deadline");
        bytes32 head = ledger.slotRecord(campaign, 2).candidateDigest;
        bytes32 ancestor = ledger.slotRecord(campaign, 1).candidateDigest;
        assertEq(ledger.subjectOf(restore), keccak256(abi.encode(head, ancestor)), "models");
        assertEq(box.model, 1, "target");
        assertEq(box.reason, uint8(RestoreReason.Unopenable), "reason");
        assertTrue(!box.opened, "not opened yet");
    }

    function test_a_restore_goes_to_a_strict_ancestor_of_the_head() public {
        _bring(campaign, 3, SlotState.Skipped);
        uint32[4] memory targets = [2, 3, 4, type(uint32).max];
        for (uint256 i = 0; i < targets.length; i++) {
            _assertRefused(partners[0], 4, 1, targets[i], _notAnAncestor(2, targets[i]));
        }
        _requestRestore(campaign, partners[0], 0);
    }

    /// @dev Slot 1 was undone, slot 3 goes on from genesis: 1 is before 3, but no ancestor of it.
    function test_what_was_undone_is_no_ancestor() public {
        _decide(_requestRestore(campaign, partners[0], 0), true);
        _bring(campaign, 3, SlotState.Accepted);
        _assertRefused(partners[0], 4, 1, 1, _notAnAncestor(3, 1));
        _assertRefused(partners[0], 4, 1, 2, _notAnAncestor(3, 2));
    }

    function test_nothing_is_restored_while_the_head_is_genesis() public {
        campaign = _running(Mode.Holdout);
        _assertRefused(partners[0], 1, 1, 0, _notAnAncestor(0, 0));
        _assertRefused(partners[0], 1, 1, 1, _notAnAncestor(0, 1));
    }

    /// @dev Degraded is what the ledger itself writes when a candidate is voted down.
    function test_degraded_is_no_reason_that_a_partner_gives() public {
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.requestRestore, (campaign, 3, 1, 1, RestoreReason.Degraded)),
            abi.encodeWithSelector(ICDistriMErrors.BadReason.selector, RestoreReason.Degraded)
        );
    }

    function test_a_restore_names_the_open_slot_and_attempt() public {
        _assertRefused(partners[0], 2, 1, 1, _wrongSlot(campaign, 2, 3));
        _assertRefused(partners[0], 0, 0, 1, _wrongSlot(campaign, 0, 3));
        _assertRefused(partners[0], 3, 0, 1, _wrongAttempt(0, 1));
        _assertRefused(partners[0], 3, 2, 1, _wrongAttempt(2, 1));
    }

    function test_only_partners_ask_for_a_restore() public {
        _assertRefused(bystander, 3, 1, 1, _notAPartner(campaign, bystander));
    }

    /// @dev In its own slot it may be the one who can't open the head.
    function test_a_joiner_asks_for_a_restore_though_it_has_no_vote_yet() public {
        _join(campaign, bystander);
        BallotId restore = _requestRestore(campaign, bystander, 1);
        assertEq(ledger.ballotRecord(restore).approvals, 0, "nobody's yes");
        _assertRefused(bystander, 3, 1, 0, _ballotOpened(restore));
        assertVoteRefused(bystander, restore, _noVote(bystander));
        _decide(restore, true);
        assertEq(_head(campaign), 1, "head");
    }

    function test_an_enrolling_campaign_has_nothing_to_restore() public {
        campaign = _open(Mode.Holdout, 1, 0);
        _assertRefused(
            partners[0],
            0,
            0,
            0,
            _wrongCampaignState(CampaignState.Enrolling, CampaignState.Running)
        );
    }

    function test_a_failed_campaign_has_nothing_to_restore() public {
        campaign = _running(Mode.Holdout);
        while (_record(campaign).state == CampaignState.Running) {
            _expire(campaign);
        }
        _assertRefused(partners[0], 0, 0, 0, _notAnAncestor(0, 0));
    }

    function test_each_partner_asks_once_in_an_attempt() public {
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _assertRefused(partners[0], 3, 1, 0, _ballotOpened(restore));
        _requestRestore(campaign, partners[1], 0); // another one may
        _vote(restore, partners[2], false);
        _vote(restore, partners[3], false);
        assertState(restore, BallotState.Rejected);
        _assertRefused(partners[0], 3, 1, 1, _ballotOpened(restore));
    }

    function test_in_the_next_slot_each_partner_may_ask_again() public {
        _requestRestore(campaign, partners[0], 1);
        _expire(campaign);
        assertState(_requestRestore(campaign, partners[0], 1), BallotState.Open);
    }

    function test_a_restore_may_be_asked_for_in_any_open_state() public {
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            campaign = _running(Mode.Reported);
            _bring(campaign, 1, SlotState.Accepted);
            _bring(campaign, 2, SlotState(state));
            _decide(_requestRestore(campaign, partners[0], 0), true);
            assertState(campaign, 2, SlotState.Waiting);
            assertEq(_attempt(campaign, 2), 2, "attempt");
            assertEq(_head(campaign), 0, "head");
        }
    }

    // ------------------------------------------------------------------ passing

    function test_a_restore_takes_the_head_back_and_starts_the_slot_over() public {
        _bring(campaign, 3, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 3, BallotKind.Upload);
        BallotId restore = _requestRestore(campaign, partners[0], 0);
        _vote(restore, partners[1], true);
        vm.recordLogs();
        vm.warp(block.timestamp + 10);
        _vote(restore, partners[3], true);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 5, "vote, closed, restored, upload closed, restarted");
        assertEq(
            keccak256(logs[2].data),
            keccak256(abi.encode(uint32(2), uint32(0), RestoreReason.Unopenable)),
            "from, to, reason"
        );
        assertEq(logs[3].topics[1], bytes32(BallotId.unwrap(upload)), "the upload ballot closed");
        assertEq(_head(campaign), 0, "head");
        assertEq(_record(campaign).accepted, 0, "accepted");
        assertTrue(_slot(campaign, 1).undone && _slot(campaign, 2).undone, "undone");
        SlotRecord memory s = _slot(campaign, 3);
        assertEq(uint8(s.state), uint8(SlotState.Waiting), "state");
        assertEq(s.attempt, 2, "attempt");
        assertEq(s.deadline, block.timestamp + 200, "deadline");
        assertEq(s.requestKeyDigest, 0, "the one-time key is gone");
        assertEq(s.candidateDigest, 0, "the candidate is gone");
        assertState(upload, BallotState.Rejected);
        assertState(restore, BallotState.Passed);
    }

    function test_a_model_between_stays_when_the_target_is_above_it() public {
        _decide(_requestRestore(campaign, partners[0], 1), true);
        assertTrue(!_slot(campaign, 1).undone, "the new head");
        assertTrue(_slot(campaign, 2).undone, "undone");
        assertEq(_record(campaign).accepted, 1, "accepted");
        assertState(campaign, 2, SlotState.Accepted);
    }

    function test_after_a_restore_work_goes_on_from_the_ancestor() public {
        _decide(_requestRestore(campaign, partners[0], 1), true);
        _bring(campaign, 3, SlotState.Accepted);
        assertEq(_slot(campaign, 3).parent, 1, "parent");
        assertEq(_record(campaign).accepted, 2, "accepted");
    }

    function test_a_rejected_restore_changes_nothing_but_its_votes() public {
        _bring(campaign, 3, SlotState.Training);
        BallotId restore = _requestRestore(campaign, partners[0], 0);
        _decide(restore, false);
        assertBallot(restore, BallotState.Rejected, 1, 2);
        assertState(campaign, 3, SlotState.Training);
        assertEq(_head(campaign), 2, "head");
        assertEq(_attempt(campaign, 3), 1, "attempt");
    }

    // --------------------------------------------------------------------- void

    function test_opening_the_head_voids_a_restore() public {
        _bring(campaign, 3, SlotState.FetchGranted);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _reportOpened(campaign, 3);
        assertState(restore, BallotState.Rejected);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    function test_a_restore_asked_for_after_the_opening_goes_on_through_the_upload() public {
        _bring(campaign, 3, SlotState.Training);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _requestUpload(campaign, 3);
        assertState(restore, BallotState.Open);
        _decide(restore, true);
        assertEq(_head(campaign), 1, "head");
    }

    function test_the_next_slot_voids_a_restore() public {
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _expire(campaign);
        // Its own time is not over where the slot ended early.
        vm.warp(ledger.ballotRecord(restore).deadline);
        assertState(restore, BallotState.Rejected);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    /// @dev The head is still the same, and both slots count as opened.
    function test_a_turned_down_candidate_voids_a_restore() public {
        _bring(campaign, 3, SlotState.UploadRequested);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _decide(campaign, 3, BallotKind.Upload, false);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    /// @dev The slot starts over although no voter was removed.
    function test_another_attempt_voids_a_restore() public {
        _bring(campaign, 3, SlotState.Training);
        _join(campaign, bystander);
        _requestUpload(campaign, 3);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _removeMember(bystander);
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
        assertEq(_attempt(campaign, 3), 2, "attempt");
        assertState(restore, BallotState.Rejected);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    function test_another_head_voids_a_restore() public {
        BallotId first = _requestRestore(campaign, partners[0], 1);
        BallotId second = _requestRestore(campaign, partners[1], 0);
        _decide(second, true);
        assertState(first, BallotState.Rejected);
        assertVoteRefused(partners[3], first, _ballotVoid(first));
    }

    function test_an_accepted_model_voids_a_restore() public {
        _bring(campaign, 3, SlotState.UploadRequested);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _decide(campaign, 3, BallotKind.Upload, true);
        assertVoteRefused(partners[3], restore, _ballotVoid(restore));
    }

    /// @dev The slot, its attempt and its state stay: it is the voters that have changed.
    function test_a_removed_voter_voids_a_restore() public {
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _takeOut(campaign, partners[3]);
        assertEq(_attempt(campaign, 3), 1, "attempt");
        assertState(restore, BallotState.Rejected);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    function test_a_removed_opener_voids_a_restore() public {
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _takeOut(campaign, partners[0]);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    function test_a_restore_is_decided_in_time_or_not_at_all() public {
        _bring(campaign, 3, SlotState.FetchGranted);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        uint256 deadline = block.timestamp + 300;
        vm.warp(deadline);
        _vote(restore, partners[1], true);
        vm.warp(deadline + 1);
        assertVoteRefused(partners[2], restore, _late(deadline));
        assertState(restore, BallotState.Rejected);
    }

    // ---------------------------------------------------------- after the end

    function test_a_completed_campaign_can_be_restored() public {
        _complete(campaign);
        BallotId restore = _requestRestore(campaign, partners[1], 1);
        vm.warp(block.timestamp + 300);
        _decide(restore, true);
        assertEq(_head(campaign), 1, "head");
        assertState(campaign, CampaignState.Completed);
        assertState(campaign, 4, SlotState.Accepted);
        assertTrue(_slot(campaign, 4).undone, "undone");
    }

    function test_a_campaign_restored_to_genesis_has_failed() public {
        _complete(campaign);
        _decide(_requestRestore(campaign, partners[1], 0), true);
        assertState(campaign, CampaignState.Failed);
        assertEq(_record(campaign).accepted, 0, "accepted");
    }

    function test_after_the_end_a_restore_names_the_head_and_no_attempt() public {
        _bring(campaign, 3, SlotState.Accepted);
        _bring(campaign, 4, SlotState.Skipped);
        _assertRefused(partners[0], 4, 1, 1, _wrongSlot(campaign, 4, 3));
        _assertRefused(partners[0], 0, 0, 1, _wrongSlot(campaign, 0, 3));
        _assertRefused(partners[0], 3, 1, 1, _wrongAttempt(1, 0));
    }

    function test_after_the_end_each_partner_asks_once_for_a_head() public {
        _complete(campaign);
        BallotId restore = _requestRestore(campaign, partners[0], 2);
        _assertRefused(partners[0], 4, 0, 1, _ballotOpened(restore));
        _decide(restore, true);
        assertState(_requestRestore(campaign, partners[0], 1), BallotState.Open); // another head
    }

    function test_after_the_end_another_head_voids_a_restore() public {
        _complete(campaign);
        BallotId first = _requestRestore(campaign, partners[0], 2);
        _decide(_requestRestore(campaign, partners[1], 3), true);
        assertVoteRefused(partners[3], first, _ballotVoid(first));
    }

    function test_after_the_end_a_lone_voter_restores_nothing() public {
        _complete(campaign);
        for (uint256 i = 1; i < 4; i++) {
            _admit(10 + i);
            _takeOut(campaign, partners[i]);
        }
        _assertRefused(
            partners[0],
            4,
            0,
            1,
            abi.encodeWithSelector(ICDistriMErrors.TooFewPartners.selector, campaign)
        );
    }

    /// @dev Head, voters and the last slot's number and attempt are still the same.
    function test_the_end_by_a_turned_down_candidate_voids_a_restore() public {
        _bring(campaign, 3, SlotState.Accepted);
        _bring(campaign, 4, SlotState.UploadRequested);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _decide(campaign, 4, BallotKind.Upload, false);
        assertState(campaign, CampaignState.Completed);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    /// @dev A restore ballot of the running campaign does not live on after its end.
    function test_the_end_voids_a_restore() public {
        _bring(campaign, 3, SlotState.Accepted);
        BallotId restore = _requestRestore(campaign, partners[0], 1);
        _bring(campaign, 4, SlotState.FetchRequested);
        _decide(campaign, 4, BallotKind.Fetch, false);
        assertState(campaign, CampaignState.Completed);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
    }

    // ------------------------------------------------------------------ pieces

    function _notAnAncestor(uint32 head, uint32 target) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NotAnAncestor.selector, head, target);
    }

    function _assertRefused(
        address opener,
        uint32 slot,
        uint16 attempt,
        uint32 target,
        bytes memory refusal
    ) private {
        assertRefused(
            opener,
            abi.encodeCall(
                ICDistriM.requestRestore,
                (campaign, slot, attempt, target, RestoreReason.Irreproducible)
            ),
            refusal
        );
    }
}
