// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "./BallotBox.sol";
import {FinalModel} from "./FinalModel.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {BallotId} from "./ValueTypes.sol";

/// @title Admission and removal of members by majority ballot
abstract contract Membership is FinalModel {
    uint64 private constant MEMBERSHIP_BALLOT = 7 days;

    mapping(address opener => Applicant) private _applicants;

    /// @inheritdoc ICDistriM
    function proposeAdmission(Applicant calldata applicant) external onlyMember returns (uint16) {
        _requireApplicant(applicant);
        _requireRoom();
        (BallotId ballot, uint16 round) = _nextRound(BallotKind.Admission, 0);
        _applicants[msg.sender] = applicant;
        _openOfAll(ballot, 0);
        emit AdmissionProposed(ballot, applicant.account, applicant.name);
        return round;
    }

    /// @inheritdoc ICDistriM
    function proposeRemoval(address account) external onlyMember returns (uint16) {
        _requireMember(account);
        uint256 active = BallotBox.count(_active);
        if (active <= MIN_MEMBERS) revert BadMembers(active - 1);
        (BallotId ballot, uint16 round) = _nextRound(BallotKind.Removal, 0);
        _openOfAll(ballot, _seatOf(account));
        emit RemovalProposed(ballot, account);
        return round;
    }

    /// @inheritdoc ICDistriM
    function applicantOf(address opener) external view returns (Applicant memory) {
        return _applicants[opener];
    }

    function _admissionDecided(BallotId ballot, bool passed) internal {
        if (passed) _admit(_applicants[ballot.openerOf()]);
    }

    function _removalDecided(Box memory box, bool passed) internal {
        if (passed) _remove(uint8(box.subject));
    }

    function _openOfAll(BallotId ballot, uint32 subject) private {
        uint256 deadline = block.timestamp + MEMBERSHIP_BALLOT;
        Box memory box = _boxFor(_active, deadline, subject, _removals());
        _open(ballot, box, GENESIS);
    }
}
