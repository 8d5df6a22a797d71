// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "../src/BallotBox.sol";
import {ICDistriMTypes} from "../src/ICDistriMTypes.sol";
import {Test} from "../test/base/Test.sol";

/// @dev What every verdict has to be, proven with halmos for all ballots of up to 6 voters and any number
/// of votes that a spec may ask for. halmos takes a failed `assert` for a counterexample and any other
/// revert for an input that does not matter. That a quorum is a strict majority is proven for every
/// number of voters; the time for masks doubles and more with each further bit.
contract QuorumProof is Test {
    uint128 private constant ALL = 63;

    function check_a_quorum_is_a_strict_majority_and_at_most_everybody(
        uint256 voters,
        uint256 asked
    ) public pure {
        vm.assume(voters > 0 && voters <= 128);
        uint256 quorum = BallotBox.quorumOf(voters, asked);
        assert(2 * quorum > voters);
        assert(quorum <= voters);
        assert(quorum >= asked || quorum == voters);
    }

    /// @dev Else the same ballot could be decided both ways by different people.
    function check_any_two_quorums_have_a_member_in_common(
        uint128 electorate,
        uint128 some,
        uint128 others,
        uint256 asked
    ) public pure {
        vm.assume(electorate != 0 && electorate & ~ALL == 0);
        vm.assume(some & ~electorate == 0 && others & ~electorate == 0);
        vm.assume(_tally(electorate, some, 0, asked) == ICDistriMTypes.BallotState.Passed);
        vm.assume(_tally(electorate, others, 0, asked) == ICDistriMTypes.BallotState.Passed);
        assert(some & others != 0);
    }

    function check_nothing_passes_below_a_strict_majority(
        uint128 electorate,
        uint128 yes,
        uint128 no,
        uint256 asked
    ) public pure {
        _assumeBallot(electorate, yes, no);
        vm.assume(_tally(electorate, yes, no, asked) == ICDistriMTypes.BallotState.Passed);
        assert(2 * _size(yes) > _size(electorate));
        assert(_size(yes) >= asked || yes == electorate);
    }

    /// @dev Rejected exactly if it would not pass though everybody who has not voted agreed.
    function check_rejected_is_what_can_not_pass_any_more(
        uint128 electorate,
        uint128 yes,
        uint128 no,
        uint256 asked
    ) public pure {
        _assumeBallot(electorate, yes, no);
        ICDistriMTypes.BallotState state = _tally(electorate, yes, no, asked);
        ICDistriMTypes.BallotState best = _tally(electorate, electorate & ~no, no, asked);
        bool rejected = state == ICDistriMTypes.BallotState.Rejected;
        assert(rejected == (best != ICDistriMTypes.BallotState.Passed));
    }

    function check_no_further_vote_turns_a_verdict(
        uint128 electorate,
        uint128 yes,
        uint128 no,
        uint128 moreYes,
        uint128 moreNo,
        uint256 asked
    ) public pure {
        _assumeBallot(electorate, yes, no);
        ICDistriMTypes.BallotState state = _tally(electorate, yes, no, asked);
        vm.assume(state != ICDistriMTypes.BallotState.Open);
        _assumeBallot(electorate, yes | moreYes, no | moreNo);
        assert(_tally(electorate, yes | moreYes, no | moreNo, asked) == state);
    }

    function _assumeBallot(uint128 electorate, uint128 yes, uint128 no) private pure {
        vm.assume(electorate != 0 && electorate & ~ALL == 0);
        vm.assume(yes & ~electorate == 0 && no & ~electorate == 0 && yes & no == 0);
    }

    function _tally(uint128 electorate, uint128 yes, uint128 no, uint256 asked)
        private
        pure
        returns (ICDistriMTypes.BallotState)
    {
        ICDistriMTypes.Box memory box;
        (box.electorate, box.approvals, box.refusals) = (electorate, yes, no);
        return BallotBox.tally(box, asked);
    }

    /// @dev The definition, without BallotBox's trick.
    function _size(uint128 mask) private pure returns (uint256 size) {
        for (uint128 i = 0; i < 6; i++) {
            size += (mask >> i) & 1;
        }
    }
}
