// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {ICDistriMEvents} from "../../src/ICDistriMEvents.sol";
import {BallotId} from "../../src/ValueTypes.sol";
import {Vm} from "../base/Test.sol";
import {Books} from "./Books.sol";

/// @dev What each event has to be preceded by, in the same call or before. Numbers I1 … are those of README.md.
abstract contract Events is Books {
    function _read(Step memory step, Vm.Log memory log) internal {
        bytes32 what = log.topics[0];
        if (what == ICDistriMEvents.BallotOpened.selector) _ballotOpened(step, log);
        else if (what == ICDistriMEvents.VoteCast.selector) _voteCast(step, log);
        else if (what == ICDistriMEvents.BallotClosed.selector) _ballotClosed(step, log);
        else if (what == ICDistriMEvents.TokenGranted.selector) _tokenGranted(step, log);
        else if (what == ICDistriMEvents.TokenRedeemed.selector) _tokenRedeemed(step, log);
        else if (what == ICDistriMEvents.CandidateSubmitted.selector) _submittedNow(step, log);
        else if (what == ICDistriMEvents.ModelAccepted.selector) _modelAccepted(step, log);
        else if (what == ICDistriMEvents.HeadRestored.selector) _headRestored(step, log);
        else if (what == ICDistriMEvents.SlotRestarted.selector) _slotRestarted(step, log);
        else if (what == ICDistriMEvents.SlotSkipped.selector) _slotSkipped(step, log);
        else if (what == ICDistriMEvents.CampaignOpened.selector) _campaignOpened(log);
        else if (what == ICDistriMEvents.Enrolled.selector) _enrolled(step, log);
        else if (what == ICDistriMEvents.VotersAdded.selector) _votersAdded(step, log);
        else _readMore(step, log, what);
    }

    function _readMore(Step memory step, Vm.Log memory log, bytes32 what) private {
        if (what == ICDistriMEvents.MemberAdmitted.selector) {
            _memberAdmitted(step, log);
        } else if (what == ICDistriMEvents.MemberRemoved.selector) {
            _memberRemoved(step, log);
        } else if (what == ICDistriMEvents.PartnerJoined.selector) {
            _partnerJoined(step, log);
        } else if (what == ICDistriMEvents.AdmissionProposed.selector) {
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.JoinRequested.selector) {
            bytes4 call = ICDistriM.requestJoin.selector;
            bytes memory asked = abi.encodePacked(call, log.topics[2], log.data);
            assertEq(keccak256(asked), keccak256(step.call), "I14: asks with other data");
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.RemovalProposed.selector) {
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.RestoreRequested.selector) {
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.CampaignStarted.selector) {
            _campaignStarted(step, log);
        } else if (what == ICDistriMEvents.PartnersRemoved.selector) {
            _partnersRemoved(step, log);
        } else if (what == ICDistriMEvents.CampaignCompleted.selector) {
            _campaignCompleted(step, log);
        } else if (what == ICDistriMEvents.FinalModelUsed.selector) {
            reached[Reached.FinalsUsed]++;
        } else if (what == ICDistriMEvents.SlotOpened.selector) {
            Due memory due = step.due[uint256(log.topics[1]) - 1];
            if (due.head == 0) due.voters = due.partners;
            due.dealt = due.partners & ~due.voters;
        } else if (what == ICDistriMEvents.CapsuleAdded.selector) {
            reached[Reached.Capsules]++;
        }
    }

    function _ballotOpened(Step memory step, Vm.Log memory log) private {
        BallotId ballot = BallotId.wrap(uint256(log.topics[1]));
        (uint32 head, uint8 quorum, uint128 electorate, uint64 deadline) =
            abi.decode(log.data, (uint32, uint8, uint128, uint64));
        Book storage book = books[ballot];
        step.opened = ballot;
        assertTrue(book.electorate == 0, "I10: opened twice");
        assertEq(ballot.openerOf(), step.actor, "I5: opener");
        assertEq(electorate, _toAsk(ballot, step.before), "I4: electorate at the opening");
        assertEq(quorum, _quorum(ballot, electorate, step.before), "I4: quorum");
        assertEq(deadline, block.timestamp + _timeOf(ballot, step.before), "I17: its time");
        book.electorate = electorate;
        book.deadline = deadline;
        book.removals = _size(_gone);
        book.head = head;
        if (ballot.campaignOf() != 0) {
            SlotState state = step.before.slots[ballot.campaignOf() - 1].state;
            book.opened = state >= SlotState.Training;
            _checkOpener(step, ballot);
        }
        book.state = BallotState.Open;
        book.yes = _bitOf(step.actor) & electorate;
        ballots.push(ballot);
        reached[Reached.BallotsOpened]++;
    }

    /// @dev Partners ask about their campaign, an owner in its slot; to join asks who is no partner.
    function _checkOpener(Step memory step, BallotId ballot) private {
        uint256 index = ballot.campaignOf() - 1;
        BallotKind kind = ballot.kindOf();
        CampaignRecord memory c = step.before.campaigns[index];
        uint128 bit = _bitOf(ballot.openerOf());
        assertTrue((c.partners & bit == 0) == (kind == BallotKind.Join), "I5: not its to ask");
        bool owner = bit == uint128(1) << step.before.slots[index].ownerSeat;
        assertTrue(owner || kind > BallotKind.Upload, "I5: asks in another one's slot");
        bool silent = kind == BallotKind.Restore && c.voters & bit == 0;
        if (silent) reached[Reached.RestoresByNoVoter]++;
    }

    function _voteCast(Step memory step, Vm.Log memory log) private {
        BallotId ballot = BallotId.wrap(uint256(log.topics[1]));
        address account = address(uint160(uint256(log.topics[2])));
        (bool approve,) = abi.decode(log.data, (bool, uint256));
        Book storage book = books[ballot];
        uint128 bit = _bitOf(account);
        assertTrue(book.state == BallotState.Open && !book.closed, "I11: a vote on no open ballot");
        assertTrue(bit & book.electorate != 0, "I11: a vote by somebody else");
        assertTrue(bit & step.before.active != 0, "I6: a vote by a former member");
        assertTrue(bit & (book.yes | book.no) == 0, "I11: a second vote");
        if (approve) book.yes |= bit;
        else book.no |= bit;
        if (account != step.actor) reached[Reached.SignedVotes]++;
    }

    function _ballotClosed(Step memory step, Vm.Log memory log) private {
        BallotId ballot = BallotId.wrap(uint256(log.topics[1]));
        (bool passed, uint8 yes, uint8 no) = abi.decode(log.data, (bool, uint8, uint8));
        Book storage book = books[ballot];
        assertTrue(!book.closed, "I10: closed twice");
        book.closed = true;
        book.passed = passed;
        assertEq(yes, _size(book.yes), "I11: counted yes");
        assertEq(no, _size(book.no), "I11: counted no");
        uint256 quorum = _quorum(ballot, book.electorate, step.before);
        if (passed) {
            assertTrue(book.state == BallotState.Open, "I10: passed while it was void or over");
            assertTrue(
                yes >= quorum && 2 * uint256(yes) > _size(book.electorate), "I4: below quorum"
            );
            uint128 present = _toAsk(ballot, step.before);
            assertEq(book.electorate, present, "I4: passed by an old electorate");
            assertEq(book.electorate & ~step.before.active, 0, "I6: passed with former members");
            step.passed = ballot;
            return;
        }
        if (_size(book.electorate) - no < quorum) {
            step.refused = ballot;
            return;
        }
        assertTrue(ballot.kindOf() <= BallotKind.Upload, "I4: failed for no reason");
        SlotRecord memory s = _slot(ballot.campaignOf(), ballot.slotOf());
        bool over = s.attempt != ballot.attemptOf() || s.state >= SlotState.Accepted;
        assertTrue(over, "I4: failed while its step went on");
    }

    function _tokenGranted(Step memory step, Vm.Log memory log) private {
        (uint16 attempt, BallotKind kind, uint64 deadline) =
            abi.decode(log.data, (uint16, BallotKind, uint64));
        BallotId token = _ballotOf(log, attempt, kind);
        assertEq(step.passed, token, "I5: a token without the ballot for it");
        uint256 index = token.campaignOf() - 1;
        Clock clock = kind == BallotKind.Upload ? Clock.Confirmation : Clock.Opening;
        uint256 time = step.before.campaigns[index].deadlines.secondsOf(clock);
        assertEq(deadline, block.timestamp + time, "I3: the deadline");
        assertTrue(_granted[token] == 0, "I3: granted twice");
        _granted[token] = deadline;
        if (kind == BallotKind.Fetch) reached[Reached.FetchesGranted]++;
        if (kind == BallotKind.FinalFetch) reached[Reached.FinalsGranted]++;
    }

    function _tokenRedeemed(Step memory step, Vm.Log memory log) private {
        (uint16 attempt, BallotKind kind) = abi.decode(log.data, (uint16, BallotKind));
        BallotId token = _ballotOf(log, attempt, kind);
        assertTrue(!_redeemed[token], "I3: redeemed twice");
        assertTrue(_granted[token] != 0, "I3: never granted");
        assertTrue(block.timestamp <= _granted[token], "I3: redeemed late");
        assertEq(step.actor, address(uint160(uint256(log.topics[3]))), "I3: by somebody else");
        _redeemed[token] = true;
        step.redeemed = token;
        uint256 index = uint256(log.topics[1]) - 1;
        CampaignRecord memory c = step.before.campaigns[index];
        uint32 slot = uint32(uint256(log.topics[2]));
        if (kind == BallotKind.FinalFetch) {
            assertEq(c.head, slot, "I3: a final token for another head");
            assertEq(books[token].head, slot, "I3: a final token asked for another head");
            assertTrue(c.state == CampaignState.Completed, "I3: a final token of no final model");
            reached[Reached.FinalsOpened]++;
        } else {
            assertEq(c.slot, slot, "I3: a token of another slot");
            assertEq(step.before.slots[index].attempt, attempt, "I3: a token of another attempt");
            assertTrue(c.state == CampaignState.Running, "I3: a token of no open slot");
        }
    }

    function _submittedNow(Step memory step, Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        uint32 slot = uint32(uint256(log.topics[2]));
        (uint16 attempt, Candidate memory candidate,,) =
            abi.decode(log.data, (uint16, Candidate, uint32, bytes32));
        assertEq(candidate.parent, step.due[campaign - 1].head, "I2: the parent is not the head");
        _submitted[keccak256(abi.encode(campaign, slot, attempt))] = candidate;
    }

    function _modelAccepted(Step memory step, Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        uint32 slot = uint32(uint256(log.topics[2]));
        CampaignRecord memory c = step.before.campaigns[campaign - 1];
        SlotRecord memory s = _slot(campaign, slot);
        assertEq(slot, c.slot, "I2: accepted a slot that was not open");
        assertEq(s.parent, c.head, "I2: accepted a model of another head");
        bool reported = c.mode == Mode.Reported;
        uint16 attempt = step.before.slots[campaign - 1].attempt;
        BallotId needed = _ballotOf(log, attempt, BallotKind.Upload);
        assertEq(reported ? step.redeemed : step.passed, needed, "I5: not voted on");
        assertTrue(s.ciphertextHash != 0 && s.capsuleHash != 0, "I5: accepted without its hashes");
        Candidate memory voted = _submitted[keccak256(abi.encode(campaign, slot, s.attempt))];
        assertEq(s.candidateDigest, _digestOf(voted), "I5: another record than was voted on");
        assertEq(s.parent, voted.parent, "I5: another parent than was voted on");
        assertEq(s.weightsHash, voted.weightsHash, "I5: other weights than were voted on");
        if (!reported) {
            assertEq(s.ciphertextHash, voted.ciphertextHash, "I5: another ciphertext");
            assertEq(s.capsuleHash, voted.capsuleHash, "I5: another capsule");
        }
        Due memory due = step.due[campaign - 1];
        due.head = slot;
        due.voters |= due.dealt;
        reached[reported ? Reached.ReportedAccepted : Reached.HoldoutAccepted]++;
    }

    function _headRestored(Step memory step, Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        (uint32 from, uint32 to, RestoreReason reason) =
            abi.decode(log.data, (uint32, uint32, RestoreReason));
        CampaignRecord memory c = step.before.campaigns[campaign - 1];
        if (reason == RestoreReason.Degraded) {
            assertEq(from, c.slot, "I2: degraded is another slot than the open one");
            assertEq(to, c.head, "I2: the head of a degraded candidate");
            assertEq(step.refused.campaignOf(), campaign, "I5: degraded without ballot");
            assertTrue(step.refused.kindOf() == BallotKind.Upload, "I5: degraded without ballot");
            return;
        }
        assertTrue(
            _hasPassed(step, BallotKind.Restore, campaign), "I5: restored without its ballot"
        );
        bool running = c.state == CampaignState.Running;
        assertEq(step.passed.slotOf(), running ? c.slot : c.head, "I5: restored in another slot");
        uint16 attempt = running ? step.before.slots[campaign - 1].attempt : 0;
        assertEq(step.passed.attemptOf(), attempt, "I5: restored in another attempt");
        bytes32 about = keccak256(abi.encode(to, reason));
        assertEq(books[step.passed].about, about, "I5: restored to something else");
        assertEq(from, c.head, "I2: restored from");
        assertTrue(to < from, "I2: restored to no ancestor");
        for (uint32 slot = from; slot != to; slot = _slot(campaign, slot).parent) {
            assertTrue(slot > to, "I2: restored to no ancestor");
            _undone[campaign][slot] = true;
        }
        step.due[campaign - 1].head = to;
        step.restored |= 1 << (campaign - 1);
        reached[Reached.RestoresPassed]++;
        if (!running) reached[Reached.RestoresAfterTheEnd]++;
    }

    function _slotRestarted(Step memory step, Vm.Log memory log) private {
        (,, RestartReason reason,) =
            abi.decode(log.data, (uint16, SlotState, RestartReason, uint64));
        step.restarted |= 1 << (uint256(log.topics[1]) - 1);
        bool restore = reason == RestartReason.HeadRestored;
        reached[restore ? Reached.RestartsByRestore : Reached.RestartsByRemoval]++;
    }

    function _slotSkipped(Step memory step, Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        uint32 slot = uint32(uint256(log.topics[2]));
        (uint16 attempt, SkipReason reason) = abi.decode(log.data, (uint16, SkipReason));
        CampaignRecord memory c = step.before.campaigns[campaign - 1];
        SlotRecord memory s = step.before.slots[campaign - 1];
        bool open = c.state == CampaignState.Running && c.slot == slot;
        if (open) step.skipped |= 1 << (campaign - 1);
        if (reason == SkipReason.FetchRefused) {
            assertTrue(open && s.state == SlotState.FetchRequested, "I15: refused");
            BallotId ballot = _ballotOf(log, attempt, BallotKind.Fetch);
            assertEq(step.refused, ballot, "I15: refused by no ballot");
            reached[Reached.FetchesRefused]++;
        } else if (reason == SkipReason.Degraded) {
            assertTrue(open && s.state == SlotState.UploadRequested, "I15: degraded");
            BallotId ballot = _ballotOf(log, attempt, BallotKind.Upload);
            assertEq(step.refused, ballot, "I15: degraded by no ballot");
            reached[Reached.CandidatesRefused]++;
        } else if (reason == SkipReason.DeadlinePassed) {
            assertTrue(open && block.timestamp > s.deadline, "I15: skipped in time");
            reached[Reached.DeadlinesPassed]++;
        } else if (reason == SkipReason.TooFewPartners) {
            uint128 left = c.voters & step.before.active;
            assertTrue(open && _tooFew(c.mode, left, c.evaluators), "I16: enough partners");
            reached[Reached.TooFewPartners]++;
        } else {
            uint128 owner = uint128(1) << _slot(campaign, slot).ownerSeat;
            bool removed = step.before.active & owner == 0;
            assertTrue(removed == (reason == SkipReason.OwnerRemoved), "I15: owner removed");
            assertTrue(removed || c.partners & owner == 0, "I15: a partner was passed over");
            reached[removed ? Reached.OwnersRemoved : Reached.PartnersAbsent]++;
        }
    }

    /// @dev Whether voters are too few to decide anything.
    function _tooFew(Mode mode, uint128 voters, uint128 evaluators) private pure returns (bool) {
        return _size(voters) < 2 || (mode == Mode.Holdout && _size(evaluators & voters) < 2);
    }

    function _campaignOpened(Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        _opening[campaign] = _fixedAtOpening(_record(campaign));
        (,, address[] memory order) = abi.decode(log.data, (bytes32, bytes32, address[]));
        uint128 invited = 0;
        for (uint256 i = 0; i < order.length; i++) {
            _order[campaign].push(ledger.memberOf(order[i]).seat);
            invited |= _bitOf(order[i]);
        }
        CampaignRecord memory c = _record(campaign);
        assertEq(c.invited, invited, "I7: invited is who has a place in the order");
        assertEq(c.partners | c.voters | c.evaluators | c.dealt, 0, "I14: partners to begin with");
        reached[Reached.CampaignsOpened]++;
    }

    /// @dev By itself, in time, once, where it has a place; and with what it says.
    function _enrolled(Step memory step, Vm.Log memory log) private view {
        uint256 index = uint256(log.topics[1]) - 1;
        assertEq(step.actor, address(uint160(uint256(log.topics[2]))), "I14: enrolled by another");
        bytes memory said = abi.encodePacked(ICDistriM.enrol.selector, log.topics[1], log.data);
        assertEq(keccak256(said), keccak256(step.call), "I14: enrolled with other data");
        CampaignRecord memory c = step.before.campaigns[index];
        assertTrue(c.state == CampaignState.Enrolling, "I14: enrolled too late");
        assertTrue(block.timestamp <= c.enrolDeadline, "I14: enrolled too late");
        uint128 bit = _bitOf(step.actor);
        assertTrue(bit & c.invited & ~c.partners != 0, "I14: enrolled without a place, or twice");
        (,, bool evaluator) = abi.decode(log.data, (uint32, bytes32, bool));
        step.due[index].partners |= bit;
        if (evaluator) step.due[index].evaluators |= bit;
    }

    function _campaignStarted(Step memory step, Vm.Log memory log) private {
        uint256 index = uint256(log.topics[1]) - 1;
        CampaignRecord memory c = step.before.campaigns[index];
        Due memory due = step.due[index];
        bool complete = due.partners == c.invited & step.before.active;
        assertTrue(complete || block.timestamp > c.enrolDeadline, "I14: started without some");
        due.voters = due.partners;
        due.told = due.partners;
        reached[Reached.CampaignsStarted]++;
    }

    function _campaignCompleted(Step memory step, Vm.Log memory log) private {
        uint256 index = uint256(log.topics[1]) - 1;
        CampaignRecord memory c = step.before.campaigns[index];
        if (c.state == CampaignState.Enrolling) {
            Due memory due = step.due[index];
            bool few = _tooFew(c.mode, due.partners, due.evaluators);
            assertTrue(few, "I16: enough partners to start");
        }
        (CampaignState state,,) = abi.decode(log.data, (CampaignState, uint32, uint32));
        bool completed = state == CampaignState.Completed;
        reached[completed ? Reached.CampaignsCompleted : Reached.CampaignsFailed]++;
    }

    function _votersAdded(Step memory step, Vm.Log memory log) private {
        step.due[uint256(log.topics[1]) - 1].told |= abi.decode(log.data, (uint128));
        reached[Reached.VotersAdded]++;
    }

    function _partnersRemoved(Step memory step, Vm.Log memory log) private pure {
        uint256 index = uint256(log.topics[1]) - 1;
        uint128 removed = abi.decode(log.data, (uint128));
        uint128 gone = step.before.campaigns[index].partners & ~step.before.active;
        assertEq(removed, gone, "I6: removed is not who was a partner and is no member");
        Due memory due = step.due[index];
        due.partners &= ~removed;
        due.voters &= ~removed;
        due.evaluators &= ~removed;
        due.dealt &= ~removed;
    }

    function _memberAdmitted(Step memory step, Vm.Log memory log) private {
        address account = address(uint160(uint256(log.topics[1])));
        (bytes32 name, uint8 seat) = abi.decode(log.data, (bytes32, uint8));
        assertTrue(_hasPassed(step, BallotKind.Admission, 0), "I5: admitted without ballot");
        bytes32 about = keccak256(abi.encode(account, name));
        assertEq(books[step.passed].about, about, "I5: somebody else was admitted");
        assertEq(seat, _seats.length, "I8: a seat that is not new");
        for (uint256 i = 0; i < _seats.length; i++) {
            Member memory member = ledger.memberAt(i);
            assertTrue(member.account != account && member.name != name, "I8: admitted again");
        }
        _seats.push(keccak256(abi.encode(account, name)));
        reached[Reached.Admitted]++;
    }

    function _memberRemoved(Step memory step, Vm.Log memory log) private {
        uint8 seat = abi.decode(log.data, (uint8));
        assertTrue(_hasPassed(step, BallotKind.Removal, 0), "I5: removed without ballot");
        bytes32 about = keccak256(abi.encode(ledger.memberAt(seat).account));
        assertEq(books[step.passed].about, about, "I5: somebody else was removed");
        _gone |= uint128(1) << seat;
        reached[Reached.Removed]++;
    }

    function _partnerJoined(Step memory step, Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        address account = address(uint160(uint256(log.topics[2])));
        assertTrue(_hasPassed(step, BallotKind.Join, campaign), "I5: joined without its ballot");
        assertEq(step.passed.openerOf(), account, "I5: somebody else joined");
        assertEq(books[step.passed].about, keccak256(log.data), "I5: joined with other data");
        Due memory due = step.due[campaign - 1];
        uint128 bit = _bitOf(account);
        assertTrue(due.partners & bit == 0, "I5: joined twice");
        (,, bool evaluator) = abi.decode(log.data, (uint32, bytes32, bool));
        due.partners |= bit;
        if (evaluator) due.evaluators |= bit;
        if (due.invited & bit == 0) _order[campaign].push(ledger.memberOf(account).seat);
        due.invited |= bit;
        reached[Reached.Joined]++;
    }

    /// @dev What a proposal says beside its ballot: who, or with what.
    function _proposed(Vm.Log memory log, bytes memory data) private {
        Book storage book = books[BallotId.wrap(uint256(log.topics[1]))];
        bytes32 what = log.topics[0];
        if (what == ICDistriMEvents.AdmissionProposed.selector) {
            data = abi.encode(log.topics[2], abi.decode(data, (bytes32)));
        } else if (what == ICDistriMEvents.RemovalProposed.selector) {
            data = abi.encode(log.topics[2]);
        }
        book.about = keccak256(data);
    }
}
