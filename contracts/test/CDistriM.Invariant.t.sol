// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";
import {Test} from "./base/Test.sol";

/// @dev Partners of one campaign act in any order, sensibly or not. What the ledger refuses has no
/// effect, so a refusal is ignored here; what it lets through is watched.
contract SlotHandler is Consortium {
    uint256 public campaign;
    uint32 public head; // as of the last step
    uint32 public accepted; // how often the head changed
    uint32 public unearned; // how often it changed to something else than the slot just accepted

    constructor() {
        setUp();
        campaign = _open(ICDistriM.Mode.Holdout, 100, 0);
        for (uint256 i = 0; i < partners.length; i++) {
            _enrol(campaign, i, true);
        }
    }

    modifier watched() {
        ICDistriM.Slot memory before = ledger.snapshotOf(campaign).slot;
        _;
        uint32 present = ledger.headOf(campaign);
        if (present == head) return;
        accepted++;
        ICDistriM.SlotState state = ledger.slotOf(campaign, present).state;
        bool earned = present == before.number && state == ICDistriM.SlotState.Accepted
            && before.state == ICDistriM.SlotState.UploadRequested;
        if (!earned) unearned++;
        head = present;
    }

    function requestFetch(uint256 who) external watched {
        (uint32 slot, address caller) = _turn(who);
        _try(caller, abi.encodeCall(ICDistriM.requestFetch, (campaign, slot, FIRST, KEY)));
    }

    function reportOpened(uint256 who) external watched {
        (uint32 slot, address caller) = _turn(who);
        _try(caller, abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, FIRST, 3, 0, 1)));
    }

    function requestUpload(uint256 who, uint32 parent) external watched {
        (uint32 slot, address caller) = _turn(who);
        ICDistriM.Candidate memory candidate = _candidate(campaign, slot);
        if (parent % 4 == 0) candidate.parent = parent; // mostly not the head
        _try(caller, abi.encodeCall(ICDistriM.requestUpload, (campaign, slot, FIRST, candidate)));
    }

    /// @dev Seven times of eight about the step that the open slot is at.
    function castVote(uint256 who, uint256 odd, uint256 no) external watched {
        (uint32 slot,) = _turn(0);
        bool upload = ledger.slotOf(campaign, slot).state == ICDistriM.SlotState.UploadRequested;
        if (odd % 8 == 0) upload = !upload;
        ICDistriM.Step step = upload ? ICDistriM.Step.Upload : ICDistriM.Step.Fetch;
        bytes memory call = abi.encodeCall(
            ICDistriM.castVote, (campaign, slot, FIRST, step, no % 4 != 0, _evidence())
        );
        _try(partners[who % partners.length], call);
    }

    /// @dev The pauses are short against the deadlines, or every slot would end here.
    function closeExpired(uint256 who, uint256 pause) external watched {
        vm.warp(block.timestamp + pause % 40);
        _try(partners[who % partners.length], abi.encodeCall(ICDistriM.closeExpired, (campaign)));
    }

    /// @dev The open slot, and who acts in it: its owner three times of four.
    function _turn(uint256 who) private view returns (uint32 slot, address caller) {
        slot = ledger.campaignOf(campaign).slot;
        if (slot == 0) return (1, partners[0]);
        caller = who % 4 != 0 ? _owner(slot) : partners[(who >> 8) % partners.length];
    }

    function _try(address caller, bytes memory call) private {
        vm.prank(caller);
        (bool success,) = address(ledger).call(call);
        success; // see above
    }

    /// @dev The ledger's own word, for the invariants.
    function slotOf(uint32 slot) external view returns (ICDistriM.Slot memory) {
        return ledger.slotOf(campaign, slot);
    }

    function headOf() external view returns (uint32) {
        return ledger.headOf(campaign);
    }

    function openSlot() external view returns (uint32) {
        return ledger.campaignOf(campaign).slot;
    }
}

contract InvariantTest is Test {
    SlotHandler private handler;

    function setUp() public {
        handler = new SlotHandler();
        bytes4[] memory actions = new bytes4[](5);
        actions[0] = SlotHandler.requestFetch.selector;
        actions[1] = SlotHandler.reportOpened.selector;
        actions[2] = SlotHandler.requestUpload.selector;
        actions[3] = SlotHandler.castVote.selector;
        actions[4] = SlotHandler.closeExpired.selector;
        _target(address(handler), actions);
    }

    function invariant_the_head_changes_only_to_the_slot_that_was_accepted() public view {
        assertEq(handler.unearned(), 0, "changes of the head without an accepted slot");
        assertEq(handler.head(), handler.headOf(), "a change that was not seen");
    }

    function invariant_the_head_is_the_last_accepted_slot() public view {
        uint32 head = handler.headOf();
        for (uint32 slot = handler.openSlot(); slot > head; slot--) {
            bool later = handler.slotOf(slot).state == ICDistriM.SlotState.Accepted;
            assertTrue(!later, "a later slot is accepted");
        }
        if (head == 0) return;
        bool accepted = handler.slotOf(head).state == ICDistriM.SlotState.Accepted;
        assertTrue(accepted, "the head is not accepted");
    }

    /// @dev Without this the invariants might hold because nothing ever happens.
    function test_the_handler_brings_a_model_to_acceptance() public {
        handler.requestFetch(1);
        for (uint256 i = 0; i < 4; i++) {
            handler.castVote(i, 1, 1);
        }
        handler.reportOpened(1);
        handler.requestUpload(1, 1);
        for (uint256 i = 0; i < 4; i++) {
            handler.castVote(i, 1, 1);
        }
        assertEq(handler.accepted(), 1, "accepted");
        assertEq(handler.headOf(), 1, "head");
    }
}
