// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {BallotId, ballotId} from "../../src/ValueTypes.sol";
import {Vm} from "../base/Test.sol";
import {Events} from "./Events.sol";

/// @dev Makes calls and compares what was before with what is afterwards; tells what has to hold of every
/// state. Numbers I1 … are those of README.md.
abstract contract Watcher is Events {
    function _watchFounders() internal {
        for (uint256 seat = 0; seat < ledger.seats(); seat++) {
            _seats.push(_ownerOfSeat(seat));
        }
    }

    function _call(address actor, bytes memory call) internal returns (bool success) {
        Step memory step;
        step.actor = actor;
        step.call = call;
        step.before = _look();
        step.due = new Due[](step.before.campaigns.length);
        for (uint256 i = 0; i < step.due.length; i++) {
            step.due[i] = _dueOf(step.before.campaigns[i]);
        }
        vm.recordLogs();
        vm.prank(actor);
        (success,) = address(ledger).call(call);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        reached[Reached.Calls]++;
        bool member = _bitOf(actor) & step.before.active != 0;
        if (!member) reached[Reached.CallsByStrangers]++;
        if (!success) {
            reached[Reached.Refusals]++;
            return false;
        }
        assertTrue(member, "I6: a call by no member succeeded");
        for (uint256 i = 0; i < logs.length; i++) {
            _read(step, logs[i]);
        }
        _compare(step);
        _watchBallots();
    }

    function _wait(uint256 time) internal {
        vm.warp(block.timestamp + time);
        _watchBallots();
    }

    // ------------------------------------------------------- before and after

    function _compare(Step memory step) private {
        for (uint256 i = 0; i < step.before.campaigns.length; i++) {
            CampaignRecord memory c = step.before.campaigns[i];
            CampaignRecord memory now_ = _record(i + 1);
            _compareDue(step, i, now_);
            assertTrue(_mayMove(c, now_), "I15: state of the campaign");
            bool pending = c.partners & ~step.before.active != 0;
            if (pending && bytes4(step.call) != ICDistriM.applyRemovals.selector) {
                bytes32 was = keccak256(abi.encode(c, step.before.slots[i]));
                bytes32 is_ = keccak256(abi.encode(now_, _slot(i + 1, c.slot)));
                assertEq(was, is_, "I6: something went on with a former member as a partner");
            }
            bool running = c.state == CampaignState.Running;
            if (running) _compareSlot(step, i, now_);
            if (running || c.state == CampaignState.Enrolling) {
                _bookEnded(i + 1, c.slot == 0 ? 1 : c.slot, now_.slot);
                continue;
            }
            assertEq(now_.slot, c.slot, "I7: a slot after the end");
            assertEq(now_.voters & ~c.voters, 0, "I7: a voter after the end");
        }
    }

    function _dueOf(CampaignRecord memory c) private pure returns (Due memory) {
        return Due(c.head, c.invited, c.partners, c.voters, c.evaluators, c.dealt, 0);
    }

    function _compareDue(Step memory step, uint256 index, CampaignRecord memory now_) private pure {
        CampaignRecord memory c = step.before.campaigns[index];
        uint128 absent = ~step.before.active;
        assertEq(now_.partners & ~c.partners & absent, 0, "I6: a partner who was no member");
        assertEq(now_.voters & ~c.voters & absent, 0, "I6: a voter who was no member");
        assertEq(now_.evaluators & ~c.evaluators & absent, 0, "I6: an evaluator who was no member");
        Due memory due = step.due[index];
        assertEq(now_.head, due.head, "I2: the head moved without an event");
        assertEq(now_.invited, due.invited, "I7: invitations");
        assertEq(now_.partners, due.partners, "I14: partners");
        assertEq(now_.voters, due.voters, "I14: voters");
        assertEq(now_.voters & ~c.voters, due.told, "I14: voters added without an event");
        assertEq(now_.evaluators, due.evaluators, "I14: evaluators");
        assertEq(now_.dealt, due.dealt, "I14: who is dealt to");
    }

    function _compareSlot(Step memory step, uint256 index, CampaignRecord memory now_)
        private
        view
    {
        CampaignRecord memory c = step.before.campaigns[index];
        SlotRecord memory a = step.before.slots[index];
        SlotRecord memory b = _slot(index + 1, c.slot);
        assertEq(a.ownerSeat, b.ownerSeat, "I15: owner");
        bool restarted = step.restarted & (1 << index) != 0;
        assertEq(b.attempt, a.attempt + (restarted ? 1 : 0), "I15: attempt");
        bool restored = step.restored & (1 << index) != 0;
        if (restarted) {
            bool again = a.state >= SlotState.UploadRequested;
            SlotState state = restored || !again ? SlotState.Waiting : SlotState.Training;
            assertTrue(b.state == state, "I15: restarted in");
            bool asked = a.state == SlotState.FetchRequested || again;
            bool removed = c.partners & ~step.before.active != 0;
            assertTrue(restored || (asked && removed), "I15: restarted for no reason");
        } else {
            assertTrue(!restored, "I15: restored without a restart");
            assertTrue(_mayMove(a.state, b.state, c.mode), "I15: state");
            if (a.state == b.state) assertEq(a.deadline, b.deadline, "I15: deadline");
            else _checkCause(step, index, b.state);
        }
        bool ended = b.state >= SlotState.Accepted;
        bool left = now_.slot > c.slot || now_.state != CampaignState.Running;
        assertTrue(ended == left, "I1: the open slot");
    }

    /// @dev That the open slot goes on by what its own ballot or token says.
    function _checkCause(Step memory step, uint256 index, SlotState to) private view {
        if (to == SlotState.Skipped) {
            assertTrue(step.skipped & (1 << index) != 0, "I15: skipped without an event");
            return;
        }
        SlotRecord memory s = step.before.slots[index];
        BallotKind kind = s.state < SlotState.Training ? BallotKind.Fetch : BallotKind.Upload;
        address owner = ledger.memberAt(s.ownerSeat).account;
        uint32 slot = step.before.campaigns[index].slot;
        BallotId needed = ballotId(kind, index + 1, slot, s.attempt, owner);
        BallotId cause = step.redeemed;
        if (s.state == SlotState.Waiting || s.state == SlotState.Training) cause = step.opened;
        bool asked = s.state == SlotState.FetchRequested || s.state == SlotState.UploadRequested;
        if (asked) cause = step.passed;
        assertEq(cause, needed, "I15: without its request, ballot or token");
    }

    function _bookEnded(uint256 campaign, uint32 from, uint32 to) private {
        for (uint32 slot = from; slot <= to; slot++) {
            SlotRecord memory s = _slot(campaign, slot);
            if (s.state >= SlotState.Accepted) _ended[campaign][slot] = _digestOf(s);
        }
    }

    function _mayMove(CampaignRecord memory a, CampaignRecord memory b)
        private
        pure
        returns (bool)
    {
        if (a.state == b.state) return true;
        if (a.state == CampaignState.Enrolling) return b.state != CampaignState.Completed;
        if (a.state == CampaignState.Running) return b.state > CampaignState.Running;
        return a.state == CampaignState.Completed && b.state == CampaignState.Failed && b.head == 0;
    }

    /// @dev The protocol's table, restarts aside.
    function _mayMove(SlotState a, SlotState b, Mode mode) private pure returns (bool) {
        if (a == b || b == SlotState.Skipped) return true;
        bool holdout = mode == Mode.Holdout;
        if (a == SlotState.UploadRequested) {
            return b == (holdout ? SlotState.Accepted : SlotState.UploadGranted);
        }
        return uint8(b) == uint8(a) + 1 && !(holdout && b == SlotState.UploadGranted);
    }

    // ------------------------------------------------------- what stays for ever

    function _checkHistory() internal view {
        for (uint256 campaign = 1; campaign <= ledger.campaigns(); campaign++) {
            CampaignRecord memory c = _record(campaign);
            assertEq(_fixedAtOpening(c), _opening[campaign], "I7: changed after the opening");
            uint8[] memory order = ledger.orderOf(campaign);
            assertEq(order.length, _order[campaign].length, "I7: places in the order");
            for (uint256 i = 0; i < order.length; i++) {
                assertEq(order[i], _order[campaign][i], "I7: order");
            }
            for (uint32 slot = 1; slot <= c.slot; slot++) {
                SlotRecord memory s = _slot(campaign, slot);
                assertTrue(s.undone == _undone[campaign][slot], "I7: undone");
                bool ended = s.state >= SlotState.Accepted;
                bytes32 digest = ended ? _digestOf(s) : bytes32(0);
                assertEq(digest, _ended[campaign][slot], "I7: an ended slot changed");
            }
        }
    }

    function _checkSeats() internal view {
        uint256 count = ledger.seats();
        uint128 active = ledger.activeSeats();
        assertEq(count, _seats.length, "I8: seats");
        assertEq(active, uint128((1 << count) - 1) & ~_gone, "I6: who is a member");
        assertTrue(_size(active) >= 2 && _size(active) <= 50, "I8: number of members");
        for (uint256 seat = 0; seat < count; seat++) {
            Member memory member = ledger.memberAt(seat);
            assertEq(_ownerOfSeat(seat), _seats[seat], "I8: owner of a seat");
            assertEq(member.seat, seat, "I8: an account with two seats");
            assertTrue(member.active == (active >> seat & 1 != 0), "I8: active");
        }
    }

    // ------------------------------------------------------------ of every state

    function _checkSlots(uint256 campaign) internal view {
        CampaignRecord memory c = _record(campaign);
        uint256 open = 0;
        for (uint32 slot = 1; slot <= c.slot + c.places + 1; slot++) {
            SlotRecord memory s = _slot(campaign, slot);
            bool ended = s.state >= SlotState.Accepted;
            if (slot > c.slot) {
                assertTrue(s.attempt == 0 && !ended, "I1: a slot that has not begun");
            } else if (!ended) {
                open++;
            }
        }
        bool running = c.state == CampaignState.Running;
        assertEq(open, running ? 1 : 0, "I1: open slots");
        if (!running) return;
        assertTrue(_slot(campaign, c.slot).state < SlotState.Accepted, "I1: which one is open");
        uint8 seat = ledger.orderOf(campaign)[c.place];
        assertEq(_slot(campaign, c.slot).ownerSeat, seat, "I1: whose slot is open");
    }

    function _checkHead(uint256 campaign) internal view {
        CampaignRecord memory c = _record(campaign);
        uint32 length = 0;
        for (uint32 slot = c.head; slot != 0; length++) {
            SlotRecord memory s = _slot(campaign, slot);
            assertTrue(s.state == SlotState.Accepted && !s.undone, "I2: an ancestor");
            assertTrue(s.parent < slot, "I2: a parent that is later");
            slot = s.parent;
        }
        assertEq(length, c.accepted, "I2: accepted");
        bool genesis = c.head == 0;
        if (c.state >= CampaignState.Completed) {
            assertTrue(genesis == (c.state == CampaignState.Failed), "I2: state after the end");
        }
    }

    function _checkMasks(uint256 campaign) internal view {
        CampaignRecord memory c = _record(campaign);
        assertEq(c.partners & ~c.invited, 0, "I14: a partner without a place");
        assertEq(c.voters & ~c.partners, 0, "I14: a voter who is no partner");
        assertEq(c.evaluators & ~c.partners, 0, "I14: an evaluator who is no partner");
        assertEq(c.dealt & ~c.partners, 0, "I14: dealt to no partner");
        if (c.state != CampaignState.Running) return;
        if (c.partners & ~ledger.activeSeats() != 0) return;
        assertTrue(_size(c.voters) >= 2, "I16: too few voters");
        bool enough = c.mode == Mode.Reported || _size(c.evaluators & c.voters) >= 2;
        assertTrue(enough, "I16: too few evaluators");
    }
}
