// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Ballots} from "./base/Ballots.sol";

/// @dev What goes wrong with restores, and what they do to everything else, without one of the rules.
contract RestoreCounterexamplesTest is Ballots {
    // ------------------------------------------------------- what voids a ballot

    /// A head that was opened is not unopenable. The ballot would throw away the training of an owner who
    /// opened it while the others still voted.
    function test_opening_the_head_voids_a_restore_ballot() public {
        uint256 campaign = _oneAccepted();
        _bring(campaign, 2, SlotState.FetchGranted);
        BallotId restore = _requestRestore(campaign, partners[2], 0);
        _vote(restore, partners[3], true);
        _reportOpened(campaign, 2);
        assertVoid(restore, partners[0]);
    }

    /// An open head can still be another one than its record says.
    function test_a_restore_ballot_of_later_is_not_voided_by_that() public {
        uint256 campaign = _oneAccepted();
        _bring(campaign, 2, SlotState.Training);
        BallotId restore = _requestRestore(campaign, partners[2], 0);
        _requestUpload(campaign, 2);
        assertState(restore, BallotState.Open);
        _decide(restore, true);
        assertEq(_head(campaign), 0, "head");
        assertState(campaign, 2, SlotState.Waiting);
    }

    /// Votes to go back from one head would take back another that nobody complained about.
    function test_a_change_of_the_head_voids_a_restore_ballot() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Accepted);
        _bring(campaign, 3, SlotState.Training);
        BallotId toGenesis = _requestRestore(campaign, partners[0], 0);
        BallotId toFirst = _requestRestore(campaign, partners[1], 1);
        _requestUpload(campaign, 3);
        _decide(toFirst, true);
        assertEq(_head(campaign), 1, "head");
        assertVoid(toGenesis, partners[2]);
        _bring(campaign, 3, SlotState.Accepted);
        assertVoid(toGenesis, partners[2]);
    }

    /// The same after the end, where no attempt tells one ballot from the other.
    function test_a_change_of_the_final_head_voids_a_restore_ballot() public {
        uint256 campaign = _running(Mode.Holdout);
        _complete(campaign);
        BallotId toFirst = _requestRestore(campaign, partners[0], 1);
        BallotId toThird = _requestRestore(campaign, partners[1], 3);
        _decide(toThird, true);
        assertVoid(toFirst, partners[2]);
        BallotId again = _requestRestore(campaign, partners[0], 1);
        _decide(again, true);
        assertEq(_head(campaign), 1, "head");
    }

    /// A quorum of those who were there at its opening can be less than one of those who are there now.
    function test_a_change_of_the_voters_voids_a_restore_ballot() public {
        uint256 campaign = _oneAccepted();
        _bring(campaign, 2, SlotState.FetchGranted);
        BallotId restore = _requestRestore(campaign, partners[0], 0);
        _vote(restore, partners[3], true);
        _removeMember(partners[3]);
        assertState(restore, BallotState.Rejected);
        assertRefusedBy(partners[2], _voteCall(restore), ICDistriMErrors.RemovalsPending.selector);
        _applyRemovals(campaign);
        assertEq(_attempt(campaign, 2), 1, "attempt");
        assertVoid(restore, partners[2]);
    }

    /// A ballot that reads as rejected while a removal waits to be applied, and as open afterwards, would
    /// have been given up by those who look after it.
    function test_the_removal_of_a_partner_without_a_vote_voids_a_restore_ballot() public {
        uint256 campaign = _oneAccepted();
        _bring(campaign, 2, SlotState.FetchGranted);
        _join(campaign, bystander);
        BallotId restore = _requestRestore(campaign, partners[2], 0);
        _removeMember(bystander);
        assertState(restore, BallotState.Rejected);
        assertRefusedBy(partners[0], _voteCall(restore), ICDistriMErrors.RemovalsPending.selector);
        _applyRemovals(campaign);
        assertVoid(restore, partners[0]);
        assertEq(_head(campaign), 1, "head");
    }

    /// After a reorganisation the slots may hold other models. Votes to leave one that nobody could open would
    /// throw another away, or go back to a model that nobody looked at.
    function test_votes_to_go_back_do_not_leave_another_model_after_a_reorganisation() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Training);
        uint256 fork = vm.snapshotState();
        for (uint32 changed = 0; changed <= 2; changed++) {
            _acceptTwo(campaign, 0);
            BallotId restore = _requestRestore(campaign, partners[3], 1);
            bytes32 asked = ledger.subjectOf(restore);
            SignedVote[] memory votes = new SignedVote[](3);
            for (uint256 i = 0; i < votes.length; i++) {
                votes[i] = _signed(restore, i, true, _silence(), uint64(block.timestamp + 3600));
            }
            vm.revertToState(fork);
            _acceptTwo(campaign, changed);
            BallotId again = _requestRestore(campaign, partners[3], 1);
            assertTrue(BallotId.unwrap(again) == BallotId.unwrap(restore), "the same name");
            bytes memory call = abi.encodeCall(ICDistriM.castVotes, (restore, asked, votes));
            if (changed == 0) {
                vm.prank(bystander);
                ledger.castVotes(restore, asked, votes);
                assertEq(_head(campaign), 1, "nothing is lost where the models are the same");
            } else {
                assertRefusedBy(bystander, call, ICDistriMErrors.WrongSubject.selector);
                assertEq(_head(campaign), 2, "head");
            }
            vm.revertToState(fork);
        }
    }

    /// A ballot about one attempt would restart the next one, though that may be fine.
    function test_a_change_of_the_attempt_voids_a_restore_ballot() public {
        uint256 campaign = _oneAccepted();
        _join(campaign, bystander); // has no vote yet
        _bring(campaign, 2, SlotState.FetchRequested);
        BallotId restore = _requestRestore(campaign, partners[0], 0);
        _removeFrom(campaign, bystander); // the voters stay, the attempt is another
        assertEq(_attempt(campaign, 2), 2, "attempt");
        assertVoid(restore, partners[2]);
    }

    /// It would restart the slot of somebody else.
    function test_the_end_of_the_slot_voids_a_restore_ballot() public {
        uint256 campaign = _oneAccepted();
        _requestFetch(campaign, 2);
        BallotId restore = _requestRestore(campaign, partners[0], 0);
        _decide(campaign, 2, BallotKind.Fetch, false);
        assertVoid(restore, partners[2]);
    }

    // ------------------------------------------------------------ where it leads

    /// Each restore starts the slot over with a fresh deadline: without a rule that it must go further
    /// back, partners could restart one slot for ever.
    function test_restarts_come_to_an_end() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        for (uint32 slot = 1; slot <= 4; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        for (uint32 head = 4; head > 0; head--) {
            _restore(campaign, head - 1);
            assertEq(_head(campaign), head - 1, "head");
            assertEq(_attempt(campaign, 5), 6 - head, "attempt");
        }
        for (uint32 target = 0; target <= 5; target++) {
            assertRefused(partners[0], _restoreCall(campaign, target), _noAncestor(0, target));
        }
        // Removals restart it too, but nobody comes back.
        _requestFetch(campaign, 5);
        _removeFrom(campaign, partners[3]);
        _requestFetch(campaign, 5);
        _removeFrom(campaign, partners[2]);
        assertEq(_attempt(campaign, 5), 7, "attempt");
        _expire(campaign);
        assertSkipped(campaign, 5, SkipReason.DeadlinePassed);
    }

    /// A member could ask without end, and the others would have to answer without end.
    function test_a_partner_asks_for_one_restore_an_attempt() public {
        uint256 campaign = _oneAccepted();
        _bring(campaign, 2, SlotState.FetchGranted);
        BallotId restore = _requestRestore(campaign, partners[2], 0);
        _decide(restore, false);
        assertRefused(partners[2], _restoreCall(campaign, 0), _alreadyOpened(restore));
        _requestRestore(campaign, partners[3], 0);
    }

    /// Models from behind the restored head were trained on what had just been given up.
    function test_no_restore_leads_to_a_sibling_or_an_undone_model() public {
        uint256 campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Accepted);
        _restore(campaign, 1);
        assertTrue(_slot(campaign, 2).undone, "undone");
        assertRefused(partners[1], _restoreCall(campaign, 2), _noAncestor(1, 2));
        _bring(campaign, 3, SlotState.Accepted); // its parent is 1
        assertRefused(partners[0], _restoreCall(campaign, 2), _noAncestor(3, 2));
        assertRefused(partners[0], _restoreCall(campaign, 3), _noAncestor(3, 3));
        assertRefused(partners[0], _restoreCall(campaign, 4), _noAncestor(3, 4));
        _restore(campaign, 1);
        assertTrue(_slot(campaign, 2).undone && _slot(campaign, 3).undone, "undone");
        assertTrue(!_slot(campaign, 1).undone, "the head is not undone");
        assertEq(_record(campaign).accepted, 1, "accepted");
    }

    /// Whatever the slot was doing, it is done with another head from now on.
    function test_a_restore_restarts_the_slot_in_every_open_state() public {
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            uint256 campaign = _running(Mode.Reported);
            _bring(campaign, 1, SlotState.Accepted);
            _bring(campaign, 2, SlotState(state));
            _restore(campaign, 0);
            assertState(campaign, 2, SlotState.Waiting);
            assertEq(_attempt(campaign, 2), 2, "attempt");
            assertEq(_slot(campaign, 2).candidateDigest, bytes32(0), "candidate");
            _bring(campaign, 2, SlotState.Accepted);
            assertEq(_slot(campaign, 2).parent, 0, "parent");
        }
    }

    // ------------------------------------------------------------ after the end

    /// The partner would open, and use, the model that the others had just taken back.
    function test_a_restore_after_the_end_ends_what_was_granted_before() public {
        uint256 campaign = _running(Mode.Holdout);
        _complete(campaign);
        _decide(_requestFinalModel(campaign, partners[0]), true); // granted
        _decide(_requestFinalModel(campaign, partners[1]), true);
        vm.prank(partners[1]);
        ledger.reportFinalOpened(campaign, 3, 0, 0); // opened
        BallotId open = _requestFinalModel(campaign, partners[2]);
        _restore(campaign, 3);

        bytes memory moved = abi.encodeWithSelector(ICDistriMErrors.HeadMoved.selector, 4, 3);
        assertRefused(
            partners[0], abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 3, 0, 0)), moved
        );
        assertRefused(partners[1], abi.encodeCall(ICDistriM.recordUse, (campaign, KEY)), moved);
        assertVoid(open, partners[3]);

        _decide(_requestFinalModel(campaign, partners[0]), true);
        vm.prank(partners[0]);
        ledger.reportFinalOpened(campaign, 3, 0, 0);
        assertEq(ledger.finalFetchRecord(campaign, partners[0]).head, 3, "model");
    }

    /// A campaign of which nothing is left would still count as a success, and genesis as its model.
    function test_a_restore_to_genesis_after_the_end_fails_the_campaign() public {
        uint256 campaign = _running(Mode.Holdout);
        _complete(campaign);
        _decide(_requestFinalModel(campaign, partners[0]), true);
        _restore(campaign, 0);
        assertState(campaign, CampaignState.Failed);
        bytes memory refusal = abi.encodeWithSelector(
            ICDistriMErrors.WrongCampaignState.selector,
            CampaignState.Failed,
            CampaignState.Completed
        );
        assertRefused(
            partners[0], abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 3, 0, 0)), refusal
        );
        assertRefused(
            partners[0], abi.encodeCall(ICDistriM.requestFinalModel, (campaign, KEY)), refusal
        );
        assertRefused(partners[0], _restoreCall(campaign, 0), _noAncestor(0, 0));
    }

    /// The final model's token ends like any other.
    function test_a_final_token_is_for_its_grantee_once_and_in_time() public {
        uint256 campaign = _running(Mode.Holdout);
        _complete(campaign);
        _decide(_requestFinalModel(campaign, partners[0]), true);
        bytes memory opened = abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 3, 0, 0));
        uint48 deadline = ledger.finalFetchRecord(campaign, partners[0]).deadline;
        assertRefused(partners[1], opened, _wrongFinalState(FinalFetchState.None));
        vm.warp(deadline + 1);
        assertRefused(partners[0], opened, _late(deadline));
        vm.warp(deadline);
        vm.prank(partners[0]);
        ledger.reportFinalOpened(campaign, 3, 0, 0);
        assertRefused(partners[0], opened, _wrongFinalState(FinalFetchState.Opened));
    }

    // ------------------------------------------------------------------ pieces

    /// @dev From slot 1 in training to an open slot 3; the slot `changed` gets other weights.
    function _acceptTwo(uint256 campaign, uint32 changed) private {
        for (uint32 slot = 1; slot <= 2; slot++) {
            if (slot == 2) _bring(campaign, slot, SlotState.Training);
            Candidate memory candidate = _candidate(campaign, slot);
            if (slot == changed) candidate.weightsHash = keccak256("other weights");
            vm.prank(_owner(campaign, slot));
            ledger.requestUpload(campaign, slot, 1, candidate);
            _decide(campaign, slot, BallotKind.Upload, true);
        }
    }

    function _oneAccepted() private returns (uint256 campaign) {
        campaign = _running(Mode.Holdout, 2);
        _bring(campaign, 1, SlotState.Accepted);
    }

    function _noAncestor(uint32 head, uint32 target) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.NotAnAncestor.selector, head, target);
    }

    function _alreadyOpened(BallotId ballot) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BallotAlreadyOpened.selector, ballot);
    }

    function _wrongFinalState(FinalFetchState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(
            ICDistriMErrors.WrongFinalFetchState.selector, state, FinalFetchState.Granted
        );
    }
}
