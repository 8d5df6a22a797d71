// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "./BallotBox.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {Members} from "./Members.sol";
import {BallotId, ballotId} from "./ValueTypes.sol";

/// @title Ballots: how one is opened, and what state it is in
/// @notice A ballot is named by what it is about and keeps its electorate from its opening on. Whether it is
/// still alive is derived: nothing has to be told to a ballot that something else made void.
abstract contract Ballots is Members {
    mapping(BallotId ballot => Box) internal _boxes;
    mapping(BallotId request => uint16) private _rounds; // of the ballot of round 0
    mapping(BallotId ballot => bytes32) internal _subjects; // of ballots that are no slot's

    // ------------------------------------------------------------------- views

    /// @inheritdoc ICDistriM
    function ballotRecord(BallotId ballot) external view returns (Box memory) {
        return _boxes[ballot];
    }

    /// @inheritdoc ICDistriM
    function ballotState(BallotId ballot) public view returns (BallotState state) {
        Box memory box = _boxes[ballot];
        state = BallotBox.tally(box, _asked(ballot));
        if (state != BallotState.Open) return state;
        bool inTime = block.timestamp <= _deadlineOf(ballot, box);
        return inTime && _holds(ballot, box) ? BallotState.Open : BallotState.Rejected;
    }

    /// @inheritdoc ICDistriM
    function roundOf(BallotKind kind, uint256 campaign, address opener)
        public
        view
        returns (uint16)
    {
        return _rounds[ballotId(kind, campaign, 0, 0, opener)];
    }

    // ----------------------------------------------------------------- opening

    /// @dev Of a kind that has rounds, a member has one open ballot at most.
    function _nextRound(BallotKind kind, uint256 campaign)
        internal
        returns (BallotId ballot, uint16 round)
    {
        BallotId request = ballotId(kind, campaign, 0, 0, msg.sender);
        round = _rounds[request];
        ballot = ballotId(kind, campaign, 0, round, msg.sender);
        if (ballotState(ballot) == BallotState.Open) revert BallotAlreadyOpened(ballot);
        _rounds[request] = ++round;
        ballot = ballotId(kind, campaign, 0, round, msg.sender);
    }

    /// @dev The opener's request is its yes if it is of the electorate.
    function _open(BallotId ballot, Box memory box, bytes32 subject, uint32 head) internal {
        Box storage stored = _boxes[ballot];
        if (stored.electorate != 0) revert BallotAlreadyOpened(ballot);
        uint8 voters = BallotBox.count(box.electorate);
        uint256 campaign = ballot.campaignOf();
        if (voters < MIN_MEMBERS) revert TooFewPartners(campaign);
        box.approvals = box.electorate & _bit(msg.sender);
        stored.electorate = box.electorate;
        stored.approvals = box.approvals;
        if (box.deadline != 0) {
            stored.deadline = box.deadline;
            _subjects[ballot] = subject;
            stored.removals = _removals();
            stored.model = box.model;
            stored.opened = box.opened;
            stored.reason = box.reason;
        }
        uint8 quorum = BallotBox.quorumOf(voters, _asked(ballot));
        uint64 deadline = _deadlineOf(ballot, box);
        emit BallotOpened(ballot, campaign, head, quorum, box.electorate, deadline);
    }

    function _emitClosed(BallotId ballot, Box memory box, bool passed) internal {
        emit BallotClosed(
            ballot, passed, BallotBox.count(box.approvals), BallotBox.count(box.refusals)
        );
    }

    function _isOfSlot(BallotId ballot) internal pure returns (bool) {
        return ballot.kindOf() <= BallotKind.Upload;
    }

    // ------------------------------------- what campaigns and slots know of it

    /// @dev Votes that the campaign's spec asks for; 0 where there is no campaign.
    function _asked(BallotId ballot) internal view virtual returns (uint256);

    /// @dev Last second of a ballot.
    function _deadlineOf(BallotId ballot, Box memory box) internal view virtual returns (uint64);

    /// @inheritdoc ICDistriM
    function subjectOf(BallotId ballot) public view virtual returns (bytes32);

    /// @dev Whether everything that the ballot presupposes is still so.
    function _holds(BallotId ballot, Box memory box) internal view virtual returns (bool);
}
