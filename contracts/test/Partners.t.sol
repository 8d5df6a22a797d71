// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {Deadlines} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";

/// @dev openCampaign, enrol, and closeExpired of the enrolment.
contract PartnersTest is Refusals {
    bytes32 private constant SPEC = keccak256("spec");
    bytes32 private constant GENESIS = keccak256("genesis");
    bytes32 private constant DATA = keccak256("data");

    // ---------------------------------------------------------- openCampaign

    function test_a_campaign_opens_with_what_was_agreed() public {
        vm.prank(bystander);
        uint256 campaign =
            ledger.openCampaign(SPEC, GENESIS, partners, 3, 4, Mode.Reported, _deadlines());
        CampaignRecord memory c = _record(campaign);
        assertEq(campaign, 1, "number");
        assertEq(c.specHash, SPEC, "spec");
        assertEq(c.genesisWeightsHash, GENESIS, "genesis");
        assertEq(c.cycles, 3, "cycles");
        assertEq(c.quorum, 4, "quorum");
        assertEq(uint8(c.mode), uint8(Mode.Reported), "mode");
        assertEq(c.slot, 0, "no open slot");
        assertEq(c.places, 4, "places");
        assertEq(c.invited, 0xF, "invited");
        assertEq(c.partners | c.voters | c.evaluators | c.dealt, 0, "nobody is enrolled");
        assertEq(c.enrolDeadline, block.timestamp + 100, "enrol deadline");
        assertEq(Deadlines.unwrap(c.deadlines), Deadlines.unwrap(_deadlines()), "deadlines");
        assertEq(ledger.orderOf(campaign)[3], 3, "order");
        assertState(campaign, CampaignState.Enrolling);
    }

    function test_campaigns_are_numbered_from_one() public {
        assertEq(_open(Mode.Holdout, 1, 0), 1, "first");
        assertEq(_open(Mode.Holdout, 1, 0), 2, "second");
        assertEq(ledger.campaigns(), 2, "count");
    }

    function test_the_order_is_kept_as_given() public {
        address[] memory order = new address[](3);
        (order[0], order[1], order[2]) = (partners[3], bystander, partners[0]);
        vm.prank(partners[1]);
        uint256 campaign =
            ledger.openCampaign(SPEC, GENESIS, order, 1, 0, Mode.Holdout, _deadlines());
        uint8[] memory seats = ledger.orderOf(campaign);
        assertEq(seats.length, 3, "length");
        assertEq(keccak256(abi.encode(seats)), keccak256(abi.encode(_three(3, 4, 0))), "seats");
    }

    function test_only_members_are_partners() public {
        _removeMember(bystander);
        address[3] memory accounts = [OUTSIDER, bystander, address(0)];
        for (uint256 i = 0; i < accounts.length; i++) {
            address[] memory order = partners;
            order[2] = accounts[i];
            _assertOpeningRefused(order, 1, 0, _notAMember(accounts[i]));
        }
    }

    function test_a_partner_cannot_be_named_twice() public {
        address[] memory order = partners;
        order[3] = order[1];
        _assertOpeningRefused(
            order, 1, 0, abi.encodeWithSelector(ICDistriMErrors.DuplicatePartner.selector, order[1])
        );
    }

    function test_a_campaign_has_2_to_50_partners() public {
        uint256[4] memory lengths = [uint256(0), 1, 51, 300];
        for (uint256 i = 0; i < lengths.length; i++) {
            _assertOpeningRefused(
                new address[](lengths[i]),
                1,
                0,
                abi.encodeWithSelector(ICDistriMErrors.BadOrder.selector, lengths[i])
            );
        }
        _found(50 - 1);
        partners.push(bystander);
        assertEq(ledger.orderOf(_open(Mode.Holdout, 1, 0)).length, 50, "fifty");
    }

    function test_a_quorum_of_more_than_all_is_refused() public {
        uint8[2] memory quorums = [5, 255];
        for (uint256 i = 0; i < quorums.length; i++) {
            _assertOpeningRefused(
                partners,
                1,
                quorums[i],
                abi.encodeWithSelector(ICDistriMErrors.BadQuorum.selector, quorums[i], 4)
            );
        }
    }

    function test_a_campaign_has_1_to_2000_slots() public {
        uint16[3] memory cycles = [0, 501, type(uint16).max];
        for (uint256 i = 0; i < cycles.length; i++) {
            _assertOpeningRefused(
                partners,
                cycles[i],
                0,
                abi.encodeWithSelector(ICDistriMErrors.BadCycles.selector, cycles[i])
            );
        }
        assertEq(_record(_open(Mode.Holdout, 500, 0)).cycles, 500, "cycles");
    }

    function test_every_deadline_is_1_second_to_30_days() public {
        for (uint256 i = 0; i < 7; i++) {
            uint32[3] memory bad = [0, 30 days + 1, type(uint32).max];
            for (uint256 j = 0; j < bad.length; j++) {
                uint256 others =
                    Deadlines.unwrap(_deadlines()) & ~(uint256(type(uint32).max) << 32 * i);
                _assertDeadlinesRefused(others | uint256(bad[j]) << 32 * i, bad[j]);
            }
        }
    }

    function test_deadlines_at_their_bounds_are_taken() public {
        uint256 word = 0;
        for (uint256 i = 0; i < 7; i++) {
            word |= uint256(i % 2 == 0 ? 1 : 30 days) << 32 * i;
        }
        vm.prank(partners[0]);
        uint256 campaign =
            ledger.openCampaign(SPEC, GENESIS, partners, 1, 0, Mode.Holdout, Deadlines.wrap(word));
        assertEq(_record(campaign).enrolDeadline, block.timestamp + 1, "enrol deadline");
    }

    function test_nothing_hides_above_the_deadlines() public {
        uint256 word = Deadlines.unwrap(_deadlines());
        _assertDeadlinesRefused(word | 1 << 224, 1);
        _assertDeadlinesRefused(word | 1 << 255, 1 << 31);
    }

    function test_a_campaign_without_spec_or_genesis_is_refused() public {
        bytes32[2] memory specs = [bytes32(0), SPEC];
        bytes32[2] memory geneses = [GENESIS, bytes32(0)];
        for (uint256 i = 0; i < 2; i++) {
            assertRefused(
                partners[0],
                abi.encodeCall(
                    ICDistriM.openCampaign,
                    (specs[i], geneses[i], partners, 1, 0, Mode.Holdout, _deadlines())
                ),
                _zeroHash()
            );
        }
    }

    // ----------------------------------------------------------------- enrol

    function test_an_enrolment_is_kept() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        vm.prank(partners[1]);
        ledger.enrol(campaign, 188, DATA, true);
        vm.prank(partners[2]);
        ledger.enrol(campaign, type(uint32).max, DATA, false);
        EnrolmentRecord memory e = ledger.enrolmentRecord(campaign, partners[1]);
        assertEq(e.cases, 188, "cases");
        assertEq(e.dataCommitment, DATA, "commitment");
        assertTrue(e.evaluator, "evaluator");
        assertEq(_record(campaign).partners, 1 << 1 | 1 << 2, "partners");
        assertEq(_record(campaign).evaluators, 1 << 1, "evaluators");
        assertEq(ledger.enrolmentRecord(campaign, partners[2]).cases, type(uint32).max, "most");
        assertEq(ledger.enrolmentRecord(campaign, bystander).cases, 0, "no partner");
    }

    function test_slot_1_opens_when_the_last_partner_enrols() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        for (uint256 i = 3; i > 0; i--) {
            _enrol(campaign, i, true);
        }
        assertState(campaign, CampaignState.Enrolling);
        _enrol(campaign, 0, true);
        assertState(campaign, CampaignState.Running);
        assertEq(_openSlotOf(campaign), 1, "slot");
        assertEq(_record(campaign).voters, 0xF, "voters");
        SlotRecord memory s = _slot(campaign, 1);
        assertEq(s.attempt, 1, "attempt");
        assertEq(s.ownerSeat, 0, "owner");
        assertEq(s.deadline, block.timestamp + 200, "deadline");
        assertEq(uint8(s.state), uint8(SlotState.Waiting), "state");
    }

    function test_only_who_was_invited_enrols() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _assertEnrolmentRefused(bystander, campaign, _notAPartner(campaign, bystander));
        _assertEnrolmentRefused(_admit(7), campaign, _notAPartner(campaign, _account(7)));
    }

    function test_an_enrolment_has_cases_and_a_commitment() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign, 0, DATA, true)),
            abi.encodeWithSelector(ICDistriMErrors.BadCases.selector)
        );
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign, 1, bytes32(0), true)),
            _zeroHash()
        );
    }

    function test_a_partner_needs_a_sealing_key() public {
        ledger = _deploy(_founders(5));
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _assertEnrolmentRefused(
            partners[0],
            campaign,
            abi.encodeWithSelector(ICDistriMErrors.NoSealingKey.selector, partners[0])
        );
    }

    function test_nobody_enrols_twice() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _enrol(campaign, 0, true);
        _assertEnrolmentRefused(
            partners[0],
            campaign,
            abi.encodeWithSelector(ICDistriMErrors.AlreadyEnrolled.selector, campaign, partners[0])
        );
    }

    function test_enrolment_is_in_time_up_to_its_deadline() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        uint256 deadline = block.timestamp + 100;
        vm.warp(deadline);
        _enrol(campaign, 0, true);
        vm.warp(deadline + 1);
        _assertEnrolmentRefused(partners[1], campaign, _late(deadline));
    }

    function test_nobody_enrols_once_it_runs_or_is_over() public {
        uint256 campaign = _open(Mode.Reported, 1, 0);
        _enrol(campaign, 0, true);
        _enrol(campaign, 1, true);
        _closeEnrolment(campaign);
        _assertEnrolmentRefused(
            partners[2],
            campaign,
            _wrongCampaignState(CampaignState.Running, CampaignState.Enrolling)
        );
        _complete(campaign);
        _assertEnrolmentRefused(
            partners[2],
            campaign,
            _wrongCampaignState(CampaignState.Completed, CampaignState.Enrolling)
        );
    }

    /// @dev Only an enrolment starts a campaign at once: here nobody is left to enrol.
    function test_a_removal_after_the_last_enrolment_starts_nothing() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _enrol(campaign, 0, true);
        _enrol(campaign, 1, true);
        _enrol(campaign, 3, true);
        _removeMember(partners[2]);
        assertState(campaign, CampaignState.Enrolling);
        _closeEnrolment(campaign);
        assertState(campaign, CampaignState.Running);
    }

    function test_a_campaign_does_not_wait_for_who_was_removed() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _removeMember(partners[2]);
        _enrol(campaign, 0, true);
        _enrol(campaign, 1, true);
        _enrol(campaign, 3, true);
        assertState(campaign, CampaignState.Running);
    }

    // ------------------------------------------- closeExpired of the enrolment

    function test_the_enrolment_closes_only_after_its_deadline() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        uint256 deadline = block.timestamp + 100;
        vm.warp(deadline);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            _early(deadline, deadline)
        );
    }

    function test_a_campaign_starts_with_those_enrolled_and_skips_the_others() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _enrol(campaign, 1, true);
        _enrol(campaign, 3, true);
        _closeEnrolment(campaign);
        assertState(campaign, CampaignState.Running);
        assertEq(_record(campaign).voters, 1 << 1 | 1 << 3, "voters");
        assertSkipped(campaign, 1, SkipReason.NotEnrolled);
        assertEq(_openSlotOf(campaign), 2, "open slot");
        _expire(campaign);
        assertSkipped(campaign, 3, SkipReason.NotEnrolled);
        assertEq(_openSlotOf(campaign), 4, "open slot");
    }

    function test_a_campaign_with_fewer_than_two_partners_fails() public {
        for (uint256 size = 0; size < 2; size++) {
            uint256 campaign = _open(Mode.Reported, 1, 0);
            if (size == 1) _enrol(campaign, 0, true);
            _closeEnrolment(campaign);
            assertState(campaign, CampaignState.Failed);
            assertEq(_record(campaign).voters, 0, "nobody is asked");
        }
    }

    function test_a_holdout_campaign_with_one_evaluator_in_time_fails() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _enrol(campaign, 0, true);
        _enrol(campaign, 1, false);
        _closeEnrolment(campaign);
        assertState(campaign, CampaignState.Failed);
    }

    function test_who_is_left_alone_starts_nothing() public {
        uint256 campaign = _open(Mode.Reported, 1, 0);
        for (uint256 i = 1; i < 4; i++) {
            _admit(10 + i);
            _removeMember(partners[i]);
        }
        _enrol(campaign, 0, true);
        assertState(campaign, CampaignState.Failed);
    }

    function test_a_holdout_campaign_needs_two_evaluators() public {
        uint256 campaign = _open(Mode.Holdout, 1, 0);
        _enrol(campaign, 0, true);
        for (uint256 i = 1; i < 4; i++) {
            _enrol(campaign, i, false);
        }
        assertState(campaign, CampaignState.Failed);
        assertEq(_openSlotOf(campaign), 0, "no open slot");
    }

    function test_a_reported_campaign_needs_no_evaluator() public {
        uint256 campaign = _open(Mode.Reported, 1, 0);
        _enrol(campaign, 0, false);
        _enrol(campaign, 1, false);
        _closeEnrolment(campaign);
        assertState(campaign, CampaignState.Running);
    }

    // ----------------------------------------------------------------- pieces

    function _three(uint8 a, uint8 b, uint8 c) private pure returns (uint8[] memory seats) {
        seats = new uint8[](3);
        (seats[0], seats[1], seats[2]) = (a, b, c);
    }

    function _assertOpeningRefused(
        address[] memory order,
        uint16 cycles,
        uint8 quorum,
        bytes memory refusal
    ) private {
        assertRefused(
            partners[0],
            abi.encodeCall(
                ICDistriM.openCampaign,
                (SPEC, GENESIS, order, cycles, quorum, Mode.Holdout, _deadlines())
            ),
            refusal
        );
    }

    function _assertDeadlinesRefused(uint256 word, uint32 given) private {
        assertRefused(
            partners[0],
            abi.encodeCall(
                ICDistriM.openCampaign,
                (SPEC, GENESIS, partners, 1, 0, Mode.Holdout, Deadlines.wrap(word))
            ),
            abi.encodeWithSelector(ICDistriMErrors.BadDeadline.selector, given)
        );
    }

    function _assertEnrolmentRefused(address account, uint256 campaign, bytes memory refusal)
        private
    {
        assertRefused(account, abi.encodeCall(ICDistriM.enrol, (campaign, 1, DATA, true)), refusal);
    }
}
