// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId, Evidence, ballotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev castVotes: votes by signature (EIP-712). A partner's seat is its place here.
contract SignedVotesTest is Refusals {
    uint256 private constant ORDER =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint256 private campaign;
    BallotId private ballot;
    uint64 private soon;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.UploadRequested);
        ballot = _ballot(campaign, 1, BallotKind.Upload);
        soon = uint64(block.timestamp + 60);
    }

    // --------------------------------------------------------------- what counts

    function test_signed_votes_decide_a_ballot_in_one_transaction() public {
        _handIn(bystander, _pair(_yes(1), _yes(3)));
        assertState(campaign, 1, SlotState.Accepted);
        assertBallot(ballot, BallotState.Passed, 3, 0);
        assertEq(ledger.ballotRecord(ballot).approvals, 1 | 1 << 1 | 1 << 3, "who said yes");
    }

    function test_signed_noes_reject_as_those_by_transaction() public {
        _handIn(partners[0], _pair(_no(1), _no(2)));
        assertSkipped(campaign, 1, SkipReason.Degraded);
    }

    function test_signed_votes_and_others_add_up() public {
        _vote(ballot, partners[2], true);
        _handIn(partners[2], _one(_yes(1)));
        assertState(campaign, 1, SlotState.Accepted);
    }

    function test_each_signed_vote_is_told_as_its_signers() public {
        vm.recordLogs();
        _handIn(bystander, _pair(_no(1), _yes(3)));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 2, "events");
        assertEq(logs[0].topics[2], bytes32(uint256(uint160(partners[1]))), "first voter");
        assertEq(keccak256(logs[0].data), keccak256(abi.encode(false, _evidence())), "first");
        assertEq(logs[1].topics[2], bytes32(uint256(uint160(partners[3]))), "second voter");
        assertEq(keccak256(logs[1].data), keccak256(abi.encode(true, _evidence())), "second");
    }

    function test_no_votes_at_all_change_nothing() public {
        bytes32 before = _everything();
        vm.recordLogs();
        _handIn(bystander, new SignedVote[](0));
        assertEq(vm.getRecordedLogs().length, 0, "events");
        assertEq(_everything(), before, "everything");
    }

    /// @dev More than the quorum needs: all are counted and kept, the verdict falls once.
    function test_votes_beyond_the_quorum_are_kept_too() public {
        SignedVote[] memory votes = new SignedVote[](3);
        (votes[0], votes[1], votes[2]) = (_yes(1), _yes(2), _no(3));
        _handIn(partners[0], votes);
        assertBallot(ballot, BallotState.Passed, 3, 1);
        assertEq(_record(campaign).accepted, 1, "accepted once");
    }

    /// @dev Every kind of ballot can be decided by signatures.
    function test_a_ballot_of_any_kind_takes_signed_votes() public {
        _decide(ballot, true);
        _complete(campaign);
        BallotId[3] memory ballots = [
            _proposeAdmission(partners[0], 7),
            _requestRestore(campaign, partners[0], 2),
            _requestFinal(campaign, partners[0])
        ];
        for (uint256 i = 3; i > 0; i--) {
            ballot = ballots[i - 1];
            SignedVote memory first = _signed(ballot, 1, true, _silence(), soon);
            _handIn(partners[3], _pair(first, _signed(ballot, 2, true, _silence(), soon)));
            assertState(ballot, BallotState.Passed);
        }
        assertEq(_head(campaign), 2, "restored");
        assertEq(ledger.memberOf(_account(7)).seat, 5, "admitted");
    }

    // --------------------------------------------------------- who voted before

    function test_who_has_voted_before_is_passed_over() public {
        _vote(ballot, partners[1], false);
        _handIn(bystander, _pair(_yes(1), _yes(2)));
        assertBallot(ballot, BallotState.Open, 2, 1);
        assertEq(ledger.ballotRecord(ballot).refusals, 1 << 1, "the no stays");
    }

    function test_the_openers_signature_adds_nothing() public {
        _handIn(bystander, _pair(_yes(0), _no(0)));
        assertBallot(ballot, BallotState.Open, 1, 0);
    }

    function test_who_signed_both_choices_is_counted_with_the_first() public {
        _handIn(bystander, _pair(_no(1), _yes(1)));
        assertBallot(ballot, BallotState.Open, 1, 1);
        _handIn(bystander, _one(_yes(1)));
        assertBallot(ballot, BallotState.Open, 1, 1);
    }

    function test_a_vote_handed_in_twice_counts_once() public {
        _handIn(bystander, _pair(_yes(1), _yes(1)));
        _handIn(bystander, _one(_yes(1)));
        assertBallot(ballot, BallotState.Open, 2, 0);
    }

    function test_whose_signed_vote_was_counted_votes_no_more() public {
        _handIn(bystander, _one(_yes(1)));
        assertVoteRefused(partners[1], ballot, _alreadyVoted(partners[1]));
    }

    // ------------------------------------------------------- what was not signed

    /// @dev A signature over something else is that of an account nobody knows.
    function test_a_vote_changed_after_signing_is_nobodys() public {
        SignedVote memory vote = _yes(1);
        vote.approve = false;
        _assertNobodys(vote);
        vote = _yes(1);
        vote.evidence = _evidence(800_000_000, 900_000_000, 1e15, 25, 25);
        _assertNobodys(vote);
        vote = _yes(1);
        vote.deadline++;
        _assertNobodys(vote);
    }

    function test_a_signature_for_another_ballot_is_nobodys_here() public {
        BallotId[4] memory others = [
            _ballot(campaign, 1, BallotKind.Fetch),
            ballotId(BallotKind.Upload, campaign + 1, 1, 1, partners[0]),
            ballotId(BallotKind.Upload, campaign, 2, 1, partners[0]),
            ballotId(BallotKind.Upload, campaign, 1, 2, partners[0])
        ];
        for (uint256 i = 0; i < others.length; i++) {
            SignedVote memory vote = _yes(1);
            _sign(others[i], ledger.subjectOf(ballot), 1, vote);
            _assertNobodys(vote);
        }
    }

    /// @dev Nor is the vote its signer's if the one who hands it in names what was signed, see WrongSubject.
    function test_a_signature_about_something_else_is_nobodys_here() public {
        bytes32 other = ledger.subjectOf(ballot) ^ bytes32(uint256(1));
        SignedVote memory vote = _yes(1);
        _sign(ballot, other, 1, vote);
        _assertNobodys(vote);
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.castVotes, (ballot, other, _one(vote))),
            _wrongSubject(ballot, other)
        );
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.castVotes, (ballot, other, new SignedVote[](0))),
            _wrongSubject(ballot, other)
        );
    }

    function test_a_signature_for_another_chain_is_nobodys_here() public {
        SignedVote memory vote = _yes(1);
        uint256 here = block.chainid;
        vm.chainId(here + 1);
        _assertNobodys(vote);
        SignedVote memory there = _yes(2);
        vm.chainId(here);
        _assertNobodys(there);
        _handIn(bystander, _one(vote));
        assertBallot(ballot, BallotState.Open, 2, 0);
    }

    function test_a_signature_for_another_ledger_is_nobodys_here() public {
        ICDistriM here = ledger;
        SignedVote memory vote = _yes(1);
        bytes32 subject = here.subjectOf(ballot);
        ledger = _deploy(_founders(5));
        _sign(ballot, subject, 1, vote);
        ledger = here;
        _assertNobodys(vote);
    }

    function test_the_domain_is_this_contract_on_this_chain() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address "
                    "verifyingContract)"
                ),
                keccak256("C-DistriM"),
                keccak256("1"),
                block.chainid,
                address(ledger)
            )
        );
        assertEq(ledger.domainSeparator(), domain, "domain");
    }

    // ------------------------------------------------------- what is no signature

    function test_garbage_is_no_signature() public {
        SignedVote memory vote = _yes(2);
        vote.r = 0;
        _assertBad(vote);
        vote = _yes(2);
        vote.vs = 0;
        _assertBad(vote);
        vote.r = bytes32(type(uint256).max);
        vote.vs = bytes32(type(uint256).max);
        _assertBad(vote);
    }

    /// @dev Each signature has a second form, with ORDER - s. In 255 bits it mostly can't be written;
    /// what can be is refused from the first s beyond the half on.
    function test_a_signature_with_a_high_s_is_refused() public {
        SignedVote memory vote = _yes(2);
        uint256 s = uint256(vote.vs) & (type(uint256).max >> 1);
        uint256 parity = uint256(vote.vs) >> 255;
        vote.vs = bytes32((ORDER - s) & (type(uint256).max >> 1) | (parity ^ 1) << 255);
        assertTrue(!_isTaken(_one(vote)), "a second form of one vote");
        vote.vs = bytes32(ORDER / 2 + 1);
        _assertBad(vote);
        vote.vs = bytes32(type(uint256).max >> 1);
        _assertBad(vote);
    }

    function test_a_bad_signature_is_named_by_its_place() public {
        SignedVote memory bad = _yes(2);
        bad.vs = 0;
        _assertRefused(_pair(_yes(1), bad), _badSignature(1));
        _assertRefused(_pair(bad, _yes(1)), _badSignature(0));
    }

    function testFuzz_a_signature_out_of_thin_air_is_never_counted(bytes32 r, bytes32 vs) public {
        SignedVote memory vote = _yes(1);
        (vote.r, vote.vs) = (r, vs);
        assertTrue(!_isTaken(_one(vote)), "counted");
        assertBallot(ballot, BallotState.Open, 1, 0);
    }

    // ----------------------------------------------------------- whose it is not

    function test_a_signer_outside_the_electorate_has_no_vote() public {
        _assertRefused(_one(_yes(4)), _noVote(bystander)); // a member, no partner
        _assertRefused(_one(_yes(9)), _noVote(_account(9))); // nobody
        _assertRefused(_pair(_yes(1), _yes(4)), _noVote(bystander)); // not even the first counts
    }

    function test_a_partner_that_is_no_evaluator_has_no_signed_vote_on_an_upload() public {
        campaign = _open(Mode.Holdout, 1, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, i >= 2);
        }
        _bring(campaign, 1, SlotState.UploadRequested);
        ballot = _ballot(campaign, 1, BallotKind.Upload);
        _assertRefused(_one(_yes(1)), _noVote(partners[1]));
    }

    function test_a_signer_that_was_removed_has_no_vote_after_the_restart() public {
        SignedVote[] memory votes = _pair(_yes(1), _yes(2));
        _removeMember(partners[2]);
        _assertRefused(votes, _removalsPending(campaign, 1 << 2));
        vm.prank(bystander);
        ledger.applyRemovals(campaign);
        _assertRefused(votes, _wrongAttempt(1, 2));
        _requestUpload(campaign, 1);
        ballot = _ballot(campaign, 1, BallotKind.Upload);
        _assertRefused(_one(_yes(2)), _noVote(partners[2]));
    }

    // -------------------------------------------------------------------- time

    function test_a_signed_vote_is_in_time_in_the_second_of_its_deadline() public {
        SignedVote memory vote = _yes(1);
        vm.warp(soon);
        _handIn(bystander, _one(vote));
        assertBallot(ballot, BallotState.Open, 2, 0);
    }

    function test_an_expired_signed_vote_is_refused() public {
        SignedVote memory vote = _yes(1);
        vm.warp(soon + 1);
        _assertRefused(_one(vote), _late(soon));
        vote = _signed(ballot, 1, true, _evidence(), 0);
        _assertRefused(
            _one(vote),
            abi.encodeWithSelector(ICDistriMErrors.DeadlinePassed.selector, 0, block.timestamp)
        );
    }

    /// @dev However long its signer meant it to last.
    function test_a_signed_vote_is_not_counted_after_the_ballots_deadline() public {
        uint256 deadline = _slot(campaign, 1).deadline;
        SignedVote memory vote = _signed(ballot, 1, true, _evidence(), type(uint64).max);
        vm.warp(deadline + 1);
        _assertRefused(_one(vote), _late(deadline));
        _assertRefused(new SignedVote[](0), _late(deadline));
    }

    // -------------------------------------------------------------- the ballot's

    function test_signed_votes_on_no_ballot_are_refused() public {
        BallotId[3] memory none = [
            ballotId(BallotKind.Upload, campaign, 2, 1, partners[1]),
            BallotId.wrap(0xFF),
            BallotId.wrap(type(uint256).max)
        ];
        for (uint256 i = 0; i < none.length; i++) {
            ballot = none[i];
            _assertRefused(_one(_yes(1)), _noBallot(ballot));
            _assertRefused(new SignedVote[](0), _noBallot(ballot));
        }
    }

    function test_signed_votes_after_the_verdict_are_refused() public {
        ballot = _ballot(campaign, 1, BallotKind.Fetch);
        _assertRefused(_one(_yes(3)), _ballotClosed(ballot));
    }

    function test_signed_votes_on_a_slot_that_is_over_are_refused() public {
        SignedVote memory vote = _signed(ballot, 1, true, _evidence(), type(uint64).max);
        _expire(campaign);
        _assertRefused(_one(vote), _wrongSlot(campaign, 1, 2));
    }

    function test_signed_votes_on_a_slot_of_an_ended_campaign_are_refused() public {
        SignedVote memory vote = _signed(ballot, 1, true, _evidence(), type(uint64).max);
        for (uint256 i = 0; i < 4; i++) {
            _expire(campaign);
        }
        _assertRefused(_one(vote), _wrongCampaignState(CampaignState.Failed, CampaignState.Running));
    }

    function test_signed_votes_on_a_void_ballot_are_refused() public {
        ballot = _proposeAdmission(partners[1], 7);
        _admit(8);
        _assertRefused(_one(_yes(1)), _ballotVoid(ballot));
    }

    function test_signed_evidence_that_is_none_is_refused() public {
        Evidence bad = Evidence.wrap(1 << 192);
        _assertRefused(_one(_signed(ballot, 1, true, bad, soon)), _badEvidence(bad));
        bad = Evidence.wrap(1e9 + 1);
        _assertRefused(_one(_signed(ballot, 1, true, bad, soon)), _badEvidence(bad));
    }

    // ------------------------------------------------------------------ pieces

    function _yes(uint256 seat) private view returns (SignedVote memory) {
        return _signed(ballot, seat, true, _evidence(), soon);
    }

    function _no(uint256 seat) private view returns (SignedVote memory) {
        return _signed(ballot, seat, false, _evidence(), soon);
    }

    function _one(SignedVote memory vote) private pure returns (SignedVote[] memory votes) {
        votes = new SignedVote[](1);
        votes[0] = vote;
    }

    function _pair(SignedVote memory first, SignedVote memory second)
        private
        pure
        returns (SignedVote[] memory votes)
    {
        votes = new SignedVote[](2);
        (votes[0], votes[1]) = (first, second);
    }

    function _handIn(address carrier, SignedVote[] memory votes) private {
        bytes32 subject = ledger.subjectOf(ballot);
        vm.prank(carrier);
        ledger.castVotes(ballot, subject, votes);
    }

    function _badSignature(uint256 index) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BadSignature.selector, index);
    }

    function _assertRefused(SignedVote[] memory votes, bytes memory refusal) private {
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.castVotes, (ballot, _subjectOf(ballot), votes)),
            refusal
        );
    }

    function _assertBad(SignedVote memory vote) private {
        _assertRefused(_one(vote), _badSignature(0));
    }

    function _isTaken(SignedVote[] memory votes) private returns (bool taken) {
        bytes memory call =
            abi.encodeCall(ICDistriM.castVotes, (ballot, ledger.subjectOf(ballot), votes));
        vm.prank(bystander);
        (taken,) = address(ledger).call(call);
    }

    /// @dev The account that such a signature belongs to is computed as the contract does it.
    function _assertNobodys(SignedVote memory vote) private {
        bytes32 digest = _signedDigest(ballot, ledger.subjectOf(ballot), vote);
        bytes32 s = vote.vs & bytes32(type(uint256).max >> 1);
        address signer = ecrecover(digest, uint8(27 + (uint256(vote.vs) >> 255)), vote.r, s);
        _assertRefused(_one(vote), _noVote(signer));
    }
}
