// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Ballots} from "./base/Ballots.sol";

/// @dev Runs of the protocol that go wrong without one of its rules, on paper or in code that was tried:
/// tokens, deadlines, quorums, records. Each test says what would happen without the rule. Those about
/// who belongs to it are in Counterexamples.Members.t.sol, those about restores in
/// Counterexamples.Restores.t.sol. Of four partners three are a quorum.
contract CounterexamplesTest is Ballots {
    // ------------------------------------------------------------------ tokens

    /// The token of a skipped slot would open the head while the next partner trains on it, and its
    /// holder would carry on as if it were its turn.
    function test_a_fetch_token_does_not_outlive_a_skip() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.FetchGranted);
        _expire(campaign);
        assertSkipped(campaign, 1, SkipReason.DeadlinePassed);
        assertRefused(partners[0], _openedCall(campaign, 1, 1), _wrongSlot(campaign, 1, 2));
    }

    /// A model that was granted, but came too late, would become the head in the middle of the next
    /// partner's slot, whose candidate then has another parent than the head.
    function test_an_upload_token_does_not_outlive_a_skip() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        _expire(campaign);
        assertRefused(partners[0], _confirmCall(campaign, 1, 1), _wrongSlot(campaign, 1, 2));
        assertEq(_head(campaign), 0, "head");
    }

    /// After a restore the token would open the head that was just found to be unusable.
    function test_a_fetch_token_does_not_outlive_a_restart() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.FetchGranted);
        _restore(campaign, 0);
        assertRefused(partners[1], _openedCall(campaign, 2, 1), _wrongAttempt(1, 2));
        bytes memory refusal = _wrongState(SlotState.Waiting, SlotState.FetchGranted);
        assertRefused(partners[1], _openedCall(campaign, 2, 2), refusal);
    }

    /// A model trained on the head before the restore would be uploaded behind the restored one.
    function test_an_upload_token_does_not_outlive_a_restart() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.UploadGranted);
        _restore(campaign, 0);
        assertRefused(partners[1], _confirmCall(campaign, 2, 1), _wrongAttempt(1, 2));
        bytes memory refusal = _wrongState(SlotState.Waiting, SlotState.UploadGranted);
        assertRefused(partners[1], _confirmCall(campaign, 2, 2), refusal);
    }

    /// A token that is valid until somebody closes the slot is valid as long as its holder bribes, or
    /// outruns, whoever would close it.
    function test_a_token_ends_with_its_deadline_and_not_with_the_closing() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.FetchGranted);
        uint64 deadline = _slot(campaign, 1).deadline;
        vm.warp(deadline + 1);
        assertRefused(partners[0], _openedCall(campaign, 1, 1), _late(deadline));
        vm.warp(deadline);
        _openAndRequest(campaign);
        deadline = _slot(campaign, 1).deadline;
        vm.warp(deadline + 1);
        assertRefused(partners[0], _confirmCall(campaign, 1, 1), _late(deadline));
        vm.warp(deadline);
        _confirmUpload(campaign, 1);
        assertEq(_head(campaign), 1, "head");
    }

    /// Others would open the head in the name of its grantee, or one grant would be used again and again.
    function test_a_token_is_for_its_grantee_and_for_once() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.FetchGranted);
        assertRefused(partners[1], _openedCall(campaign, 1, 1), _notYourTurn(campaign));
        _reportOpened(campaign, 1);
        bytes memory refusal = _wrongState(SlotState.Training, SlotState.FetchGranted);
        assertRefused(partners[0], _openedCall(campaign, 1, 1), refusal);
        _requestUpload(campaign, 1);
        _decide(campaign, 1, BallotKind.Upload, true);
        assertRefused(partners[1], _confirmCall(campaign, 1, 1), _notYourTurn(campaign));
        _confirmUpload(campaign, 1);
        assertRefused(partners[0], _confirmCall(campaign, 1, 1), _wrongSlot(campaign, 1, 2));
    }

    // ---------------------------------------------------------- bait and switch

    /// The partners would vote on one model and get another.
    function test_what_is_confirmed_is_what_was_voted_on() public {
        uint256 campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        for (uint256 i = 0; i < 3; i++) {
            Candidate memory other = _candidate(campaign, 1);
            if (i == 0) other.weightsHash = keccak256("other weights");
            if (i == 1) other.parent = 1;
            if (i == 2) other.evidence = _silence();
            bytes memory call = abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, 1, other));
            (other.ciphertextHash, other.capsuleHash) = (0, 0);
            bytes32 asked = _digestOf(_report(campaign, 1));
            assertRefused(
                partners[0],
                call,
                abi.encodeWithSelector(
                    ICDistriMErrors.RecordMismatch.selector, asked, _digestOf(other)
                )
            );
        }
    }

    /// In holdout mode the trainer has no say any more once its record is fixed, so that it can neither
    /// change it nor, by a crash, lose it.
    function test_the_quorum_itself_accepts_the_record() public {
        uint256 campaign = _running(Mode.Holdout);
        Candidate memory candidate = _candidate(campaign, 1);
        _bring(campaign, 1, SlotState.UploadRequested);
        bytes memory again = abi.encodeCall(ICDistriM.requestUpload, (campaign, 1, 1, candidate));
        bytes memory refusal = _wrongState(SlotState.UploadRequested, SlotState.Training);
        assertRefused(partners[0], again, refusal);
        _decide(campaign, 1, BallotKind.Upload, true);
        SlotRecord memory s = _slot(campaign, 1);
        assertState(campaign, 1, SlotState.Accepted);
        assertEq(s.ciphertextHash, candidate.ciphertextHash, "ciphertext");
        assertEq(s.weightsHash, candidate.weightsHash, "weights");
        assertEq(s.capsuleHash, candidate.capsuleHash, "capsule");
    }

    /// Votes for the record of one attempt would count for that of the next.
    function test_votes_of_an_attempt_do_not_count_in_the_next() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.UploadRequested);
        BallotId first = _ballot(campaign, 1, BallotKind.Upload);
        _vote(first, partners[1], true);
        _removeFrom(campaign, partners[3]);
        _requestUpload(campaign, 1);
        BallotId second = _ballot(campaign, 1, BallotKind.Upload);
        assertEq(ledger.ballotRecord(second).approvals, 1, "approvals: its owner's only");
        assertRefused(partners[2], _voteCall(first), _wrongAttempt(1, 2));
    }

    // --------------------------------------------------------------- deadlines

    /// Until somebody closed it, a ballot that is over could still be decided, and whoever closes it
    /// would decide which.
    function test_a_vote_after_the_deadline_is_refused_though_nobody_closed_the_ballot() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.FetchRequested);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        _vote(ballot, partners[1], true);
        uint64 deadline = _slot(campaign, 1).deadline;
        vm.warp(deadline + 1);
        assertState(ballot, BallotState.Rejected);
        assertRefused(partners[2], _voteCall(ballot), _late(deadline));
        SignedVote[] memory votes = new SignedVote[](1);
        votes[0] = _signed(ballot, 2, true, _silence(), deadline + 100);
        bytes memory handIn =
            abi.encodeCall(ICDistriM.castVotes, (ballot, _subjectOf(ballot), votes));
        assertRefused(partners[0], handIn, _late(deadline));
        vm.warp(deadline);
        _vote(ballot, partners[2], true);
        assertState(campaign, 1, SlotState.FetchGranted);
    }

    /// The same of ballots that have a deadline of their own.
    function test_a_late_vote_on_a_ballot_of_no_slot_is_refused() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        BallotId[3] memory each = [
            _requestRestore(campaign, partners[2], 0),
            _requestJoin(campaign, bystander),
            _proposeAdmission(partners[1], 9)
        ];
        for (uint256 i = 0; i < 3; i++) {
            uint64 deadline = ledger.ballotRecord(each[i]).deadline;
            vm.warp(deadline + 1);
            assertState(each[i], BallotState.Rejected);
            assertRefused(partners[3], _voteCall(each[i]), _late(deadline));
        }
    }

    /// A partner that was turned down would block the others by asking again and again.
    function test_whoever_was_refused_waits_for_its_next_cycle() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _requestFetch(campaign, 1);
        _decide(campaign, 1, BallotKind.Fetch, false);
        assertSkipped(campaign, 1, SkipReason.FetchRefused);
        _bring(campaign, 2, SlotState.Skipped);
        assertSkipped(campaign, 2, SkipReason.Degraded);
        for (uint32 slot = 1; slot <= 2; slot++) {
            bytes memory again = abi.encodeCall(ICDistriM.requestFetch, (campaign, slot, 1, KEY));
            assertRefused(partners[slot - 1], again, _wrongSlot(campaign, slot, 3));
        }
        _bring(campaign, 3, SlotState.Accepted);
        _bring(campaign, 4, SlotState.Accepted);
        for (uint32 slot = 5; slot <= 6; slot++) {
            assertEq(_owner(campaign, slot), partners[slot - 5], "owner in the second cycle");
            _bring(campaign, slot, SlotState.Accepted);
        }
        assertEq(_head(campaign), 6, "head");
    }

    // ------------------------------------------------------------------ quorum

    /// With less than a strict majority two halves could decide against each other, and a minority that
    /// colludes could read every model, or keep everybody else from training.
    function test_a_colluding_minority_can_neither_pass_nor_block() public {
        for (uint256 n = 2; n <= 7; n++) {
            _found(n);
            uint256 colluders = n - (n / 2 + 1);
            uint256 campaign = _running(Mode.Holdout);
            // An honest request: the last ones of the order refuse, and can't reject it.
            _requestFetch(campaign, 1);
            BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
            for (uint256 i = 0; i < colluders; i++) {
                _vote(ballot, partners[n - 1 - i], false);
                assertState(ballot, BallotState.Open);
            }
            _decide(ballot, true);
            assertState(campaign, 1, SlotState.FetchGranted);
            _expire(campaign);
            if (colluders == 0) continue;
            // A request of one of theirs: all of them agree, and it is over at its deadline.
            _requestFetch(campaign, 2);
            ballot = _ballot(campaign, 2, BallotKind.Fetch);
            for (uint256 i = 1; i < colluders; i++) {
                _vote(ballot, partners[1 + i], true);
            }
            assertState(ballot, BallotState.Open);
            _expire(campaign);
            assertState(ballot, BallotState.Rejected);
            assertSkipped(campaign, 2, SkipReason.DeadlinePassed);
        }
    }

    /// Two partners decide only together; either can hold the other up, but never beyond a deadline.
    function test_of_two_partners_either_blocks_until_the_deadline() public {
        _found(2);
        uint256 campaign = _running(Mode.Holdout, 2);
        _requestFetch(campaign, 1);
        assertState(_ballot(campaign, 1, BallotKind.Fetch), BallotState.Open);
        _vote(_ballot(campaign, 1, BallotKind.Fetch), partners[1], false);
        assertSkipped(campaign, 1, SkipReason.FetchRefused);
        _requestFetch(campaign, 2);
        _expire(campaign);
        assertSkipped(campaign, 2, SkipReason.DeadlinePassed);
        _bring(campaign, 3, SlotState.Accepted);
        _bring(campaign, 4, SlotState.Skipped);
        assertState(campaign, CampaignState.Completed);
    }

    /// One of two would put the other out and be left alone with the consortium.
    function test_the_last_two_members_can_not_remove_each_other() public {
        _found(2);
        _removeMember(bystander);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeRemoval, (partners[1])),
            abi.encodeWithSelector(ICDistriMErrors.BadMembers.selector, 1)
        );
    }

    /// A spec that asks for more than a majority would be overruled by it; one that asks for less would
    /// let a minority decide.
    function test_a_spec_asks_for_more_votes_and_never_for_less() public {
        for (uint8 asked = 1; asked <= 4; asked++) {
            uint256 campaign = _open(Mode.Holdout, 1, asked);
            for (uint256 i = 0; i < 4; i++) {
                _enrol(campaign, i, true);
            }
            _requestFetch(campaign, 1);
            BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
            _vote(ballot, partners[1], true);
            assertState(ballot, BallotState.Open);
            _vote(ballot, partners[2], true);
            assertState(ballot, asked == 4 ? BallotState.Open : BallotState.Passed);
            if (asked < 4) continue;
            _vote(ballot, partners[3], false); // one no is enough against all four
            assertSkipped(campaign, 1, SkipReason.FetchRefused);
        }
    }

    /// If all had to agree and one left, nothing could ever be decided again.
    function test_a_quorum_of_all_shrinks_with_the_voters() public {
        uint256 campaign = _open(Mode.Holdout, 1, 4);
        for (uint256 i = 0; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _removeFrom(campaign, partners[3]);
        _requestFetch(campaign, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        _vote(ballot, partners[1], true);
        assertState(ballot, BallotState.Open);
        _vote(ballot, partners[2], true);
        assertState(ballot, BallotState.Passed);
    }

    // ------------------------------------------------------------------ replay

    /// A signature is public once it was handed in. If it did not say for what it was given, it would be
    /// a vote for everything that comes after.
    function test_a_signed_vote_counts_nowhere_else() public {
        uint256 campaign = _running(Mode.Holdout);
        uint256 other = _running(Mode.Holdout);
        _requestFetch(campaign, 1);
        _requestFetch(other, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        SignedVote[] memory votes = new SignedVote[](1);
        votes[0] = _signed(ballot, 1, true, _silence(), uint64(block.timestamp + 10_000));
        assertReplayRefused(_ballot(other, 1, BallotKind.Fetch), votes); // another campaign

        vm.chainId(4242);
        assertReplayRefused(ballot, votes); // another chain
        vm.chainId(31_337);

        ICDistriM first = ledger;
        ledger = _deploy(_founders(5)); // another contract of the same members
        partners = [_account(0), _account(1), _account(2), _account(3)];
        for (uint256 i = 0; i < 4; i++) {
            vm.prank(partners[i]);
            ledger.publishKey(abi.encodePacked("public key ", vm.toString(i + 1)));
        }
        assertEq(_running(Mode.Holdout), campaign, "the same number");
        _requestFetch(campaign, 1);
        assertReplayRefused(ballot, votes);
        ledger = first;

        _removeFrom(campaign, partners[3]); // another attempt
        _requestFetch(campaign, 1);
        assertReplayRefused(_ballot(campaign, 1, BallotKind.Fetch), votes);
        bytes memory late = abi.encodeCall(ICDistriM.castVotes, (ballot, _subjectOf(ballot), votes));
        assertRefused(partners[0], late, _wrongAttempt(1, 2));
    }

    /// Handing the same vote in twice, or after its voter's own, would count it twice.
    function test_a_signed_vote_counts_once() public {
        uint256 campaign = _running(Mode.Holdout);
        _requestFetch(campaign, 1);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        SignedVote[] memory votes = new SignedVote[](3);
        for (uint256 i = 0; i < 3; i++) {
            votes[i] = _signed(ballot, 1, true, _silence(), uint64(block.timestamp + 100));
        }
        bytes32 subject = _subjectOf(ballot);
        vm.prank(bystander);
        ledger.castVotes(ballot, subject, votes);
        assertState(ballot, BallotState.Open);
        assertEq(ledger.ballotRecord(ballot).approvals, 3, "approvals of seats 0 and 1");
    }

    // ---------------------------------------------------------- reorganisation

    /// A reorganisation may take a request back after its votes are public. Its owner would ask for another
    /// candidate under the name of the same ballot, and the votes for the first, still valid, accept it.
    function test_votes_for_a_candidate_do_not_accept_another_after_a_reorganisation() public {
        for (uint8 mode = 0; mode <= uint8(Mode.Reported); mode++) {
            _found(4);
            uint256 campaign = _running(Mode(mode));
            _bring(campaign, 1, SlotState.Training);
            uint256 fork = vm.snapshotState();
            bool reported = Mode(mode) == Mode.Reported;
            Candidate memory first = reported ? _report(campaign, 1) : _candidate(campaign, 1);
            _ask(campaign, first);
            BallotId ballot = _ballot(campaign, 1, BallotKind.Upload);
            bytes32 asked = _digestOf(first);
            SignedVote[] memory votes = _twoYes(ballot);

            for (uint256 i = 0; i < 4; i++) {
                assertTrue(vm.revertToState(fork), "reorganised");
                Candidate memory other = reported ? _report(campaign, 1) : _candidate(campaign, 1);
                if (i == 0) other.weightsHash = keccak256("other weights");
                if (i == 1) other.evidence = _silence();
                if (i == 2 && !reported) other.ciphertextHash = keccak256("other ciphertext");
                if (i == 3 && !reported) other.capsuleHash = keccak256("other capsule");
                if (_digestOf(other) == asked) continue;
                _ask(campaign, other);
                assertTrue(
                    BallotId.unwrap(_ballot(campaign, 1, BallotKind.Upload))
                        == BallotId.unwrap(ballot),
                    "the same name"
                );
                assertSwapRefused(ballot, asked, votes);
                assertState(campaign, 1, SlotState.UploadRequested);
            }

            // Where the same candidate is asked for again, nothing is lost.
            assertTrue(vm.revertToState(fork), "reorganised");
            _ask(campaign, first);
            vm.prank(bystander);
            ledger.castVotes(ballot, asked, votes);
            assertState(ballot, BallotState.Passed);
        }
    }

    // ------------------------------------------------------------------ pieces

    function _ask(uint256 campaign, Candidate memory candidate) private {
        vm.prank(partners[0]);
        ledger.requestUpload(campaign, 1, 1, candidate);
    }

    function _openAndRequest(uint256 campaign) private {
        _reportOpened(campaign, 1);
        _requestUpload(campaign, 1);
        _decide(campaign, 1, BallotKind.Upload, true);
    }

    function _notYourTurn(uint256 campaign) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            ICDistriMErrors.NotYourTurn.selector, campaign, uint32(1), partners[0], partners[1]
        );
    }

    function assertReplayRefused(BallotId ballot, SignedVote[] memory votes) private {
        assertRefusedBy(
            partners[2],
            abi.encodeCall(ICDistriM.castVotes, (ballot, _subjectOf(ballot), votes)),
            ICDistriMErrors.NoVote.selector
        );
    }
}
