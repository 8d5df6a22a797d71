// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {BallotBox} from "./BallotBox.sol";
import {ICDistriM} from "./ICDistriM.sol";
import {Membership} from "./Membership.sol";
import {BallotId, Evidence} from "./ValueTypes.sol";

/// @title Votes, by transaction or by signature, and what follows from the last one
abstract contract Votes is Membership {
    bytes32 private constant DOMAIN = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant NAME = keccak256("C-DistriM");
    bytes32 private constant VERSION = keccak256("1");
    bytes32 private constant VOTE = keccak256(
        "Vote(uint256 ballot,bytes32 subject,bool approve,uint256 evidence,uint64 deadline)"
    );

    /// @inheritdoc ICDistriM
    function castVote(BallotId ballot, bytes32 subject, bool approve, Evidence evidence)
        external
        onlyMember
    {
        Box memory box = _boxes[ballot];
        uint128 voter = _bit(msg.sender);
        BallotState state = _requireVotable(ballot, subject, box);
        if (box.electorate & voter == 0) revert NoVote(msg.sender);
        if ((box.approvals | box.refusals) & voter != 0) revert AlreadyVoted(msg.sender);
        _requireOpen(ballot, box, state);
        _count(ballot, box, msg.sender, voter, approve, evidence);
        _conclude(ballot, box);
    }

    /// @inheritdoc ICDistriM
    function castVotes(BallotId ballot, bytes32 subject, SignedVote[] calldata votes)
        external
        onlyMember
    {
        Box memory box = _boxes[ballot];
        _requireOpen(ballot, box, _requireVotable(ballot, subject, box));
        bytes32 domain = domainSeparator();
        for (uint256 i = 0; i < votes.length; i++) {
            SignedVote calldata vote = votes[i];
            _requireInTime(vote.deadline);
            address account = _signerOf(domain, ballot, subject, vote, i);
            uint128 voter = _bit(account);
            if (box.electorate & voter == 0) revert NoVote(account);
            if ((box.approvals | box.refusals) & voter != 0) continue;
            _count(ballot, box, account, voter, vote.approve, vote.evidence);
        }
        _conclude(ballot, box);
    }

    /// @inheritdoc ICDistriM
    /// @dev Computed anew for each call: nothing that a deployer could have prepared.
    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, NAME, VERSION, block.chainid, address(this)));
    }

    // ----------------------------------------------------------------- counting

    function _count(
        BallotId ballot,
        Box memory box,
        address account,
        uint128 voter,
        bool approve,
        Evidence evidence
    ) private {
        _requireEvidence(evidence);
        if (approve) box.approvals |= voter;
        else box.refusals |= voter;
        emit VoteCast(ballot, account, approve, evidence);
    }

    function _conclude(BallotId ballot, Box memory box) private {
        Box storage stored = _boxes[ballot];
        if (stored.approvals != box.approvals) stored.approvals = box.approvals;
        if (stored.refusals != box.refusals) stored.refusals = box.refusals;
        BallotState state = BallotBox.tally(box, _asked(ballot));
        if (state == BallotState.Open) return;
        bool passed = state == BallotState.Passed;
        _emitClosed(ballot, box, passed);
        BallotKind kind = ballot.kindOf();
        if (kind == BallotKind.Fetch) _fetchDecided(ballot, passed);
        else if (kind == BallotKind.Upload) _uploadDecided(ballot, passed);
        else if (!passed) return;
        else if (kind == BallotKind.Restore) _restorePassed(ballot, box);
        else if (kind == BallotKind.FinalFetch) _finalFetchPassed(ballot);
        else if (kind == BallotKind.Admission) _admissionPassed(ballot);
        else if (kind == BallotKind.Removal) _removalPassed(ballot);
        else _join(ballot.campaignOf(), ballot.openerOf());
    }

    // ------------------------------------------------------------------- guards

    /// @dev That there is such a ballot, and that it belongs to the open slot if it is one of a slot.
    function _requireVotable(BallotId ballot, bytes32 subject, Box memory box)
        private
        view
        returns (BallotState state)
    {
        state = BallotBox.tally(box, _asked(ballot));
        if (state == BallotState.None) revert NoBallot(ballot);
        uint256 campaign = ballot.campaignOf();
        if (_isOfSlot(ballot)) _openSlot(campaign, ballot.slotOf(), ballot.attemptOf());
        else if (campaign != 0) _settled(campaign);
        bytes32 real = subjectOf(ballot);
        if (subject != real) revert WrongSubject(subject, real);
    }

    function _requireOpen(BallotId ballot, Box memory box, BallotState state) private view {
        if (state != BallotState.Open) revert BallotAlreadyClosed(ballot);
        _requireInTime(_deadlineOf(ballot, box));
        if (!_holds(ballot, box)) revert BallotVoid(ballot);
    }

    /// @dev A signature that is none, or not canonical, belongs to nobody.
    function _signerOf(
        bytes32 domain,
        BallotId ballot,
        bytes32 subject,
        SignedVote calldata vote,
        uint256 index
    ) private pure returns (address signer) {
        bytes32 hash = keccak256(
            abi.encode(VOTE, ballot, subject, vote.approve, vote.evidence, vote.deadline)
        );
        ECDSA.RecoverError wrong;
        (signer, wrong,) =
            ECDSA.tryRecover(MessageHashUtils.toTypedDataHash(domain, hash), vote.r, vote.vs);
        if (wrong != ECDSA.RecoverError.NoError) revert BadSignature(index);
    }
}
