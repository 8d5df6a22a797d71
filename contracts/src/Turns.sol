// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "./BallotBox.sol";
import {Campaigns} from "./Campaigns.sol";
import {BallotId, ballotId} from "./ValueTypes.sol";

/// @title How a campaign moves from slot to slot
/// @notice The transitions of the protocol's table. Who may cause them is decided elsewhere.
abstract contract Turns is Campaigns {
    // ---------------------------------------------------------------- campaign

    function _start(uint256 campaign, CampaignRecord storage c) internal {
        c.voters = c.partners;
        if (!_canDecide(c)) {
            c.voters = 0; // Nobody is asked: it never starts.
            return _complete(campaign, c);
        }
        c.state = CampaignState.Running;
        emit CampaignStarted(campaign, BallotBox.count(c.partners), BallotBox.count(c.evaluators));
        _openNext(campaign, c);
    }

    /// @dev The loop is bounded by one cycle: at least two partners of the order take part.
    function _openNext(uint256 campaign, CampaignRecord storage c) internal {
        uint32 slot = c.slot;
        uint16 cycle = c.cycle;
        uint8 place = c.place;
        while (true) {
            if (++place >= c.places) {
                place = 0;
                if (++cycle > c.cycles) break;
            }
            SlotRecord storage s = _slots[campaign][++slot];
            s.ownerSeat = _orders[campaign][place];
            s.attempt = 1;
            if (c.partners & (uint128(1) << s.ownerSeat) != 0) {
                (c.slot, c.cycle, c.place) = (slot, cycle, place);
                if (c.head == GENESIS) _addVoters(campaign, c, c.partners);
                uint128 joiners = c.partners & ~c.voters;
                if (c.dealt != joiners) c.dealt = joiners;
                _moveTo(c, s, SlotState.Waiting, Clock.FetchRequest);
                emit SlotOpened(campaign, slot, 1, _ownerOf(s), c.head, s.deadline);
                return;
            }
            bool member = _active & (uint128(1) << s.ownerSeat) != 0;
            _markSkipped(
                campaign, slot, s, member ? SkipReason.NotEnrolled : SkipReason.OwnerRemoved
            );
        }
        c.slot = slot;
        _complete(campaign, c);
    }

    function _complete(uint256 campaign, CampaignRecord storage c) internal {
        _settleState(c);
        emit CampaignCompleted(campaign, c.state, c.head, c.accepted);
    }

    /// @dev Whoever can open the head has a vote from now on.
    function _addVoters(uint256 campaign, CampaignRecord storage c, uint128 dealt) private {
        uint128 added = dealt & ~c.voters;
        if (added == 0) return;
        c.voters |= added;
        emit VotersAdded(campaign, added);
    }

    /// @dev An ended campaign succeeded if its head is somebody's model.
    function _settleState(CampaignRecord storage c) private {
        c.state = c.head == GENESIS ? CampaignState.Failed : CampaignState.Completed;
    }

    // ------------------------------------------------------------------- slots

    function _grant(
        BallotId ballot,
        CampaignRecord storage c,
        SlotRecord storage s,
        SlotState next,
        Clock clock
    ) internal {
        _moveTo(c, s, next, clock);
        emit TokenGranted(
            ballot.campaignOf(),
            ballot.slotOf(),
            ballot.attemptOf(),
            ballot.kindOf(),
            ballot.openerOf(),
            s.deadline
        );
    }

    function _accept(uint256 campaign, CampaignRecord storage c, uint32 slot, SlotRecord storage s)
        internal
    {
        s.state = SlotState.Accepted;
        c.head = slot;
        c.accepted++;
        emit ModelAccepted(
            campaign, slot, s.attempt, _ownerOf(s), s.ciphertextHash, s.weightsHash, s.capsuleHash
        );
        _addVoters(campaign, c, c.dealt);
        _openNext(campaign, c);
    }

    /// @dev Ends the open slot and opens the next one.
    function _skip(
        uint256 campaign,
        CampaignRecord storage c,
        uint32 slot,
        SlotRecord storage s,
        SkipReason reason
    ) internal {
        _closeUndecided(campaign, c, slot, s);
        _markSkipped(campaign, slot, s, reason);
        _openNext(campaign, c);
    }

    /// @dev Ends the open slot and the campaign with it.
    function _end(
        uint256 campaign,
        CampaignRecord storage c,
        uint32 slot,
        SlotRecord storage s,
        SkipReason reason
    ) internal {
        _closeUndecided(campaign, c, slot, s);
        _markSkipped(campaign, slot, s, reason);
        _complete(campaign, c);
    }

    /// @dev Starts the open slot over. Nothing of the former attempt can take effect any more.
    function _restart(
        uint256 campaign,
        CampaignRecord storage c,
        uint32 slot,
        SlotRecord storage s,
        SlotState state,
        RestartReason reason
    ) internal {
        _closeUndecided(campaign, c, slot, s);
        s.attempt++;
        s.candidateDigest = 0;
        bool waits = state == SlotState.Waiting;
        if (waits) s.requestKeyDigest = 0;
        _moveTo(c, s, state, waits ? Clock.FetchRequest : Clock.Training);
        emit SlotRestarted(campaign, slot, s.attempt, _ownerOf(s), state, reason, s.deadline);
    }

    /// @dev Takes the head back to an ancestor and marks what is left behind.
    function _restore(
        uint256 campaign,
        CampaignRecord storage c,
        uint32 target,
        RestoreReason reason
    ) internal {
        uint32 head = c.head;
        emit HeadRestored(campaign, c.slot, head, target, reason);
        while (head != target) {
            SlotRecord storage s = _slots[campaign][head];
            s.undone = true;
            head = s.parent;
            c.accepted--;
        }
        c.head = target;
        if (c.state != CampaignState.Running) return _settleState(c);
        _restart(
            campaign,
            c,
            c.slot,
            _slots[campaign][c.slot],
            SlotState.Waiting,
            RestartReason.HeadRestored
        );
    }

    /// @dev Every step's clock starts when the step before it closes.
    function _moveTo(CampaignRecord storage c, SlotRecord storage s, SlotState next, Clock clock)
        internal
    {
        s.state = next;
        s.deadline = uint48(block.timestamp + c.deadlines.secondsOf(clock));
    }

    function _markSkipped(uint256 campaign, uint32 slot, SlotRecord storage s, SkipReason reason)
        private
    {
        s.state = SlotState.Skipped;
        s.skipReason = reason;
        emit SlotSkipped(campaign, slot, s.attempt, _ownerOf(s), reason);
    }

    /// @dev The ballot that the open slot waits for ends with it: silence is no.
    function _closeUndecided(
        uint256 campaign,
        CampaignRecord storage c,
        uint32 slot,
        SlotRecord storage s
    ) private {
        bool fetch = s.state == SlotState.FetchRequested;
        if (!fetch && s.state != SlotState.UploadRequested) return;
        BallotKind kind = fetch ? BallotKind.Fetch : BallotKind.Upload;
        BallotId ballot = ballotId(kind, campaign, slot, s.attempt, _ownerOf(s));
        Box memory box = _boxes[ballot];
        // A ballot that was decided has been closed by its last vote.
        if (BallotBox.tally(box, c.quorum) == BallotState.Open) _emitClosed(ballot, box, false);
    }
}
