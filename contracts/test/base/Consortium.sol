// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CDistriM} from "../../src/CDistriM.sol";
import {ICDistriM} from "../../src/ICDistriM.sol";
import {Test} from "./Test.sol";

/// @dev A ledger with four partners and one more member, and the moves that tests make.
abstract contract Consortium is Test {
    CDistriM internal ledger;
    address[] internal partners;
    address internal bystander; // a member that is no partner of the campaigns
    address internal constant OUTSIDER = address(0xBAD);
    bytes32 internal constant KEY = keccak256("one-time key");
    uint16 internal constant FIRST = 1; // attempt

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        _found(4);
    }

    // ------------------------------------------------------------------ parts

    function _found(uint256 size) internal {
        ICDistriM.Founder[] memory founders = _founders(size + 1);
        ledger = new CDistriM(founders);
        delete partners;
        for (uint256 i = 0; i < size; i++) {
            partners.push(founders[i].account);
        }
        bystander = founders[size].account;
    }

    function _founders(uint256 size) internal pure returns (ICDistriM.Founder[] memory founders) {
        founders = new ICDistriM.Founder[](size);
        for (uint256 i = 0; i < size; i++) {
            founders[i] = ICDistriM.Founder(
                address(uint160(0x1000 + i)),
                string.concat("hospital-", vm.toString(i + 1)),
                abi.encodePacked("public key ", vm.toString(i + 1))
            );
        }
    }

    function _deadlines() internal pure returns (ICDistriM.Deadlines memory) {
        return ICDistriM.Deadlines(100, 200, 300, 400, 500, 600, 700);
    }

    function _evidence() internal pure returns (ICDistriM.Evidence memory) {
        return ICDistriM.Evidence(800_000_000, 810_000_000, 1e15, 25, 25);
    }

    function _silence() internal pure returns (ICDistriM.Evidence memory nothing) {}

    /// @dev A record as the trainer of `slot` would request it in holdout mode.
    function _candidate(uint256 campaign, uint32 slot)
        internal
        view
        returns (ICDistriM.Candidate memory)
    {
        return ICDistriM.Candidate(
            ledger.headOf(campaign),
            keccak256(abi.encode("ciphertext", slot)),
            keccak256(abi.encode("weights", slot)),
            keccak256(abi.encode("capsule", slot)),
            _evidence()
        );
    }

    /// @dev The same before the encryption, as reported mode requests it.
    function _report(uint256 campaign, uint32 slot)
        internal
        view
        returns (ICDistriM.Candidate memory candidate)
    {
        candidate = _candidate(campaign, slot);
        candidate.ciphertextHash = 0;
        candidate.capsuleHash = 0;
    }

    function _owner(uint32 slot) internal view returns (address) {
        return partners[(slot - 1) % partners.length];
    }

    // ------------------------------------------------------------------ moves

    function _open(ICDistriM.Mode mode, uint16 cycles, uint8 quorum) internal returns (uint256) {
        vm.prank(partners[0]);
        return ledger.openCampaign(
            keccak256("spec"), keccak256("genesis"), partners, cycles, quorum, mode, _deadlines()
        );
    }

    function _enrol(uint256 campaign, uint256 place, bool evaluator) internal {
        vm.prank(partners[place]);
        ledger.enrol(campaign, uint32(100 + place), keccak256(abi.encode("data", place)), evaluator);
    }

    /// @dev A campaign of one cycle in which everybody is enrolled, as an evaluator too.
    function _running(ICDistriM.Mode mode) internal returns (uint256 campaign) {
        campaign = _open(mode, 1, 0);
        for (uint256 i = 0; i < partners.length; i++) {
            _enrol(campaign, i, true);
        }
    }

    function _requestFetch(uint256 campaign, uint32 slot) internal {
        vm.prank(_owner(slot));
        ledger.requestFetch(campaign, slot, FIRST, KEY);
    }

    function _reportOpened(uint256 campaign, uint32 slot) internal {
        vm.prank(_owner(slot));
        ledger.reportOpened(campaign, slot, FIRST, 3, 0, 1);
    }

    function _requestUpload(uint256 campaign, uint32 slot) internal {
        bool reported = ledger.campaignOf(campaign).mode == ICDistriM.Mode.Reported;
        ICDistriM.Candidate memory candidate =
            reported ? _report(campaign, slot) : _candidate(campaign, slot);
        vm.prank(_owner(slot));
        ledger.requestUpload(campaign, slot, FIRST, candidate);
    }

    function _confirmUpload(uint256 campaign, uint32 slot) internal {
        ICDistriM.Candidate memory candidate = _candidate(campaign, slot);
        vm.prank(_owner(slot));
        ledger.confirmUpload(campaign, slot, FIRST, candidate);
    }

    function _vote(uint256 campaign, uint32 slot, ICDistriM.Step step, address voter, bool approve)
        internal
    {
        vm.prank(voter);
        ledger.castVote(
            campaign,
            slot,
            FIRST,
            step,
            approve,
            step == ICDistriM.Step.Upload ? _evidence() : _silence()
        );
    }

    /// @dev The partners after the owner vote, one after the other, until the ballot is decided.
    function _decide(uint256 campaign, uint32 slot, ICDistriM.Step step, bool approve) internal {
        for (uint256 i = 0; i < partners.length - 1; i++) {
            _vote(campaign, slot, step, _owner(slot + 1 + uint32(i)), approve);
            ICDistriM.BallotState state = ledger.ballotOf(campaign, slot, FIRST, step).state;
            if (state != ICDistriM.BallotState.Open) return;
        }
    }

    /// @dev Brings a waiting slot to a later state by the shortest way.
    function _bring(uint256 campaign, uint32 slot, ICDistriM.SlotState state) internal {
        if (state == ICDistriM.SlotState.Waiting) return;
        _requestFetch(campaign, slot);
        if (state == ICDistriM.SlotState.FetchRequested) return;
        _decide(campaign, slot, ICDistriM.Step.Fetch, true);
        if (state == ICDistriM.SlotState.FetchGranted) return;
        _reportOpened(campaign, slot);
        if (state == ICDistriM.SlotState.Training) return;
        _requestUpload(campaign, slot);
        if (state == ICDistriM.SlotState.UploadRequested) return;
        if (state == ICDistriM.SlotState.Skipped) {
            _decide(campaign, slot, ICDistriM.Step.Upload, false);
            return;
        }
        _decide(campaign, slot, ICDistriM.Step.Upload, true);
        if (state == ICDistriM.SlotState.UploadGranted) return;
        if (ledger.campaignOf(campaign).mode == ICDistriM.Mode.Reported) {
            _confirmUpload(campaign, slot);
        }
    }

    // -------------------------------------------------------------- assertions

    function assertState(uint256 campaign, uint32 slot, ICDistriM.SlotState state) internal view {
        assertEq(uint8(ledger.slotOf(campaign, slot).state), uint8(state), "state of the slot");
    }

    function assertSkipped(uint256 campaign, uint32 slot, ICDistriM.SkipReason reason)
        internal
        view
    {
        assertState(campaign, slot, ICDistriM.SlotState.Skipped);
        assertEq(uint8(ledger.slotOf(campaign, slot).skipReason), uint8(reason), "skip reason");
    }

    function assertState(uint256 campaign, ICDistriM.CampaignState state) internal view {
        assertEq(uint8(ledger.campaignOf(campaign).state), uint8(state), "state of the campaign");
    }

    /// @dev The call must fail with exactly this error and leave everything that views tell as it was.
    function assertRefused(address caller, bytes memory call, bytes memory refusal) internal {
        bytes32 before = _everything();
        vm.prank(caller);
        (bool success, bytes memory answer) = address(ledger).call(call);
        assertTrue(!success, "the call was not refused");
        assertEq(keccak256(answer), keccak256(refusal), "refused with another error");
        assertEq(_everything(), before, "something changed");
    }

    function _everything() internal view returns (bytes32 digest) {
        digest = keccak256(abi.encode(ledger.members(), ledger.campaigns()));
        for (uint256 campaign = 1; campaign <= ledger.campaigns(); campaign++) {
            ICDistriM.Snapshot memory snapshot = ledger.snapshotOf(campaign);
            ICDistriM.Slot[] memory slots = ledger.slotsOf(campaign, 1, snapshot.campaign.slots);
            digest = keccak256(abi.encode(digest, snapshot, slots));
        }
    }
}
