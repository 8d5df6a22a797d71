// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";

/// @dev openCampaign, enrol, and closeExpired of the enrolment.
contract CampaignTest is Consortium {
    bytes32 private constant SPEC = keccak256("spec");
    bytes32 private constant GENESIS = keccak256("genesis");
    bytes32 private constant DATA = keccak256("data");

    // ---------------------------------------------------------- openCampaign

    function test_a_campaign_opens_with_what_was_agreed() public {
        vm.prank(bystander);
        uint256 campaign = ledger.openCampaign(
            SPEC, GENESIS, partners, 3, 4, ICDistriM.Mode.Reported, _deadlines()
        );
        ICDistriM.Campaign memory c = ledger.campaignOf(campaign);
        assertEq(campaign, 1, "number");
        assertEq(c.specHash, SPEC, "spec");
        assertEq(c.genesisWeightsHash, GENESIS, "genesis");
        assertEq(c.cycles, 3, "cycles");
        assertEq(c.quorum, 4, "quorum");
        assertEq(uint8(c.mode), uint8(ICDistriM.Mode.Reported), "mode");
        assertEq(c.slots, 12, "slots");
        assertEq(c.slot, 0, "no open slot");
        assertEq(c.enrolDeadline, block.timestamp + 100, "enrol deadline");
        assertEq(c.deadlines.confirmation, 700, "deadlines");
        assertEq(c.order[3], partners[3], "order");
        assertTrue(!c.enrolments[0].enrolled, "nobody is enrolled");
        assertState(campaign, ICDistriM.CampaignState.Enrolling);
    }

    function test_campaigns_are_numbered_from_one() public {
        assertEq(_open(ICDistriM.Mode.Holdout, 1, 0), 1, "first");
        assertEq(_open(ICDistriM.Mode.Holdout, 1, 0), 2, "second");
        assertEq(ledger.campaigns(), 2, "count");
    }

    function test_only_members_open_campaigns() public {
        assertRefused(
            OUTSIDER,
            _opening(partners, 1, 0, _deadlines()),
            abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
        );
    }

    function test_only_members_are_partners() public {
        address[] memory order = partners;
        order[2] = OUTSIDER;
        assertRefused(
            partners[0],
            _opening(order, 1, 0, _deadlines()),
            abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
        );
    }

    function test_a_partner_cannot_be_named_twice() public {
        address[] memory order = partners;
        order[3] = order[1];
        assertRefused(
            partners[0],
            _opening(order, 1, 0, _deadlines()),
            abi.encodeWithSelector(ICDistriM.DuplicatePartner.selector, order[1])
        );
    }

    function test_a_campaign_has_2_to_50_partners() public {
        uint256[3] memory lengths = [uint256(0), 1, 51];
        for (uint256 i = 0; i < lengths.length; i++) {
            assertRefused(
                partners[0],
                _opening(new address[](lengths[i]), 1, 0, _deadlines()),
                abi.encodeWithSelector(ICDistriM.BadOrder.selector, lengths[i])
            );
        }
    }

    function test_a_quorum_of_more_than_all_is_refused() public {
        assertRefused(
            partners[0],
            _opening(partners, 1, 5, _deadlines()),
            abi.encodeWithSelector(ICDistriM.BadQuorum.selector, 5, 4)
        );
    }

    function test_no_cycles_are_refused() public {
        assertRefused(
            partners[0],
            _opening(partners, 0, 0, _deadlines()),
            abi.encodeWithSelector(ICDistriM.BadCycles.selector, 0)
        );
    }

    function test_every_deadline_is_1_second_to_30_days() public {
        for (uint256 i = 0; i < 7; i++) {
            uint32[2] memory bad = [uint32(0), 30 days + 1];
            for (uint256 j = 0; j < bad.length; j++) {
                uint32[7] memory d = [uint32(1), 1, 1, 1, 1, 1, 30 days];
                d[i] = bad[j];
                assertRefused(
                    partners[0],
                    _opening(
                        partners,
                        1,
                        0,
                        ICDistriM.Deadlines(d[0], d[1], d[2], d[3], d[4], d[5], d[6])
                    ),
                    abi.encodeWithSelector(ICDistriM.BadDeadline.selector, bad[j])
                );
            }
        }
    }

    function test_a_campaign_without_spec_or_genesis_is_refused() public {
        bytes memory refusal = abi.encodeWithSelector(ICDistriM.ZeroHash.selector);
        ICDistriM.Mode mode = ICDistriM.Mode.Holdout;
        assertRefused(
            partners[0],
            abi.encodeCall(
                ICDistriM.openCampaign, (bytes32(0), GENESIS, partners, 1, 0, mode, _deadlines())
            ),
            refusal
        );
        assertRefused(
            partners[0],
            abi.encodeCall(
                ICDistriM.openCampaign, (SPEC, bytes32(0), partners, 1, 0, mode, _deadlines())
            ),
            refusal
        );
    }

    // ----------------------------------------------------------------- enrol

    function test_an_enrolment_is_kept() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        vm.prank(partners[1]);
        ledger.enrol(campaign, 188, DATA, true);
        ICDistriM.Enrolment memory e = ledger.enrolmentOf(campaign, partners[1]);
        assertEq(e.cases, 188, "cases");
        assertEq(e.dataCommitment, DATA, "commitment");
        assertEq(e.name, "hospital-2", "name");
        assertTrue(e.enrolled && e.evaluator, "roles");
        assertEq(ledger.enrolmentOf(campaign, bystander).account, address(0), "no partner");
    }

    function test_slot_1_opens_when_the_last_partner_enrols() public {
        uint256 campaign = _running(ICDistriM.Mode.Holdout);
        assertState(campaign, ICDistriM.CampaignState.Running);
        ICDistriM.Slot memory slot = ledger.snapshotOf(campaign).slot;
        assertEq(slot.number, 1, "slot");
        assertEq(slot.attempt, 1, "attempt");
        assertEq(slot.owner, partners[0], "owner");
        assertEq(slot.deadline, block.timestamp + 200, "deadline");
        assertEq(uint8(slot.state), uint8(ICDistriM.SlotState.Waiting), "state");
    }

    function test_illegal_enrolments_are_refused() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        assertRefused(
            OUTSIDER,
            abi.encodeCall(ICDistriM.enrol, (campaign, 1, DATA, true)),
            abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
        );
        assertRefused(
            bystander,
            abi.encodeCall(ICDistriM.enrol, (campaign, 1, DATA, true)),
            abi.encodeWithSelector(ICDistriM.NotAPartner.selector, campaign, bystander)
        );
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign + 1, 1, DATA, true)),
            abi.encodeWithSelector(ICDistriM.NoCampaign.selector, campaign + 1)
        );
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (0, 1, DATA, true)),
            abi.encodeWithSelector(ICDistriM.NoCampaign.selector, 0)
        );
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign, 0, DATA, true)),
            abi.encodeWithSelector(ICDistriM.BadCases.selector)
        );
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign, 1, bytes32(0), true)),
            abi.encodeWithSelector(ICDistriM.ZeroHash.selector)
        );
    }

    function test_nobody_enrols_twice() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        _enrol(campaign, 0, true);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign, 7, DATA, false)),
            abi.encodeWithSelector(ICDistriM.AlreadyEnrolled.selector, campaign, partners[0])
        );
    }

    function test_enrolment_is_in_time_up_to_its_deadline() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        uint256 deadline = block.timestamp + 100;
        vm.warp(deadline);
        _enrol(campaign, 0, true);
        vm.warp(deadline + 1);
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.enrol, (campaign, 1, DATA, true)),
            abi.encodeWithSelector(ICDistriM.DeadlinePassed.selector, deadline, deadline + 1)
        );
    }

    function test_nobody_enrols_once_it_runs() public {
        uint256 campaign = _running(ICDistriM.Mode.Holdout);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.enrol, (campaign, 1, DATA, true)),
            abi.encodeWithSelector(
                ICDistriM.WrongCampaignState.selector,
                ICDistriM.CampaignState.Running,
                ICDistriM.CampaignState.Enrolling
            )
        );
    }

    // ------------------------------------------- closeExpired of the enrolment

    function test_the_enrolment_closes_only_after_its_deadline() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        uint256 deadline = block.timestamp + 100;
        vm.warp(deadline);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            abi.encodeWithSelector(ICDistriM.DeadlineNotPassed.selector, deadline, deadline)
        );
    }

    function test_only_members_close_the_enrolment() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        vm.warp(block.timestamp + 101);
        assertRefused(
            OUTSIDER,
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            abi.encodeWithSelector(ICDistriM.NotAMember.selector, OUTSIDER)
        );
    }

    function test_a_campaign_starts_with_those_enrolled_and_skips_the_others() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        _enrol(campaign, 1, true);
        _enrol(campaign, 3, true);
        _closeEnrolment(campaign);
        assertState(campaign, ICDistriM.CampaignState.Running);
        assertSkipped(campaign, 1, ICDistriM.SkipReason.NotEnrolled);
        assertEq(ledger.campaignOf(campaign).slot, 2, "open slot");

        vm.warp(block.timestamp + 201);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
        assertSkipped(campaign, 3, ICDistriM.SkipReason.NotEnrolled);
        assertEq(ledger.campaignOf(campaign).slot, 4, "open slot");
    }

    function test_a_campaign_with_one_partner_fails() public {
        uint256 campaign = _open(ICDistriM.Mode.Reported, 1, 0);
        _enrol(campaign, 0, true);
        _closeEnrolment(campaign);
        assertState(campaign, ICDistriM.CampaignState.Failed);
    }

    function test_a_holdout_campaign_needs_two_evaluators() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        _enrol(campaign, 0, true);
        _enrol(campaign, 1, false);
        _enrol(campaign, 2, false);
        _enrol(campaign, 3, false);
        assertState(campaign, ICDistriM.CampaignState.Failed);
        assertEq(ledger.snapshotOf(campaign).slot.number, 0, "no open slot");
    }

    function test_a_reported_campaign_needs_no_evaluator() public {
        uint256 campaign = _open(ICDistriM.Mode.Reported, 1, 0);
        _enrol(campaign, 0, false);
        _enrol(campaign, 1, false);
        _closeEnrolment(campaign);
        assertState(campaign, ICDistriM.CampaignState.Running);
    }

    function test_an_ended_campaign_cannot_be_closed() public {
        uint256 campaign = _open(ICDistriM.Mode.Holdout, 1, 0);
        _closeEnrolment(campaign);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.closeExpired, (campaign)),
            abi.encodeWithSelector(
                ICDistriM.WrongCampaignState.selector,
                ICDistriM.CampaignState.Failed,
                ICDistriM.CampaignState.Running
            )
        );
    }

    // ----------------------------------------------------------------- pieces

    function _opening(
        address[] memory order,
        uint16 cycles,
        uint8 quorum,
        ICDistriM.Deadlines memory deadlines
    ) private pure returns (bytes memory) {
        return abi.encodeCall(
            ICDistriM.openCampaign,
            (SPEC, GENESIS, order, cycles, quorum, ICDistriM.Mode.Holdout, deadlines)
        );
    }

    function _closeEnrolment(uint256 campaign) private {
        vm.warp(block.timestamp + 101);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
    }
}
