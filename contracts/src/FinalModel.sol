// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";
import {Restores} from "./Restores.sol";
import {BallotId} from "./ValueTypes.sol";

/// @title Who may open the final model, and who uses it
abstract contract FinalModel is Restores {
    /// @inheritdoc ICDistriM
    function requestFinalModel(uint256 campaign, bytes32 requestKeyDigest)
        external
        onlyMember
        returns (uint16 round)
    {
        CampaignRecord storage c = _completed(campaign);
        _requireHash(requestKeyDigest);
        BallotId ballot;
        (ballot, round) = _nextRound(BallotKind.FinalFetch, campaign);
        _finals[campaign][msg.sender] =
            FinalFetchRecord(FinalFetchState.Requested, round, 0, c.head, requestKeyDigest);
        Box memory box;
        box.electorate = c.voters | _bit(msg.sender);
        box.deadline = _ballotEnd(c);
        box.model = c.head;
        _open(ballot, box, requestKeyDigest, c.head);
        emit FinalModelRequested(ballot, campaign, requestKeyDigest);
    }

    /// @inheritdoc ICDistriM
    function reportFinalOpened(uint256 campaign, uint8 good, uint8 bad, uint8 missing)
        external
        onlyMember
    {
        FinalFetchRecord storage f = _final(campaign, FinalFetchState.Granted);
        _requireInTime(f.deadline);
        f.state = FinalFetchState.Opened;
        emit TokenRedeemed(campaign, f.head, f.round, BallotKind.FinalFetch, msg.sender);
        emit ModelOpened(
            campaign, f.head, f.round, msg.sender, f.head, good, bad, missing, f.deadline
        );
    }

    /// @inheritdoc ICDistriM
    function recordUse(uint256 campaign, bytes32 purpose) external onlyMember {
        FinalFetchRecord storage f = _final(campaign, FinalFetchState.Opened);
        _requireHash(purpose);
        emit FinalModelUsed(campaign, msg.sender, f.head, purpose);
    }

    function _finalFetchPassed(BallotId ballot) internal {
        (uint256 campaign, address opener) = (ballot.campaignOf(), ballot.openerOf());
        uint32 time = _campaigns[campaign].deadlines.secondsOf(Clock.Opening);
        FinalFetchRecord storage f = _finals[campaign][opener];
        f.state = FinalFetchState.Granted;
        f.deadline = uint48(block.timestamp + time);
        emit TokenGranted(campaign, f.head, f.round, BallotKind.FinalFetch, opener, f.deadline);
    }

    /// @dev The caller's fetch of the model that is the head now.
    function _final(uint256 campaign, FinalFetchState needed)
        private
        view
        returns (FinalFetchRecord storage f)
    {
        CampaignRecord storage c = _completed(campaign);
        f = _finals[campaign][msg.sender];
        if (f.state != needed) revert WrongFinalFetchState(f.state, needed);
        if (f.head != c.head) revert HeadMoved(f.head, c.head);
    }

    function _completed(uint256 campaign) private view returns (CampaignRecord storage c) {
        c = _settled(campaign);
        _requireState(c, CampaignState.Completed);
        _requirePartner(campaign, c);
    }
}
