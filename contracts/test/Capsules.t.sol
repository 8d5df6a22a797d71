// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {Refusals} from "./base/Refusals.sol";

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
        _addCapsule(partners[3], 2, KEY);
        assertEq(ledger.capsuleOf(campaign, 2, partners[3]), KEY, "capsule");
        assertEq(ledger.capsuleOf(campaign, 2, partners[2]), 0, "another partner's");
        _addCapsule(partners[3], 2, keccak256("another"));
        assertEq(ledger.capsuleOf(campaign, 2, partners[3]), keccak256("another"), "the last");
    }

    function test_an_undone_model_and_one_of_an_ended_campaign_get_capsules_too() public {
        _decide(_requestRestore(campaign, partners[0], 1), true);
        _addCapsule(partners[0], 2, KEY);
        _complete(campaign);
        _addCapsule(partners[0], 4, KEY);
        assertEq(ledger.capsuleOf(campaign, 4, partners[0]), KEY, "capsule");
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

    function test_a_capsule_is_told_once() public {
        _addCapsule(partners[0], 2, KEY);
        _assertCapsuleRefused(
            partners[0], 2, KEY, abi.encodeWithSelector(ICDistriMErrors.CapsuleKnown.selector, KEY)
        );
        _addCapsule(partners[1], 2, KEY); // another partner may confirm it
    }

    // ------------------------------------------------------------------ pieces

    function _addCapsule(address account, uint32 slot, bytes32 hash) private {
        vm.prank(account);
        ledger.addCapsule(campaign, slot, hash);
    }

    function _assertCapsuleRefused(address account, uint32 slot, bytes32 hash, bytes memory refusal)
        private
    {
        assertRefused(
            account, abi.encodeCall(ICDistriM.addCapsule, (campaign, slot, hash)), refusal
        );
    }
}
