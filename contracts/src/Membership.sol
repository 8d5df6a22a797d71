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
    function proposeAdmission(Applicant memory applicant) external onlyMember returns (uint16) {
        _requireApplicant(applicant);
        _requireRoom();
        (BallotId ballot, uint16 round) = _nextRound(BallotKind.Admission, 0);
        _applicants[msg.sender] = applicant;
        _openOfAll(ballot, keccak256(abi.encode(applicant)));
        emit AdmissionProposed(ballot, applicant.account, applicant.name);
        return round;
    }

    /// @inheritdoc ICDistriM
    function proposeRemoval(address account) external onlyMember returns (uint16) {
        _requireMember(account);
        uint256 active = BallotBox.count(_active);
        if (active <= MIN_MEMBERS) revert BadMembers(active - 1);
        (BallotId ballot, uint16 round) = _nextRound(BallotKind.Removal, 0);
        _openOfAll(ballot, bytes32(uint256(uint160(account))));
        emit RemovalProposed(ballot, account);
        return round;
    }

    function _admissionPassed(BallotId ballot) internal {
        _admit(_applicants[ballot.openerOf()]);
    }

    function _removalPassed(BallotId ballot) internal {
        address account = address(uint160(uint256(_subjects[ballot])));
        _remove(_seatOf(account));
    }

    function _openOfAll(BallotId ballot, bytes32 subject) private {
        uint256 deadline = block.timestamp + MEMBERSHIP_BALLOT;
        Box memory box;
        box.electorate = _active;
        box.deadline = uint48(deadline);
        _open(ballot, box, subject, GENESIS);
    }
}
