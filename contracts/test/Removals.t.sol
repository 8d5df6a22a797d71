// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev applyRemovals: what a removal from the consortium does in a campaign.
contract RemovalsTest is Refusals {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Reported, 2);
    }

    function test_without_a_removal_there_is_nothing_to_apply() public {
        bytes memory call = abi.encodeCall(ICDistriM.applyRemovals, (campaign));
        bytes memory refusal = abi.encodeWithSelector(ICDistriMErrors.NoRemovals.selector, campaign);
        assertRefused(bystander, call, refusal);
        _takeOut(campaign, partners[3]);
        assertRefused(bystander, call, refusal);
        address other = _admit(7);
        _removeMember(other); // no partner
        assertRefused(bystander, call, refusal);
    }

    function test_who_was_removed_is_taken_out_everywhere() public {
        _removeMember(partners[3]);
        _removeMember(partners[1]);
        vm.recordLogs();
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
        Vm.Log memory log = vm.getRecordedLogs()[0];
        assertEq(log.topics[1], bytes32(campaign), "campaign");
        assertEq(abi.decode(log.data, (uint256)), 1 << 1 | 1 << 3, "seats");
        CampaignRecord memory c = _record(campaign);
        assertEq(c.partners, 1 | 1 << 2, "partners");
        assertEq(c.voters, 1 | 1 << 2, "voters");
        assertEq(c.evaluators, 1 | 1 << 2, "evaluators");
        assertEq(ledger.orderOf(campaign).length, 4, "the order stays");
        assertEq(ledger.enrolmentRecord(campaign, partners[3]).cases, 103, "so does history");
    }

    function test_the_slots_of_who_was_removed_are_skipped() public {
        _takeOut(campaign, partners[1]);
        _bring(campaign, 1, SlotState.Accepted);
        assertSkipped(campaign, 2, SkipReason.OwnerRemoved);
        assertEq(_openSlotOf(campaign), 3, "open slot");
    }

    function test_any_open_slot_of_a_removed_owner_is_skipped() public {
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            setUp();
            _bring(campaign, 1, SlotState(state));
            _takeOut(campaign, partners[0]);
            assertSkipped(campaign, 1, SkipReason.OwnerRemoved);
            assertEq(_openSlotOf(campaign), 2, "open slot");
            assertEq(_slot(campaign, 2).deadline, block.timestamp + 200, "deadline");
        }
    }

    /// @dev What each open state becomes when a partner that does not own the slot is removed.
    function test_a_removed_voter_starts_the_open_ballot_over() public {
        SlotState[6] memory next = [
            SlotState.Waiting,
            SlotState.Waiting,
            SlotState.FetchGranted,
            SlotState.Training,
            SlotState.Training,
            SlotState.Training
        ];
        uint8[6] memory attempts = [1, 2, 1, 1, 2, 2];
        uint16[6] memory clocks = [0, 200, 0, 0, 500, 500];
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            setUp();
            _bring(campaign, 1, SlotState(state));
            uint256 deadline = _slot(campaign, 1).deadline;
            vm.warp(block.timestamp + 7);
            _takeOut(campaign, partners[2]);
            assertState(campaign, 1, next[state]);
            assertEq(_attempt(campaign, 1), attempts[state], "attempt");
            uint256 clock = clocks[state];
            if (clock != 0) deadline = block.timestamp + clock;
            assertEq(_slot(campaign, 1).deadline, deadline, "deadline");
        }
    }

    function test_a_fetch_that_starts_over_is_asked_for_anew() public {
        _bring(campaign, 1, SlotState.FetchRequested);
        BallotId fetch = _ballot(campaign, 1, BallotKind.Fetch);
        _removeMember(partners[2]);
        vm.recordLogs();
        vm.prank(bystander);
        ledger.applyRemovals(campaign);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 3, "removed, ballot closed, restarted");
        assertEq(logs[1].topics[1], bytes32(BallotId.unwrap(fetch)), "the fetch ballot");
        assertEq(_slot(campaign, 1).requestKeyDigest, 0, "key digest");
        assertState(fetch, BallotState.Rejected);
        _bring(campaign, 1, SlotState.FetchRequested);
        BallotId second = _ballot(campaign, 1, BallotKind.Fetch);
        assertEq(ledger.ballotRecord(second).electorate, 0xB, "electorate");
        assertEq(_slot(campaign, 1).fetchAttempt, 2, "fetch attempt");
    }

    /// @dev The head is open already: what starts over is the candidate, not the fetch.
    function test_an_upload_that_starts_over_keeps_its_fetch() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        _takeOut(campaign, partners[2]);
        SlotRecord memory s = _slot(campaign, 1);
        assertEq(s.candidateDigest, 0, "the candidate is gone");
        assertEq(s.requestKeyDigest, KEY, "key digest");
        assertEq(s.fetchAttempt, 1, "fetch attempt");
        assertState(upload, BallotState.Rejected);
        _requestUpload(campaign, 1);
        _decide(campaign, 1, BallotKind.Upload, true);
        _confirmUpload(campaign, 1);
        assertState(campaign, 1, SlotState.Accepted);
    }

    function test_an_upload_token_does_not_outlive_a_restart() public {
        _bring(campaign, 1, SlotState.UploadGranted);
        bytes memory call =
            abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, 1, _candidate(campaign, 1)));
        _takeOut(campaign, partners[2]);
        assertRefused(partners[0], call, _wrongAttempt(1, 2));
    }

    function test_a_fetch_token_outlives_the_removal_of_a_voter() public {
        _bring(campaign, 1, SlotState.FetchGranted);
        _takeOut(campaign, partners[2]);
        _reportOpened(campaign, 1);
        assertState(campaign, 1, SlotState.Training);
    }

    function test_a_campaign_that_can_decide_nothing_any_more_ends() public {
        for (uint256 accepted = 0; accepted < 2; accepted++) {
            setUp();
            if (accepted == 1) _bring(campaign, 1, SlotState.Accepted);
            uint32 slot = _openSlotOf(campaign);
            _removeMember(partners[1]);
            _removeMember(partners[2]);
            _takeOut(campaign, partners[3]);
            assertSkipped(campaign, slot, SkipReason.TooFewPartners);
            bool completed = accepted == 1;
            assertState(campaign, completed ? CampaignState.Completed : CampaignState.Failed);
            assertEq(_openSlotOf(campaign), slot, "no slot follows");
        }
    }

    function test_a_holdout_campaign_ends_with_its_second_last_evaluator() public {
        campaign = _open(Mode.Holdout, 1, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, i >= 2);
        }
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        _takeOut(campaign, partners[3]);
        assertSkipped(campaign, 1, SkipReason.TooFewPartners);
        assertState(campaign, CampaignState.Failed);
        assertState(upload, BallotState.Rejected);
    }

    /// @dev A joiner measures nothing before a head was dealt to it.
    function test_a_joiner_without_a_vote_is_no_evaluator_that_keeps_a_campaign_alive() public {
        campaign = _open(Mode.Holdout, 2, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, i >= 2);
        }
        _bring(campaign, 1, SlotState.Accepted);
        _join(campaign, bystander);
        _takeOut(campaign, partners[3]);
        assertSkipped(campaign, 2, SkipReason.TooFewPartners);
        assertState(campaign, CampaignState.Completed);
    }

    function test_removals_are_applied_while_partners_enrol() public {
        campaign = _open(Mode.Holdout, 1, 0);
        _enrol(campaign, 3, true);
        _takeOut(campaign, partners[3]);
        assertState(campaign, CampaignState.Enrolling);
        assertEq(_record(campaign).partners, 0, "partners");
        for (uint256 i = 0; i < 3; i++) {
            _enrol(campaign, i, true);
        }
        assertState(campaign, CampaignState.Running);
    }

    function test_removals_are_applied_after_the_end() public {
        _complete(campaign);
        _takeOut(campaign, partners[3]);
        assertState(campaign, CampaignState.Completed);
        assertEq(_record(campaign).voters, 0x7, "voters");
        assertEq(_head(campaign), 8, "head");
    }

    /// @dev No ballot starts over, so the step's clock is as it was.
    function test_an_expired_step_can_be_closed_after_the_removal() public {
        _removeMember(partners[2]);
        vm.warp(_slot(campaign, 1).deadline + 1);
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            _removalsPending(campaign, 1 << 2)
        );
        vm.prank(bystander);
        ledger.applyRemovals(campaign);
        assertState(campaign, 1, SlotState.Waiting);
        _expire(campaign);
        assertSkipped(campaign, 1, SkipReason.DeadlinePassed);
    }

    /// @dev A step is open until somebody closes it, and its ballot lost a voter: it is asked anew.
    function test_a_ballots_step_that_nobody_closed_in_time_starts_over_too() public {
        SlotState[3] memory states =
            [SlotState.FetchRequested, SlotState.UploadRequested, SlotState.UploadGranted];
        for (uint256 i = 0; i < 3; i++) {
            setUp();
            _bring(campaign, 1, states[i]);
            vm.warp(_slot(campaign, 1).deadline + 1);
            _takeOut(campaign, partners[2]);
            assertState(campaign, 1, i == 0 ? SlotState.Waiting : SlotState.Training);
            assertEq(_attempt(campaign, 1), 2, "attempt");
            uint64 deadline = _slot(campaign, 1).deadline;
            assertEq(deadline, block.timestamp + (i == 0 ? 200 : 500), "deadline");
            bytes memory close = abi.encodeCall(ICDistriM.closeExpired, (campaign));
            assertRefused(bystander, close, _early(deadline, block.timestamp));
            _expire(campaign);
            assertSkipped(campaign, 1, SkipReason.DeadlinePassed);
        }
    }

    /// @dev Whether the removal is applied or not: a state that once was told does not change back.
    function test_a_ballot_with_a_removed_voter_is_rejected_at_once_and_for_good() public {
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.FetchRequested);
        BallotId[3] memory ballots = [
            _ballot(campaign, 2, BallotKind.Fetch),
            _requestRestore(campaign, partners[0], 0),
            _requestJoin(campaign, bystander, true)
        ];
        _removeMember(partners[3]);
        for (uint256 i = 0; i < 3; i++) {
            assertState(ballots[i], BallotState.Rejected);
        }
        vm.prank(bystander);
        ledger.applyRemovals(campaign);
        for (uint256 i = 0; i < 3; i++) {
            assertState(ballots[i], BallotState.Rejected);
        }
    }

    /// @dev Even of somebody who is no partner: what was asked before is asked again.
    function test_any_removal_voids_a_restore() public {
        _bring(campaign, 1, SlotState.Accepted);
        BallotId restore = _requestRestore(campaign, partners[0], 0);
        _removeMember(bystander);
        assertVoteRefused(partners[1], restore, _ballotVoid(restore));
        _decide(_requestRestore(campaign, partners[1], 0), true);
        assertEq(_head(campaign), 0, "head");
    }

    function test_to_a_removed_joiner_nothing_is_dealt() public {
        _bring(campaign, 1, SlotState.Accepted);
        _join(campaign, bystander);
        _bring(campaign, 2, SlotState.Skipped);
        _bring(campaign, 3, SlotState.UploadRequested);
        assertEq(_record(campaign).dealt, 1 << 4, "dealt before");
        _removeMember(bystander);
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
        assertEq(_record(campaign).dealt, 0, "dealt");
        _requestUpload(campaign, 3);
        _decide(campaign, 3, BallotKind.Upload, true);
        _confirmUpload(campaign, 3);
        assertEq(_record(campaign).voters, 0xF, "voters");
    }

    function test_a_removed_joiner_leaves_its_place_behind() public {
        _join(campaign, bystander);
        _removeMember(bystander);
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
        assertEq(ledger.orderOf(campaign).length, 5, "order");
        for (uint32 slot = 1; slot <= 4; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        assertSkipped(campaign, 5, SkipReason.OwnerRemoved);
        assertEq(_openSlotOf(campaign), 6, "open slot");
    }
}
