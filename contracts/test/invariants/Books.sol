// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotId} from "../../src/ValueTypes.sol";
import {Consortium} from "../base/Consortium.sol";
import {Vm} from "../base/Test.sol";

/// @dev What was seen of a ledger, kept apart from it. Votes are counted in a way of its own: nothing of the
/// contract's arithmetic is used to check it. Numbers I1 … are those of README.md.
abstract contract Books is Consortium {
    /// @dev What happened how often, to see how far the calls come.
    enum Reached {
        Calls,
        Refusals,
        CampaignsOpened,
        CampaignsStarted,
        CampaignsCompleted,
        CampaignsFailed,
        HoldoutAccepted,
        ReportedAccepted,
        FetchesGranted,
        FetchesRefused,
        CandidatesRefused,
        DeadlinesPassed,
        OwnersRemoved,
        TooFewPartners,
        PartnersAbsent,
        RestoresPassed,
        RestoresAfterTheEnd,
        RestartsByRestore,
        RestartsByRemoval,
        Admitted,
        Removed,
        Joined,
        VotersAdded,
        FinalsGranted,
        FinalsOpened,
        FinalsUsed,
        Capsules,
        SignedVotes,
        BallotsOpened,
        BallotsDied
    }

    struct Seen {
        uint128 active;
        uint256 seats;
        CampaignRecord[] campaigns;
        SlotRecord[] slots; // the open or last one of each campaign
    }

    /// @dev One call. Bit k of `passed` and `redeemed` stands for BallotKind k, bit c of `restored` and
    /// `restarted` for campaign c + 1.
    struct Step {
        address actor;
        bytes4 call;
        Seen before;
        uint32[] heads; // as the events let expect
        uint256 passed;
        uint256 redeemed;
        uint256 restored;
        uint256 restarted;
        BallotId ballot; // the one that passed
    }

    struct Book {
        BallotState state; // as it was last seen
        uint128 electorate;
        uint128 yes;
        uint128 no;
        bool closed;
        bool passed;
        uint32 head; // as it was opened
        bool opened; // whether the slot's owner had opened that by then
        bytes32 about; // what its proposal said
    }

    BallotId[] internal ballots;
    mapping(BallotId ballot => Book) internal books;
    mapping(bytes32 token => uint256) internal _granted; // deadline
    mapping(bytes32 token => bool) internal _redeemed;
    mapping(bytes32 candidate => Candidate) internal _submitted;
    mapping(uint256 campaign => uint128) internal _dealtTo;
    mapping(uint256 campaign => mapping(uint32 slot => bytes32)) internal _ended;
    mapping(uint256 campaign => mapping(uint32 slot => bool)) internal _undone;
    mapping(uint256 campaign => bytes32) internal _opening;
    mapping(uint256 campaign => uint8[]) internal _order;
    bytes32[] internal _seats; // account and name
    uint128 internal _gone; // seats of former members
    mapping(Reached what => uint256) internal reached;
    uint256 private _watchedNext;

    function _look() internal view returns (Seen memory seen) {
        seen.active = ledger.activeSeats();
        seen.seats = ledger.seats();
        uint256 count = ledger.campaigns();
        seen.campaigns = new CampaignRecord[](count);
        seen.slots = new SlotRecord[](count);
        for (uint256 i = 0; i < count; i++) {
            seen.campaigns[i] = _record(i + 1);
            seen.slots[i] = _slot(i + 1, seen.campaigns[i].slot);
        }
    }

    // ------------------------------------------------------------------ ballots

    /// @dev All that were open, and some of the others in turn.
    function _watchBallots() internal {
        BallotId[] memory open = new BallotId[](ballots.length);
        uint256 count = 0;
        uint128 active = ledger.activeSeats();
        for (uint256 i = 0; i < ballots.length; i++) {
            if (books[ballots[i]].state != BallotState.Open) continue;
            if (_watch(ballots[i], active) == BallotState.Open) open[count++] = ballots[i];
        }
        for (uint256 i = 0; i < count; i++) {
            for (uint256 j = 0; j < i; j++) {
                assertTrue(!_rivals(open[i], open[j]), "I13: two open ballots");
            }
        }
        for (uint256 i = 0; i < 4 && i < ballots.length; i++) {
            _watch(ballots[_watchedNext++ % ballots.length], active);
        }
    }

    function _watchAllBallots() internal {
        uint128 active = ledger.activeSeats();
        for (uint256 i = 0; i < ballots.length; i++) {
            _watch(ballots[i], active);
        }
    }

    function _watch(BallotId ballot, uint128 active) private returns (BallotState state) {
        Book storage book = books[ballot];
        state = ledger.ballotState(ballot);
        if (book.state != BallotState.Open) {
            assertEq(uint8(state), uint8(book.state), "I10: a decided or void ballot changed");
        } else if (state == BallotState.Rejected && !book.closed) {
            reached[Reached.BallotsDied]++;
        }
        book.state = state;
        Box memory box = ledger.ballotRecord(ballot);
        assertEq(box.electorate, book.electorate, "I11: electorate");
        assertEq(box.approvals, book.yes, "I11: approvals");
        assertEq(box.refusals, book.no, "I11: refusals");
        assertEq(
            state == BallotState.Passed ? 1 : 0, book.passed ? 1 : 0, "I4: passed without event"
        );
        if (state != BallotState.Open) return state;
        assertTrue(!book.closed, "I10: open after its end");
        assertEq(box.electorate & ~active, 0, "I12: an electorate with former members");
        if (ballot.campaignOf() != 0) _checkPresent(ballot, book, box);
    }

    /// @dev What an open ballot is about is still so.
    function _checkPresent(BallotId ballot, Book storage book, Box memory box) private view {
        BallotKind kind = ballot.kindOf();
        CampaignRecord memory c = _record(ballot.campaignOf());
        SlotRecord memory s = _slot(ballot.campaignOf(), c.slot);
        bool ofSlot = kind <= BallotKind.Upload;
        assertTrue(block.timestamp <= (ofSlot ? s.deadline : box.deadline), "I17: open, but over");
        if (kind == BallotKind.Fetch) {
            assertTrue(s.state == SlotState.FetchRequested, "I17: nobody asks to fetch");
        } else if (kind == BallotKind.Upload) {
            assertTrue(s.state == SlotState.UploadRequested, "I17: nobody asks to upload");
        } else if (kind != BallotKind.FinalFetch) {
            assertEq(box.electorate, c.voters, "I17: an old electorate");
        }
        if (kind == BallotKind.Join) {
            assertTrue(c.state == CampaignState.Running, "I17: joins what is over");
            return;
        }
        assertEq(book.head, c.head, "I17: an old head");
        bool ended = ballot.attemptOf() == 0 || kind == BallotKind.FinalFetch;
        assertTrue(ended == (c.state != CampaignState.Running), "I17: the campaign");
        if (ended) return;
        assertTrue(c.slot == ballot.slotOf(), "I17: an old slot");
        assertTrue(s.attempt == ballot.attemptOf(), "I17: an old attempt");
        if (kind != BallotKind.Restore) return;
        assertTrue(book.opened == (s.state >= SlotState.Training), "I17: opened since");
    }

    function _rivals(BallotId a, BallotId b) private pure returns (bool) {
        return a.kindOf() == b.kindOf() && a.campaignOf() == b.campaignOf()
            && a.openerOf() == b.openerOf();
    }

    /// @dev Who would have to be asked as things were before the call.
    function _toAsk(BallotId ballot, Seen memory seen) internal view returns (uint128) {
        BallotKind kind = ballot.kindOf();
        if (kind == BallotKind.Admission || kind == BallotKind.Removal) return seen.active;
        CampaignRecord memory c = seen.campaigns[ballot.campaignOf() - 1];
        if (kind == BallotKind.Join || kind == BallotKind.Restore) return c.voters;
        uint128 opener = _bitOf(ballot.openerOf());
        if (kind == BallotKind.Upload && c.mode == Mode.Holdout) {
            return (c.evaluators & c.voters) | opener;
        }
        return c.voters | opener;
    }

    // --------------------------------------------------------------- derivation

    function _digestOf(SlotRecord memory s) internal pure returns (bytes32) {
        s.undone = false; // told apart, see I7
        return keccak256(abi.encode(s));
    }

    function _fixedAtOpening(CampaignRecord memory c) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                c.specHash,
                c.genesisWeightsHash,
                c.mode,
                c.quorum,
                c.cycles,
                c.enrolDeadline,
                c.deadlines
            )
        );
    }

    function _ownerOfSeat(uint256 seat) internal view returns (bytes32) {
        Member memory member = ledger.memberAt(seat);
        return keccak256(abi.encode(member.account, member.name));
    }

    function _tokenOf(Vm.Log memory log, uint16 attempt, BallotKind kind)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(log.topics[1], log.topics[2], log.topics[3], attempt, kind));
    }

    function _bitOf(address account) internal view returns (uint128) {
        Member memory member = ledger.memberOf(account);
        return member.account == address(0) ? 0 : uint128(1) << member.seat;
    }

    function _quorum(BallotId ballot, uint128 electorate, Seen memory seen)
        internal
        pure
        returns (uint256)
    {
        uint256 voters = _size(electorate);
        uint256 campaign = ballot.campaignOf();
        uint256 asked = campaign == 0 ? 0 : seen.campaigns[campaign - 1].quorum;
        uint256 least = 1;
        while (2 * least <= voters) least++;
        if (asked <= least) return least;
        return asked < voters ? asked : voters;
    }

    function _size(uint128 mask) internal pure returns (uint256 size) {
        for (; mask != 0; mask &= mask - 1) {
            size++;
        }
    }
}
