// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMEvents} from "../src/ICDistriMEvents.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {History} from "./base/History.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev Whole campaigns, their events in order, and that these suffice to rebuild what is stored.
contract JourneyTest is Refusals {
    function test_four_partners_complete_two_cycles_in_holdout_mode() public {
        _assertAllAccepted(Mode.Holdout);
    }

    function test_four_partners_complete_two_cycles_in_reported_mode() public {
        _assertAllAccepted(Mode.Reported);
    }

    function test_the_next_partner_goes_on_from_the_last_accepted_model() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Skipped);
        _bring(campaign, 3, SlotState.Accepted);
        _bring(campaign, 4, SlotState.Skipped);
        assertEq(_slot(campaign, 3).parent, 1, "parent");
        assertEq(_head(campaign), 3, "head");
        assertEq(_record(campaign).accepted, 2, "accepted");
        assertState(campaign, CampaignState.Completed);
    }

    function test_a_campaign_without_an_accepted_model_failed() public {
        uint256 campaign = _running(Mode.Holdout);
        for (uint32 slot = 1; slot <= 4; slot++) {
            if (slot == 4) vm.recordLogs();
            _bring(campaign, slot, SlotState.Skipped);
        }
        assertState(campaign, CampaignState.Failed);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics[0], ICDistriMEvents.CampaignCompleted.selector, "last event");
        assertEq(
            keccak256(last.data),
            keccak256(abi.encode(CampaignState.Failed, uint32(0), uint32(0))),
            "state, head, accepted"
        );
    }

    function test_campaigns_do_not_touch_each_other() public {
        uint256 first = _running(Mode.Holdout);
        uint256 second = _running(Mode.Reported);
        bytes32 before = keccak256(abi.encode(views.snapshotOf(ledger, first)));
        _bring(second, 1, SlotState.Accepted);
        assertEq(keccak256(abi.encode(views.snapshotOf(ledger, first))), before, "the other");
    }

    // ------------------------------------------------------------------- events

    function test_the_events_of_a_holdout_slot() public {
        bytes32[15] memory expected = [
            ICDistriMEvents.FetchRequested.selector,
            ICDistriMEvents.BallotOpened.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.BallotClosed.selector,
            ICDistriMEvents.TokenGranted.selector,
            ICDistriMEvents.TokenRedeemed.selector,
            ICDistriMEvents.ModelOpened.selector,
            ICDistriMEvents.CandidateSubmitted.selector,
            ICDistriMEvents.BallotOpened.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.BallotClosed.selector,
            ICDistriMEvents.ModelAccepted.selector,
            ICDistriMEvents.SlotOpened.selector
        ];
        Vm.Log[] memory logs = _logsOfASlot(Mode.Holdout);
        assertEq(logs.length, expected.length, "events");
        for (uint256 i = 0; i < expected.length; i++) {
            assertEq(logs[i].topics[0], expected[i], "event");
        }
    }

    function test_the_events_of_a_reported_slot() public {
        bytes32[17] memory expected = [
            ICDistriMEvents.FetchRequested.selector,
            ICDistriMEvents.BallotOpened.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.BallotClosed.selector,
            ICDistriMEvents.TokenGranted.selector,
            ICDistriMEvents.TokenRedeemed.selector,
            ICDistriMEvents.ModelOpened.selector,
            ICDistriMEvents.CandidateSubmitted.selector,
            ICDistriMEvents.BallotOpened.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.VoteCast.selector,
            ICDistriMEvents.BallotClosed.selector,
            ICDistriMEvents.TokenGranted.selector,
            ICDistriMEvents.TokenRedeemed.selector,
            ICDistriMEvents.ModelAccepted.selector,
            ICDistriMEvents.SlotOpened.selector
        ];
        Vm.Log[] memory logs = _logsOfASlot(Mode.Reported);
        assertEq(logs.length, expected.length, "events");
        for (uint256 i = 0; i < expected.length; i++) {
            assertEq(logs[i].topics[0], expected[i], "event");
        }
    }

    /// @dev With joiners, restores, removals, an expiry, and the final model.
    function test_history_is_rebuilt_from_events_alone() public {
        History history = new History();
        vm.recordLogs();
        _found(4);
        uint256 campaign = _running(Mode.Reported, 3);
        _bring(campaign, 1, SlotState.Accepted);
        _assertRebuilt(history, campaign);

        _join(campaign, bystander);
        _bring(campaign, 2, SlotState.Accepted);
        _bring(campaign, 3, SlotState.UploadRequested);
        _requestRestore(campaign, partners[3], 0);
        _decide(_requestRestore(campaign, partners[0], 1), true);
        _bring(campaign, 3, SlotState.Skipped);
        _assertRebuilt(history, campaign);

        _bring(campaign, 4, SlotState.FetchRequested);
        _takeOut(campaign, partners[2]);
        _bring(campaign, 4, SlotState.UploadGranted);
        _expire(campaign);
        _assertRebuilt(history, campaign);

        address late = _admit(7);
        _decide(_requestJoin(campaign, late, false), true);
        _complete(campaign);
        _assertRebuilt(history, campaign);

        _decide(_requestFinal(campaign, partners[0]), true);
        vm.prank(partners[0]);
        ledger.reportFinalOpened(campaign, 3, 0, 0);
        vm.prank(partners[0]);
        ledger.recordUse(campaign, KEY);
        vm.prank(partners[0]);
        ledger.addCapsule(campaign, 1, KEY);
        _requestFinal(campaign, late);
        _decide(_requestRestore(campaign, partners[1], 0), true);
        _assertRebuilt(history, campaign);
    }

    function test_history_is_rebuilt_whatever_ends_a_step() public {
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            for (uint256 what = 0; what < 4; what++) {
                _assertRebuiltAfter(Mode.Reported, SlotState(state), what);
                if (SlotState(state) == SlotState.UploadGranted) continue;
                _assertRebuiltAfter(Mode.Holdout, SlotState(state), what);
            }
        }
    }

    function test_history_is_rebuilt_of_what_never_starts_and_of_what_ends_early() public {
        History never = new History();
        vm.recordLogs();
        _found(4);
        uint256 campaign = _open(Mode.Reported, 1, 0);
        _enrol(campaign, 0, true);
        _assertRebuilt(never, campaign);
        _closeEnrolment(campaign);
        assertState(campaign, CampaignState.Failed);
        _assertRebuilt(never, campaign);

        History early = new History();
        vm.recordLogs();
        _found(4);
        campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.UploadRequested);
        for (uint256 i = 1; i < 4; i++) {
            _admit(10 + i);
            _assertRebuilt(early, campaign);
            _takeOut(campaign, partners[i]);
        }
        assertState(campaign, CampaignState.Completed);
        _takeOut(campaign, partners[0]);
        _assertRebuilt(early, campaign);
    }

    // ------------------------------------------------------------------ pieces

    /// @dev `what`: its time is over, its owner leaves, another partner leaves, or the head goes back.
    function _assertRebuiltAfter(Mode mode, SlotState state, uint256 what) private {
        History history = new History();
        vm.recordLogs();
        _found(4);
        uint256 campaign = _running(mode);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, state);
        _assertRebuilt(history, campaign);
        if (what == 0) _expire(campaign);
        if (what == 1) _takeOut(campaign, partners[1]);
        if (what == 2) _takeOut(campaign, partners[2]);
        if (what == 3) _decide(_requestRestore(campaign, partners[0], 0), true);
        _assertRebuilt(history, campaign);
    }

    function _assertAllAccepted(Mode mode) private {
        uint256 campaign = _running(mode, 2);
        _complete(campaign);
        assertState(campaign, CampaignState.Completed);
        assertEq(_head(campaign), 8, "head");
        assertEq(_record(campaign).accepted, 8, "accepted");
        for (uint32 slot = 1; slot <= 8; slot++) {
            assertEq(_slot(campaign, slot).parent, slot - 1, "parent");
            assertEq(_owner(campaign, slot), partners[(slot - 1) % 4], "trainer");
        }
    }

    function _logsOfASlot(Mode mode) private returns (Vm.Log[] memory) {
        uint256 campaign = _running(mode);
        vm.recordLogs();
        _bring(campaign, 1, SlotState.Accepted);
        return vm.getRecordedLogs();
    }

    /// @dev Reads on where it stopped. Time must not have passed since a key was published.
    function _assertRebuilt(History history, uint256 campaign) private {
        history.read(vm.getRecordedLogs(), block.timestamp);
        assertEq(
            keccak256(abi.encode(history.campaignRecord())),
            keccak256(abi.encode(_record(campaign))),
            "campaign"
        );
        assertEq(
            keccak256(abi.encode(history.orderOf())),
            keccak256(abi.encode(ledger.orderOf(campaign))),
            "order"
        );
        for (uint32 slot = 1; slot <= _openSlotOf(campaign); slot++) {
            assertEq(
                keccak256(abi.encode(history.slotRecord(slot))),
                keccak256(abi.encode(_slot(campaign, slot))),
                "slot"
            );
        }
        for (uint256 i = 0; i < history.ballotCount(); i++) {
            BallotId ballot = history.ballots(i);
            assertEq(
                keccak256(abi.encode(history.ballotRecord(ballot))),
                keccak256(abi.encode(ledger.ballotRecord(ballot))),
                "ballot"
            );
            assertEq(history.subjectOf(ballot), ledger.subjectOf(ballot), "subject");
        }
        for (uint256 seat = 0; seat < ledger.seats(); seat++) {
            _assertMemberRebuilt(history, campaign, seat);
        }
    }

    function _assertMemberRebuilt(History history, uint256 campaign, uint256 seat) private view {
        Member memory member = ledger.memberAt(seat);
        Member memory rebuilt = history.memberAt(seat);
        assertEq(keccak256(abi.encode(rebuilt)), keccak256(abi.encode(member)), "member");
        assertEq(
            keccak256(abi.encode(history.enrolmentRecord(member.account))),
            keccak256(abi.encode(ledger.enrolmentRecord(campaign, member.account))),
            "enrolment"
        );
        assertEq(
            keccak256(abi.encode(history.finalFetchRecord(member.account))),
            keccak256(abi.encode(ledger.finalFetchRecord(campaign, member.account))),
            "final fetch"
        );
    }
}
