// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "../src/BallotBox.sol";
import {ICDistriM} from "../src/ICDistriM.sol";
import {Test} from "./base/Test.sol";

contract BallotBoxTest is Test {
    using BallotBox for BallotBox.Box;

    function testFuzz_a_quorum_is_a_strict_majority_at_least(uint8 voters, uint8 asked)
        public
        pure
    {
        vm.assume(voters > 0 && voters <= 64);
        uint256 quorum = BallotBox.quorumOf(voters, asked);
        assertTrue(2 * quorum > voters, "majority");
        assertTrue(quorum <= voters, "reachable");
        assertTrue(quorum >= asked || quorum == voters, "what was asked");
    }

    function testFuzz_count_counts_bits(uint64 mask) public pure {
        uint256 bits = 0;
        for (uint256 i = 0; i < 64; i++) {
            bits += (mask >> i) & 1;
        }
        assertEq(BallotBox.count(mask), bits, "bits");
    }

    function testFuzz_a_ballot_passes_with_its_quorum_and_never_below(
        uint64 electorate,
        uint64 yes,
        uint64 no,
        uint8 asked
    ) public pure {
        vm.assume(electorate != 0);
        uint8 quorum = BallotBox.quorumOf(BallotBox.count(electorate), asked);
        yes &= electorate;
        no &= electorate & ~yes;
        ICDistriM.BallotState state = BallotBox.Box(electorate, yes, no, quorum).tally();
        bool passed = BallotBox.count(yes) >= quorum;
        bool reachable = BallotBox.count(electorate & ~no) >= quorum;
        assertTrue((state == ICDistriM.BallotState.Passed) == passed, "passed");
        assertTrue((state == ICDistriM.BallotState.Rejected) == !reachable, "rejected");
        assertTrue(passed ? reachable : true, "never both");
    }

    function test_two_noes_of_four_and_one_of_two_reject() public pure {
        BallotBox.Box memory four = BallotBox.Box(0xF, 0x1, 0x2, BallotBox.quorumOf(4, 0));
        assertTrue(four.tally() == ICDistriM.BallotState.Open, "one no of four");
        four.refusals = 0x6;
        assertTrue(four.tally() == ICDistriM.BallotState.Rejected, "two noes of four");
        BallotBox.Box memory two = BallotBox.Box(0x3, 0x1, 0x2, BallotBox.quorumOf(2, 0));
        assertTrue(two.tally() == ICDistriM.BallotState.Rejected, "one no of two");
    }

    function test_a_ballot_that_was_not_opened_has_no_state() public pure {
        BallotBox.Box memory none;
        assertTrue(none.tally() == ICDistriM.BallotState.None, "none");
    }
}
