// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {ICDistriMEvents} from "../src/ICDistriMEvents.sol";
import {BallotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev requestFinalModel, reportFinalOpened and recordUse. The campaign is completed with head 4.
contract FinalModelTest is Refusals {
    uint256 private campaign;

    function setUp() public override {
        super.setUp();
        campaign = _running(Mode.Holdout);
        _complete(campaign);
    }

    // ------------------------------------------------------------------- asking

    function test_a_final_fetch_asks_all_voters_with_the_openers_yes() public {
        BallotId ballot = _requestFinal(campaign, partners[1]);
        Box memory box = ledger.ballotRecord(ballot);
        assertState(ballot, BallotState.Open);
        assertEq(box.electorate, 0xF, "electorate");
        assertEq(box.approvals, 1 << 1, "the opener's yes");
        assertEq(box.deadline, block.timestamp + 300, "deadline");
        assertEq(box.model, 4, "head");
        FinalFetchRecord memory f = ledger.finalFetchRecord(campaign, partners[1]);
        assertEq(uint8(f.state), uint8(FinalFetchState.Requested), "state");
        assertEq(f.round, 1, "round");
        assertEq(f.head, 4, "head");
        assertEq(f.requestKeyDigest, KEY, "key digest");
        assertEq(f.deadline, 0, "no token yet");
    }

    function test_only_partners_of_a_completed_campaign_ask_for_its_model() public {
        _assertRequestRefused(bystander, _notAPartner(campaign, bystander));
        CampaignState[3] memory states =
            [CampaignState.Enrolling, CampaignState.Running, CampaignState.Failed];
        uint256[3] memory others =
            [_open(Mode.Holdout, 1, 0), _running(Mode.Holdout), _open(Mode.Holdout, 1, 0)];
        _closeEnrolment(others[2]);
        for (uint256 i = 0; i < 3; i++) {
            campaign = others[i];
            bytes memory refusal = _wrongCampaignState(states[i], CampaignState.Completed);
            _assertRequestRefused(partners[0], refusal);
            assertRefused(partners[0], _opening(), refusal);
            assertRefused(partners[0], _use(KEY), refusal);
        }
    }

    function test_a_final_fetch_needs_a_one_time_key() public {
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.requestFinalModel, (campaign, bytes32(0))),
            _zeroHash()
        );
    }

    function test_a_partner_has_one_open_final_fetch() public {
        BallotId first = _requestFinal(campaign, partners[0]);
        _assertRequestRefused(partners[0], _ballotOpened(first));
        _requestFinal(campaign, partners[1]); // another partner may
        _decide(first, false);
        assertState(first, BallotState.Rejected);
        assertFinal(partners[0], FinalFetchState.Requested);
        _requestFinal(campaign, partners[0]);
        assertEq(ledger.finalFetchRecord(campaign, partners[0]).round, 2, "round");
    }

    function test_a_final_fetch_is_decided_in_time_or_not_at_all() public {
        BallotId ballot = _requestFinal(campaign, partners[0]);
        uint256 deadline = block.timestamp + 300;
        vm.warp(deadline);
        _vote(ballot, partners[1], true);
        vm.warp(deadline + 1);
        assertVoteRefused(partners[2], ballot, _late(deadline));
        assertState(_requestFinal(campaign, partners[0]), BallotState.Open);
    }

    /// @dev It was dealt no head, but it may ask, and its request is its yes.
    function test_a_partner_that_is_no_voter_may_ask() public {
        campaign = _running(Mode.Holdout);
        for (uint32 slot = 1; slot <= 3; slot++) {
            _bring(campaign, slot, SlotState.Accepted);
        }
        _bring(campaign, 4, SlotState.UploadRequested);
        _join(campaign, bystander);
        _decide(campaign, 4, BallotKind.Upload, true);
        _expire(campaign); // the joiner's own slot
        assertState(campaign, CampaignState.Completed);
        assertEq(_record(campaign).voters, 0xF, "voters");
        BallotId ballot = _requestFinal(campaign, bystander);
        assertEq(ledger.ballotRecord(ballot).electorate, 0x1F, "electorate");
        _decide(ballot, true);
        _open(bystander);
        assertFinal(bystander, FinalFetchState.Opened);
        assertEq(
            ledger.ballotRecord(_requestFinal(campaign, partners[0])).electorate,
            0xF,
            "of another's"
        );
    }

    function test_a_lone_voter_has_nobody_to_ask() public {
        for (uint256 i = 1; i < 4; i++) {
            _admit(10 + i);
            _takeOut(campaign, partners[i]);
        }
        _assertRequestRefused(
            partners[0], abi.encodeWithSelector(ICDistriMErrors.TooFewPartners.selector, campaign)
        );
    }

    // -------------------------------------------------------------------- token

    function test_a_final_fetch_that_passed_is_a_token_for_the_opening_time() public {
        BallotId ballot = _requestFinal(campaign, partners[1]);
        _vote(ballot, partners[0], true);
        vm.warp(block.timestamp + 9);
        vm.recordLogs();
        _vote(ballot, partners[2], true);
        Vm.Log memory log = vm.getRecordedLogs()[2];
        assertEq(log.topics[0], ICDistriMEvents.TokenGranted.selector, "event");
        assertEq(log.topics[2], bytes32(uint256(4)), "the head");
        FinalFetchRecord memory f = ledger.finalFetchRecord(campaign, partners[1]);
        assertEq(uint8(f.state), uint8(FinalFetchState.Granted), "state");
        assertEq(f.deadline, block.timestamp + 400, "deadline");
    }

    function test_a_final_token_is_redeemed_in_time_and_once() public {
        _grant(partners[1]);
        vm.warp(ledger.finalFetchRecord(campaign, partners[1]).deadline);
        vm.recordLogs();
        _open(partners[1]);
        assertEq(
            keccak256(_told(ICDistriMEvents.ModelOpened.selector)),
            keccak256(abi.encode(1, 4, 3, 1, 0, block.timestamp)),
            "round, head, good, bad, missing, the token's deadline"
        );
        assertFinal(partners[1], FinalFetchState.Opened);
        assertRefused(
            partners[1],
            _opening(),
            _wrongFinalState(FinalFetchState.Opened, FinalFetchState.Granted)
        );
    }

    function test_a_final_token_is_worthless_after_its_deadline() public {
        _grant(partners[1]);
        uint256 deadline = ledger.finalFetchRecord(campaign, partners[1]).deadline;
        vm.warp(deadline + 1);
        assertRefused(partners[1], _opening(), _late(deadline));
        _grant(partners[1]); // it may ask again
        _open(partners[1]);
    }

    function test_without_a_grant_nothing_is_opened() public {
        assertRefused(
            partners[1], _opening(), _wrongFinalState(FinalFetchState.None, FinalFetchState.Granted)
        );
        _requestFinal(campaign, partners[1]);
        assertRefused(
            partners[1],
            _opening(),
            _wrongFinalState(FinalFetchState.Requested, FinalFetchState.Granted)
        );
    }

    function test_a_final_token_is_its_holders_alone() public {
        _grant(partners[1]);
        assertRefused(
            partners[2], _opening(), _wrongFinalState(FinalFetchState.None, FinalFetchState.Granted)
        );
        assertRefused(bystander, _opening(), _notAPartner(campaign, bystander));
    }

    function test_asking_again_gives_an_unused_token_up() public {
        _grant(partners[1]);
        _requestFinal(campaign, partners[1]);
        assertRefused(
            partners[1],
            _opening(),
            _wrongFinalState(FinalFetchState.Requested, FinalFetchState.Granted)
        );
    }

    // ---------------------------------------------------------------------- void

    function test_another_head_voids_a_final_fetch_and_its_token() public {
        _grant(partners[1]);
        _grant(partners[2]);
        _open(partners[2]);
        BallotId ballot = _requestFinal(campaign, partners[3]);
        _decide(_requestRestore(campaign, partners[0], 2), true);
        assertVoteRefused(partners[0], ballot, _ballotVoid(ballot));
        bytes memory refusal = abi.encodeWithSelector(ICDistriMErrors.HeadMoved.selector, 4, 2);
        assertRefused(partners[1], _opening(), refusal);
        assertRefused(partners[2], _use(KEY), refusal);
        _grant(partners[1]);
        _open(partners[1]);
        assertEq(ledger.finalFetchRecord(campaign, partners[1]).head, 2, "head");
    }

    function test_a_removed_voter_voids_a_final_fetch() public {
        BallotId ballot = _requestFinal(campaign, partners[1]);
        _takeOut(campaign, partners[3]);
        assertVoteRefused(partners[0], ballot, _ballotVoid(ballot));
        assertState(_requestFinal(campaign, partners[1]), BallotState.Open);
    }

    function test_a_removed_opener_gets_no_final_model() public {
        BallotId ballot = _requestFinal(campaign, partners[1]);
        _takeOut(campaign, partners[1]);
        assertVoteRefused(partners[0], ballot, _ballotVoid(ballot));
        assertRefused(partners[1], _opening(), _notAMember(partners[1]));
    }

    // ----------------------------------------------------------------------- use

    function test_who_opened_the_final_model_records_each_use() public {
        _grant(partners[1]);
        _open(partners[1]);
        for (uint256 i = 0; i < 2; i++) {
            vm.recordLogs();
            vm.prank(partners[1]);
            ledger.recordUse(campaign, KEY);
            Vm.Log memory log = vm.getRecordedLogs()[0];
            assertEq(log.topics[2], bytes32(uint256(uint160(partners[1]))), "account");
            assertEq(keccak256(log.data), keccak256(abi.encode(4, KEY)), "head, purpose");
        }
    }

    /// @dev Its right to use the model is what the new ballot decides.
    function test_who_asks_for_the_model_again_uses_it_once_it_is_granted_again() public {
        _grant(partners[1]);
        _open(partners[1]);
        BallotId again = _requestFinal(campaign, partners[1]);
        assertRefused(
            partners[1],
            _use(KEY),
            _wrongFinalState(FinalFetchState.Requested, FinalFetchState.Opened)
        );
        _decide(again, true);
        _open(partners[1]);
        vm.prank(partners[1]);
        ledger.recordUse(campaign, KEY);
    }

    function test_who_did_not_open_the_final_model_does_not_use_it() public {
        assertRefused(
            partners[1], _use(KEY), _wrongFinalState(FinalFetchState.None, FinalFetchState.Opened)
        );
        _grant(partners[1]);
        assertRefused(
            partners[1],
            _use(KEY),
            _wrongFinalState(FinalFetchState.Granted, FinalFetchState.Opened)
        );
        assertRefused(bystander, _use(KEY), _notAPartner(campaign, bystander));
    }

    function test_a_use_has_a_purpose() public {
        _grant(partners[1]);
        _open(partners[1]);
        assertRefused(partners[1], _use(0), _zeroHash());
    }

    // -------------------------------------------------------------------- pieces

    function _grant(address account) private {
        _decide(_requestFinal(campaign, account), true);
    }

    function _open(address account) private {
        vm.prank(account);
        ledger.reportFinalOpened(campaign, 3, 1, 0);
    }

    function _opening() private view returns (bytes memory) {
        return abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 3, 0, 0));
    }

    function _use(bytes32 purpose) private view returns (bytes memory) {
        return abi.encodeCall(ICDistriM.recordUse, (campaign, purpose));
    }

    function _wrongFinalState(FinalFetchState state, FinalFetchState needed)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ICDistriMErrors.WrongFinalFetchState.selector, state, needed);
    }

    function _assertRequestRefused(address account, bytes memory refusal) private {
        assertRefused(
            account, abi.encodeCall(ICDistriM.requestFinalModel, (campaign, KEY)), refusal
        );
    }

    function assertFinal(address account, FinalFetchState state) private view {
        FinalFetchRecord memory f = ledger.finalFetchRecord(campaign, account);
        assertEq(uint8(f.state), uint8(state), "state of the fetch");
    }
}
