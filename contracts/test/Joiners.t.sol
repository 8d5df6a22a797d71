// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";

/// @dev requestJoin, and what a joiner is: a partner at once, a voter once a head was dealt to it.
contract JoinersTest is Refusals {
    bytes32 private constant DATA = keccak256("data");
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout, 2);
    }

    // ------------------------------------------------------------------- asking

    function test_a_join_asks_the_voters_and_not_the_joiner() public {
        BallotId join = _requestJoin(campaign, bystander, true);
        Box memory box = ledger.ballotRecord(join);
        assertState(join, BallotState.Open);
        assertEq(box.electorate, 0xF, "electorate");
        assertEq(box.approvals, 0, "no yes yet");
        assertEq(box.deadline, block.timestamp + 300, "deadline");
        EnrolmentRecord memory e = ledger.enrolmentRecord(campaign, bystander);
        assertEq(e.cases, 77, "cases");
        assertEq(e.dataCommitment, keccak256("joiner"), "commitment");
        assertTrue(e.evaluator, "evaluator");
        assertEq(_record(campaign).partners, 0xF, "no partner yet");
        assertVoteRefused(bystander, join, _noVote(bystander));
    }

    function test_only_a_running_campaign_is_joined() public {
        uint256 open = _open(Mode.Holdout, 1, 0);
        _assertRefused(
            open, bystander, _wrongCampaignState(CampaignState.Enrolling, CampaignState.Running)
        );
        _complete(campaign);
        _assertRefused(
            campaign, bystander, _wrongCampaignState(CampaignState.Completed, CampaignState.Running)
        );
        _closeEnrolment(open);
        _assertRefused(
            open, bystander, _wrongCampaignState(CampaignState.Failed, CampaignState.Running)
        );
    }

    function test_a_partner_does_not_join() public {
        bytes memory refusal =
            abi.encodeWithSelector(ICDistriMErrors.AlreadyEnrolled.selector, campaign, partners[2]);
        _assertRefused(campaign, partners[2], refusal);
        _join(campaign, bystander);
        refusal =
            abi.encodeWithSelector(ICDistriMErrors.AlreadyEnrolled.selector, campaign, bystander);
        _assertRefused(campaign, bystander, refusal);
    }

    function test_a_joiner_needs_a_sealing_key_cases_and_a_commitment() public {
        address keyless = _account(7);
        _decide(_proposeAdmission(partners[0], 7), true);
        _assertRefused(
            campaign,
            keyless,
            abi.encodeWithSelector(ICDistriMErrors.NoSealingKey.selector, keyless)
        );
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.requestJoin, (campaign, 0, DATA, true)),
            abi.encodeWithSelector(ICDistriMErrors.BadCases.selector)
        );
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.requestJoin, (campaign, 1, bytes32(0), true)),
            _zeroHash()
        );
    }

    function test_a_member_has_one_open_join_and_may_ask_again_after_it() public {
        BallotId first = _requestJoin(campaign, bystander, true);
        _assertRefused(campaign, bystander, _ballotOpened(first));
        _decide(first, false);
        assertBallot(first, BallotState.Rejected, 0, 2);
        _decide(_requestJoin(campaign, bystander, true), true);
        assertEq(ledger.roundOf(BallotKind.Join, campaign, bystander), 2, "round");
        assertEq(_record(campaign).partners, 0x1F, "partners");
    }

    function test_a_join_is_decided_in_time_or_not_at_all() public {
        BallotId join = _requestJoin(campaign, bystander, true);
        uint256 deadline = block.timestamp + 300;
        vm.warp(deadline);
        _vote(join, partners[0], true);
        vm.warp(deadline + 1);
        assertVoteRefused(partners[1], join, _late(deadline));
        assertState(_requestJoin(campaign, bystander, true), BallotState.Open);
    }

    // -------------------------------------------------------------------- void

    function test_other_voters_void_a_join() public {
        address other = _admit(7);
        _join(campaign, other); // head 0 is public, yet it votes from the next slot on
        BallotId join = _requestJoin(campaign, bystander, true);
        _expire(campaign);
        assertEq(_record(campaign).voters, 0xF | 1 << 5, "voters");
        assertState(join, BallotState.Rejected);
        assertVoteRefused(partners[0], join, _ballotVoid(join));
    }

    function test_a_removed_voter_voids_a_join() public {
        BallotId join = _requestJoin(campaign, bystander, true);
        _takeOut(campaign, partners[3]);
        assertVoteRefused(partners[0], join, _ballotVoid(join));
    }

    /// @dev Voters are the same again once the new one has left; what was void stays void.
    function test_a_void_join_stays_void_when_voters_are_the_same_again() public {
        address other = _admit(7);
        _join(campaign, other);
        BallotId join = _requestJoin(campaign, bystander, true);
        _expire(campaign);
        assertEq(_record(campaign).voters, 0xF | 1 << 5, "voters");
        _takeOut(campaign, other);
        assertEq(_record(campaign).voters, 0xF, "the same voters");
        assertState(join, BallotState.Rejected);
        assertVoteRefused(partners[0], join, _ballotVoid(join));
    }

    function test_a_removed_joiner_does_not_join() public {
        BallotId join = _requestJoin(campaign, bystander, true);
        _removeMember(bystander);
        assertVoteRefused(partners[0], join, _ballotVoid(join));
    }

    function test_the_end_of_the_campaign_voids_a_join() public {
        BallotId join = _requestJoin(campaign, bystander, true);
        _complete(campaign);
        assertVoteRefused(partners[0], join, _ballotVoid(join));
    }

    /// @dev Slots, attempts and heads come and go; who votes is still the same.
    function test_a_join_goes_on_over_slots() public {
        BallotId join = _requestJoin(campaign, bystander, true);
        _bring(campaign, 1, SlotState.Accepted);
        _decide(join, true);
        assertEq(_record(campaign).partners, 0x1F, "partners");
    }

    // ----------------------------------------------------------------- its slots

    function test_a_joiners_slot_is_the_last_of_this_and_each_later_cycle() public {
        _join(campaign, bystander);
        assertEq(ledger.orderOf(campaign).length, 5, "order");
        assertEq(ledger.orderOf(campaign)[4], 4, "its place");
        for (uint32 slot = 1; slot <= 10; slot++) {
            assertEq(_openSlotOf(campaign), slot, "open slot");
            address owner = slot % 5 == 0 ? bystander : partners[slot % 5 - 1];
            assertEq(_owner(campaign, slot), owner, "owner");
            _bring(campaign, slot, SlotState.Accepted);
        }
        assertState(campaign, CampaignState.Completed);
        assertEq(_head(campaign), 10, "head");
    }

    function test_who_joins_in_the_last_slot_of_a_cycle_is_next() public {
        for (uint32 slot = 1; slot <= 3; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        _join(campaign, bystander);
        _bring(campaign, 4, SlotState.Accepted);
        assertEq(_owner(campaign, 5), bystander, "owner");
    }

    function test_who_was_invited_and_came_late_keeps_its_place() public {
        campaign = _open(Mode.Holdout, 2, 0);
        for (uint256 i = 0; i < 3; i++) {
            _enrol(campaign, i, true);
        }
        _closeEnrolment(campaign);
        _join(campaign, partners[3]);
        assertEq(ledger.orderOf(campaign).length, 4, "order");
        for (uint32 slot = 1; slot <= 3; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        assertEq(_owner(campaign, 4), partners[3], "owner");
        assertState(campaign, 4, SlotState.Waiting);
    }

    // ------------------------------------------------------------------ its vote

    function test_a_joiner_votes_once_a_head_was_dealt_to_it() public {
        _join(campaign, bystander);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.FetchRequested);
        BallotId fetch = _ballot(campaign, 2, BallotKind.Fetch);
        assertVoteRefused(bystander, fetch, _noVote(bystander));
        _decide(fetch, true);
        _reportOpened(campaign, 2);
        _requestUpload(campaign, 2);
        assertEq(_record(campaign).dealt, 1 << 4, "dealt to it");
        BallotId upload = _ballot(campaign, 2, BallotKind.Upload);
        assertVoteRefused(bystander, upload, _noVote(bystander));
        _decide(upload, true);
        assertEq(_record(campaign).voters, 0x1F, "voters");
        _requestFetch(campaign, 3);
        fetch = _ballot(campaign, 3, BallotKind.Fetch);
        _vote(fetch, bystander, true);
        assertEq(views.ballotOf(ledger, fetch).electorate.length, 5, "electorate");
    }

    function test_a_candidate_that_is_not_accepted_makes_no_voter() public {
        _bring(campaign, 1, SlotState.Accepted);
        _join(campaign, bystander);
        _bring(campaign, 2, SlotState.Skipped);
        assertEq(_record(campaign).voters, 0xF, "voters");
    }

    /// @dev The owner may have encrypted the candidate before it came.
    function test_who_joins_after_the_opening_is_not_dealt_the_candidate() public {
        _bring(campaign, 1, SlotState.Training);
        _join(campaign, bystander);
        assertEq(_record(campaign).dealt, 0, "dealt to it");
        _requestUpload(campaign, 1);
        _decide(campaign, 1, BallotKind.Upload, true);
        assertEq(_record(campaign).voters, 0xF, "voters");
        _bring(campaign, 2, SlotState.Accepted);
        assertEq(_record(campaign).voters, 0x1F, "voters after the next");
    }

    /// @dev The public genesis model needs no key: a joiner votes from the next slot on.
    function test_while_the_head_is_genesis_a_joiner_votes_from_the_next_slot_on() public {
        _join(campaign, bystander);
        assertEq(_record(campaign).voters, 0xF, "voters in this slot");
        _expire(campaign);
        assertEq(_record(campaign).voters, 0x1F, "voters in the next");
    }

    function test_a_joiner_votes_in_its_own_slot_in_any_case() public {
        for (uint32 slot = 1; slot <= 3; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        _join(campaign, bystander);
        _expire(campaign);
        _requestFetch(campaign, 5);
        Box memory box = ledger.ballotRecord(_ballot(campaign, 5, BallotKind.Fetch));
        assertEq(box.electorate, 0x1F, "electorate");
        assertEq(box.approvals, 1 << 4, "its own yes");
        assertEq(_record(campaign).voters, 0xF, "voters");
        _decide(campaign, 5, BallotKind.Fetch, true);
        _reportOpened(campaign, 5);
        _requestUpload(campaign, 5);
        _decide(campaign, 5, BallotKind.Upload, true);
        assertEq(_record(campaign).voters, 0x1F, "voters once its model is the head");
    }

    function test_a_joiner_without_a_holdout_is_no_evaluator() public {
        _decide(_requestJoin(campaign, bystander, false), true);
        _expire(campaign);
        _bring(campaign, 2, SlotState.UploadRequested);
        Box memory box = ledger.ballotRecord(_ballot(campaign, 2, BallotKind.Upload));
        assertEq(box.electorate, 0xF, "electorate");
        assertEq(_record(campaign).voters, 0x1F, "voters");
    }

    // ------------------------------------------------------------------ pieces

    function _assertRefused(uint256 number, address account, bytes memory refusal) private {
        assertRefused(
            account, abi.encodeCall(ICDistriM.requestJoin, (number, 1, DATA, true)), refusal
        );
    }
}
