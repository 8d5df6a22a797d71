// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Consortium} from "./base/Consortium.sol";

/// @dev What is tested is what is shipped.
contract ArtifactsTest is Consortium {
    function test_the_ledger_tested_is_the_ledger_shipped() public view {
        _assertShipped("CDistriM.sol:CDistriM", "../cdistrim/ledger/CDistriM.json");
    }

    function test_the_views_tested_are_the_views_shipped() public view {
        _assertShipped("CDistriMViews.sol:CDistriMViews", "../cdistrim/ledger/CDistriMViews.json");
    }

    /// @dev Creation code, as deployed code has what the constructor writes into it.
    function _assertShipped(string memory tested, string memory path) private view {
        string memory shipped = vm.readFile(path);
        assertEq(
            keccak256(vm.getCode(tested)),
            keccak256(vm.parseJsonBytes(shipped, ".bytecode")),
            "run `make contracts`"
        );
        assertTrue(vm.parseJsonBytes(shipped, ".deployedBytecode").length < 24_576, "EIP-170");
    }
}
