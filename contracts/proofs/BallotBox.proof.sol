// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "../src/BallotBox.sol";
import {ICDistriM} from "../src/ICDistriM.sol";
import {Test} from "../test/base/Test.sol";

/// @dev Proofs by `make halmos`. halmos takes a failed `assert` for a counterexample and any other
/// revert for an input that does not matter: the assertions of Test.sol would prove nothing here.
/// The quorum's proof is for every electorate. Those about masks are for all masks of 12 bits and all
/// ballots of up to 6 voters, since the time doubles and more with each further bit; beyond that the
/// fuzz tests of BallotBox.t.sol sample all 64 bits.
contract BallotBoxProof is Test {
    using BallotBox for BallotBox.Box;

    uint64 private constant VOTERS = 6;
    uint64 private constant ALL = 63; // of them voting
    uint64 private constant WIDE = 12;

    function check_a_quorum_is_a_strict_majority_and_never_more_than_all(
        uint256 voters,
        uint256 asked
    ) public pure {
        vm.assume(voters > 0 && voters <= 64); // as many as a mask has bits
        uint256 quorum = BallotBox.quorumOf(voters, asked);
        assert(2 * quorum > voters);
        assert(quorum <= voters);
        assert(quorum >= asked || quorum == voters);
    }

    function check_count_is_the_number_of_bits(uint64 mask) public pure {
        vm.assume(mask >> WIDE == 0);
        assert(BallotBox.count(mask) == _bits(mask, WIDE));
    }

    function check_a_ballot_passes_with_its_quorum_and_is_rejected_once_it_is_out_of_reach(
        uint64 electorate,
        uint64 yes,
        uint64 no,
        uint256 asked
    ) public pure {
        vm.assume(electorate != 0 && electorate <= ALL);
        vm.assume(yes & ~electorate == 0 && no & ~electorate == 0 && yes & no == 0);
        uint256 voters = _bits(electorate, VOTERS);
        uint8 quorum = BallotBox.quorumOf(voters, asked);
        ICDistriM.BallotState state = BallotBox.Box(electorate, yes, no, quorum).tally();
        bool passed = state == ICDistriM.BallotState.Passed;
        bool rejected = state == ICDistriM.BallotState.Rejected;
        assert(passed == (_bits(yes, VOTERS) >= quorum));
        assert(rejected == (voters - _bits(no, VOTERS) < quorum));
        assert(passed || rejected || state == ICDistriM.BallotState.Open);
    }

    /// @dev The definition, without BallotBox's trick.
    function _bits(uint64 mask, uint64 width) private pure returns (uint256 bits) {
        for (uint64 i = 0; i < width; i++) {
            bits += (mask >> i) & 1;
        }
    }
}
