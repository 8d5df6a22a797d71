// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";
import {Vm} from "./base/Test.sol";

/// @dev castVote, and what a decided ballot does.
contract BallotTest is Consortium {
    ICDistriM.Step private constant FETCH = ICDistriM.Step.Fetch;
    ICDistriM.Step private constant UPLOAD = ICDistriM.Step.Upload;
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(ICDistriM.Mode.Holdout);
    }

    // ---------------------------------------------------------------- verdicts

    function test_a_fetch_is_granted_with_the_third_yes_of_four() public {
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[1], true);
        assertState(campaign, 1, ICDistriM.SlotState.FetchRequested);
        _vote(campaign, 1, FETCH, partners[2], true);
        assertState(campaign, 1, ICDistriM.SlotState.FetchGranted);
        assertEq(ledger.slotOf(campaign, 1).deadline, block.timestamp + 400, "deadline");
        _assertBallot(FETCH, ICDistriM.BallotState.Passed, 3, 0);
    }

    function test_a_fetch_is_refused_with_the_second_no_of_four() public {
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[1], false);
        assertState(campaign, 1, ICDistriM.SlotState.FetchRequested);
        _vote(campaign, 1, FETCH, partners[2], false);
        assertSkipped(campaign, 1, ICDistriM.SkipReason.FetchRefused);
        _assertBallot(FETCH, ICDistriM.BallotState.Rejected, 1, 2);
        assertEq(ledger.campaignOf(campaign).slot, 2, "next slot");
    }

    function test_one_no_of_two_rejects() public {
        _found(2);
        campaign = _running(ICDistriM.Mode.Holdout);
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[1], false);
        assertSkipped(campaign, 1, ICDistriM.SkipReason.FetchRefused);
    }

    function test_the_spec_may_ask_for_more_than_a_majority() public {
        campaign = _open(ICDistriM.Mode.Holdout, 1, 4);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[1], true);
        _vote(campaign, 1, FETCH, partners[2], true);
        assertState(campaign, 1, ICDistriM.SlotState.FetchRequested);
        _vote(campaign, 1, FETCH, partners[3], true);
        assertState(campaign, 1, ICDistriM.SlotState.FetchGranted);
    }

    function test_the_spec_cannot_ask_for_less_than_a_majority() public {
        campaign = _open(ICDistriM.Mode.Holdout, 1, 1);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _requestFetch(campaign, 1);
        assertEq(ledger.ballotOf(campaign, 1, FIRST, FETCH).quorum, 3, "quorum");
    }

    function test_the_holdout_quorum_accepts_exactly_that_record() public {
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        _vote(campaign, 1, UPLOAD, partners[1], true);
        _vote(campaign, 1, UPLOAD, partners[3], true);
        assertState(campaign, 1, ICDistriM.SlotState.Accepted);
        assertEq(ledger.headOf(campaign), 1, "head");
        bytes32 weights = ledger.modelOf(campaign, 1).weightsHash;
        assertEq(weights, keccak256(abi.encode("weights", uint32(1))), "weights");
        assertEq(ledger.campaignOf(campaign).slot, 2, "next slot");
    }

    function test_a_degraded_candidate_is_restored_and_skipped_in_one_transaction() public {
        _bring(campaign, 1, ICDistriM.SlotState.Accepted);
        _bring(campaign, 2, ICDistriM.SlotState.UploadRequested);
        _vote(campaign, 2, UPLOAD, partners[0], false);
        vm.recordLogs();
        _vote(campaign, 2, UPLOAD, partners[2], false);
        bytes32[5] memory expected = [
            ICDistriM.VoteCast.selector,
            ICDistriM.BallotClosed.selector,
            ICDistriM.HeadRestored.selector,
            ICDistriM.SlotSkipped.selector,
            ICDistriM.SlotOpened.selector
        ];
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, expected.length, "events");
        for (uint256 i = 0; i < expected.length; i++) {
            assertEq(logs[i].topics[0], expected[i], "event");
        }
        (uint32 from, uint32 to, ICDistriM.SkipReason reason) =
            abi.decode(logs[2].data, (uint32, uint32, ICDistriM.SkipReason));
        assertEq(from, 2, "from");
        assertEq(to, 1, "to");
        assertEq(uint8(reason), uint8(ICDistriM.SkipReason.Degraded), "reason");
        assertSkipped(campaign, 2, ICDistriM.SkipReason.Degraded);
        assertEq(ledger.headOf(campaign), 1, "head");
        assertEq(ledger.slotOf(campaign, 2).candidate.name, "hospital-2-2", "the record stays");
    }

    function test_a_reported_quorum_grants_a_token() public {
        campaign = _running(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.UploadGranted);
        assertState(campaign, 1, ICDistriM.SlotState.UploadGranted);
        assertEq(ledger.headOf(campaign), 0, "head");
        assertEq(ledger.slotOf(campaign, 1).deadline, block.timestamp + 700, "deadline");
    }

    function test_a_reported_candidate_can_be_voted_down() public {
        campaign = _running(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.Skipped);
        assertSkipped(campaign, 1, ICDistriM.SkipReason.Degraded);
    }

    // -------------------------------------------------------------- electorate

    function test_the_trainer_and_the_evaluators_vote_on_a_holdout_upload() public {
        campaign = _withEvaluators(ICDistriM.Mode.Holdout);
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        ICDistriM.Ballot memory ballot = ledger.ballotOf(campaign, 1, FIRST, UPLOAD);
        assertEq(ballot.electorate.length, 3, "electorate");
        assertEq(ballot.electorate[0], partners[0], "trainer");
        assertEq(ballot.electorate[1], partners[2], "evaluator");
        assertEq(ballot.electorate[2], partners[3], "evaluator");
        assertEq(ballot.quorum, 2, "quorum of this electorate");
        _assertVoteRefused(
            UPLOAD, partners[1], abi.encodeWithSelector(ICDistriM.NoVote.selector, partners[1])
        );
    }

    function test_a_quorum_asked_for_is_capped_at_the_electorate() public {
        campaign = _open(ICDistriM.Mode.Holdout, 1, 4);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, i >= 2);
        }
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        assertEq(ledger.ballotOf(campaign, 1, FIRST, UPLOAD).quorum, 3, "quorum");
    }

    function test_all_partners_vote_on_a_report() public {
        campaign = _withEvaluators(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        ICDistriM.Ballot memory ballot = ledger.ballotOf(campaign, 1, FIRST, UPLOAD);
        assertEq(ballot.electorate.length, 4, "electorate");
    }

    function test_a_partner_that_did_not_enrol_has_no_vote() public {
        campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        for (uint256 i = 0; i < 3; i++) {
            _enrol(campaign, i, true);
        }
        vm.warp(block.timestamp + 101);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
        _requestFetch(campaign, 1);
        assertEq(ledger.ballotOf(campaign, 1, FIRST, FETCH).quorum, 2, "quorum of three");
        _assertVoteRefused(
            FETCH, partners[3], abi.encodeWithSelector(ICDistriM.NoVote.selector, partners[3])
        );
    }

    function test_members_outside_the_campaign_and_strangers_have_no_vote() public {
        _requestFetch(campaign, 1);
        _assertVoteRefused(
            FETCH, bystander, abi.encodeWithSelector(ICDistriM.NoVote.selector, bystander)
        );
        _assertVoteRefused(
            FETCH, OUTSIDER, abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
        );
    }

    // ---------------------------------------------------------------- refusals

    function test_nobody_votes_twice() public {
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[1], true);
        _assertVoteRefused(
            FETCH, partners[1], abi.encodeWithSelector(ICDistriM.AlreadyVoted.selector, partners[1])
        );
    }

    function test_a_no_cannot_be_changed_into_a_yes() public {
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[1], false);
        _assertVoteRefused(
            FETCH, partners[1], abi.encodeWithSelector(ICDistriM.AlreadyVoted.selector, partners[1])
        );
    }

    function test_the_requesters_request_is_its_vote() public {
        _requestFetch(campaign, 1);
        _assertVoteRefused(
            FETCH, partners[0], abi.encodeWithSelector(ICDistriM.AlreadyVoted.selector, partners[0])
        );
    }

    function test_a_vote_after_the_verdict_is_refused_by_name() public {
        _bring(campaign, 1, ICDistriM.SlotState.FetchGranted);
        _assertVoteRefused(
            FETCH,
            partners[3],
            abi.encodeWithSelector(
                ICDistriM.BallotAlreadyClosed.selector, campaign, 1, FIRST, FETCH
            )
        );
    }

    function test_a_vote_after_the_deadline_is_refused_though_nobody_closed() public {
        _requestFetch(campaign, 1);
        uint256 deadline = block.timestamp + 300;
        vm.warp(deadline);
        _vote(campaign, 1, FETCH, partners[1], true);
        vm.warp(deadline + 1);
        _assertVoteRefused(
            FETCH,
            partners[2],
            abi.encodeWithSelector(ICDistriM.DeadlinePassed.selector, deadline, deadline + 1)
        );
        _assertBallot(FETCH, ICDistriM.BallotState.Rejected, 2, 0);
    }

    function test_silence_is_no() public {
        _requestFetch(campaign, 1);
        vm.warp(block.timestamp + 301);
        vm.prank(partners[3]);
        ledger.closeExpired(campaign);
        _assertBallot(FETCH, ICDistriM.BallotState.Rejected, 1, 0);
        assertSkipped(campaign, 1, ICDistriM.SkipReason.DeadlinePassed);
    }

    function test_a_ballot_that_is_not_open_takes_no_vote() public {
        bytes4 selector = ICDistriM.NoBallot.selector;
        _assertVoteRefused(
            FETCH, partners[1], abi.encodeWithSelector(selector, campaign, 1, FIRST, FETCH)
        );
        _requestFetch(campaign, 1);
        _assertVoteRefused(
            UPLOAD, partners[1], abi.encodeWithSelector(selector, campaign, 1, FIRST, UPLOAD)
        );
    }

    function test_a_vote_names_the_open_slot_and_attempt() public {
        _requestFetch(campaign, 1);
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.castVote, (campaign, 2, FIRST, FETCH, true, _silence())),
            abi.encodeWithSelector(ICDistriM.WrongSlot.selector, campaign, 2, 1)
        );
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.castVote, (campaign, 1, 2, FETCH, true, _silence())),
            abi.encodeWithSelector(ICDistriM.WrongAttempt.selector, 2, 1)
        );
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.castVote, (9, 1, FIRST, FETCH, true, _silence())),
            abi.encodeWithSelector(ICDistriM.NoCampaign.selector, 9)
        );
    }

    function test_a_vote_with_an_auc_above_one_is_refused() public {
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        ICDistriM.Evidence memory evidence = _evidence();
        evidence.aucCandidate = type(uint32).max;
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.castVote, (campaign, 1, FIRST, UPLOAD, true, evidence)),
            abi.encodeWithSelector(ICDistriM.BadEvidence.selector, type(uint32).max)
        );
    }

    // ------------------------------------------------------------------- views

    function test_a_vote_is_kept_with_its_voter() public {
        _requestFetch(campaign, 1);
        _vote(campaign, 1, FETCH, partners[2], false);
        _assertChoice(partners[0], ICDistriM.Choice.Yes);
        _assertChoice(partners[1], ICDistriM.Choice.Silent);
        _assertChoice(partners[2], ICDistriM.Choice.No);
        _assertChoice(OUTSIDER, ICDistriM.Choice.Silent);
        ICDistriM.Ballot memory ballot = ledger.ballotOf(campaign, 1, FIRST, FETCH);
        assertEq(ballot.refusals.length, 1, "refusals");
        assertEq(ballot.refusals[0], partners[2], "refusal");
    }

    function test_the_last_place_of_fifty_votes_like_the_first() public {
        _found(49);
        partners.push(bystander);
        campaign = _running(ICDistriM.Mode.Holdout);
        _requestFetch(campaign, 1);
        for (uint256 i = 0; i < 25; i++) {
            assertState(campaign, 1, ICDistriM.SlotState.FetchRequested);
            _vote(campaign, 1, FETCH, partners[49 - i], true);
        }
        assertState(campaign, 1, ICDistriM.SlotState.FetchGranted);
        assertEq(ledger.ballotOf(campaign, 1, FIRST, FETCH).electorate.length, 50, "voters");
        _assertChoice(partners[49], ICDistriM.Choice.Yes);
    }

    // ------------------------------------------------------------------ pieces

    function _withEvaluators(ICDistriM.Mode mode) private returns (uint256 number) {
        number = _open(mode, 1, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(number, i, i >= 2);
        }
    }

    function _assertVoteRefused(ICDistriM.Step step, address voter, bytes memory refusal) private {
        assertRefused(
            voter,
            abi.encodeCall(ICDistriM.castVote, (campaign, 1, FIRST, step, true, _silence())),
            refusal
        );
    }

    function _assertBallot(
        ICDistriM.Step step,
        ICDistriM.BallotState state,
        uint256 yes,
        uint256 no
    ) private view {
        ICDistriM.Ballot memory ballot = ledger.ballotOf(campaign, 1, FIRST, step);
        assertEq(uint8(ballot.state), uint8(state), "ballot");
        assertEq(ballot.yes, yes, "yes");
        assertEq(ballot.no, no, "no");
    }

    function _assertChoice(address voter, ICDistriM.Choice choice) private view {
        ICDistriM.Choice said = ledger.voteOf(campaign, 1, FIRST, FETCH, voter);
        assertEq(uint8(said), uint8(choice), "choice");
    }
}
