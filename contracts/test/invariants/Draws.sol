// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotId, Evidence} from "../../src/ValueTypes.sol";
import {Watcher} from "./Watcher.sol";

/// @dev Chance: every number that a move needs is drawn from the move's seed.
abstract contract Draws is Watcher {
    uint256 internal _entropy;

    function _draw(uint256 below) internal returns (uint256) {
        _entropy = uint256(keccak256(abi.encode(_entropy)));
        return _entropy % below;
    }

    function _drawCampaign() internal returns (uint256) {
        return 1 + _draw(ledger.campaigns());
    }

    /// @dev Somebody of a mask; an outsider if nobody is in it.
    function _drawOf(uint128 mask) internal returns (address) {
        uint256 size = _size(mask);
        if (size == 0) return OUTSIDER;
        uint256 skip = _draw(size);
        for (uint256 seat = 0;; seat++) {
            if (mask >> seat & 1 == 0) continue;
            if (skip == 0) return ledger.memberAt(seat).account;
            skip--;
        }
        return OUTSIDER;
    }

    /// @dev Members, former members, people who never were members.
    function _drawAnybody() internal returns (address) {
        uint256 seats = ledger.seats();
        return _draw(8) == 0 ? OUTSIDER : _drawOf(uint128((1 << seats) - 1));
    }

    /// @dev A former member, if there is one, or somebody who never was a member.
    function _drawStranger() internal returns (address) {
        return _draw(3) == 0 ? OUTSIDER : _drawOf(_gone);
    }

    function _drawOpenBallot() internal returns (bool, BallotId) {
        uint256 count = ballots.length;
        if (count == 0) return (false, BallotId.wrap(0));
        uint256 first = _draw(count);
        for (uint256 i = 0; i < count; i++) {
            BallotId ballot = ballots[(first + i) % count];
            if (books[ballot].state == BallotState.Open) return (true, ballot);
        }
        return (false, BallotId.wrap(0));
    }

    /// @dev Somebody whose request to join is being voted on; zero if there is none.
    function _joiner() internal view returns (address) {
        for (uint256 i = ballots.length; i > 0; i--) {
            BallotId ballot = ballots[i - 1];
            if (ballot.kindOf() != BallotKind.Join) continue;
            if (books[ballot].state == BallotState.Open) return ballot.openerOf();
        }
        return address(0);
    }

    function _drawCandidate(uint256 campaign, uint32 slot, CampaignRecord memory c)
        internal
        returns (Candidate memory candidate)
    {
        candidate = _candidate(campaign, slot);
        candidate.parent = c.head;
        if (_draw(10) == 0) candidate.weightsHash = bytes32(1 + _draw(1000));
    }

    function _drawEvidence() internal returns (Evidence) {
        return _draw(8) == 0 ? Evidence.wrap(_draw(2) << 191) : _evidence();
    }

    /// @dev What the ballot is about, or what another one is.
    function _drawSubject(BallotId ballot) internal returns (bytes32) {
        return ledger.subjectOf(_draw(6) == 0 ? ballots[_draw(ballots.length)] : ballot);
    }

    function _near(uint32 number) internal returns (uint32) {
        uint256 drawn_ = _draw(8);
        if (drawn_ == 0) return number + 1;
        return drawn_ == 1 && number > 0 ? number - 1 : number;
    }

    function _deadlineOf(uint256 campaign) internal view returns (uint256) {
        CampaignRecord memory c = _record(campaign);
        if (c.state == CampaignState.Enrolling) return c.enrolDeadline;
        return _slot(campaign, c.slot).deadline;
    }
}
