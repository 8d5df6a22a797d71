// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {ICDistriMErrors} from "../../src/ICDistriMErrors.sol";
import {BallotId, ballotId} from "../../src/ValueTypes.sol";
import {Consortium} from "./Consortium.sol";

/// @dev Requests that open a ballot, each of which gives its ballot back, and what is said of ballots.
abstract contract Ballots is Consortium {
    function _proposeAdmission(address opener, uint256 index) internal returns (BallotId) {
        vm.prank(opener);
        uint16 round = ledger.proposeAdmission(Applicant(_account(index), _name(index)));
        return ballotId(BallotKind.Admission, 0, 0, round, opener);
    }

    function _proposeRemoval(address opener, address account) internal returns (BallotId) {
        vm.prank(opener);
        uint16 round = ledger.proposeRemoval(account);
        return ballotId(BallotKind.Removal, 0, 0, round, opener);
    }

    /// @dev Admitted, and with a key: whoever is to join needs one.
    function _admitWithKey(address opener, uint256 index) internal returns (address account) {
        _decide(_proposeAdmission(opener, index), true);
        account = _account(index);
        vm.prank(account);
        ledger.publishKey(abi.encodePacked("public key ", vm.toString(index + 1)));
    }

    function _requestJoin(uint256 campaign, address account) internal returns (BallotId) {
        vm.prank(account);
        uint16 round = ledger.requestJoin(campaign, 50, keccak256("joiner's data"), true);
        return ballotId(BallotKind.Join, campaign, 0, round, account);
    }

    function _join(uint256 campaign, address account) internal {
        _decide(_requestJoin(campaign, account), true);
    }

    /// @dev As things are: of the open slot's attempt, or after the end.
    function _requestRestore(uint256 campaign, address opener, uint32 target)
        internal
        returns (BallotId)
    {
        (uint32 slot, uint16 attempt) = _place(campaign);
        vm.prank(opener);
        ledger.requestRestore(campaign, slot, attempt, target, RestoreReason.Unopenable);
        return ballotId(BallotKind.Restore, campaign, slot, attempt, opener);
    }

    function _restore(uint256 campaign, uint32 target) internal {
        _decide(_requestRestore(campaign, partners[0], target), true);
    }

    function _restoreCall(uint256 campaign, uint32 target) internal view returns (bytes memory) {
        (uint32 slot, uint16 attempt) = _place(campaign);
        return abi.encodeCall(
            ICDistriM.requestRestore, (campaign, slot, attempt, target, RestoreReason.Unopenable)
        );
    }

    function _requestFinalModel(uint256 campaign, address opener) internal returns (BallotId) {
        vm.prank(opener);
        uint16 round = ledger.requestFinalModel(campaign, KEY);
        return ballotId(BallotKind.FinalFetch, campaign, 0, round, opener);
    }

    /// @dev The member leaves the consortium, and the campaign.
    function _removeFrom(uint256 campaign, address account) internal {
        _removeMember(account);
        _applyRemovals(campaign);
    }

    function _applyRemovals(uint256 campaign) internal {
        vm.prank(_anyMember());
        ledger.applyRemovals(campaign);
    }

    /// @dev The open slot's deadline passes and a member closes it.
    function _expire(uint256 campaign) internal {
        vm.warp(_slot(campaign, _record(campaign).slot).deadline + 1);
        vm.prank(_anyMember());
        ledger.closeExpired(campaign);
    }

    function _place(uint256 campaign) private view returns (uint32 slot, uint16 attempt) {
        CampaignRecord memory c = _record(campaign);
        if (c.state != CampaignState.Running) return (c.head, 0);
        return (c.slot, _attempt(campaign, c.slot));
    }

    function _anyMember() private view returns (address) {
        for (uint256 seat = 0;; seat++) {
            if (ledger.memberAt(seat).active) return ledger.memberAt(seat).account;
        }
        return address(0);
    }

    // ------------------------------------------------------------------- calls

    function _openedCall(uint256 campaign, uint32 slot, uint16 attempt)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, attempt, 3, 0, 1));
    }

    function _confirmCall(uint256 campaign, uint32 slot, uint16 attempt)
        internal
        view
        returns (bytes memory)
    {
        Candidate memory candidate = _candidate(campaign, slot);
        return abi.encodeCall(ICDistriM.confirmUpload, (campaign, slot, attempt, candidate));
    }

    function _voteCall(BallotId ballot) internal view returns (bytes memory) {
        return abi.encodeCall(ICDistriM.castVote, (ballot, _subjectOf(ballot), true, _silence()));
    }

    /// @dev Yes from the second and the third partner, signed: with the opener's a quorum of four or five.
    function _twoYes(BallotId ballot) internal view returns (SignedVote[] memory votes) {
        votes = new SignedVote[](2);
        for (uint256 i = 0; i < 2; i++) {
            votes[i] = _signed(ballot, i + 1, true, _silence(), uint64(block.timestamp + 60));
        }
    }

    // -------------------------------------------------------------- assertions

    /// @dev Votes given for `asked` don't count, by transaction or by signature, though the ballot is open.
    function assertSwapRefused(BallotId ballot, bytes32 asked, SignedVote[] memory votes) internal {
        assertState(ballot, BallotState.Open);
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.castVote, (ballot, asked, true, _silence())),
            _wrongSubject(ballot, asked)
        );
        bytes memory handIn = abi.encodeCall(ICDistriM.castVotes, (ballot, asked, votes));
        assertRefused(partners[0], handIn, _wrongSubject(ballot, asked));
        // Whoever names what is asked now hands in votes that nobody signed.
        handIn = abi.encodeCall(ICDistriM.castVotes, (ballot, _subjectOf(ballot), votes));
        assertRefusedBy(partners[0], handIn, ICDistriMErrors.NoVote.selector);
    }

    function assertVoid(BallotId ballot, address voter) internal {
        assertState(ballot, BallotState.Rejected);
        assertRefused(
            voter,
            _voteCall(ballot),
            abi.encodeWithSelector(ICDistriMErrors.BallotVoid.selector, ballot)
        );
    }

    function assertNoVote(BallotId ballot, address account) internal {
        assertRefused(
            account,
            _voteCall(ballot),
            abi.encodeWithSelector(ICDistriMErrors.NoVote.selector, account)
        );
    }

    /// @dev Where the error tells an account that nobody can foresee.
    function assertRefusedBy(address caller, bytes memory call, bytes4 refusal) internal {
        bytes32 before = _everything();
        vm.prank(caller);
        (bool success, bytes memory answer) = address(ledger).call(call);
        assertTrue(!success, "the call was not refused");
        assertTrue(bytes4(answer) == refusal, "refused with another error");
        assertEq(_everything(), before, "something changed");
    }

    function _wrongAttempt(uint16 asked, uint16 open) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.WrongAttempt.selector, asked, open);
    }

    function _wrongSlot(uint256 campaign, uint32 asked, uint32 open)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICDistriMErrors.WrongSlot.selector, campaign, asked, open);
    }

    function _wrongState(SlotState state, SlotState needed) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.WrongState.selector, state, needed);
    }

    function _late(uint64 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(
            ICDistriMErrors.DeadlinePassed.selector, deadline, uint64(block.timestamp)
        );
    }
}
