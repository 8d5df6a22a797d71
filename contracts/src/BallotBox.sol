// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";

/// @title Vote counting
/// @notice The one place where a verdict is reached. A ballot is one storage word; bit i of each mask
/// stands for the partner at position i of the campaign's order.
library BallotBox {
    struct Box {
        uint64 electorate;
        uint64 approvals;
        uint64 refusals;
        uint8 quorum;
    }

    /// @notice Strict majority of `voters`, more where `asked` is more, never more than all.
    function quorumOf(uint256 voters, uint256 asked) internal pure returns (uint8) {
        uint256 quorum = voters / 2 + 1;
        if (asked > quorum) quorum = asked;
        return uint8(quorum > voters ? voters : quorum);
    }

    /// @notice Opens the ballot with the requester's yes.
    function open(Box storage self, uint64 electorate, uint64 requester, uint8 asked) internal {
        self.electorate = electorate;
        self.approvals = requester;
        self.refusals = 0;
        self.quorum = quorumOf(count(electorate), asked);
    }

    /// @notice State by the votes alone; whether its time is over is the slot's matter.
    function tally(Box memory self) internal pure returns (ICDistriM.BallotState) {
        if (self.electorate == 0) return ICDistriM.BallotState.None;
        if (count(self.approvals) >= self.quorum) return ICDistriM.BallotState.Passed;
        uint256 reachable = count(self.electorate) - count(self.refusals);
        return reachable < self.quorum ? ICDistriM.BallotState.Rejected : ICDistriM.BallotState.Open;
    }

    /// @notice Number of voters in a mask.
    function count(uint64 mask) internal pure returns (uint8 bits) {
        for (uint256 rest = mask; rest != 0; rest &= rest - 1) {
            bits++;
        }
    }
}
