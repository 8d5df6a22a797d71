// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";
import {Vm} from "./base/Test.sol";

/// @dev Whole campaigns, the views on them, and the shipped artifact.
contract JourneyTest is Consortium {
    function test_four_partners_complete_two_cycles_in_holdout_mode() public {
        uint256 campaign = _complete(ICDistriM.Mode.Holdout);
        _assertLineage(campaign);
    }

    function test_four_partners_complete_two_cycles_in_reported_mode() public {
        uint256 campaign = _complete(ICDistriM.Mode.Reported);
        _assertLineage(campaign);
    }

    function test_the_next_partner_goes_on_from_the_last_accepted_model() public {
        uint256 campaign = _running(ICDistriM.Mode.Holdout);
        _bring(campaign, 1, ICDistriM.SlotState.Accepted);
        _bring(campaign, 2, ICDistriM.SlotState.Skipped);
        _bring(campaign, 3, ICDistriM.SlotState.Accepted);
        _bring(campaign, 4, ICDistriM.SlotState.Skipped);
        assertEq(ledger.modelOf(campaign, 3).parent, 1, "parent");
        assertEq(ledger.headOf(campaign), 3, "head");
        assertEq(ledger.campaignOf(campaign).accepted, 2, "accepted");
        assertState(campaign, ICDistriM.CampaignState.Completed);
    }

    function test_a_campaign_without_an_accepted_model_failed() public {
        uint256 campaign = _running(ICDistriM.Mode.Holdout);
        for (uint32 slot = 1; slot <= 4; slot++) {
            if (slot == 4) vm.recordLogs();
            _bring(campaign, slot, ICDistriM.SlotState.Skipped);
        }
        assertState(campaign, ICDistriM.CampaignState.Failed);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics[0], ICDistriM.CampaignCompleted.selector, "last event");
        assertEq(
            keccak256(last.data),
            keccak256(abi.encode(ICDistriM.CampaignState.Failed, uint32(0), uint32(0))),
            "state, head, accepted"
        );
    }

    function test_campaigns_do_not_touch_each_other() public {
        uint256 first = _running(ICDistriM.Mode.Holdout);
        uint256 second = _running(ICDistriM.Mode.Reported);
        bytes32 before = keccak256(abi.encode(ledger.snapshotOf(first)));
        _bring(second, 1, ICDistriM.SlotState.Accepted);
        assertEq(keccak256(abi.encode(ledger.snapshotOf(first))), before, "the other campaign");
    }

    function test_the_events_of_a_holdout_slot() public {
        uint256 campaign = _running(ICDistriM.Mode.Holdout);
        vm.recordLogs();
        _bring(campaign, 1, ICDistriM.SlotState.Accepted);
        bytes32[14] memory expected = [
            ICDistriM.FetchRequested.selector,
            ICDistriM.BallotOpened.selector,
            ICDistriM.VoteCast.selector,
            ICDistriM.VoteCast.selector,
            ICDistriM.BallotClosed.selector,
            ICDistriM.TokenGranted.selector,
            ICDistriM.TokenRedeemed.selector,
            ICDistriM.ModelOpened.selector,
            ICDistriM.CandidateSubmitted.selector,
            ICDistriM.BallotOpened.selector,
            ICDistriM.VoteCast.selector,
            ICDistriM.VoteCast.selector,
            ICDistriM.BallotClosed.selector,
            ICDistriM.ModelAccepted.selector
        ];
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, expected.length + 1, "events");
        for (uint256 i = 0; i < expected.length; i++) {
            assertEq(logs[i].topics[0], expected[i], "event");
            assertEq(logs[i].topics[1], bytes32(campaign), "campaign");
            assertEq(logs[i].topics[2], bytes32(uint256(1)), "slot");
        }
        assertEq(logs[14].topics[0], ICDistriM.SlotOpened.selector, "then the next slot opens");
    }

    // ------------------------------------------------------------------- views

    function test_slots_are_read_by_page() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 3, 0);
        assertEq(ledger.slotsOf(campaign, 1, 5).length, 5, "a page");
        ICDistriM.Slot[] memory rest = ledger.slotsOf(campaign, 10, 50);
        assertEq(rest.length, 3, "the rest");
        assertEq(rest[2].number, 12, "the last slot");
        assertEq(rest[2].owner, partners[3], "its owner");
    }

    function test_slots_outside_the_plan_are_named_errors() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        uint32[2] memory slots = [uint32(0), 5];
        for (uint256 i = 0; i < slots.length; i++) {
            bytes memory refusal =
                abi.encodeWithSelector(ICDistriM.NoSlot.selector, campaign, slots[i]);
            vm.expectRevert(refusal);
            ledger.slotOf(campaign, slots[i]);
            vm.expectRevert(refusal);
            ledger.slotsOf(campaign, slots[i], 1);
        }
    }

    function test_an_unknown_campaign_is_a_named_error() public {
        bytes memory refusal = abi.encodeWithSelector(ICDistriM.NoCampaign.selector, 1);
        vm.expectRevert(refusal);
        ledger.snapshotOf(1);
        vm.expectRevert(refusal);
        ledger.headOf(1);
        vm.expectRevert(refusal);
        ledger.ballotOf(1, 1, 1, ICDistriM.Step.Fetch);
    }

    function test_a_two_digit_slot_names_its_model() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 3, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        for (uint32 slot = 1; slot <= 10; slot++) {
            _bring(campaign, slot, ICDistriM.SlotState.Accepted);
        }
        assertEq(ledger.modelOf(campaign, 10).name, "hospital-2-10", "name");
    }

    // ---------------------------------------------------------------- artifact

    function test_what_is_tested_is_what_is_shipped() public view {
        string memory artifact = vm.readFile("../cdistrim/ledger/CDistriM.json");
        bytes memory shipped = vm.parseJsonBytes(artifact, ".deployedBytecode");
        assertEq(keccak256(address(ledger).code), keccak256(shipped), "run `make contracts`");
        assertTrue(shipped.length < 24_576, "EIP-170");
    }

    // ------------------------------------------------------------------ pieces

    function _complete(ICDistriM.Mode mode) private returns (uint256 campaign) {
        campaign = _open(mode, 2, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        for (uint32 slot = 1; slot <= 8; slot++) {
            _bring(campaign, slot, ICDistriM.SlotState.Accepted);
        }
    }

    function _assertLineage(uint256 campaign) private view {
        assertState(campaign, ICDistriM.CampaignState.Completed);
        assertEq(ledger.headOf(campaign), 8, "head");
        assertEq(ledger.campaignOf(campaign).accepted, 8, "accepted");
        for (uint32 slot = 1; slot <= 8; slot++) {
            ICDistriM.ModelRecord memory model = ledger.modelOf(campaign, slot);
            assertEq(model.parent, slot - 1, "parent");
            assertEq(model.account, _owner(slot), "trainer");
        }
    }
}
