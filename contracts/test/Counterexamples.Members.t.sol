// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Ballots} from "./base/Ballots.sol";

/// @dev What goes wrong when members leave and come, without one of the rules.
contract MemberCounterexamplesTest is Ballots {
    // ------------------------------------------------------ removed in a ballot

    /// The removed partner's yes would let a minority of those who are left open the head.
    function test_a_removal_in_a_fetch_ballot_starts_it_over() public {
        uint256 campaign = _running(Mode.Holdout);
        _requestFetch(campaign, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        _vote(ballot, partners[3], true);
        _removeMember(partners[3]);
        assertState(ballot, BallotState.Rejected);
        assertPending(campaign, ballot, partners[3]);
        _applyRemovals(campaign);
        assertState(campaign, 1, SlotState.Waiting);
        assertEq(_attempt(campaign, 1), 2, "attempt");
        _requestFetch(campaign, 1);
        ballot = _ballot(campaign, 1, BallotKind.Fetch);
        assertEq(ledger.ballotRecord(ballot).electorate, 7, "electorate");
        assertEq(ledger.ballotRecord(ballot).approvals, 1, "approvals");
    }

    /// The same on a candidate; its owner has the head open and need not ask for it again.
    function test_a_removal_in_an_upload_ballot_starts_it_over() public {
        for (uint8 mode = 0; mode <= uint8(Mode.Reported); mode++) {
            _found(4);
            uint256 campaign = _running(Mode(mode));
            _bring(campaign, 1, SlotState.UploadRequested);
            BallotId ballot = _ballot(campaign, 1, BallotKind.Upload);
            _vote(ballot, partners[3], true);
            _removeMember(partners[3]);
            assertPending(campaign, ballot, partners[3]);
            _applyRemovals(campaign);
            assertState(campaign, 1, SlotState.Training);
            assertEq(_attempt(campaign, 1), 2, "attempt");
            _requestUpload(campaign, 1);
            ballot = _ballot(campaign, 1, BallotKind.Upload);
            assertEq(ledger.ballotRecord(ballot).electorate, 7, "electorate");
            _decide(ballot, true);
            if (Mode(mode) == Mode.Reported) _confirmUpload(campaign, 1);
            assertEq(_head(campaign), 1, "head");
        }
    }

    /// The shares of its key would go to a partner who has left, and the grant was one of its voters.
    function test_a_removal_before_the_confirmation_takes_the_grant_back() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        _removeFrom(campaign, partners[3]);
        assertState(campaign, 1, SlotState.Training);
        assertRefused(partners[0], _confirmCall(campaign, 1, 1), _wrongAttempt(1, 2));
        _requestUpload(campaign, 1);
        _decide(campaign, 1, BallotKind.Upload, true);
        _confirmUpload(campaign, 1);
        assertEq(_head(campaign), 1, "head");
    }

    /// Where no ballot is open nothing has to start over: else a removal would throw away a training.
    function test_a_removal_outside_of_ballots_restarts_nothing() public {
        SlotState[3] memory states = [SlotState.Waiting, SlotState.FetchGranted, SlotState.Training];
        for (uint256 i = 0; i < 3; i++) {
            _found(4);
            uint256 campaign = _running(Mode.Holdout);
            _bring(campaign, 1, states[i]);
            uint64 deadline = _slot(campaign, 1).deadline;
            _removeFrom(campaign, partners[3]);
            assertState(campaign, 1, states[i]);
            assertEq(_attempt(campaign, 1), 1, "attempt");
            assertEq(_slot(campaign, 1).deadline, deadline, "deadline");
        }
    }

    /// The campaign would wait for somebody who may not act any more.
    function test_the_slot_of_a_removed_owner_is_skipped_in_every_open_state() public {
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            _found(4);
            uint256 campaign = _running(Mode.Reported);
            _bring(campaign, 1, SlotState.Accepted);
            _bring(campaign, 2, SlotState(state));
            _removeFrom(campaign, partners[1]);
            assertSkipped(campaign, 2, SkipReason.OwnerRemoved);
            assertState(campaign, 3, SlotState.Waiting);
            assertEq(_owner(campaign, 3), partners[2], "owner");
            assertEq(_head(campaign), 1, "head");
            _bring(campaign, 3, SlotState.Accepted);
        }
    }

    /// Between its removal and applyRemovals it would still have a vote, a token, or a turn.
    function test_a_removed_member_changes_nothing() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.FetchGranted);
        SignedVote[] memory votes = new SignedVote[](1);
        BallotId admission = _proposeAdmission(partners[1], 9);
        votes[0] = _signed(admission, 0, true, _silence(), uint64(block.timestamp + 100));
        _removeMember(partners[0]);
        bytes memory refusal =
            abi.encodeWithSelector(ICDistriMErrors.NotAMember.selector, partners[0]);
        assertRefused(partners[0], _openedCall(campaign, 1, 1), refusal);
        assertRefused(partners[0], abi.encodeCall(ICDistriM.applyRemovals, (campaign)), refusal);
        assertRefused(partners[0], abi.encodeCall(ICDistriM.proposeRemoval, (partners[1])), refusal);
        bytes memory handIn =
            abi.encodeCall(ICDistriM.castVotes, (admission, _subjectOf(admission), votes));
        assertRefusedBy(partners[1], handIn, ICDistriMErrors.BallotVoid.selector);
        admission = _proposeAdmission(partners[1], 9);
        votes[0] = _signed(admission, 0, true, _silence(), uint64(block.timestamp + 100));
        handIn = abi.encodeCall(ICDistriM.castVotes, (admission, _subjectOf(admission), votes));
        assertRefusedBy(partners[1], handIn, ICDistriMErrors.NoVote.selector);
    }

    /// It would take the final model along.
    function test_a_removed_member_can_not_redeem_a_final_token() public {
        uint256 campaign = _running(Mode.Holdout);
        _complete(campaign);
        _decide(_requestFinalModel(campaign, partners[0]), true);
        _removeMember(partners[0]);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 3, 0, 0)),
            abi.encodeWithSelector(ICDistriMErrors.NotAMember.selector, partners[0])
        );
    }

    // --------------------------------------------------------------- too few

    /// A partner alone would be its own quorum.
    function test_a_campaign_ends_when_fewer_than_two_partners_are_left() public {
        _found(2);
        uint256 campaign = _running(Mode.Reported, 2);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.UploadRequested);
        _removeFrom(campaign, partners[0]);
        assertSkipped(campaign, 2, SkipReason.TooFewPartners);
        assertState(campaign, CampaignState.Completed);
        assertEq(_head(campaign), 1, "head");
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.requestFinalModel, (campaign, KEY)),
            abi.encodeWithSelector(ICDistriMErrors.TooFewPartners.selector, campaign)
        );
    }

    /// A trainer who is the only evaluator left would accept its own models.
    function test_a_campaign_ends_when_fewer_than_two_evaluators_are_left() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, i < 2);
        }
        _bring(campaign, 1, SlotState.UploadRequested);
        _removeFrom(campaign, partners[1]);
        assertSkipped(campaign, 1, SkipReason.TooFewPartners);
        assertState(campaign, CampaignState.Failed);
    }

    /// Evaluators who can't open the head yet can't judge anything either.
    function test_an_evaluator_without_a_head_does_not_keep_a_campaign_going() public {
        uint256 campaign = _open(Mode.Holdout, 2, 0);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, i < 2);
        }
        _bring(campaign, 1, SlotState.Accepted);
        _join(campaign, bystander); // an evaluator
        _removeFrom(campaign, partners[1]);
        assertSkipped(campaign, 2, SkipReason.TooFewPartners);
        assertState(campaign, CampaignState.Completed);
    }

    // ----------------------------------------------------------------- joiners

    /// A joiner would vote on a head that it can't open, for want of a share: blind, or never.
    function test_a_joiner_votes_once_a_candidate_dealt_to_it_was_accepted() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _join(campaign, bystander); // before the slot opens: dealt to it
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Training);
        assertEq(_record(campaign).voters, 15, "voters");
        _requestUpload(campaign, 2);
        assertNoVote(_ballot(campaign, 2, BallotKind.Upload), bystander);
        _decide(campaign, 2, BallotKind.Upload, true);
        assertEq(_record(campaign).voters, 31, "voters");
        _requestFetch(campaign, 3);
        _vote(_ballot(campaign, 3, BallotKind.Fetch), bystander, true);
    }

    /// The candidate may have been sealed before the joiner came. Were it counted as dealt to who is a partner
    /// at the request, the last vote for a joiner could be timed between sealing and request.
    function test_who_joins_in_a_slot_waits_for_the_next_ones_candidate() public {
        for (uint8 mode = 0; mode <= uint8(Mode.Reported); mode++) {
            _found(4);
            uint256 campaign = _running(Mode(mode), 2);
            _bring(campaign, 1, SlotState.Accepted);
            _bring(campaign, 2, SlotState.Training);
            _join(campaign, bystander);
            _requestUpload(campaign, 2);
            _decide(campaign, 2, BallotKind.Upload, true);
            if (Mode(mode) == Mode.Reported) _confirmUpload(campaign, 2);
            assertEq(_record(campaign).voters, 15, "voters");
            _requestFetch(campaign, 3);
            assertNoVote(_ballot(campaign, 3, BallotKind.Fetch), bystander);
            _decide(campaign, 3, BallotKind.Fetch, true);
            _reportOpened(campaign, 3);
            _requestUpload(campaign, 3);
            _decide(campaign, 3, BallotKind.Upload, true);
            if (Mode(mode) == Mode.Reported) _confirmUpload(campaign, 3);
            assertEq(_record(campaign).voters, 31, "voters");
        }
    }

    /// What was dealt with a refused candidate opens nothing.
    function test_a_refused_candidate_makes_no_voters() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Accepted);
        _join(campaign, bystander);
        _bring(campaign, 2, SlotState.Skipped);
        assertEq(_record(campaign).voters, 15, "voters");
        _bring(campaign, 3, SlotState.Accepted);
        assertEq(_record(campaign).voters, 31, "voters");
    }

    /// Genesis is public: a joiner needs no share to judge what comes of it, but not in the slot that was
    /// open when it came, whose ballots may be open.
    function test_on_genesis_a_joiner_votes_from_the_next_slot_on() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _join(campaign, bystander);
        _requestFetch(campaign, 1);
        assertNoVote(_ballot(campaign, 1, BallotKind.Fetch), bystander);
        _decide(campaign, 1, BallotKind.Fetch, false);
        assertEq(_head(campaign), 0, "head");
        _requestFetch(campaign, 2);
        _vote(_ballot(campaign, 2, BallotKind.Fetch), bystander, true);
    }

    /// Slots that are already promised would change owner if a joiner got in between.
    function test_a_joiner_has_the_last_slot_of_this_and_each_later_cycle() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Accepted);
        _join(campaign, bystander);
        for (uint32 slot = 2; slot <= 10; slot++) {
            uint256 place = (slot - 1) % 5;
            address owner = place == 4 ? bystander : partners[place];
            assertEq(_owner(campaign, slot), owner, "owner");
            _bring(campaign, slot, SlotState.Accepted);
        }
        assertState(campaign, CampaignState.Completed);
    }

    /// Otherwise it would have joined for nothing.
    function test_who_joins_in_the_last_slot_has_one_of_its_own() public {
        uint256 campaign = _running(Mode.Holdout);
        for (uint32 slot = 1; slot <= 3; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        _bring(campaign, 4, SlotState.UploadRequested);
        _join(campaign, bystander);
        _decide(campaign, 4, BallotKind.Upload, true);
        assertEq(_owner(campaign, 5), bystander, "owner");
        // It asks for a head that was not dealt to it: its own vote counts, and one more is needed.
        _requestFetch(campaign, 5);
        assertEq(
            ledger.ballotRecord(_ballot(campaign, 5, BallotKind.Fetch)).electorate, 31, "electorate"
        );
    }

    // ------------------------------------------------------------ old electorates

    /// Two of three would admit somebody although two more have come, who were never asked.
    function test_membership_ballots_are_void_once_somebody_was_admitted() public {
        BallotId admission = _proposeAdmission(partners[0], 8);
        BallotId removal = _proposeRemoval(partners[1], bystander);
        _vote(admission, partners[2], true);
        _vote(removal, partners[2], true);
        _admitWithKey(partners[3], 9);
        assertVoid(admission, partners[3]);
        assertVoid(removal, partners[3]);
    }

    /// The votes of who left would count on, and one no of who stays would weigh less.
    function test_membership_ballots_are_void_once_somebody_was_removed() public {
        BallotId admission = _proposeAdmission(partners[0], 8);
        _vote(admission, bystander, true);
        _decide(_proposeRemoval(partners[1], bystander), true);
        assertVoid(admission, partners[3]);
    }

    /// A joiner would be let in by a majority of those who were voters before another one came.
    function test_a_join_ballot_is_void_once_there_are_more_voters() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        address newcomer = _admitWithKey(partners[0], 9);
        _join(campaign, newcomer);
        _bring(campaign, 1, SlotState.Accepted);
        BallotId join = _requestJoin(campaign, bystander);
        _vote(join, partners[0], true);
        _bring(campaign, 2, SlotState.Accepted); // dealt to the first joiner
        assertVoid(join, partners[1]);
    }

    // --------------------------------------------------- ballots that come back

    /// A member who was admitted and removed again leaves the same members as before. A ballot that only
    /// compared who is a member would live again, and admit the removed one once more, on a second seat.
    function test_an_old_admission_does_not_readmit_a_removed_member() public {
        BallotId slow = _proposeAdmission(partners[1], 9);
        _decide(_proposeAdmission(partners[0], 9), true);
        assertState(slow, BallotState.Rejected);
        _removeMember(_account(9));
        assertVoid(slow, partners[2]);
    }

    /// The ledger keeps an opener's latest applicant. If the ballot of an earlier round came back to life,
    /// the votes for one applicant would admit another.
    function test_votes_for_one_applicant_do_not_admit_another() public {
        BallotId first = _proposeAdmission(partners[0], 8);
        _vote(first, partners[1], true); // one more is needed
        address passing = _admitWithKey(partners[2], 7);
        _proposeAdmission(partners[0], 9);
        _removeMember(passing);
        assertVoid(first, partners[2]);
    }

    /// Seats are given in turn: after a reorganisation another newcomer may sit where the one was whose
    /// removal was voted on. Votes name an account and not a seat.
    function test_votes_to_remove_a_member_do_not_remove_another_after_a_reorganisation() public {
        uint256 fork = vm.snapshotState();
        _admit(8);
        BallotId ballot = _proposeRemoval(partners[0], _account(8));
        bytes32 asked = ledger.subjectOf(ballot);
        SignedVote[] memory votes = new SignedVote[](3);
        for (uint256 i = 0; i < votes.length; i++) {
            votes[i] = _signed(ballot, i + 1, true, _silence(), uint64(block.timestamp + 60));
        }
        vm.revertToState(fork);
        _admit(9);
        BallotId again = _proposeRemoval(partners[0], _account(9));
        assertTrue(BallotId.unwrap(again) == BallotId.unwrap(ballot), "the same name");
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.castVotes, (ballot, asked, votes)),
            abi.encodeWithSelector(
                ICDistriMErrors.WrongSubject.selector, asked, ledger.subjectOf(again)
            )
        );
        assertTrue(ledger.memberOf(_account(9)).active, "still a member");
    }

    /// A reorganisation may take a proposal back after its votes are public. Its opener would propose somebody
    /// else in the same round, and the votes for the first applicant, still valid, admit the other.
    function test_votes_for_an_applicant_do_not_admit_another_after_a_reorganisation() public {
        uint256 fork = vm.snapshotState();
        BallotId ballot = _proposeAdmission(partners[0], 8);
        bytes32 asked = keccak256(abi.encode(Applicant(_account(8), _name(8))));
        SignedVote[] memory votes = _twoYes(ballot);

        Applicant[3] memory others = [
            Applicant(_account(9), _name(9)),
            Applicant(_account(9), _name(8)), // another account under the name voted on
            Applicant(_account(8), _name(9))
        ];
        for (uint256 i = 0; i < others.length; i++) {
            assertTrue(vm.revertToState(fork), "reorganised");
            vm.prank(partners[0]);
            assertEq(ledger.proposeAdmission(others[i]), ballot.attemptOf(), "the same round");
            assertSwapRefused(ballot, asked, votes);
            assertTrue(!ledger.memberOf(others[i].account).active, "admitted");
        }

        // Where the same applicant is proposed again, nothing is lost.
        assertTrue(vm.revertToState(fork), "reorganised");
        _proposeAdmission(partners[0], 8);
        vm.prank(bystander);
        ledger.castVotes(ballot, asked, votes);
        assertTrue(ledger.memberOf(_account(8)).active, "admitted");
    }

    /// A member with two open ballots would join twice, and by votes on data that it has replaced since.
    function test_an_old_join_ballot_does_not_come_back_over_a_removal() public {
        uint256 campaign = _running(Mode.Holdout, 3);
        address passing = _admitWithKey(partners[0], 7);
        _join(campaign, passing);
        _bring(campaign, 1, SlotState.Accepted);
        BallotId old = _requestJoin(campaign, bystander);
        _bring(campaign, 2, SlotState.Accepted); // dealt to the first joiner
        assertState(old, BallotState.Rejected);
        BallotId second = _requestJoin(campaign, bystander);
        _removeFrom(campaign, passing);
        assertVoid(second, partners[2]);
        assertVoid(old, partners[2]);
    }

    // ------------------------------------------------------------------ pieces

    /// @dev Until the removal of this one partner is applied, nobody's vote counts.
    function assertPending(uint256 campaign, BallotId ballot, address removed) private {
        uint128 seats = uint128(1) << ledger.memberOf(removed).seat;
        assertRefused(
            partners[1],
            _voteCall(ballot),
            abi.encodeWithSelector(ICDistriMErrors.RemovalsPending.selector, campaign, seats)
        );
    }
}
