// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";
import {Members} from "./Members.sol";
import {Votes} from "./Votes.sol";

/// @title C-DistriM: the ledger of a consortium
/// @notice No owner, no upgrade, no pause, no calls to other contracts, no ether: who may do what is
/// decided by membership, turn, ballot and deadline alone.
/// @dev Read in this order: ICDistriMTypes, BallotBox, Members, Ballots, Campaigns, Turns, Partners,
/// Slots, Restores, FinalModel, Membership, Votes. Each builds on those before it.
contract CDistriM is Votes {
    /// @inheritdoc ICDistriM
    address public immutable views;

    /// @param founders 2 to 50 members to begin with.
    /// @param derivedViews A CDistriMViews contract. Told for convenience: nothing here depends on it.
    constructor(Applicant[] memory founders, address derivedViews) Members(founders) {
        if (derivedViews == address(0)) revert BadAccount(derivedViews);
        views = derivedViews;
    }
}
