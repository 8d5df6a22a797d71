// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMTypes} from "./ICDistriMTypes.sol";

/// @dev Records of one word: they travel, are stored and are signed as they are. Lowest bits first.

/// @notice A ballot's name, which says all about it: kind (8 bits), campaign (40), slot (32), attempt
/// (16), opener (160).
/// @dev Campaign: 0 for Admission and Removal. Slot: of Fetch, Upload and Restore the open slot; of
/// Restore after the campaign's end the head; else 0. Attempt: the slot's, 0 after the end; of kinds
/// without a slot the opener's round.
type BallotId is uint256;

/// @notice Measurements behind a vote or a record: AUC of the head (32 bits) and of the candidate
/// (32) in 1e-9, variance of their difference (64) in 1e-18, positives (32), negatives (32). Zero
/// where nothing was measured.
type Evidence is uint256;

/// @notice Seconds that each step may take before any member may close it, 32 bits each, in the order
/// of ICDistriMTypes.Clock.
type Deadlines is uint256;

using {kindOf, campaignOf, slotOf, attemptOf, openerOf} for BallotId global;
using {isValid} for Evidence global;
using {secondsOf} for Deadlines global;

function ballotId(
    ICDistriMTypes.BallotKind kind,
    uint256 campaign,
    uint32 slot,
    uint16 attempt,
    address opener
) pure returns (BallotId) {
    return BallotId.wrap(
        uint256(kind) | uint256(uint40(campaign)) << 8 | uint256(slot) << 48 | uint256(attempt)
            << 80 | uint256(uint160(opener)) << 96
    );
}

function kindOf(BallotId id) pure returns (ICDistriMTypes.BallotKind) {
    return ICDistriMTypes.BallotKind(uint8(BallotId.unwrap(id)));
}

function campaignOf(BallotId id) pure returns (uint256) {
    return uint40(BallotId.unwrap(id) >> 8);
}

function slotOf(BallotId id) pure returns (uint32) {
    return uint32(BallotId.unwrap(id) >> 48);
}

function attemptOf(BallotId id) pure returns (uint16) {
    return uint16(BallotId.unwrap(id) >> 80);
}

function openerOf(BallotId id) pure returns (address) {
    return address(uint160(BallotId.unwrap(id) >> 96));
}

/// @dev AUCs are in [0, 1], and nothing hides above the last field.
function isValid(Evidence evidence) pure returns (bool) {
    uint256 word = Evidence.unwrap(evidence);
    return uint32(word) <= 1e9 && uint32(word >> 32) <= 1e9 && word >> 192 == 0;
}

function secondsOf(Deadlines deadlines, ICDistriMTypes.Clock clock) pure returns (uint32) {
    return uint32(Deadlines.unwrap(deadlines) >> (32 * uint256(clock)));
}
