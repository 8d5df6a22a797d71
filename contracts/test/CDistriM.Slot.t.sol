// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";

/// @dev requestFetch, reportOpened, requestUpload, confirmUpload, and closeExpired of a slot.
contract SlotTest is Consortium {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(ICDistriM.Mode.Holdout);
    }

    // ------------------------------------------------- what every action obeys

    /// @dev Each action of the owner, in each state that is not its own, changes nothing.
    function test_the_owners_actions_are_refused_in_every_other_state() public {
        for (uint8 mode = 0; mode < 2; mode++) {
            for (uint8 state = 0; state <= uint8(ICDistriM.SlotState.UploadGranted); state++) {
                bool grants = mode == uint8(ICDistriM.Mode.Reported);
                if (state == uint8(ICDistriM.SlotState.UploadGranted) && !grants) continue;
                campaign = _running(ICDistriM.Mode(mode));
                _bring(campaign, 1, ICDistriM.SlotState(state));
                for (uint8 action = 0; action < 4; action++) {
                    (bytes memory call, ICDistriM.SlotState needed) = _action(action, 1, FIRST);
                    if (state == uint8(needed)) continue;
                    assertRefused(
                        _owner(1),
                        call,
                        abi.encodeWithSelector(ICDistriM.WrongState.selector, state, needed)
                    );
                }
            }
        }
    }

    function test_the_owners_actions_are_refused_to_anybody_else() public {
        for (uint8 action = 0; action < 4; action++) {
            (bytes memory call,) = _action(action, 1, FIRST);
            assertRefused(
                partners[1],
                call,
                abi.encodeWithSelector(
                    ICDistriM.NotYourTurn.selector, campaign, 1, partners[0], partners[1]
                )
            );
            assertRefused(
                OUTSIDER, call, abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
            );
        }
    }

    function test_the_owners_actions_are_refused_out_of_turn() public {
        for (uint8 action = 0; action < 4; action++) {
            uint32[3] memory slots = [uint32(0), 2, 5];
            for (uint256 i = 0; i < slots.length; i++) {
                (bytes memory call,) = _action(action, slots[i], FIRST);
                assertRefused(
                    partners[1],
                    call,
                    abi.encodeWithSelector(ICDistriM.WrongSlot.selector, campaign, slots[i], 1)
                );
            }
        }
    }

    function test_the_owners_actions_are_refused_for_another_attempt() public {
        for (uint8 action = 0; action < 4; action++) {
            uint16[2] memory attempts = [uint16(0), 2];
            for (uint256 i = 0; i < attempts.length; i++) {
                (bytes memory call,) = _action(action, 1, attempts[i]);
                assertRefused(
                    _owner(1),
                    call,
                    abi.encodeWithSelector(ICDistriM.WrongAttempt.selector, attempts[i], 1)
                );
            }
        }
    }

    function test_the_owners_actions_are_refused_after_their_deadline() public {
        for (uint8 action = 0; action < 4; action++) {
            campaign = _running(ICDistriM.Mode.Reported);
            (bytes memory call, ICDistriM.SlotState needed) = _action(action, 1, FIRST);
            _bring(campaign, 1, needed);
            uint64 deadline = ledger.slotOf(campaign, 1).deadline;
            vm.warp(deadline + 1);
            assertRefused(
                _owner(1),
                call,
                abi.encodeWithSelector(ICDistriM.DeadlinePassed.selector, deadline, deadline + 1)
            );
        }
    }

    function test_the_owners_actions_are_in_time_in_the_second_of_their_deadline() public {
        for (uint8 action = 0; action < 4; action++) {
            campaign = _running(ICDistriM.Mode.Reported);
            (, ICDistriM.SlotState needed) = _action(action, 1, FIRST);
            _bring(campaign, 1, needed);
            (bytes memory call,) = _action(action, 1, FIRST);
            vm.warp(ledger.slotOf(campaign, 1).deadline);
            vm.prank(_owner(1));
            (bool success,) = address(ledger).call(call);
            assertTrue(success, "refused in time");
        }
    }

    function test_a_slot_of_an_ended_campaign_takes_no_action() public {
        for (uint32 slot = 1; slot <= 4; slot++) {
            _bring(campaign, slot, ICDistriM.SlotState.Accepted);
        }
        for (uint8 action = 0; action < 4; action++) {
            (bytes memory call,) = _action(action, 4, FIRST);
            assertRefused(
                _owner(4),
                call,
                abi.encodeWithSelector(
                    ICDistriM.WrongCampaignState.selector,
                    ICDistriM.CampaignState.Completed,
                    ICDistriM.CampaignState.Running
                )
            );
        }
    }

    // ------------------------------------------------------------ requestFetch

    function test_a_fetch_request_opens_a_ballot_of_all_partners_with_the_owners_yes() public {
        _requestFetch(campaign, 1);
        ICDistriM.Snapshot memory now_ = ledger.snapshotOf(campaign);
        assertEq(now_.slot.requestKeyDigest, KEY, "key digest");
        assertEq(now_.slot.deadline, block.timestamp + 300, "deadline");
        assertEq(uint8(now_.ballot.state), uint8(ICDistriM.BallotState.Open), "ballot");
        assertEq(now_.ballot.electorate.length, 4, "electorate");
        assertEq(now_.ballot.quorum, 3, "quorum");
        assertEq(now_.ballot.yes, 1, "yes");
        assertEq(now_.ballot.approvals[0], partners[0], "the owner's yes");
    }

    function test_a_fetch_without_a_one_time_key_is_refused() public {
        assertRefused(
            _owner(1),
            abi.encodeCall(ICDistriM.requestFetch, (campaign, 1, FIRST, bytes32(0))),
            abi.encodeWithSelector(ICDistriM.ZeroHash.selector)
        );
    }

    // ------------------------------------------------------------ reportOpened

    function test_opening_the_head_starts_the_training_clock() public {
        _bring(campaign, 1, ICDistriM.SlotState.Training);
        assertState(campaign, 1, ICDistriM.SlotState.Training);
        assertEq(ledger.slotOf(campaign, 1).deadline, block.timestamp + 500, "deadline");
    }

    function test_a_token_is_redeemed_once() public {
        _bring(campaign, 1, ICDistriM.SlotState.Training);
        (bytes memory call,) = _action(1, 1, FIRST);
        assertRefused(
            _owner(1),
            call,
            abi.encodeWithSelector(
                ICDistriM.WrongState.selector,
                ICDistriM.SlotState.Training,
                ICDistriM.SlotState.FetchGranted
            )
        );
    }

    function test_a_token_kept_over_a_skip_is_worthless() public {
        _bring(campaign, 1, ICDistriM.SlotState.FetchGranted);
        _expire();
        (bytes memory call,) = _action(1, 1, FIRST);
        assertRefused(
            _owner(1), call, abi.encodeWithSelector(ICDistriM.WrongSlot.selector, campaign, 1, 2)
        );
    }

    // ----------------------------------------------------------- requestUpload

    function test_the_full_record_is_fixed_by_the_request() public {
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        ICDistriM.ModelRecord memory record = ledger.slotOf(campaign, 1).candidate;
        ICDistriM.Candidate memory asked = _candidate(campaign, 1);
        assertEq(record.name, "hospital-1-1", "name");
        assertEq(record.account, partners[0], "account");
        assertEq(record.parent, 0, "parent");
        assertEq(record.ciphertextHash, asked.ciphertextHash, "ciphertext");
        assertEq(record.weightsHash, asked.weightsHash, "weights");
        assertEq(record.capsuleHash, asked.capsuleHash, "capsule");
        assertEq(record.cases, 100, "cases");
        assertEq(record.dataCommitment, keccak256(abi.encode("data", 0)), "commitment");
        assertEq(
            keccak256(abi.encode(record.evidence)), keccak256(abi.encode(_evidence())), "evidence"
        );
    }

    function test_a_candidate_is_no_model_before_it_is_accepted() public {
        _bring(campaign, 1, ICDistriM.SlotState.UploadRequested);
        vm.expectRevert(abi.encodeWithSelector(ICDistriM.NoModel.selector, campaign, 1));
        ledger.modelOf(campaign, 1);
    }

    function test_a_candidate_must_descend_from_the_head() public {
        _bring(campaign, 1, ICDistriM.SlotState.Accepted);
        _bring(campaign, 2, ICDistriM.SlotState.Training);
        ICDistriM.Candidate memory candidate = _candidate(campaign, 2);
        candidate.parent = 0;
        _assertUploadRefused(
            2, candidate, abi.encodeWithSelector(ICDistriM.WrongParent.selector, 1, 0)
        );
        candidate.parent = 2;
        _assertUploadRefused(
            2, candidate, abi.encodeWithSelector(ICDistriM.WrongParent.selector, 1, 2)
        );
    }

    function test_a_candidate_without_a_hash_is_refused() public {
        _bring(campaign, 1, ICDistriM.SlotState.Training);
        bytes memory refusal = abi.encodeWithSelector(ICDistriM.ZeroHash.selector);
        ICDistriM.Candidate memory candidate = _candidate(campaign, 1);
        candidate.weightsHash = 0;
        _assertUploadRefused(1, candidate, refusal);
        candidate = _candidate(campaign, 1);
        candidate.ciphertextHash = 0;
        _assertUploadRefused(1, candidate, refusal);
        candidate = _candidate(campaign, 1);
        candidate.capsuleHash = 0;
        _assertUploadRefused(1, candidate, refusal);
    }

    function test_an_auc_above_one_is_refused() public {
        _bring(campaign, 1, ICDistriM.SlotState.Training);
        bytes memory refusal = abi.encodeWithSelector(ICDistriM.BadEvidence.selector, 1e9 + 1);
        ICDistriM.Candidate memory candidate = _candidate(campaign, 1);
        candidate.evidence.aucHead = 1e9 + 1;
        _assertUploadRefused(1, candidate, refusal);
        candidate = _candidate(campaign, 1);
        candidate.evidence.aucCandidate = 1e9 + 1;
        _assertUploadRefused(1, candidate, refusal);
    }

    function test_a_report_names_no_ciphertext_and_no_capsule_yet() public {
        campaign = _running(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.Training);
        bytes memory refusal = abi.encodeWithSelector(ICDistriM.HashTooEarly.selector);
        ICDistriM.Candidate memory candidate = _report(campaign, 1);
        candidate.ciphertextHash = KEY;
        _assertUploadRefused(1, candidate, refusal);
        candidate = _report(campaign, 1);
        candidate.capsuleHash = KEY;
        _assertUploadRefused(1, candidate, refusal);
    }

    // ----------------------------------------------------------- confirmUpload

    function test_a_confirmed_report_is_the_head() public {
        campaign = _running(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.UploadGranted);
        assertEq(ledger.headOf(campaign), 0, "head before");
        _confirmUpload(campaign, 1);
        assertState(campaign, 1, ICDistriM.SlotState.Accepted);
        assertEq(ledger.headOf(campaign), 1, "head after");
        ICDistriM.ModelRecord memory model = ledger.modelOf(campaign, 1);
        assertEq(model.ciphertextHash, keccak256(abi.encode("ciphertext", uint32(1))), "cipher");
        assertEq(model.capsuleHash, keccak256(abi.encode("capsule", uint32(1))), "capsule");
    }

    function test_another_record_than_the_one_voted_on_is_refused() public {
        campaign = _running(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.UploadGranted);
        bytes32 asked = _report(campaign, 1).weightsHash;
        for (uint256 i = 0; i < 7; i++) {
            ICDistriM.Candidate memory other = _candidate(campaign, 1);
            if (i == 0) other.weightsHash = KEY;
            if (i == 1) other.parent++;
            if (i == 2) other.evidence.aucHead++;
            if (i == 3) other.evidence.aucCandidate++;
            if (i == 4) other.evidence.variance++;
            if (i == 5) other.evidence.positives++;
            if (i == 6) other.evidence.negatives++;
            assertRefused(
                _owner(1),
                abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, FIRST, other)),
                abi.encodeWithSelector(ICDistriM.RecordMismatch.selector, asked, other.weightsHash)
            );
        }
    }

    function test_a_confirmation_without_ciphertext_or_capsule_is_refused() public {
        campaign = _running(ICDistriM.Mode.Reported);
        _bring(campaign, 1, ICDistriM.SlotState.UploadGranted);
        ICDistriM.Candidate memory candidate = _candidate(campaign, 1);
        candidate.ciphertextHash = 0;
        bytes memory refusal = abi.encodeWithSelector(ICDistriM.ZeroHash.selector);
        assertRefused(
            _owner(1),
            abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, FIRST, candidate)),
            refusal
        );
        candidate = _candidate(campaign, 1);
        candidate.capsuleHash = 0;
        assertRefused(
            _owner(1),
            abi.encodeCall(ICDistriM.confirmUpload, (campaign, 1, FIRST, candidate)),
            refusal
        );
    }

    // ------------------------------------------------ closeExpired of a slot

    function test_any_open_state_expires_into_a_skip_and_the_next_slot() public {
        for (uint8 state = 0; state <= uint8(ICDistriM.SlotState.UploadGranted); state++) {
            campaign = _running(ICDistriM.Mode.Reported);
            _bring(campaign, 1, ICDistriM.SlotState(state));
            uint64 deadline = ledger.slotOf(campaign, 1).deadline;
            vm.warp(deadline);
            assertRefused(
                bystander,
                abi.encodeCall(ICDistriM.closeExpired, (campaign)),
                abi.encodeWithSelector(ICDistriM.DeadlineNotPassed.selector, deadline, deadline)
            );
            _expire();
            assertSkipped(campaign, 1, ICDistriM.SkipReason.DeadlinePassed);
            ICDistriM.Slot memory next = ledger.snapshotOf(campaign).slot;
            assertEq(next.number, 2, "next slot");
            assertEq(next.deadline, block.timestamp + 200, "the next clock starts at closing");
            assertEq(ledger.headOf(campaign), 0, "head");
        }
    }

    function test_two_members_cannot_close_two_slots_at_once() public {
        _expire();
        uint64 deadline = ledger.slotOf(campaign, 2).deadline;
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            abi.encodeWithSelector(ICDistriM.DeadlineNotPassed.selector, deadline, block.timestamp)
        );
    }

    function test_only_members_close_a_slot() public {
        vm.warp(block.timestamp + 201);
        assertRefused(
            OUTSIDER,
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
        );
    }

    function test_any_member_brings_an_abandoned_campaign_to_its_end() public {
        for (uint256 i = 0; i < 4; i++) {
            _expire();
        }
        assertState(campaign, ICDistriM.CampaignState.Failed);
        assertEq(ledger.campaignOf(campaign).slot, 0, "no open slot");
    }

    // ----------------------------------------------------------------- pieces

    function _action(uint8 which, uint32 slot, uint16 attempt)
        private
        view
        returns (bytes memory call, ICDistriM.SlotState needed)
    {
        if (which == 0) {
            call = abi.encodeCall(ICDistriM.requestFetch, (campaign, slot, attempt, KEY));
            return (call, ICDistriM.SlotState.Waiting);
        }
        if (which == 1) {
            call = abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, attempt, 3, 0, 1));
            return (call, ICDistriM.SlotState.FetchGranted);
        }
        if (which == 2) {
            ICDistriM.Candidate memory asked = _report(campaign, slot);
            call = abi.encodeCall(ICDistriM.requestUpload, (campaign, slot, attempt, asked));
            return (call, ICDistriM.SlotState.Training);
        }
        ICDistriM.Candidate memory confirmed = _candidate(campaign, slot);
        call = abi.encodeCall(ICDistriM.confirmUpload, (campaign, slot, attempt, confirmed));
        return (call, ICDistriM.SlotState.UploadGranted);
    }

    function _assertUploadRefused(
        uint32 slot,
        ICDistriM.Candidate memory candidate,
        bytes memory refusal
    ) private {
        assertRefused(
            _owner(slot),
            abi.encodeCall(ICDistriM.requestUpload, (campaign, slot, FIRST, candidate)),
            refusal
        );
    }

    function _expire() private {
        vm.warp(ledger.snapshotOf(campaign).slot.deadline + 1);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
    }
}
