// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";

/// @dev What every action obeys, shown for all of them at once.
contract GuardsTest is Refusals {
    bytes32 private constant DATA = keccak256("data");
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
    }

    // --------------------------------------------------------------- who acts

    function test_nobody_but_members_acts() public {
        _requestFetch(campaign, 1);
        bytes[] memory calls = _all();
        for (uint256 i = 0; i < calls.length; i++) {
            assertRefused(OUTSIDER, calls[i], _notAMember(OUTSIDER));
        }
    }

    function test_who_was_removed_acts_no_more() public {
        _requestFetch(campaign, 1);
        _removeMember(partners[1]);
        _removeMember(bystander);
        bytes[] memory calls = _all();
        for (uint256 i = 0; i < calls.length; i++) {
            assertRefused(partners[1], calls[i], _notAMember(partners[1]));
            assertRefused(bystander, calls[i], _notAMember(bystander));
        }
    }

    // ------------------------------------------------------- in which campaign

    /// @dev Ballots name campaigns with 40 bits: one that is equal in these is still another campaign.
    function test_an_unknown_campaign_is_refused_by_name() public {
        uint256[5] memory unknown =
            [0, campaign + 1, campaign + (1 << 40), campaign + (1 << 255), type(uint256).max];
        for (uint256 i = 0; i < unknown.length; i++) {
            bytes[] memory calls = _ofCampaign(unknown[i]);
            for (uint256 j = 0; j < calls.length; j++) {
                assertRefused(partners[0], calls[j], _noCampaign(unknown[i]));
            }
        }
    }

    function test_nothing_else_is_done_while_removals_are_pending() public {
        _requestFetch(campaign, 1);
        BallotId join = _requestJoin(campaign, bystander, true);
        _removeMember(partners[2]);
        bytes memory refusal = _removalsPending(campaign, 1 << 2);
        bytes[] memory calls = _ofCampaign(campaign);
        for (uint256 i = 0; i < calls.length; i++) {
            if (bytes4(calls[i]) == ICDistriM.applyRemovals.selector) continue;
            assertRefused(partners[0], calls[i], refusal);
        }
        BallotId[2] memory ballots = [_ballot(campaign, 1, BallotKind.Fetch), join];
        for (uint256 i = 0; i < ballots.length; i++) {
            assertVoteRefused(partners[1], ballots[i], refusal);
            SignedVote[] memory votes = new SignedVote[](0);
            assertRefused(
                partners[1],
                abi.encodeCall(ICDistriM.castVotes, (ballots[i], _subjectOf(ballots[i]), votes)),
                refusal
            );
        }
    }

    /// @dev Of what can be asked for while no slot is open: the removal voids it besides.
    function test_no_vote_beside_a_slot_is_taken_while_removals_are_pending() public {
        _complete(campaign);
        BallotId[2] memory ballots =
            [_requestRestore(campaign, partners[0], 0), _requestFinal(campaign, partners[1])];
        _removeMember(partners[3]);
        for (uint256 i = 0; i < ballots.length; i++) {
            assertVoteRefused(partners[2], ballots[i], _removalsPending(campaign, 1 << 3));
        }
    }

    function test_the_removal_of_a_member_that_is_no_partner_leaves_a_campaign_alone() public {
        _removeMember(bystander);
        _requestFetch(campaign, 1);
        assertState(campaign, 1, SlotState.FetchRequested);
    }

    // ------------------------------------------------------ what is no argument

    /// @dev The decoder refuses these before the contract is asked; it gives no reason.
    function test_what_is_no_value_of_its_type_is_refused() public {
        _requestFetch(campaign, 1);
        bytes[] memory calls = new bytes[](8);
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        calls[0] = abi.encodeWithSelector(ICDistriM.castVote.selector, ballot, KEY, 2, 0);
        calls[1] = abi.encodeWithSelector(ICDistriM.requestRestore.selector, campaign, 1, 1, 0, 3);
        calls[2] = abi.encodeWithSelector(
            ICDistriM.requestFetch.selector, campaign, uint256(1) << 32 | 1, 1, KEY
        );
        calls[3] = abi.encodeWithSelector(
            ICDistriM.requestFetch.selector, campaign, 1, uint256(1) << 16 | 1, KEY
        );
        calls[4] =
            abi.encodeWithSelector(ICDistriM.reportOpened.selector, campaign, 1, 1, 256, 0, 0);
        calls[5] = abi.encodeWithSelector(ICDistriM.proposeRemoval.selector, type(uint256).max);
        calls[6] = abi.encodeWithSelector(
            ICDistriM.openCampaign.selector, KEY, KEY, 7 * 32, 1, 0, 2, _deadlines(), 0
        );
        calls[7] = abi.encodeWithSelector(ICDistriM.closeExpired.selector);
        for (uint256 i = 0; i < calls.length; i++) {
            assertRefused(partners[0], calls[i], "");
        }
    }

    function test_the_ledger_takes_no_ether_and_no_unknown_call() public {
        assertRefused(partners[0], "", "");
        assertRefused(partners[0], abi.encodeWithSignature("pause()"), "");
        vm.deal(partners[0], 1 ether);
        vm.prank(partners[0]);
        (bool taken,) = address(ledger).call{value: 1}("");
        assertTrue(!taken, "ether");
        vm.prank(partners[0]);
        (taken,) = address(ledger).call{value: 1}(abi.encodeCall(ICDistriM.publishKey, ("key")));
        assertTrue(!taken, "ether with a call");
    }

    // ------------------------------------------------------------------ pieces

    function _all() private view returns (bytes[] memory calls) {
        bytes[] memory first = _ofCampaign(campaign);
        calls = new bytes[](first.length + 6);
        for (uint256 i = 0; i < first.length; i++) {
            calls[i] = first[i];
        }
        uint256 next = first.length;
        BallotId ballot = _ballot(campaign, 1, BallotKind.Fetch);
        calls[next++] = abi.encodeCall(ICDistriM.publishKey, ("key"));
        calls[next++] =
            abi.encodeCall(ICDistriM.proposeAdmission, (Applicant(_account(9), _name(9))));
        calls[next++] = abi.encodeCall(ICDistriM.proposeRemoval, (partners[0]));
        calls[next++] = abi.encodeCall(
            ICDistriM.openCampaign, (KEY, KEY, partners, 1, 0, Mode.Holdout, _deadlines())
        );
        calls[next++] =
            abi.encodeCall(ICDistriM.castVote, (ballot, _subjectOf(ballot), true, _silence()));
        SignedVote[] memory votes = new SignedVote[](1);
        votes[0] = _signed(ballot, 1, true, _silence(), uint64(block.timestamp));
        calls[next++] = abi.encodeCall(ICDistriM.castVotes, (ballot, _subjectOf(ballot), votes));
    }

    /// @dev Every action that names a campaign. Good arguments, as far as there are any.
    function _ofCampaign(uint256 number) private view returns (bytes[] memory calls) {
        Candidate memory candidate = _candidate(campaign, 1);
        calls = new bytes[](13);
        calls[0] = abi.encodeCall(ICDistriM.enrol, (number, 1, DATA, true));
        calls[1] = abi.encodeCall(ICDistriM.requestJoin, (number, 1, DATA, true));
        calls[2] = abi.encodeCall(ICDistriM.applyRemovals, (number));
        calls[3] = abi.encodeCall(ICDistriM.closeExpired, (number));
        calls[4] = abi.encodeCall(ICDistriM.requestFetch, (number, 1, 1, KEY));
        calls[5] = abi.encodeCall(ICDistriM.reportOpened, (number, 1, 1, 3, 0, 0));
        calls[6] = abi.encodeCall(ICDistriM.requestUpload, (number, 1, 1, candidate));
        calls[7] = abi.encodeCall(ICDistriM.confirmUpload, (number, 1, 1, candidate));
        calls[8] =
            abi.encodeCall(ICDistriM.requestRestore, (number, 1, 1, 0, RestoreReason.Unopenable));
        calls[9] = abi.encodeCall(ICDistriM.addCapsule, (number, 1, KEY));
        calls[10] = abi.encodeCall(ICDistriM.requestFinalModel, (number, KEY));
        calls[11] = abi.encodeCall(ICDistriM.reportFinalOpened, (number, 3, 0, 0));
        calls[12] = abi.encodeCall(ICDistriM.recordUse, (number, KEY));
    }
}
