// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Consortium} from "./base/Consortium.sol";

/// @dev What is tested is what is shipped.
contract ArtifactsTest is Consortium {
    function test_the_ledger_tested_is_the_ledger_shipped() public view {
        _assertShipped(address(ledger), "../cdistrim/ledger/CDistriM.json");
    }

    function test_the_views_tested_are_the_views_shipped() public view {
        _assertShipped(address(views), "../cdistrim/ledger/CDistriMViews.json");
    }

    function _assertShipped(address tested, string memory path) private view {
        bytes memory shipped = vm.parseJsonBytes(vm.readFile(path), ".deployedBytecode");
        assertEq(keccak256(tested.code), keccak256(shipped), "run `make contracts`");
        assertTrue(shipped.length < 24_576, "EIP-170");
    }
}
