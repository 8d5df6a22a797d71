// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "../src/BallotBox.sol";
import {ICDistriMTypes} from "../src/ICDistriMTypes.sol";
import {Test} from "./base/Test.sol";

contract BallotBoxTest is Test, ICDistriMTypes {
    function testFuzz_a_quorum_is_a_strict_majority_at_least(uint8 voters, uint8 asked)
        public
        pure
    {
        vm.assume(voters > 0 && voters <= 128);
        uint256 quorum = BallotBox.quorumOf(voters, asked);
        assertTrue(2 * quorum > voters, "majority");
        assertTrue(quorum <= voters, "reachable");
        assertTrue(quorum >= asked || quorum == voters, "what was asked");
        assertTrue(quorum == voters / 2 + 1 || quorum <= asked, "no more than that");
    }

    function test_quorums_of_small_consortia() public pure {
        uint8[6] memory quorums = [0, 1, 2, 2, 3, 3];
        for (uint256 voters = 1; voters < 6; voters++) {
            assertEq(BallotBox.quorumOf(voters, 0), quorums[voters], "quorum");
        }
    }

    function testFuzz_count_counts_bits(uint128 mask) public pure {
        assertEq(BallotBox.count(mask), _countSlowly(mask), "bits");
    }

    function test_count_counts_every_single_bit_none_and_all() public pure {
        for (uint8 bit = 0; bit < 128; bit++) {
            assertEq(BallotBox.count(uint128(1) << bit), 1, "one");
            assertEq(BallotBox.count(type(uint128).max >> bit), 128 - bit, "the lower ones");
            assertEq(BallotBox.count(type(uint128).max << bit), 128 - bit, "the upper ones");
        }
        assertEq(BallotBox.count(0), 0, "none");
    }

    /// @dev Against counting vote by vote.
    function testFuzz_a_ballot_passes_with_its_quorum_and_never_below(
        uint128 electorate,
        uint128 yes,
        uint128 no,
        uint8 asked
    ) public pure {
        yes &= electorate;
        no &= electorate & ~yes;
        BallotState state = BallotBox.tally(_box(electorate, yes, no), asked);
        assertEq(uint8(state), uint8(_tallySlowly(electorate, yes, no, asked)), "state");
    }

    /// @dev With random masks most ballots are large and split evenly; here they are small.
    function testFuzz_small_ballots_too(uint8 voters, uint8 yes, uint8 no, uint8 asked)
        public
        pure
    {
        uint128 electorate = (uint128(1) << (voters % 8)) - 1;
        yes &= uint8(electorate);
        no &= uint8(electorate) & ~yes;
        BallotState state = BallotBox.tally(_box(electorate, yes, no), asked % 8);
        assertEq(uint8(state), uint8(_tallySlowly(electorate, yes, no, asked % 8)), "state");
    }

    /// @dev A decided ballot stays what it is, whatever votes come after.
    function testFuzz_a_verdict_is_final(uint128 electorate, uint128 yes, uint128 no, uint128 more)
        public
        pure
    {
        yes &= electorate;
        no &= electorate & ~yes;
        BallotState state = BallotBox.tally(_box(electorate, yes, no), 0);
        if (state == BallotState.Open) return;
        more &= electorate & ~(yes | no);
        BallotState withYes = BallotBox.tally(_box(electorate, yes | more, no), 0);
        BallotState withNo = BallotBox.tally(_box(electorate, yes, no | more), 0);
        assertEq(uint8(withYes), uint8(state), "more yes");
        assertEq(uint8(withNo), uint8(state), "more no");
    }

    function test_two_noes_of_four_and_one_of_two_reject() public pure {
        assertTally(_box(0xF, 0x1, 0x2), BallotState.Open);
        assertTally(_box(0xF, 0x1, 0x6), BallotState.Rejected);
        assertTally(_box(0x3, 0x1, 0x2), BallotState.Rejected);
        assertTally(_box(0xF, 0x7, 0x8), BallotState.Passed);
    }

    function test_a_ballot_that_was_not_opened_has_no_state() public pure {
        assertTally(_box(0, 0, 0), BallotState.None);
    }

    // ------------------------------------------------------------------ pieces

    function _box(uint128 electorate, uint128 yes, uint128 no) private pure returns (Box memory) {
        return Box(electorate, yes, no, 0, 0, 0, false, 0);
    }

    function _countSlowly(uint128 mask) private pure returns (uint256 bits) {
        for (; mask != 0; mask >>= 1) {
            bits += mask & 1;
        }
    }

    function _tallySlowly(uint128 electorate, uint128 yes, uint128 no, uint256 asked)
        private
        pure
        returns (BallotState)
    {
        uint256 voters = _countSlowly(electorate);
        if (voters == 0) return BallotState.None;
        uint256 quorum = voters / 2 + 1;
        while (quorum < asked && quorum < voters) quorum++;
        if (_countSlowly(yes) >= quorum) return BallotState.Passed;
        bool reachable =
            _countSlowly(yes) + (voters - _countSlowly(yes) - _countSlowly(no)) >= quorum;
        return reachable ? BallotState.Open : BallotState.Rejected;
    }

    function assertTally(Box memory box, BallotState state) private pure {
        assertEq(uint8(BallotBox.tally(box, 0)), uint8(state), "state");
    }
}
