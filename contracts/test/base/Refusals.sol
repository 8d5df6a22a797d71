// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {ICDistriMErrors} from "../../src/ICDistriMErrors.sol";
import {BallotId, Evidence, ballotId} from "../../src/ValueTypes.sol";
import {Consortium} from "./Consortium.sol";

/// @dev The refusals that many tests expect, and the moves of tests that are about refusals.
abstract contract Refusals is Consortium {
    // ---------------------------------------------------------------- refusals

    function _notAMember(address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NotAMember.selector, account);
    }

    function _notAPartner(uint256 campaign, address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NotAPartner.selector, campaign, account);
    }

    function _noVote(address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NoVote.selector, account);
    }

    function _alreadyVoted(address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.AlreadyVoted.selector, account);
    }

    function _noCampaign(uint256 campaign) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NoCampaign.selector, campaign);
    }

    function _noBallot(BallotId ballot) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NoBallot.selector, ballot);
    }

    function _ballotVoid(BallotId ballot) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BallotVoid.selector, ballot);
    }

    function _ballotOpened(BallotId ballot) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BallotAlreadyOpened.selector, ballot);
    }

    function _ballotClosed(BallotId ballot) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BallotAlreadyClosed.selector, ballot);
    }

    function _removalsPending(uint256 campaign, uint128 seats)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICDistriMErrors.RemovalsPending.selector, campaign, seats);
    }

    function _wrongCampaignState(CampaignState state, CampaignState needed)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICDistriMErrors.WrongCampaignState.selector, state, needed);
    }

    function _wrongState(SlotState state, SlotState needed) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.WrongState.selector, state, needed);
    }

    function _wrongSlot(uint256 campaign, uint32 asked, uint32 open)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICDistriMErrors.WrongSlot.selector, campaign, asked, open);
    }

    function _wrongAttempt(uint16 asked, uint16 open) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.WrongAttempt.selector, asked, open);
    }

    function _badEvidence(Evidence evidence) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BadEvidence.selector, evidence);
    }

    function _zeroHash() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.ZeroHash.selector);
    }

    /// @dev That a deadline was over a second ago.
    function _late(uint256 deadline) internal pure returns (bytes memory) {
        return
            abi.encodeWithSelector(ICDistriMErrors.DeadlinePassed.selector, deadline, deadline + 1);
    }

    function _early(uint256 deadline, uint256 time) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.DeadlineNotPassed.selector, deadline, time);
    }

    // ------------------------------------------------------------------- moves

    function _openSlotOf(uint256 campaign) internal view returns (uint32) {
        return _record(campaign).slot;
    }

    /// @dev Lets the open slot's deadline pass and closes it.
    function _expire(uint256 campaign) internal {
        vm.warp(_slot(campaign, _openSlotOf(campaign)).deadline + 1);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
    }

    /// @dev Closes the enrolment with those enrolled.
    function _closeEnrolment(uint256 campaign) internal {
        vm.warp(_record(campaign).enrolDeadline + 1);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
    }

    /// @dev A restore ballot about the open slot, or about the head of an ended campaign.
    function _requestRestore(uint256 campaign, address opener, uint32 target)
        internal
        returns (BallotId ballot)
    {
        CampaignRecord memory c = _record(campaign);
        bool running = c.state == CampaignState.Running;
        uint32 slot = running ? c.slot : c.head;
        uint16 attempt = running ? _attempt(campaign, slot) : 0;
        vm.prank(opener);
        ledger.requestRestore(campaign, slot, attempt, target, RestoreReason.Unopenable);
        return ballotId(BallotKind.Restore, campaign, slot, attempt, opener);
    }

    function _requestJoin(uint256 campaign, address account, bool evaluator)
        internal
        returns (BallotId)
    {
        vm.prank(account);
        uint16 round = ledger.requestJoin(campaign, 77, keccak256("joiner"), evaluator);
        return ballotId(BallotKind.Join, campaign, 0, round, account);
    }

    function _join(uint256 campaign, address account) internal {
        _decide(_requestJoin(campaign, account, true), true);
    }

    function _requestFinal(uint256 campaign, address account) internal returns (BallotId) {
        vm.prank(account);
        uint16 round = ledger.requestFinalModel(campaign, KEY);
        return ballotId(BallotKind.FinalFetch, campaign, 0, round, account);
    }

    function _proposeRemoval(address opener, address account) internal returns (BallotId) {
        vm.prank(opener);
        uint16 round = ledger.proposeRemoval(account);
        return ballotId(BallotKind.Removal, 0, 0, round, opener);
    }

    function _proposeAdmission(address opener, uint256 index) internal returns (BallotId) {
        vm.prank(opener);
        uint16 round = ledger.proposeAdmission(Applicant(_account(index), _name(index)));
        return ballotId(BallotKind.Admission, 0, 0, round, opener);
    }

    /// @dev Removes a member and takes it out of the campaign.
    function _takeOut(uint256 campaign, address account) internal {
        _removeMember(account);
        vm.prank(bystander);
        ledger.applyRemovals(campaign);
    }

    function assertVoteRefused(address voter, BallotId ballot, bytes memory refusal) internal {
        assertRefused(
            voter,
            abi.encodeCall(ICDistriM.castVote, (ballot, _subjectOf(ballot), true, _silence())),
            refusal
        );
    }

    function assertBallot(BallotId ballot, BallotState state, uint256 yes, uint256 no)
        internal
        view
    {
        assertState(ballot, state);
        assertEq(views.ballotOf(ledger, ballot).yes, yes, "yes");
        assertEq(views.ballotOf(ledger, ballot).no, no, "no");
    }
}
