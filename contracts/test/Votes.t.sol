// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {BallotId, Evidence, ballotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev castVote, and what a decided ballot of a slot does. What the other ballots do is tested where
/// they are opened.
contract VotesTest is Refusals {
    uint256 private campaign;
    BallotId private fetch;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
        fetch = ballotId(BallotKind.Fetch, campaign, 1, 1, partners[0]);
    }

    // ---------------------------------------------------------------- verdicts

    function test_a_fetch_is_granted_with_the_third_yes_of_four() public {
        _requestFetch(campaign, 1);
        _vote(fetch, partners[1], true);
        assertState(campaign, 1, SlotState.FetchRequested);
        _vote(fetch, partners[2], true);
        assertState(campaign, 1, SlotState.FetchGranted);
        assertEq(_slot(campaign, 1).deadline, block.timestamp + 400, "deadline");
        assertBallot(fetch, BallotState.Passed, 3, 0);
    }

    function test_a_fetch_is_refused_with_the_second_no_of_four() public {
        _requestFetch(campaign, 1);
        _vote(fetch, partners[1], false);
        assertState(campaign, 1, SlotState.FetchRequested);
        _vote(fetch, partners[2], false);
        assertSkipped(campaign, 1, SkipReason.FetchRefused);
        assertBallot(fetch, BallotState.Rejected, 1, 2);
        assertEq(_openSlotOf(campaign), 2, "next slot");
    }

    function test_one_no_of_two_rejects() public {
        _found(2);
        campaign = _running(Mode.Holdout);
        _requestFetch(campaign, 1);
        _vote(_ballot(campaign, 1, BallotKind.Fetch), partners[1], false);
        assertSkipped(campaign, 1, SkipReason.FetchRefused);
    }

    function test_the_spec_may_ask_for_more_than_a_majority() public {
        campaign = _open(Mode.Holdout, 1, 4);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _requestFetch(campaign, 1);
        fetch = _ballot(campaign, 1, BallotKind.Fetch);
        _vote(fetch, partners[1], true);
        _vote(fetch, partners[2], true);
        assertState(campaign, 1, SlotState.FetchRequested);
        _vote(fetch, partners[3], true);
        assertState(campaign, 1, SlotState.FetchGranted);
    }

    function test_where_all_are_asked_for_one_no_rejects() public {
        campaign = _open(Mode.Holdout, 1, 4);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _requestFetch(campaign, 1);
        _vote(_ballot(campaign, 1, BallotKind.Fetch), partners[3], false);
        assertSkipped(campaign, 1, SkipReason.FetchRefused);
    }

    function test_the_spec_cannot_ask_for_less_than_a_majority() public {
        campaign = _open(Mode.Holdout, 1, 1);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _requestFetch(campaign, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        assertEq(views.ballotOf(ledger, ballot).quorum, 3, "quorum");
    }

    function test_the_holdout_quorum_accepts_exactly_that_record() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        _vote(upload, partners[1], true);
        assertEq(_head(campaign), 0, "head before the verdict");
        _vote(upload, partners[3], true);
        assertState(campaign, 1, SlotState.Accepted);
        assertEq(_head(campaign), 1, "head");
        assertEq(_record(campaign).accepted, 1, "accepted");
        SlotRecord memory s = _slot(campaign, 1);
        assertEq(s.weightsHash, keccak256(abi.encode("weights", uint32(1))), "weights");
        assertEq(s.ciphertextHash, keccak256(abi.encode("ciphertext", uint32(1))), "ciphertext");
        assertEq(s.capsuleHash, keccak256(abi.encode("capsule", uint32(1))), "capsule");
        assertEq(_openSlotOf(campaign), 2, "next slot");
    }

    function test_a_degraded_candidate_is_restored_and_skipped_in_one_transaction() public {
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 2, BallotKind.Upload);
        _vote(upload, partners[0], false);
        vm.recordLogs();
        _vote(upload, partners[2], false);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 5, "VoteCast, BallotClosed, HeadRestored, SlotSkipped, SlotOpened");
        (uint32 from, uint32 to, RestoreReason reason) =
            abi.decode(logs[2].data, (uint32, uint32, RestoreReason));
        assertEq(from, 2, "from");
        assertEq(to, 1, "to");
        assertEq(uint8(reason), uint8(RestoreReason.Degraded), "reason");
        assertSkipped(campaign, 2, SkipReason.Degraded);
        assertEq(_head(campaign), 1, "head");
        assertEq(views.slotOf(ledger, campaign, 2).candidate.name, "hospital-2-2", "record stays");
        assertTrue(!_slot(campaign, 1).undone, "the head is not undone");
    }

    function test_a_reported_quorum_grants_a_token() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        assertState(campaign, 1, SlotState.UploadGranted);
        assertEq(_head(campaign), 0, "head");
        assertEq(_slot(campaign, 1).deadline, block.timestamp + 700, "deadline");
    }

    function test_a_reported_candidate_can_be_voted_down() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.Skipped);
        assertSkipped(campaign, 1, SkipReason.Degraded);
    }

    // -------------------------------------------------------------- electorate

    function test_the_trainer_and_the_evaluators_vote_on_a_holdout_upload() public {
        campaign = _withEvaluators(Mode.Holdout, 0);
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        assertEq(ledger.ballotRecord(upload).electorate, 1 | 1 << 2 | 1 << 3, "electorate");
        assertEq(views.ballotOf(ledger, upload).quorum, 2, "quorum of this electorate");
        assertVoteRefused(partners[1], upload, _noVote(partners[1]));
    }

    function test_a_quorum_asked_for_is_capped_at_the_electorate() public {
        campaign = _withEvaluators(Mode.Holdout, 4);
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        assertEq(views.ballotOf(ledger, upload).quorum, 3, "quorum");
    }

    function test_all_partners_vote_on_a_report() public {
        campaign = _withEvaluators(Mode.Reported, 0);
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        assertEq(ledger.ballotRecord(upload).electorate, 0xF, "electorate");
    }

    function test_a_partner_that_did_not_enrol_has_no_vote() public {
        campaign = _open(Mode.Holdout, 1, 0);
        for (uint256 i = 0; i < 3; i++) {
            _enrol(campaign, i, true);
        }
        _closeEnrolment(campaign);
        _requestFetch(campaign, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        assertEq(views.ballotOf(ledger, ballot).quorum, 2, "quorum of three");
        assertVoteRefused(partners[3], ballot, _noVote(partners[3]));
    }

    function test_members_outside_the_campaign_have_no_vote() public {
        _requestFetch(campaign, 1);
        assertVoteRefused(bystander, fetch, _noVote(bystander));
    }

    function test_who_was_removed_has_no_vote() public {
        _requestFetch(campaign, 1);
        _removeMember(partners[2]);
        assertVoteRefused(partners[2], fetch, _notAMember(partners[2]));
    }

    // ---------------------------------------------------------------- refusals

    function test_nobody_votes_twice() public {
        _requestFetch(campaign, 1);
        _vote(fetch, partners[1], true);
        assertVoteRefused(partners[1], fetch, _alreadyVoted(partners[1]));
    }

    function test_a_no_cannot_be_changed_into_a_yes() public {
        _requestFetch(campaign, 1);
        _vote(fetch, partners[1], false);
        assertVoteRefused(partners[1], fetch, _alreadyVoted(partners[1]));
    }

    function test_the_requesters_request_is_its_vote() public {
        _requestFetch(campaign, 1);
        assertVoteRefused(partners[0], fetch, _alreadyVoted(partners[0]));
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.castVote, (fetch, KEY, false, _silence())),
            _alreadyVoted(partners[0])
        );
    }

    function test_a_vote_after_the_verdict_is_refused_by_name() public {
        _bring(campaign, 1, SlotState.FetchGranted);
        assertVoteRefused(partners[3], fetch, _ballotClosed(fetch));
        _reportOpened(campaign, 1);
        assertVoteRefused(partners[3], fetch, _ballotClosed(fetch));
    }

    function test_a_vote_is_in_time_in_the_second_of_the_deadline() public {
        _requestFetch(campaign, 1);
        vm.warp(block.timestamp + 300);
        _vote(fetch, partners[1], true);
        assertBallot(fetch, BallotState.Open, 2, 0);
    }

    function test_a_vote_after_the_deadline_is_refused_though_nobody_closed() public {
        _requestFetch(campaign, 1);
        _vote(fetch, partners[1], true);
        uint256 deadline = block.timestamp + 300;
        vm.warp(deadline + 1);
        assertVoteRefused(partners[2], fetch, _late(deadline));
        assertBallot(fetch, BallotState.Rejected, 2, 0);
    }

    function test_silence_is_no() public {
        _requestFetch(campaign, 1);
        vm.warp(block.timestamp + 301);
        vm.prank(partners[3]);
        ledger.closeExpired(campaign);
        assertBallot(fetch, BallotState.Rejected, 1, 0);
        assertSkipped(campaign, 1, SkipReason.DeadlinePassed);
    }

    function test_a_ballot_that_was_never_opened_takes_no_vote() public {
        assertVoteRefused(partners[1], fetch, _noBallot(fetch));
        _requestFetch(campaign, 1);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        assertVoteRefused(partners[1], upload, _noBallot(upload));
    }

    /// @dev Names that differ from an open ballot's in one part each, and one with a kind there is not.
    function test_a_ballot_of_another_name_is_another_ballot() public {
        _requestFetch(campaign, 1);
        uint256 id = BallotId.unwrap(fetch);
        uint256[9] memory names = [
            id ^ 1,
            id | 0xFF,
            id + (1 << 8),
            id ^ (1 << 47),
            id + (1 << 48),
            id + (1 << 80),
            id + (1 << 96),
            0,
            type(uint256).max
        ];
        for (uint256 i = 0; i < names.length; i++) {
            BallotId name = BallotId.wrap(names[i]);
            assertVoteRefused(partners[1], name, _noBallot(name));
            assertState(name, BallotState.None);
        }
    }

    function test_a_vote_on_a_slot_that_is_over_is_refused() public {
        _requestFetch(campaign, 1);
        _vote(fetch, partners[1], false);
        _expire(campaign);
        assertVoteRefused(partners[2], fetch, _wrongSlot(campaign, 1, 2));
        assertBallot(fetch, BallotState.Rejected, 1, 1);
    }

    function test_a_vote_in_a_former_attempt_is_refused() public {
        _bring(campaign, 1, SlotState.Accepted);
        _requestFetch(campaign, 2);
        BallotId former = _ballot(campaign, 2, BallotKind.Fetch);
        _decide(_requestRestore(campaign, partners[0], 0), true);
        assertVoteRefused(partners[2], former, _wrongAttempt(1, 2));
        assertState(former, BallotState.Rejected);
    }

    function test_a_vote_on_a_slot_of_an_ended_campaign_is_refused() public {
        _complete(campaign);
        assertVoteRefused(
            partners[3], fetch, _wrongCampaignState(CampaignState.Completed, CampaignState.Running)
        );
    }

    /// @dev By transaction and by signature.
    function test_a_vote_on_a_slot_about_something_else_is_refused() public {
        _bring(campaign, 1, SlotState.FetchRequested);
        _assertAbout(fetch, KEY);
        _decide(fetch, true);
        _reportOpened(campaign, 1);
        bytes32 candidate = _digestOf(_candidate(campaign, 1));
        _requestUpload(campaign, 1);
        _assertAbout(_ballot(campaign, 1, BallotKind.Upload), candidate);
    }

    function test_a_vote_of_a_campaign_about_something_else_is_refused() public {
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Accepted);
        bytes32 head = ledger.slotRecord(campaign, 2).candidateDigest;
        bytes32 ancestor = ledger.slotRecord(campaign, 1).candidateDigest;
        BallotId back = _requestRestore(campaign, partners[0], 1);
        _assertAbout(back, keccak256(abi.encode(head, ancestor)));
        BallotId genesis = _requestRestore(campaign, partners[1], 0);
        _assertAbout(genesis, keccak256(abi.encode(head, bytes32(0))));
        EnrolmentRecord memory join = EnrolmentRecord(77, true, keccak256("joiner"));
        _assertAbout(_requestJoin(campaign, bystander, true), keccak256(abi.encode(join)));
    }

    function test_a_vote_on_a_final_fetch_about_something_else_is_refused() public {
        _complete(campaign);
        _assertAbout(_requestFinal(campaign, partners[0]), KEY);
    }

    function test_a_vote_of_the_consortium_about_something_else_is_refused() public {
        Applicant memory applicant = Applicant(_account(7), _name(7));
        _assertAbout(_proposeAdmission(partners[0], 7), keccak256(abi.encode(applicant)));
        _assertAbout(
            _proposeRemoval(partners[0], partners[3]), bytes32(uint256(uint160(partners[3])))
        );
    }

    function test_a_report_is_voted_on_without_ciphertext_and_capsule() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        assertEq(ledger.subjectOf(upload), _digestOf(_report(campaign, 1)), "subject");
        bytes32 whole = _digestOf(_candidate(campaign, 1));
        _assertRefusedAbout(partners[1], upload, whole, _wrongSubject(upload, whole));
    }

    /// @dev A vote for another subject is told first that there is nothing to vote on.
    function test_where_nothing_is_asked_the_subject_does_not_matter() public {
        _assertRefusedAbout(partners[1], fetch, KEY, _noBallot(fetch));
        _bring(campaign, 1, SlotState.Accepted);
        _assertRefusedAbout(partners[1], fetch, 0, _wrongSlot(campaign, 1, 2));
    }

    /// @dev An AUC above one, and each of the 64 bits above the last field.
    function test_evidence_that_is_none_is_refused() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        Evidence[5] memory bad = [
            Evidence.wrap(1e9 + 1),
            Evidence.wrap((1e9 + 1) << 32),
            Evidence.wrap(1 << 192),
            Evidence.wrap(1 << 255),
            Evidence.wrap(type(uint256).max)
        ];
        for (uint256 i = 0; i < bad.length; i++) {
            assertRefused(
                partners[1],
                abi.encodeCall(ICDistriM.castVote, (upload, _subjectOf(upload), true, bad[i])),
                _badEvidence(bad[i])
            );
        }
    }

    function test_evidence_at_its_bounds_is_taken() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        uint256 most = uint256(1e9) | uint256(1e9) << 32 | (type(uint256).max >> 128) << 64;
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        bytes32 subject = ledger.subjectOf(upload);
        vm.prank(partners[1]);
        ledger.castVote(upload, subject, true, Evidence.wrap(most));
        assertBallot(upload, BallotState.Open, 2, 0);
    }

    // ------------------------------------------------------------------- keeping

    function test_a_vote_is_kept_with_its_voter_and_told_with_its_evidence() public {
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId upload = _ballot(campaign, 1, BallotKind.Upload);
        vm.recordLogs();
        _vote(upload, partners[2], false);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1, "events");
        assertEq(logs[0].topics[1], bytes32(BallotId.unwrap(upload)), "ballot");
        assertEq(logs[0].topics[2], bytes32(uint256(uint160(partners[2]))), "voter");
        assertEq(keccak256(logs[0].data), keccak256(abi.encode(false, _evidence())), "vote");
        Box memory box = ledger.ballotRecord(upload);
        assertEq(box.approvals, 1, "the trainer's yes");
        assertEq(box.refusals, 1 << 2, "the no");
    }

    function test_the_last_place_of_fifty_votes_like_the_first() public {
        _found(49);
        partners.push(bystander);
        campaign = _running(Mode.Holdout);
        _requestFetch(campaign, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        for (uint256 i = 0; i < 25; i++) {
            assertState(campaign, 1, SlotState.FetchRequested);
            _vote(ballot, partners[49 - i], true);
        }
        assertState(campaign, 1, SlotState.FetchGranted);
        assertEq(views.ballotOf(ledger, ballot).electorate.length, 50, "voters");
        assertTrue(ledger.ballotRecord(ballot).approvals >> 49 == 1, "the last one's yes");
    }

    // ------------------------------------------------------------------ pieces

    function _assertAbout(BallotId ballot, bytes32 subject) private {
        assertEq(ledger.subjectOf(ballot), subject, "subject");
        assertEq(views.ballotOf(ledger, ballot).subject, subject, "subject in the view");
        bytes32[4] memory others =
            [bytes32(0), ~subject, bytes32(uint256(subject) ^ 1), bytes32(uint256(subject) + 256)];
        for (uint256 i = 0; i < others.length; i++) {
            bytes memory refusal = _wrongSubject(ballot, others[i]);
            _assertRefusedAbout(partners[1], ballot, others[i], refusal);
            _assertRefusedAbout(bystander, ballot, others[i], refusal); // before its right to vote
        }
    }

    /// @dev By transaction, and by a signature that names the same.
    function _assertRefusedAbout(
        address voter,
        BallotId ballot,
        bytes32 subject,
        bytes memory refusal
    ) private {
        bytes memory call = abi.encodeCall(ICDistriM.castVote, (ballot, subject, true, _silence()));
        assertRefused(voter, call, refusal);
        SignedVote[] memory votes = new SignedVote[](1);
        votes[0] = SignedVote(true, _silence(), uint64(block.timestamp), 0, 0);
        _sign(ballot, subject, 1, votes[0]);
        call = abi.encodeCall(ICDistriM.castVotes, (ballot, subject, votes));
        assertRefused(voter, call, refusal);
    }

    function _withEvaluators(Mode mode, uint8 quorum) private returns (uint256 number) {
        number = _open(mode, 1, quorum);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(number, i, i >= 2);
        }
    }
}
