// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMEvents} from "../src/ICDistriMEvents.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev addCapsule. Slots 1 and 2 are accepted, slot 3 is open.
contract CapsulesTest is Refusals {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Accepted);
    }

    function test_a_partner_tells_where_a_key_was_shared_anew() public {
        _assertTold(partners[3], 2, KEY);
        _assertTold(partners[3], 2, keccak256("another"));
    }

    function test_an_undone_model_and_one_of_an_ended_campaign_get_capsules_too() public {
        _decide(_requestRestore(campaign, partners[0], 1), true);
        _assertTold(partners[0], 2, KEY);
        _complete(campaign);
        _assertTold(partners[0], 4, KEY);
    }

    function test_only_an_accepted_model_has_capsules() public {
        _bring(campaign, 3, SlotState.Skipped);
        uint32[4] memory slots = [0, 4, 5, type(uint32).max];
        for (uint256 i = 0; i < slots.length; i++) {
            _assertCapsuleRefused(
                partners[0], slots[i], KEY, _wrongState(SlotState.Waiting, SlotState.Accepted)
            );
        }
        _assertCapsuleRefused(
            partners[0], 3, KEY, _wrongState(SlotState.Skipped, SlotState.Accepted)
        );
    }

    function test_only_partners_add_capsules() public {
        _assertCapsuleRefused(bystander, 2, KEY, _notAPartner(campaign, bystander));
    }

    function test_a_capsule_has_a_hash() public {
        _assertCapsuleRefused(partners[0], 2, 0, _zeroHash());
    }

    /// @dev By its partner or by another, who confirms it.
    function test_a_capsule_may_be_told_again() public {
        _assertTold(partners[0], 2, KEY);
        _assertTold(partners[0], 2, KEY);
        _assertTold(partners[1], 2, KEY);
    }

    // ------------------------------------------------------------------ pieces

    /// @dev The event is all that there is of it.
    function _assertTold(address account, uint32 slot, bytes32 hash) private {
        bytes32 before = _everything();
        vm.recordLogs();
        vm.prank(account);
        ledger.addCapsule(campaign, slot, hash);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1, "events");
        assertEq(logs[0].topics[0], ICDistriMEvents.CapsuleAdded.selector, "event");
        assertEq(logs[0].topics[1], bytes32(campaign), "campaign");
        assertEq(logs[0].topics[2], bytes32(uint256(slot)), "slot");
        assertEq(logs[0].topics[3], bytes32(uint256(uint160(account))), "partner");
        assertEq(abi.decode(logs[0].data, (bytes32)), hash, "capsule");
        assertEq(_everything(), before, "everything");
    }

    function _assertCapsuleRefused(address account, uint32 slot, bytes32 hash, bytes memory refusal)
        private
    {
        assertRefused(
            account, abi.encodeCall(ICDistriM.addCapsule, (campaign, slot, hash)), refusal
        );
    }
}
