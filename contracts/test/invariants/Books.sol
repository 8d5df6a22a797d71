// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotId, ballotId} from "../../src/ValueTypes.sol";
import {Consortium} from "../base/Consortium.sol";
import {Vm} from "../base/Test.sol";

/// @dev What was seen of a ledger, kept apart from it. Votes are counted in a way of its own: nothing of the
/// contract's arithmetic is used to check it. Numbers I1 … are those of README.md.
abstract contract Books is Consortium {
    /// @dev What happened how often, to see how far the calls come.
    enum Reached {
        Calls,
        Refusals,
        CallsByStrangers,
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
        RestoresByNoVoter,
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

    /// @dev What a campaign has to be after the call, by what was before and the events since.
    struct Due {
        uint32 head;
        uint128 invited;
        uint128 partners;
        uint128 voters;
        uint128 evaluators;
        uint128 dealt;
        uint128 told; // new voters that an event tells of
    }

    /// @dev One call. A token is named by the ballot for it. Bit c of the masks stands for campaign c + 1.
    struct Step {
        address actor;
        bytes call;
        Seen before;
        Due[] due;
        BallotId opened;
        BallotId passed;
        BallotId refused; // its quorum is out of reach
        BallotId redeemed;
        uint256 restored;
        uint256 restarted;
        uint256 skipped; // whose open slot was
    }

    struct Book {
        BallotState state; // as it was last seen
        uint128 electorate;
        uint128 yes;
        uint128 no;
        bool closed;
        bool passed;
        uint64 deadline;
        uint256 removals; // before it was opened
        uint32 head; // as it was opened
        bool opened; // whether the slot's owner had opened that by then
        bytes32 about; // what its proposal said
    }

    BallotId[] internal ballots;
    mapping(BallotId ballot => Book) internal books;
    mapping(BallotId token => uint256) internal _granted; // deadline
    mapping(BallotId token => bool) internal _redeemed;
    mapping(bytes32 candidate => Candidate) internal _submitted;
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
        Seen memory seen = _look();
        for (uint256 i = 0; i < ballots.length; i++) {
            if (books[ballots[i]].state != BallotState.Open) continue;
            if (_watch(ballots[i], seen) == BallotState.Open) open[count++] = ballots[i];
        }
        for (uint256 i = 0; i < count; i++) {
            for (uint256 j = 0; j < i; j++) {
                assertTrue(!_rivals(open[i], open[j]), "I13: two open ballots");
            }
        }
        for (uint256 i = 0; i < 4 && i < ballots.length; i++) {
            _watch(ballots[_watchedNext++ % ballots.length], seen);
        }
    }

    function _watchAllBallots() internal {
        Seen memory seen = _look();
        for (uint256 i = 0; i < ballots.length; i++) {
            _watch(ballots[i], seen);
        }
    }

    function _watch(BallotId ballot, Seen memory seen) private returns (BallotState state) {
        Book storage book = books[ballot];
        state = ledger.ballotState(ballot);
        if (book.state != BallotState.Open) {
            assertEq(uint8(state), uint8(book.state), "I10: a decided or void ballot changed");
        } else if (state == BallotState.Rejected && !book.closed) {
            assertTrue(bytes(_changed(ballot, book, seen)).length != 0, "I4: died for no reason");
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
        assertEq(box.electorate & ~seen.active, 0, "I12: an electorate with former members");
        string memory changed = _changed(ballot, book, seen);
        assertTrue(bytes(changed).length == 0, string.concat("I17: open, but ", changed));
    }

    /// @dev What a ballot presupposes and is so no longer; empty if all of it is.
    function _changed(BallotId ballot, Book storage book, Seen memory seen)
        private
        view
        returns (string memory)
    {
        BallotKind kind = ballot.kindOf();
        bool ofSlot = kind <= BallotKind.Upload;
        if (block.timestamp > book.deadline) return "its time is over";
        if (!ofSlot && book.removals != _size(_gone)) return "somebody was removed";
        if (book.electorate != _toAsk(ballot, seen)) return "others are to be asked";
        if (ballot.campaignOf() == 0) return "";
        CampaignRecord memory c = seen.campaigns[ballot.campaignOf() - 1];
        if (ofSlot && c.partners & ~seen.active != 0) return "a partner was removed";
        bool running = c.state == CampaignState.Running;
        if (kind == BallotKind.Join) return running ? "" : "the campaign is over";
        if (book.head != c.head) return "the head is another";
        bool ended = ballot.attemptOf() == 0 || kind == BallotKind.FinalFetch;
        if (ended) return running ? "the campaign goes on" : "";
        if (!running) return "the campaign is over";
        SlotRecord memory s = seen.slots[ballot.campaignOf() - 1];
        if (c.slot != ballot.slotOf()) return "the slot is another";
        if (s.attempt != ballot.attemptOf()) return "the attempt is another";
        if (kind == BallotKind.Restore) {
            return book.opened == (s.state >= SlotState.Training) ? "" : "the head was opened";
        }
        bool fetch = kind == BallotKind.Fetch;
        SlotState asking = fetch ? SlotState.FetchRequested : SlotState.UploadRequested;
        return s.state == asking ? "" : "nobody asks";
    }

    function _rivals(BallotId a, BallotId b) private pure returns (bool) {
        return a.kindOf() == b.kindOf() && a.campaignOf() == b.campaignOf()
            && a.openerOf() == b.openerOf();
    }

    /// @dev Who would have to be asked as things are in `seen`.
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

    /// @dev How long the ballot may last.
    function _timeOf(BallotId ballot, Seen memory seen) internal pure returns (uint256) {
        if (ballot.campaignOf() == 0) return 7 days;
        bool upload = ballot.kindOf() == BallotKind.Upload;
        Clock clock = upload ? Clock.UploadBallot : Clock.FetchBallot;
        return seen.campaigns[ballot.campaignOf() - 1].deadlines.secondsOf(clock);
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

    /// @dev Of an event about a slot, or about a token to the final model: its ballot is of no slot.
    function _ballotOf(Vm.Log memory log, uint16 attempt, BallotKind kind)
        internal
        pure
        returns (BallotId)
    {
        uint32 slot = kind == BallotKind.FinalFetch ? 0 : uint32(uint256(log.topics[2]));
        address account = address(uint160(uint256(log.topics[3])));
        return ballotId(kind, uint256(log.topics[1]), slot, attempt, account);
    }

    function assertEq(BallotId a, BallotId b, string memory message) internal pure {
        assertTrue(BallotId.unwrap(a) == BallotId.unwrap(b), message);
    }

    /// @dev Whether the ballot that passed in the call, if one did, is of this kind and campaign.
    function _hasPassed(Step memory step, BallotKind kind, uint256 campaign)
        internal
        pure
        returns (bool)
    {
        if (BallotId.unwrap(step.passed) == 0) return false;
        return step.passed.kindOf() == kind && step.passed.campaignOf() == campaign;
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
