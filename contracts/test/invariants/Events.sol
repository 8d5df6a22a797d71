// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

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
        else if (what == ICDistriMEvents.VotersAdded.selector) _votersAdded(log);
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
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.RemovalProposed.selector) {
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.RestoreRequested.selector) {
            _proposed(log, log.data);
        } else if (what == ICDistriMEvents.CampaignStarted.selector) {
            reached[Reached.CampaignsStarted]++;
        } else if (what == ICDistriMEvents.CampaignCompleted.selector) {
            (CampaignState state,,) = abi.decode(log.data, (CampaignState, uint32, uint32));
            bool completed = state == CampaignState.Completed;
            reached[completed ? Reached.CampaignsCompleted : Reached.CampaignsFailed]++;
        } else if (what == ICDistriMEvents.FinalModelUsed.selector) {
            reached[Reached.FinalsUsed]++;
        } else if (what == ICDistriMEvents.SlotOpened.selector) {
            uint256 campaign = uint256(log.topics[1]);
            _dealtTo[campaign] = _record(campaign).partners;
        } else if (what == ICDistriMEvents.CapsuleAdded.selector) {
            reached[Reached.Capsules]++;
        }
    }

    function _ballotOpened(Step memory step, Vm.Log memory log) private {
        BallotId ballot = BallotId.wrap(uint256(log.topics[1]));
        (uint32 head, uint8 quorum, uint128 electorate,) =
            abi.decode(log.data, (uint32, uint8, uint128, uint64));
        Book storage book = books[ballot];
        assertTrue(book.electorate == 0, "I10: opened twice");
        assertEq(ballot.openerOf(), step.actor, "I5: opener");
        assertEq(electorate, _toAsk(ballot, step.before), "I4: electorate at the opening");
        assertEq(quorum, _quorum(ballot, electorate, step.before), "I4: quorum");
        book.electorate = electorate;
        book.head = head;
        if (ballot.campaignOf() != 0) {
            SlotState state = step.before.slots[ballot.campaignOf() - 1].state;
            book.opened = state >= SlotState.Training;
        }
        book.state = BallotState.Open;
        book.yes = _bitOf(step.actor) & electorate;
        ballots.push(ballot);
        reached[Reached.BallotsOpened]++;
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
            step.passed |= 1 << uint8(ballot.kindOf());
            step.ballot = ballot;
            return;
        }
        if (_size(book.electorate) - no < quorum) return;
        assertTrue(ballot.kindOf() <= BallotKind.Upload, "I4: failed for no reason");
        SlotRecord memory s = _slot(ballot.campaignOf(), ballot.slotOf());
        bool over = s.attempt != ballot.attemptOf() || s.state >= SlotState.Accepted;
        assertTrue(over, "I4: failed while its step went on");
    }

    function _tokenGranted(Step memory step, Vm.Log memory log) private {
        (uint16 attempt, BallotKind kind, uint64 deadline) =
            abi.decode(log.data, (uint16, BallotKind, uint64));
        assertTrue(step.passed & (1 << uint8(kind)) != 0, "I5: a token without a ballot");
        assertEq(
            step.ballot.openerOf(), address(uint160(uint256(log.topics[3]))), "I3: the grantee"
        );
        bytes32 token = _tokenOf(log, attempt, kind);
        assertTrue(_granted[token] == 0, "I3: granted twice");
        _granted[token] = deadline;
        if (kind == BallotKind.Fetch) reached[Reached.FetchesGranted]++;
        if (kind == BallotKind.FinalFetch) reached[Reached.FinalsGranted]++;
    }

    function _tokenRedeemed(Step memory step, Vm.Log memory log) private {
        (uint16 attempt, BallotKind kind) = abi.decode(log.data, (uint16, BallotKind));
        bytes32 token = _tokenOf(log, attempt, kind);
        assertTrue(!_redeemed[token], "I3: redeemed twice");
        assertTrue(_granted[token] != 0, "I3: never granted");
        assertTrue(block.timestamp <= _granted[token], "I3: redeemed late");
        assertEq(step.actor, address(uint160(uint256(log.topics[3]))), "I3: by somebody else");
        _redeemed[token] = true;
        step.redeemed |= 1 << uint8(kind);
        uint256 index = uint256(log.topics[1]) - 1;
        CampaignRecord memory c = step.before.campaigns[index];
        uint32 slot = uint32(uint256(log.topics[2]));
        if (kind == BallotKind.FinalFetch) {
            assertEq(c.head, slot, "I3: a final token for another head");
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
        assertEq(candidate.parent, step.heads[campaign - 1], "I2: the parent is not the head");
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
        uint256 needed = 1 << uint8(BallotKind.Upload);
        assertTrue((reported ? step.redeemed : step.passed) & needed != 0, "I5: not voted on");
        assertTrue(s.ciphertextHash != 0 && s.capsuleHash != 0, "I5: accepted without its hashes");
        Candidate memory voted = _submitted[keccak256(abi.encode(campaign, slot, s.attempt))];
        assertEq(s.candidateDigest, _digestOf(voted), "I5: another record than was voted on");
        assertEq(s.parent, voted.parent, "I5: another parent than was voted on");
        assertEq(s.weightsHash, voted.weightsHash, "I5: other weights than were voted on");
        if (!reported) {
            assertEq(s.ciphertextHash, voted.ciphertextHash, "I5: another ciphertext");
            assertEq(s.capsuleHash, voted.capsuleHash, "I5: another capsule");
        }
        step.heads[campaign - 1] = slot;
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
            return;
        }
        assertTrue(step.passed == 1 << uint8(BallotKind.Restore), "I5: restored without ballot");
        bytes32 about = keccak256(abi.encode(to, reason));
        assertEq(books[step.ballot].about, about, "I5: restored to something else");
        assertEq(from, c.head, "I2: restored from");
        assertTrue(to < from, "I2: restored to no ancestor");
        for (uint32 slot = from; slot != to; slot = _slot(campaign, slot).parent) {
            assertTrue(slot > to, "I2: restored to no ancestor");
            _undone[campaign][slot] = true;
        }
        step.heads[campaign - 1] = to;
        step.restored |= 1 << (campaign - 1);
        reached[Reached.RestoresPassed]++;
        if (c.state != CampaignState.Running) reached[Reached.RestoresAfterTheEnd]++;
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
        (, SkipReason reason) = abi.decode(log.data, (uint16, SkipReason));
        CampaignRecord memory c = step.before.campaigns[campaign - 1];
        SlotRecord memory s = step.before.slots[campaign - 1];
        bool open = c.state == CampaignState.Running && c.slot == slot;
        if (reason == SkipReason.FetchRefused) {
            assertTrue(open && s.state == SlotState.FetchRequested, "I15: refused");
            reached[Reached.FetchesRefused]++;
        } else if (reason == SkipReason.Degraded) {
            assertTrue(open && s.state == SlotState.UploadRequested, "I15: degraded");
            reached[Reached.CandidatesRefused]++;
        } else if (reason == SkipReason.DeadlinePassed) {
            assertTrue(open && block.timestamp > s.deadline, "I15: skipped in time");
            reached[Reached.DeadlinesPassed]++;
        } else if (reason == SkipReason.TooFewPartners) {
            assertTrue(open, "I15: too few partners");
            reached[Reached.TooFewPartners]++;
        } else {
            uint128 owner = uint128(1) << _slot(campaign, slot).ownerSeat;
            bool removed = step.before.active & owner == 0;
            assertTrue(removed == (reason == SkipReason.OwnerRemoved), "I15: owner removed");
            assertTrue(removed || c.partners & owner == 0, "I15: a partner was passed over");
            reached[removed ? Reached.OwnersRemoved : Reached.PartnersAbsent]++;
        }
    }

    function _campaignOpened(Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        _opening[campaign] = _fixedAtOpening(_record(campaign));
        _order[campaign] = ledger.orderOf(campaign);
        reached[Reached.CampaignsOpened]++;
    }

    function _votersAdded(Vm.Log memory log) private {
        uint256 campaign = uint256(log.topics[1]);
        uint128 added = abi.decode(log.data, (uint128));
        CampaignRecord memory c = _record(campaign);
        bool dealt = added & ~_dealtTo[campaign] == 0;
        assertTrue(c.head == 0 || dealt, "I14: a voter to whom no head was dealt");
        assertEq(added & ~c.partners, 0, "I14: a voter who is no partner");
        reached[Reached.VotersAdded]++;
    }

    function _memberAdmitted(Step memory step, Vm.Log memory log) private {
        address account = address(uint160(uint256(log.topics[1])));
        (bytes32 name, uint8 seat) = abi.decode(log.data, (bytes32, uint8));
        assertTrue(step.passed == 1 << uint8(BallotKind.Admission), "I5: admitted without ballot");
        bytes32 about = keccak256(abi.encode(account, name));
        assertEq(books[step.ballot].about, about, "I5: somebody else was admitted");
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
        assertTrue(step.passed == 1 << uint8(BallotKind.Removal), "I5: removed without ballot");
        bytes32 about = keccak256(abi.encode(ledger.memberAt(seat).account));
        assertEq(books[step.ballot].about, about, "I5: somebody else was removed");
        _gone |= uint128(1) << seat;
        reached[Reached.Removed]++;
    }

    function _partnerJoined(Step memory step, Vm.Log memory log) private {
        address account = address(uint160(uint256(log.topics[2])));
        assertTrue(step.passed == 1 << uint8(BallotKind.Join), "I5: joined without ballot");
        assertEq(step.ballot.openerOf(), account, "I5: somebody else joined");
        assertEq(books[step.ballot].about, keccak256(log.data), "I5: joined with other data");
        CampaignRecord memory c = step.before.campaigns[uint256(log.topics[1]) - 1];
        assertTrue(c.partners & _bitOf(account) == 0, "I5: joined twice");
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
