// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMTypes} from "../src/ICDistriMTypes.sol";
import {BallotId, Deadlines, Evidence, ballotId} from "../src/ValueTypes.sol";
import {Test} from "./base/Test.sol";

/// @dev The records of one word, against their layout as it is documented.
contract ValueTypesTest is Test, ICDistriMTypes {
    function testFuzz_a_ballots_name_says_what_it_was_made_of(
        uint8 kind,
        uint40 campaign,
        uint32 slot,
        uint16 attempt,
        address opener
    ) public pure {
        BallotKind known = BallotKind(kind % 7);
        BallotId id = ballotId(known, campaign, slot, attempt, opener);
        assertEq(uint8(id.kindOf()), uint8(known), "kind");
        assertEq(id.campaignOf(), campaign, "campaign");
        assertEq(id.slotOf(), slot, "slot");
        assertEq(id.attemptOf(), attempt, "attempt");
        assertEq(id.openerOf(), opener, "opener");
    }

    /// @dev Every word with a known kind is the name of exactly one ballot: no bit is left over.
    function testFuzz_no_two_names_are_of_one_ballot(uint256 word) public pure {
        word = word & ~uint256(0xFF) | (word & 0xFF) % 7;
        BallotId id = BallotId.wrap(word);
        BallotId same =
            ballotId(id.kindOf(), id.campaignOf(), id.slotOf(), id.attemptOf(), id.openerOf());
        assertEq(BallotId.unwrap(same), word, "name");
    }

    function test_a_ballots_name_is_laid_out_as_documented() public pure {
        BallotId id = ballotId(BallotKind.Upload, 0x2, 0x3, 0x4, address(0x5));
        assertEq(BallotId.unwrap(id), 1 | 2 << 8 | 3 << 48 | 4 << 80 | 5 << 96, "word");
    }

    function testFuzz_evidence_is_valid_if_its_aucs_are_and_nothing_hides_above(
        uint32 head,
        uint32 candidate,
        uint128 rest,
        uint64 above
    ) public pure {
        if (rest % 2 == 0) above = 0;
        if (rest % 3 == 0) head = head % (1e9 + 2);
        if (rest % 3 == 0) candidate = candidate % (1e9 + 2);
        uint256 word =
            uint256(head) | uint256(candidate) << 32 | uint256(rest) << 64 | uint256(above) << 192;
        bool valid = head <= 1e9 && candidate <= 1e9 && above == 0;
        assertTrue(Evidence.wrap(word).isValid() == valid, "valid");
    }

    function test_evidence_at_its_bounds_is_valid() public pure {
        uint256 most = 1e9 | 1e9 << 32 | uint256(type(uint128).max) << 64;
        assertTrue(Evidence.wrap(most).isValid(), "most");
        assertTrue(Evidence.wrap(0).isValid(), "none");
        assertTrue(!Evidence.wrap(most + 1).isValid(), "AUC of the head");
        assertTrue(!Evidence.wrap(most + (1 << 32)).isValid(), "AUC of the candidate");
        assertTrue(!Evidence.wrap(most + (1 << 192)).isValid(), "above");
    }

    function testFuzz_deadlines_lie_in_the_order_of_the_clocks(uint32[7] memory seconds_)
        public
        pure
    {
        uint256 word = 0;
        for (uint256 i = 0; i < 7; i++) {
            word |= uint256(seconds_[i]) << 32 * i;
        }
        for (uint256 i = 0; i < 7; i++) {
            assertEq(Deadlines.wrap(word).secondsOf(Clock(i)), seconds_[i], "seconds");
        }
    }
}
