// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {ICDistriMEvents} from "../src/ICDistriMEvents.sol";
import {BallotId, Evidence} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev requestFetch, reportOpened, requestUpload, confirmUpload, and closeExpired of a slot.
contract SlotsTest is Refusals {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
    }

    // ------------------------------------------------- what every action obeys

    /// @dev Each action of the owner, in each state that is not its own.
    function test_the_owners_actions_are_refused_in_every_other_state() public {
        for (uint8 mode = 0; mode < 2; mode++) {
            for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
                bool grants = Mode(mode) == Mode.Reported;
                if (SlotState(state) == SlotState.UploadGranted && !grants) continue;
                campaign = _running(Mode(mode));
                _bring(campaign, 1, SlotState(state));
                for (uint8 action = 0; action < 4; action++) {
                    (bytes memory call, SlotState needed) = _action(action, 1, 1);
                    if (SlotState(state) == needed) continue;
                    assertRefused(partners[0], call, _wrongState(SlotState(state), needed));
                }
            }
        }
    }

    /// @dev To the next owner, a partner, and to a member that is none.
    function test_the_owners_actions_are_refused_to_anybody_else() public {
        address[2] memory others = [partners[1], bystander];
        for (uint8 action = 0; action < 4; action++) {
            (bytes memory call,) = _action(action, 1, 1);
            for (uint256 i = 0; i < others.length; i++) {
                assertRefused(
                    others[i],
                    call,
                    abi.encodeWithSelector(
                        ICDistriMErrors.NotYourTurn.selector, campaign, 1, partners[0], others[i]
                    )
                );
            }
        }
    }

    function test_the_owners_actions_are_refused_out_of_turn() public {
        uint32[4] memory slots = [0, 2, 5, type(uint32).max];
        for (uint8 action = 0; action < 4; action++) {
            for (uint256 i = 0; i < slots.length; i++) {
                (bytes memory call,) = _action(action, slots[i], 1);
                assertRefused(partners[1], call, _wrongSlot(campaign, slots[i], 1));
            }
        }
    }

    function test_the_owners_actions_are_refused_for_another_attempt() public {
        uint16[3] memory attempts = [0, 2, type(uint16).max];
        for (uint8 action = 0; action < 4; action++) {
            for (uint256 i = 0; i < attempts.length; i++) {
                (bytes memory call,) = _action(action, 1, attempts[i]);
                assertRefused(partners[0], call, _wrongAttempt(attempts[i], 1));
            }
        }
    }

    function test_the_owners_actions_are_refused_after_their_deadline() public {
        for (uint8 action = 0; action < 4; action++) {
            campaign = _running(Mode.Reported);
            (bytes memory call, SlotState needed) = _action(action, 1, 1);
            _bring(campaign, 1, needed);
            uint64 deadline = _slot(campaign, 1).deadline;
            vm.warp(deadline + 1);
            assertRefused(partners[0], call, _late(deadline));
        }
    }

    function test_the_owners_actions_are_in_time_in_the_second_of_their_deadline() public {
        for (uint8 action = 0; action < 4; action++) {
            campaign = _running(Mode.Reported);
            (bytes memory call, SlotState needed) = _action(action, 1, 1);
            _bring(campaign, 1, needed);
            vm.warp(_slot(campaign, 1).deadline);
            vm.prank(partners[0]);
            (bool success,) = address(ledger).call(call);
            assertTrue(success, "refused in time");
        }
    }

    function test_the_owners_actions_are_refused_where_no_slot_is_open() public {
        uint256[3] memory ended = [_open(Mode.Holdout, 1, 0), campaign, _running(Mode.Holdout)];
        _complete(ended[1]);
        while (_record(ended[2]).state == CampaignState.Running) {
            _expire(ended[2]);
        }
        CampaignState[3] memory states =
            [CampaignState.Enrolling, CampaignState.Completed, CampaignState.Failed];
        for (uint256 i = 0; i < 3; i++) {
            campaign = ended[i];
            for (uint8 action = 0; action < 4; action++) {
                (bytes memory call,) = _action(action, 4, 1);
                assertRefused(
                    partners[3], call, _wrongCampaignState(states[i], CampaignState.Running)
                );
            }
        }
    }

    // ------------------------------------------------------------ requestFetch

    function test_a_fetch_request_opens_a_ballot_of_all_partners_with_the_owners_yes() public {
        _requestFetch(campaign, 1);
        SlotRecord memory s = _slot(campaign, 1);
        assertEq(s.requestKeyDigest, KEY, "key digest");
        assertEq(s.deadline, block.timestamp + 300, "deadline");
        assertEq(s.fetchAttempt, 1, "fetch attempt");
        BallotId fetch = _ballot(campaign, 1, BallotKind.Fetch);
        assertState(fetch, BallotState.Open);
        assertEq(ledger.ballotRecord(fetch).electorate, 0xF, "electorate");
        assertEq(ledger.ballotRecord(fetch).approvals, 1, "the owner's yes");
        assertEq(views.ballotOf(ledger, fetch).quorum, 3, "quorum");
    }

    function test_a_fetch_without_a_one_time_key_is_refused() public {
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.requestFetch, (campaign, 1, 1, bytes32(0))),
            _zeroHash()
        );
    }

    // ------------------------------------------------------------ reportOpened

    function test_opening_the_head_starts_the_training_clock() public {
        _bring(campaign, 1, SlotState.FetchGranted);
        vm.warp(block.timestamp + 50);
        _reportOpened(campaign, 1);
        assertState(campaign, 1, SlotState.Training);
        assertEq(_slot(campaign, 1).deadline, block.timestamp + 500, "deadline");
    }

    function test_a_token_is_redeemed_once() public {
        _bring(campaign, 1, SlotState.Training);
        (bytes memory call,) = _action(1, 1, 1);
        assertRefused(partners[0], call, _wrongState(SlotState.Training, SlotState.FetchGranted));
    }

    function test_a_token_kept_over_a_skip_is_worthless() public {
        _bring(campaign, 1, SlotState.FetchGranted);
        _expire(campaign);
        (bytes memory call,) = _action(1, 1, 1);
        assertRefused(partners[0], call, _wrongSlot(campaign, 1, 2));
    }

    /// @dev The numbers are a report; the ledger can't check them and does not try.
    function test_any_numbers_of_shares_are_taken_as_told() public {
        _bring(campaign, 1, SlotState.FetchGranted);
        vm.recordLogs();
        vm.prank(partners[0]);
        ledger.reportOpened(campaign, 1, 1, 0, 255, 254);
        assertState(campaign, 1, SlotState.Training);
        uint64 deadline = _slot(campaign, 1).deadline;
        assertEq(
            keccak256(_told(ICDistriMEvents.ModelOpened.selector)),
            keccak256(abi.encode(1, 0, 0, 255, 254, deadline)),
            "attempt, head, good, bad, missing, deadline"
        );
    }

    // ----------------------------------------------------------- requestUpload

    function test_the_full_record_is_fixed_by_the_request() public {
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Training);
        Candidate memory asked = _candidate(campaign, 2);
        vm.recordLogs();
        _requestUpload(campaign, 2);
        assertEq(
            keccak256(_told(ICDistriMEvents.CandidateSubmitted.selector)),
            keccak256(abi.encode(1, asked, 101, keccak256(abi.encode("data", 1)))),
            "attempt, candidate, cases, data commitment"
        );
        SlotRecord memory s = _slot(campaign, 2);
        assertEq(s.parent, 1, "parent");
        assertEq(s.ciphertextHash, asked.ciphertextHash, "ciphertext");
        assertEq(s.weightsHash, asked.weightsHash, "weights");
        assertEq(s.capsuleHash, asked.capsuleHash, "capsule");
        assertEq(s.candidateDigest, _digestOf(asked), "the record in full");
        assertEq(s.deadline, block.timestamp + 600, "deadline");
        assertEq(_head(campaign), 1, "the head stays");
    }

    function test_a_candidate_descends_from_the_head() public {
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.Training);
        Candidate memory candidate = _candidate(campaign, 2);
        uint32[3] memory parents = [0, 2, type(uint32).max];
        for (uint256 i = 0; i < parents.length; i++) {
            candidate.parent = parents[i];
            _assertUploadRefused(
                2,
                candidate,
                abi.encodeWithSelector(ICDistriMErrors.WrongParent.selector, 1, parents[i])
            );
        }
    }

    function test_a_candidate_without_a_hash_is_refused() public {
        _bring(campaign, 1, SlotState.Training);
        for (uint256 i = 0; i < 3; i++) {
            Candidate memory candidate = _candidate(campaign, 1);
            if (i == 0) candidate.weightsHash = 0;
            if (i == 1) candidate.ciphertextHash = 0;
            if (i == 2) candidate.capsuleHash = 0;
            _assertUploadRefused(1, candidate, _zeroHash());
        }
    }

    function test_a_report_without_a_weights_hash_is_refused() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.Training);
        Candidate memory candidate = _report(campaign, 1);
        candidate.weightsHash = 0;
        _assertUploadRefused(1, candidate, _zeroHash());
    }

    function test_a_report_names_no_ciphertext_and_no_capsule_yet() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.Training);
        bytes memory refusal = abi.encodeWithSelector(ICDistriMErrors.HashTooEarly.selector);
        Candidate memory candidate = _report(campaign, 1);
        candidate.ciphertextHash = KEY;
        _assertUploadRefused(1, candidate, refusal);
        candidate = _report(campaign, 1);
        candidate.capsuleHash = KEY;
        _assertUploadRefused(1, candidate, refusal);
    }

    /// @dev An AUC above one, and bits above the last field.
    function test_a_candidate_with_evidence_that_is_none_is_refused() public {
        Evidence[4] memory bad = [
            Evidence.wrap(1e9 + 1),
            Evidence.wrap((1e9 + 1) << 32),
            Evidence.wrap(1 << 192),
            Evidence.wrap(type(uint256).max)
        ];
        for (uint8 mode = 0; mode < 2; mode++) {
            campaign = _running(Mode(mode));
            _bring(campaign, 1, SlotState.Training);
            bool reported = Mode(mode) == Mode.Reported;
            for (uint256 i = 0; i < bad.length; i++) {
                Candidate memory c = reported ? _report(campaign, 1) : _candidate(campaign, 1);
                c.evidence = bad[i];
                _assertUploadRefused(1, c, _badEvidence(bad[i]));
            }
        }
    }

    // ----------------------------------------------------------- confirmUpload

    function test_a_confirmed_report_is_the_head() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        assertEq(_head(campaign), 0, "head before");
        _confirmUpload(campaign, 1);
        assertState(campaign, 1, SlotState.Accepted);
        assertEq(_head(campaign), 1, "head after");
        assertEq(_openSlotOf(campaign), 2, "next slot");
        SlotRecord memory s = _slot(campaign, 1);
        assertEq(s.ciphertextHash, keccak256(abi.encode("ciphertext", uint32(1))), "ciphertext");
        assertEq(s.capsuleHash, keccak256(abi.encode("capsule", uint32(1))), "capsule");
    }

    function test_another_record_than_the_one_voted_on_is_refused() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        bytes32 asked = _digestOf(_report(campaign, 1));
        for (uint256 i = 0; i < 8; i++) {
            Candidate memory other = _candidate(campaign, 1);
            uint256 word = Evidence.unwrap(other.evidence);
            if (i == 0) other.weightsHash = KEY;
            if (i == 1) other.parent = 1;
            if (i == 2) other.evidence = Evidence.wrap(word + 1);
            if (i == 3) other.evidence = Evidence.wrap(word + (1 << 32));
            if (i == 4) other.evidence = Evidence.wrap(word + (1 << 64));
            if (i == 5) other.evidence = Evidence.wrap(word + (1 << 128));
            if (i == 6) other.evidence = Evidence.wrap(word + (1 << 160));
            if (i == 7) other.evidence = Evidence.wrap(word + (1 << 255));
            bytes memory call = abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, 1, other));
            (other.ciphertextHash, other.capsuleHash) = (0, 0);
            assertRefused(
                partners[0],
                call,
                abi.encodeWithSelector(
                    ICDistriMErrors.RecordMismatch.selector, asked, _digestOf(other)
                )
            );
        }
    }

    function test_a_confirmation_without_ciphertext_or_capsule_is_refused() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        for (uint256 i = 0; i < 2; i++) {
            Candidate memory candidate = _candidate(campaign, 1);
            if (i == 0) candidate.ciphertextHash = 0;
            else candidate.capsuleHash = 0;
            assertRefused(
                partners[0],
                abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, 1, candidate)),
                _zeroHash()
            );
        }
    }

    function test_a_confirmation_is_made_once() public {
        campaign = _running(Mode.Reported);
        _bring(campaign, 1, SlotState.UploadGranted);
        (bytes memory call,) = _action(3, 1, 1);
        _confirmUpload(campaign, 1);
        assertRefused(partners[0], call, _wrongSlot(campaign, 1, 2));
    }

    // ------------------------------------------------ closeExpired of a slot

    function test_any_open_state_expires_into_a_skip_and_the_next_slot() public {
        bytes memory call;
        for (uint8 state = 0; state <= uint8(SlotState.UploadGranted); state++) {
            campaign = _running(Mode.Reported);
            call = abi.encodeCall(ICDistriM.closeExpired, (campaign));
            _bring(campaign, 1, SlotState(state));
            uint64 deadline = _slot(campaign, 1).deadline;
            vm.warp(deadline);
            assertRefused(bystander, call, _early(deadline, deadline));
            _expire(campaign);
            assertSkipped(campaign, 1, SkipReason.DeadlinePassed);
            assertEq(_openSlotOf(campaign), 2, "next slot");
            assertEq(
                _slot(campaign, 2).deadline,
                block.timestamp + 200,
                "the next clock starts at closing"
            );
            assertEq(_head(campaign), 0, "head");
        }
    }

    function test_an_expired_ballot_is_closed_with_its_slot() public {
        SlotState[2] memory states = [SlotState.FetchRequested, SlotState.UploadRequested];
        BallotKind[2] memory kinds = [BallotKind.Fetch, BallotKind.Upload];
        for (uint256 i = 0; i < 2; i++) {
            setUp();
            _bring(campaign, 1, states[i]);
            BallotId ballot = _ballot(campaign, 1, kinds[i]);
            _vote(ballot, partners[3], false);
            vm.recordLogs();
            _expire(campaign);
            Vm.Log memory log = vm.getRecordedLogs()[0];
            assertEq(log.topics[0], ICDistriMEvents.BallotClosed.selector, "event");
            assertEq(log.topics[1], bytes32(BallotId.unwrap(ballot)), "ballot");
            assertEq(keccak256(log.data), keccak256(abi.encode(false, 1, 1)), "passed, yes, no");
            assertState(ballot, BallotState.Rejected);
        }
    }

    function test_two_members_cannot_close_two_slots_at_once() public {
        _expire(campaign);
        uint64 deadline = _slot(campaign, 2).deadline;
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            _early(deadline, block.timestamp)
        );
    }

    function test_any_member_brings_an_abandoned_campaign_to_its_end() public {
        for (uint256 i = 0; i < 4; i++) {
            _expire(campaign);
        }
        assertState(campaign, CampaignState.Failed);
        assertEq(views.campaignOf(ledger, campaign).slot, 0, "no open slot");
    }

    function test_an_ended_campaign_cannot_be_closed() public {
        bytes memory call = abi.encodeCall(ICDistriM.closeExpired, (campaign));
        _complete(campaign);
        vm.warp(block.timestamp + 365 days);
        assertRefused(
            partners[0], call, _wrongCampaignState(CampaignState.Completed, CampaignState.Running)
        );
    }

    // ----------------------------------------------------------------- pieces

    /// @dev Good arguments for the mode of the campaign wherever the action is possible.
    function _action(uint8 which, uint32 slot, uint16 attempt)
        private
        view
        returns (bytes memory call, SlotState needed)
    {
        if (which == 0) {
            call = abi.encodeCall(ICDistriM.requestFetch, (campaign, slot, attempt, KEY));
            return (call, SlotState.Waiting);
        }
        if (which == 1) {
            call = abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, attempt, 3, 0, 1));
            return (call, SlotState.FetchGranted);
        }
        if (which == 2) {
            Candidate memory asked = _report(campaign, slot);
            call = abi.encodeCall(ICDistriM.requestUpload, (campaign, slot, attempt, asked));
            return (call, SlotState.Training);
        }
        Candidate memory confirmed = _candidate(campaign, slot);
        call = abi.encodeCall(ICDistriM.confirmUpload, (campaign, slot, attempt, confirmed));
        return (call, SlotState.UploadGranted);
    }

    function _assertUploadRefused(uint32 slot, Candidate memory candidate, bytes memory refusal)
        private
    {
        assertRefused(
            _owner(campaign, slot),
            abi.encodeCall(ICDistriM.requestUpload, (campaign, slot, 1, candidate)),
            refusal
        );
    }
}
