// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMTypes} from "./ICDistriMTypes.sol";

/// @title Vote counting
/// @notice The one place where a verdict is reached. Bit s of a mask stands for the member on seat s.
library BallotBox {
    /// @notice Strict majority of `voters`, more where `asked` is more, never more than all.
    function quorumOf(uint256 voters, uint256 asked) internal pure returns (uint8) {
        uint256 quorum = voters / 2 + 1;
        if (asked > quorum) quorum = asked;
        return uint8(quorum > voters ? voters : quorum);
    }

    /// @notice State by the votes alone; whether its time is over, or what it presupposes has
    /// changed, is the ballot's matter.
    function tally(ICDistriMTypes.Box memory box, uint256 asked)
        internal
        pure
        returns (ICDistriMTypes.BallotState)
    {
        if (box.electorate == 0) return ICDistriMTypes.BallotState.None;
        uint256 voters = count(box.electorate);
        uint256 quorum = quorumOf(voters, asked);
        if (count(box.approvals) >= quorum) return ICDistriMTypes.BallotState.Passed;
        bool reachable = voters - count(box.refusals) >= quorum;
        return reachable ? ICDistriMTypes.BallotState.Open : ICDistriMTypes.BallotState.Rejected;
    }

    /// @notice Number of members in a mask.
    /// @dev Sums of 2, 4 and 8 neighbouring bits, then all 16 bytes at once; no loop, so that a vote
    /// costs the same in a large consortium.
    function count(uint128 mask) internal pure returns (uint8) {
        unchecked {
            uint256 x = mask;
            x -= (x >> 1) & 0x55555555555555555555555555555555;
            x = (x & 0x33333333333333333333333333333333)
                + ((x >> 2) & 0x33333333333333333333333333333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
            return uint8((x * 0x01010101010101010101010101010101) >> 120);
        }
    }
}
