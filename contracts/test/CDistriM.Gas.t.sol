// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";

/// @dev Every call is a transaction of its own here, with cold storage and its base cost.
/// Show the figures with `forge test --match-contract GasTest -vv`.
contract GasTest is Consortium {
    uint256 private constant CYCLE_OF_FOUR = 2_400_000; // our prototype's, the bound to stay below
    uint256 private total;

    /// forge-config: default.isolate = true
    function test_a_cycle_of_four_costs_less_than_the_prototype() public {
        uint256 campaign = _running(ICDistriM.Mode.Holdout);
        for (uint32 slot = 1; slot <= 4; slot++) {
            _slot(campaign, slot, slot == 2);
        }
        emit log_named_uint("cycle of 4, holdout", total);
        assertTrue(total < CYCLE_OF_FOUR, "gas of a cycle");
    }

    /// forge-config: default.isolate = true
    function test_a_slot_costs_the_same_however_many_came_before() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 6, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        uint256[] memory costs = new uint256[](25);
        for (uint32 slot = 1; slot <= 24; slot++) {
            total = 0;
            _slot(campaign, slot, false);
            costs[slot] = total;
        }
        // Slot 1 alone writes head and counter for the first time; two digits cost a little more.
        assertTrue(costs[23] < costs[3] + costs[3] / 100, "slot 23 against slot 3");
        emit log_named_uint("slot 3", costs[3]);
        emit log_named_uint("slot 23", costs[23]);
    }

    function _slot(uint256 campaign, uint32 slot, bool show) private {
        _requestFetch(campaign, slot);
        _count(show, "requestFetch");
        for (uint32 i = 1; i <= 2; i++) {
            _vote(campaign, slot, ICDistriM.Step.Fetch, _owner(slot + i), true);
            _count(show, i == 1 ? "castVote" : "castVote, deciding a fetch");
        }
        _reportOpened(campaign, slot);
        _count(show, "reportOpened");
        ICDistriM.Candidate memory candidate = _candidate(campaign, slot);
        vm.prank(_owner(slot));
        ledger.requestUpload(campaign, slot, FIRST, candidate);
        _count(show, "requestUpload");
        for (uint32 i = 1; i <= 2; i++) {
            _vote(campaign, slot, ICDistriM.Step.Upload, _owner(slot + i), true);
            _count(show, i == 1 ? "castVote with evidence" : "castVote, accepting a model");
        }
    }

    function _count(bool show, string memory what) private {
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        total += gas;
        if (show) emit log_named_uint(what, gas);
    }
}
