// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {ICDistriMViews} from "../src/ICDistriMViews.sol";
import {BallotId, Deadlines, Evidence, ballotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";

contract CDistriMViewsTest is Refusals {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
    }

    // -------------------------------------------------------------- consortium

    function test_members_are_listed_with_those_who_left() public {
        _removeMember(partners[2]);
        _admit(7);
        Member[] memory all = views.members(ledger);
        assertEq(all.length, 6, "members");
        for (uint256 seat = 0; seat < 6; seat++) {
            assertEq(all[seat].account, _account(seat == 5 ? 7 : seat), "account");
            assertTrue(all[seat].active == (seat != 2), "active");
        }
    }

    // ---------------------------------------------------------------- campaign

    function test_a_campaign_is_told_with_its_order_and_enrolments() public {
        campaign = _open(Mode.Reported, 3, 2);
        _enrol(campaign, 1, true);
        ICDistriMViews.Campaign memory c = views.campaignOf(ledger, campaign);
        assertEq(c.number, 2, "number");
        assertEq(c.specHash, keccak256("spec"), "spec");
        assertEq(c.genesisWeightsHash, keccak256("genesis"), "genesis");
        assertEq(uint8(c.state), uint8(CampaignState.Enrolling), "state");
        assertEq(uint8(c.mode), uint8(Mode.Reported), "mode");
        assertEq(c.quorum, 2, "quorum");
        assertEq(c.cycles, 3, "cycles");
        assertEq(c.slots, 12, "slots");
        assertEq(c.slot, 0, "no open slot");
        assertEq(c.enrolDeadline, block.timestamp + 100, "enrol deadline");
        assertEq(Deadlines.unwrap(c.deadlines), Deadlines.unwrap(_deadlines()), "deadlines");
        assertEq(keccak256(abi.encode(c.order)), keccak256(abi.encode(partners)), "order");
        assertTrue(!c.enrolments[0].enrolled, "not enrolled");
        ICDistriMViews.Enrolment memory e = c.enrolments[1];
        assertTrue(e.enrolled && e.evaluator && !e.voter, "roles");
        assertEq(e.account, partners[1], "account");
        assertEq(e.name, _name(1), "name");
        assertEq(e.cases, 101, "cases");
        assertEq(e.dataCommitment, keccak256(abi.encode("data", uint256(1))), "commitment");
    }

    function test_pending_removals_are_told() public {
        assertTrue(!views.campaignOf(ledger, campaign).removalsPending, "none");
        _removeMember(bystander);
        assertTrue(!views.campaignOf(ledger, campaign).removalsPending, "no partner");
        _removeMember(partners[3]);
        assertTrue(views.campaignOf(ledger, campaign).removalsPending, "pending");
        assertTrue(views.snapshotOf(ledger, campaign).campaign.removalsPending, "in a snapshot");
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
        assertTrue(!views.campaignOf(ledger, campaign).removalsPending, "applied");
        ICDistriMViews.Enrolment memory e = views.campaignOf(ledger, campaign).enrolments[3];
        assertTrue(!e.enrolled && !e.voter, "no partner any more");
        assertEq(e.cases, 103, "history stays");
    }

    // ---------------------------------------------------------------- snapshot

    /// @dev The ballot shown in each state of the open slot.
    function test_a_snapshot_has_the_open_slots_latest_ballot() public {
        SlotState[6] memory states = [
            SlotState.Waiting,
            SlotState.FetchRequested,
            SlotState.FetchGranted,
            SlotState.Training,
            SlotState.UploadRequested,
            SlotState.UploadGranted
        ];
        BallotState[6] memory ballots = [
            BallotState.None,
            BallotState.Open,
            BallotState.Passed,
            BallotState.Passed,
            BallotState.Open,
            BallotState.Passed
        ];
        for (uint256 i = 0; i < 6; i++) {
            campaign = _running(Mode.Reported);
            _bring(campaign, 1, states[i]);
            ICDistriMViews.Snapshot memory s = views.snapshotOf(ledger, campaign);
            assertEq(uint8(s.slot.state), uint8(states[i]), "slot");
            assertEq(uint8(s.ballot.state), uint8(ballots[i]), "ballot");
            assertEq(
                uint8(s.ballot.kind), uint8(i < 4 ? BallotKind.Fetch : BallotKind.Upload), "kind"
            );
            assertEq(s.campaign.slot, 1, "open slot");
            assertEq(s.blockNumber, block.number, "block");
            assertEq(s.timestamp, block.timestamp, "time");
        }
    }

    /// @dev Its fetch was granted in the attempt before.
    function test_a_snapshot_of_an_upload_that_starts_over_has_its_fetch_ballot() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        _takeOut(campaign, partners[3]);
        ICDistriMViews.Snapshot memory s = views.snapshotOf(ledger, campaign);
        assertEq(s.slot.attempt, 2, "attempt");
        assertEq(s.slot.fetchAttempt, 1, "fetch attempt");
        assertEq(s.ballot.attempt, 1, "attempt of the ballot");
        assertEq(uint8(s.ballot.state), uint8(BallotState.Passed), "ballot");
        assertEq(s.slot.candidate.candidateDigest, 0, "no candidate");
    }

    function test_a_snapshot_of_a_campaign_that_does_not_run_has_no_slot() public {
        _complete(campaign);
        uint256[2] memory campaigns = [campaign, _open(Mode.Holdout, 1, 0)];
        for (uint256 i = 0; i < 2; i++) {
            ICDistriMViews.Snapshot memory s = views.snapshotOf(ledger, campaigns[i]);
            assertEq(s.slot.number, 0, "slot");
            assertEq(uint8(s.ballot.state), uint8(BallotState.None), "ballot");
        }
    }

    // ------------------------------------------------------------------- slots

    function test_slots_are_read_by_page() public {
        campaign = _open(Mode.Holdout, 3, 0);
        assertEq(views.slotsOf(ledger, campaign, 1, 5).length, 5, "a page");
        assertEq(views.slotsOf(ledger, campaign, 1, 0).length, 0, "an empty one");
        ICDistriMViews.Slot[] memory rest = views.slotsOf(ledger, campaign, 10, type(uint32).max);
        assertEq(rest.length, 3, "the rest");
        for (uint32 i = 0; i < 3; i++) {
            assertEq(rest[i].number, 10 + i, "number");
            assertEq(rest[i].owner, partners[i + 1], "owner");
            assertEq(rest[i].attempt, 0, "not open yet");
            assertEq(rest[i].deadline, 0, "no clock yet");
        }
    }

    function test_slots_outside_the_plan_are_named_errors() public {
        uint32[3] memory slots = [0, 5, type(uint32).max];
        for (uint256 i = 0; i < slots.length; i++) {
            bytes memory refusal =
                abi.encodeWithSelector(ICDistriMViews.NoSlot.selector, campaign, slots[i]);
            vm.expectRevert(refusal);
            views.slotOf(ledger, campaign, slots[i]);
            vm.expectRevert(refusal);
            views.slotsOf(ledger, campaign, slots[i], 1);
        }
    }

    function test_a_campaign_that_never_started_has_no_slots() public {
        campaign = _open(Mode.Holdout, 3, 0);
        _closeEnrolment(campaign);
        assertEq(views.campaignOf(ledger, campaign).slots, 0, "slots");
        vm.expectRevert(abi.encodeWithSelector(ICDistriMViews.NoSlot.selector, campaign, 1));
        views.slotOf(ledger, campaign, 1);
    }

    /// @dev The plan, as it stands in each slot, is what then happens, a joiner's slots too.
    function test_slots_are_planned_as_they_come() public {
        campaign = _running(Mode.Holdout, 3);
        for (uint32 slot = 1; slot <= 5; slot++) {
            if (slot == 2) _join(campaign, bystander);
            _bring(campaign, slot, SlotState.Accepted);
        }
        address late = _admit(7);
        _join(campaign, late);
        ICDistriMViews.Campaign memory c = views.campaignOf(ledger, campaign);
        assertEq(c.slots, 5 + 6 + 6, "slots");
        ICDistriMViews.Slot[] memory plan = views.slotsOf(ledger, campaign, 1, c.slots);
        for (uint32 slot = 6; slot <= c.slots; slot++) {
            assertEq(_owner(campaign, slot), plan[slot - 1].owner, "owner");
            _bring(campaign, slot, SlotState.Accepted);
        }
        assertState(campaign, CampaignState.Completed);
        assertEq(views.campaignOf(ledger, campaign).slots, c.slots, "slots in the end");
    }

    function test_slots_that_nobody_takes_are_in_the_plan_too() public {
        campaign = _open(Mode.Holdout, 2, 0);
        _enrol(campaign, 1, true);
        _enrol(campaign, 2, true);
        _closeEnrolment(campaign);
        assertEq(views.campaignOf(ledger, campaign).slots, 8, "slots");
        assertEq(views.slotOf(ledger, campaign, 5).owner, partners[0], "owner");
        _complete(campaign);
        assertEq(views.campaignOf(ledger, campaign).slots, 8, "slots in the end");
    }

    // ------------------------------------------------------------------ models

    function test_a_model_is_told_with_its_provenance() public {
        _bring(campaign, 1, SlotState.Accepted);
        Candidate memory asked = _candidate(campaign, 2);
        _bring(campaign, 2, SlotState.Accepted);
        ICDistriMViews.ModelRecord memory m = views.modelOf(ledger, campaign, 2);
        assertEq(m.name, "hospital-2-2", "name");
        assertEq(m.slot, 2, "slot");
        assertEq(m.attempt, 1, "attempt");
        assertEq(m.account, partners[1], "account");
        assertEq(m.parent, 1, "parent");
        assertTrue(!m.undone, "undone");
        assertEq(m.weightsHash, keccak256(abi.encode("weights", uint32(2))), "weights");
        assertEq(m.cases, 101, "cases");
        assertEq(m.dataCommitment, keccak256(abi.encode("data", uint256(1))), "commitment");
        assertEq(m.candidateDigest, _digestOf(asked), "the record in full");
        _decide(_requestRestore(campaign, partners[0], 1), true);
        assertTrue(views.modelOf(ledger, campaign, 2).undone, "undone");
    }

    function test_a_candidate_is_no_model_before_it_is_accepted() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        assertEq(views.slotOf(ledger, campaign, 1).candidate.name, "hospital-1-1", "candidate");
        uint8[3] memory slots = [0, 1, 2];
        for (uint256 i = 0; i < 3; i++) {
            bytes memory refusal =
                abi.encodeWithSelector(ICDistriMViews.NoModel.selector, campaign, slots[i]);
            vm.expectRevert(refusal);
            views.modelOf(ledger, campaign, slots[i]);
            if (slots[i] == 0) continue; // genesis: an empty lineage
            vm.expectRevert(refusal);
            views.lineageOf(ledger, campaign, slots[i], 1);
            vm.expectRevert(refusal);
            views.contributionsOf(ledger, campaign, slots[i], 1);
        }
    }

    function test_a_two_digit_slot_names_its_model() public {
        campaign = _running(Mode.Holdout, 3);
        _complete(campaign);
        assertEq(views.modelOf(ledger, campaign, 10).name, "hospital-2-10", "name");
    }

    function test_the_longest_name_is_told_in_full() public {
        Applicant[] memory founders = _founders(5);
        founders[0].name = "0-hospital-of-31-characters-end";
        ledger = _deploy(founders);
        for (uint256 i = 0; i < 4; i++) {
            vm.prank(partners[i]);
            ledger.publishKey(abi.encode(i));
        }
        campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        assertEq(
            views.modelOf(ledger, campaign, 1).name, "0-hospital-of-31-characters-end-1", "name"
        );
    }

    /// @dev 1 <- 2, 2 undone, 1 <- 3, 4 skipped, 3 <- 5: page by page from the head to genesis.
    function test_lineage_and_contributions_are_read_by_page() public {
        campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Accepted);
        _decide(_requestRestore(campaign, partners[0], 1), true);
        _bring(campaign, 3, SlotState.Accepted);
        _bring(campaign, 4, SlotState.Skipped);
        _bring(campaign, 5, SlotState.Accepted);
        ICDistriMViews.ModelRecord[] memory page = views.lineageOf(ledger, campaign, 5, 2);
        assertEq(page.length, 2, "a page");
        assertEq(page[0].slot, 5, "the head");
        assertEq(page[1].slot, 3, "its parent");
        page = views.lineageOf(ledger, campaign, page[1].parent, type(uint32).max);
        assertEq(page.length, 1, "the rest");
        assertEq(page[0].slot, 1, "the first");
        assertEq(views.lineageOf(ledger, campaign, 0, 5).length, 0, "of genesis");
        assertEq(views.lineageOf(ledger, campaign, 5, 0).length, 0, "an empty page");

        (ICDistriMViews.Contribution[] memory first, uint32 next) =
            views.contributionsOf(ledger, campaign, 5, 2);
        assertEq(next, 1, "next");
        (ICDistriMViews.Contribution[] memory rest, uint32 end) =
            views.contributionsOf(ledger, campaign, next, type(uint32).max);
        assertEq(end, 0, "genesis");
        uint8[4] memory models = [2, 0, 1, 0];
        for (uint256 i = 0; i < 4; i++) {
            assertEq(first[i].account, partners[i], "account");
            assertEq(first[i].name, _name(i), "name");
            assertEq(first[i].models + rest[i].models, models[i], "models");
            assertEq(first[i].cases + rest[i].cases, models[i] * (100 + i), "cases");
        }
    }

    function test_who_left_keeps_its_contribution() public {
        _bring(campaign, 1, SlotState.Accepted);
        _takeOut(campaign, partners[0]);
        (ICDistriMViews.Contribution[] memory all,) = views.contributionsOf(ledger, campaign, 1, 9);
        assertEq(all[0].account, partners[0], "account");
        assertEq(all[0].models, 1, "models");
        assertEq(all[0].cases, 100, "cases");
    }

    // ----------------------------------------------------------------- ballots

    function test_a_ballot_is_told_with_who_voted_how() public {
        _requestFetch(campaign, 1);
        BallotId fetch = _ballot(campaign, 1, BallotKind.Fetch);
        _vote(fetch, partners[2], false);
        ICDistriMViews.Ballot memory b = views.ballotOf(ledger, fetch);
        assertEq(BallotId.unwrap(b.id), BallotId.unwrap(fetch), "id");
        assertEq(uint8(b.kind), uint8(BallotKind.Fetch), "kind");
        assertEq(b.campaign, campaign, "campaign");
        assertEq(b.slot, 1, "slot");
        assertEq(b.attempt, 1, "attempt");
        assertEq(b.opener, partners[0], "opener");
        assertEq(b.subject, KEY, "subject");
        assertEq(uint8(b.state), uint8(BallotState.Open), "state");
        assertEq(b.yes, 1, "yes");
        assertEq(b.no, 1, "no");
        assertEq(b.quorum, 3, "quorum");
        assertEq(b.deadline, block.timestamp + 300, "deadline");
        assertEq(keccak256(abi.encode(b.electorate)), keccak256(abi.encode(partners)), "voters");
        assertEq(b.approvals[0], partners[0], "approval");
        assertEq(b.refusals[0], partners[2], "refusal");
        vm.warp(b.deadline + 1);
        assertEq(
            uint8(views.ballotOf(ledger, fetch).state), uint8(BallotState.Rejected), "too late"
        );
    }

    function test_a_ballot_with_a_deadline_of_its_own_keeps_it() public {
        BallotId ballot = _proposeRemoval(partners[0], partners[1]);
        uint256 deadline = block.timestamp + 7 days;
        vm.warp(deadline + 100);
        assertEq(views.ballotOf(ledger, ballot).deadline, deadline, "deadline");
        assertEq(views.ballotOf(ledger, ballot).quorum, 3, "quorum");
    }

    function test_a_ballot_never_opened_is_told_as_none() public view {
        BallotId none = ballotId(BallotKind.Restore, campaign, 1, 1, partners[0]);
        ICDistriMViews.Ballot memory b = views.ballotOf(ledger, none);
        assertEq(uint8(b.state), uint8(BallotState.None), "state");
        assertEq(b.quorum, 0, "quorum");
        assertEq(b.electorate.length, 0, "electorate");
    }

    // ---------------------------------------------------------------- unknown

    function test_views_name_an_unknown_campaign() public {
        bytes memory refusal = _noCampaign(9);
        vm.expectRevert(refusal);
        views.snapshotOf(ledger, 9);
        vm.expectRevert(refusal);
        views.campaignOf(ledger, 9);
        vm.expectRevert(refusal);
        views.headOf(ledger, 9);
        vm.expectRevert(refusal);
        views.slotOf(ledger, 9, 1);
        vm.expectRevert(refusal);
        views.slotsOf(ledger, 9, 1, 1);
        vm.expectRevert(refusal);
        views.modelOf(ledger, 9, 1);
        vm.expectRevert(refusal);
        views.contributionsOf(ledger, 9, 1, 1);
        vm.expectRevert(refusal);
        views.ballotOf(ledger, ballotId(BallotKind.Fetch, 9, 1, 1, partners[0]));
        vm.expectRevert(refusal);
        ledger.campaignRecord(9);
        vm.expectRevert(refusal);
        ledger.orderOf(9);
    }
}
