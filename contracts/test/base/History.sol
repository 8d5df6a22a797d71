// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "../../src/BallotBox.sol";
import {ICDistriMEvents} from "../../src/ICDistriMEvents.sol";
import {BallotId, Deadlines, Evidence} from "../../src/ValueTypes.sol";
import {Vm} from "./Test.sol";

/// @dev A ledger's records, rebuilt from nothing but its events in their order. Of one campaign.
contract History is ICDistriMEvents {
    Member[] public members;
    CampaignRecord private c;
    uint8[] private order;
    mapping(address => uint8) private seatOf;
    mapping(address => EnrolmentRecord) private enrolments;
    mapping(uint32 => SlotRecord) private slots;
    mapping(BallotId => Box) private boxes;
    mapping(BallotId => uint8) private quorums;
    mapping(address => FinalFetchRecord) private finals;
    mapping(BallotId => bytes32) private subjects; // of ballots that are no slot's
    BallotId[] public ballots;
    uint128 private active;
    // Where the order stands, also behind slots that nobody took.
    uint16 private cycle;
    uint8 private place;
    bool private ofFinalModel; // whether the last token redeemed was for one

    // ------------------------------------------------------------------ answers

    function campaignRecord() external view returns (CampaignRecord memory) {
        return c;
    }

    function orderOf() external view returns (uint8[] memory) {
        return order;
    }

    function slotRecord(uint32 slot) external view returns (SlotRecord memory) {
        return slots[slot];
    }

    function ballotRecord(BallotId ballot) external view returns (Box memory) {
        return boxes[ballot];
    }

    function memberAt(uint256 seat) external view returns (Member memory member) {
        member = members[seat];
        member.active = active >> seat & 1 == 1;
    }

    function enrolmentRecord(address account) external view returns (EnrolmentRecord memory) {
        return enrolments[account];
    }

    function finalFetchRecord(address account) external view returns (FinalFetchRecord memory) {
        return finals[account];
    }

    function subjectOf(BallotId ballot) external view returns (bytes32) {
        if (ballot.kindOf() > BallotKind.Upload) return subjects[ballot];
        SlotRecord storage s = slots[ballot.slotOf()];
        if (s.attempt != ballot.attemptOf()) return 0;
        return ballot.kindOf() == BallotKind.Fetch ? s.requestKeyDigest : s.candidateDigest;
    }

    function ballotCount() external view returns (uint256) {
        return ballots.length;
    }

    // ------------------------------------------------------------------- reading

    /// @param time Of the block: one that all of these events are from.
    function read(Vm.Log[] calldata logs, uint256 time) external {
        for (uint256 i = 0; i < logs.length; i++) {
            Vm.Log calldata log = logs[i];
            bytes32 what = log.topics[0];
            if (_ofMembers(what, log, time) || _ofBallots(what, log)) continue;
            if (_ofCampaign(what, log) || _ofSlot(what, log) || _ofHead(what, log)) continue;
            if (!_ofFinalModel(what, log)) revert("an event of another kind");
        }
    }

    function _ofMembers(bytes32 what, Vm.Log calldata log, uint256 time) private returns (bool) {
        if (what == MemberAdmitted.selector) {
            (bytes32 name, uint8 seat) = abi.decode(log.data, (bytes32, uint8));
            members.push(Member(_account(log, 1), name, seat, true, 0, 0));
            seatOf[_account(log, 1)] = seat;
            active |= uint128(1) << seat;
        } else if (what == MemberRemoved.selector) {
            active &= ~(uint128(1) << abi.decode(log.data, (uint8)));
        } else if (what == KeyRotated.selector) {
            Member storage member = members[seatOf[_account(log, 1)]];
            (, member.sealingKeyDigest,) = abi.decode(log.data, (bytes32, bytes32, bytes));
            member.keyChangedAt = uint48(time);
        } else if (what == RemovalProposed.selector) {
            subjects[_ballot(log)] = bytes32(uint256(uint160(_account(log, 2))));
        } else if (what == AdmissionProposed.selector) {
            Applicant memory applicant =
                Applicant(_account(log, 2), abi.decode(log.data, (bytes32)));
            subjects[_ballot(log)] = keccak256(abi.encode(applicant));
        } else {
            return false;
        }
        return true;
    }

    function _ofBallots(bytes32 what, Vm.Log calldata log) private returns (bool) {
        if (what == BallotOpened.selector) {
            _opened(log);
        } else if (what == VoteCast.selector) {
            (bool approve,) = abi.decode(log.data, (bool, Evidence));
            Box storage box = boxes[_ballot(log)];
            uint128 bit = _bit(_account(log, 2));
            if (approve) box.approvals |= bit;
            else box.refusals |= bit;
        } else if (what == RestoreRequested.selector) {
            (uint32 target, RestoreReason reason) = abi.decode(log.data, (uint32, RestoreReason));
            subjects[_ballot(log)] =
                keccak256(abi.encode(slots[c.head].candidateDigest, slots[target].candidateDigest));
            boxes[_ballot(log)].model = target;
            boxes[_ballot(log)].reason = uint8(reason);
        } else if (what == JoinRequested.selector) {
            (uint32 cases, bytes32 commitment, bool evaluator) =
                abi.decode(log.data, (uint32, bytes32, bool));
            EnrolmentRecord memory e = EnrolmentRecord(cases, evaluator, commitment);
            enrolments[_ballot(log).openerOf()] = e;
            subjects[_ballot(log)] = keccak256(abi.encode(e));
        } else if (what == BallotClosed.selector) {
            (bool passed, uint8 yes, uint8 no) = abi.decode(log.data, (bool, uint8, uint8));
            Box storage box = boxes[_ballot(log)];
            _same(yes, BallotBox.count(box.approvals), "yes");
            _same(no, BallotBox.count(box.refusals), "no");
            _same(passed ? 1 : 0, yes >= quorums[_ballot(log)] ? 1 : 0, "passed");
        } else {
            return false;
        }
        return true;
    }

    /// @dev A ballot of the slot ends with the slot's step and keeps no deadline of its own.
    function _opened(Vm.Log calldata log) private {
        BallotId ballot = _ballot(log);
        (uint32 head, uint8 quorum, uint128 electorate, uint64 deadline) =
            abi.decode(log.data, (uint32, uint8, uint128, uint64));
        ballots.push(ballot);
        quorums[ballot] = quorum;
        _same(uint256(log.topics[2]), ballot.campaignOf(), "campaign of the ballot");
        if (ballot.campaignOf() != 0) _same(head, c.head, "head at the opening");
        Box storage box = boxes[ballot];
        box.electorate = electorate;
        box.approvals = electorate & _bit(ballot.openerOf());
        if (ballot.kindOf() <= BallotKind.Upload) {
            SlotRecord storage s = slots[ballot.slotOf()];
            s.deadline = uint48(deadline);
            bool fetch = ballot.kindOf() == BallotKind.Fetch;
            s.state = fetch ? SlotState.FetchRequested : SlotState.UploadRequested;
            return;
        }
        box.deadline = uint48(deadline);
        if (ballot.kindOf() == BallotKind.Restore) {
            bool running = c.state == CampaignState.Running;
            box.opened = running && slots[c.slot].state >= SlotState.Training;
        } else if (ballot.kindOf() == BallotKind.FinalFetch) {
            box.model = head;
        }
        box.removals = uint32(members.length - BallotBox.count(active));
    }

    function _ofCampaign(bytes32 what, Vm.Log calldata log) private returns (bool) {
        if (what == CampaignOpened.selector) {
            _campaignOpened(log);
        } else if (what == Enrolled.selector || what == PartnerJoined.selector) {
            (uint32 cases, bytes32 commitment, bool evaluator) =
                abi.decode(log.data, (uint32, bytes32, bool));
            address account = _account(log, 2);
            uint128 bit = _bit(account);
            enrolments[account] = EnrolmentRecord(cases, evaluator, commitment);
            c.partners |= bit;
            if (evaluator) c.evaluators |= bit;
            if (c.invited & bit == 0) order.push(seatOf[account]);
            c.invited |= bit;
            c.places = uint8(order.length);
        } else if (what == CampaignStarted.selector) {
            c.state = CampaignState.Running;
            c.voters = c.partners;
            (uint8 enrolled, uint8 evaluators) = abi.decode(log.data, (uint8, uint8));
            _same(enrolled, BallotBox.count(c.partners), "enrolled");
            _same(evaluators, BallotBox.count(c.evaluators), "evaluators");
        } else if (what == VotersAdded.selector) {
            c.voters |= abi.decode(log.data, (uint128));
        } else if (what == PartnersRemoved.selector) {
            uint128 stay = ~abi.decode(log.data, (uint128));
            c.partners &= stay;
            c.voters &= stay;
            c.evaluators &= stay;
            c.dealt &= stay;
        } else if (what == CampaignCompleted.selector) {
            (CampaignState state, uint32 head, uint32 accepted) =
                abi.decode(log.data, (CampaignState, uint32, uint32));
            c.state = state;
            _same(head, c.head, "the last head");
            _same(accepted, c.accepted, "accepted");
        } else {
            return false;
        }
        return true;
    }

    function _campaignOpened(Vm.Log calldata log) private {
        address[] memory accounts;
        (
            c.specHash,
            c.genesisWeightsHash,
            accounts,
            c.cycles,
            c.quorum,
            c.mode,
            c.deadlines,
            c.enrolDeadline
        ) =
            abi.decode(
                log.data, (bytes32, bytes32, address[], uint16, uint8, Mode, Deadlines, uint48)
            );
        for (uint256 i = 0; i < accounts.length; i++) {
            order.push(seatOf[accounts[i]]);
            c.invited |= _bit(accounts[i]);
        }
        c.places = uint8(order.length);
        c.place = c.places - 1;
        place = c.place;
    }

    function _ofSlot(bytes32 what, Vm.Log calldata log) private returns (bool) {
        bool opened = what == SlotOpened.selector;
        bool skipped = what == SlotSkipped.selector;
        bool own = opened || skipped || what == SlotRestarted.selector
            || what == FetchRequested.selector || what == ModelOpened.selector
            || what == CandidateSubmitted.selector || what == TokenGranted.selector
            || what == TokenRedeemed.selector;
        if (!own) return false;
        if (what == ModelOpened.selector && ofFinalModel) return true;
        uint32 slot = uint32(uint256(log.topics[2]));
        SlotRecord storage s = slots[slot];
        if ((opened || skipped) && s.attempt == 0) {
            _next(slot);
            s.attempt = 1;
            s.ownerSeat = seatOf[_account(log, 3)];
        }
        if (opened) c.dealt = c.partners & ~c.voters;
        if (what != SlotRestarted.selector) {
            bool last = what == TokenGranted.selector || what == TokenRedeemed.selector;
            if (!last || _kind(log) != BallotKind.FinalFetch) {
                _same(uint256(bytes32(log.data[:32])), s.attempt, "attempt");
                _same(seatOf[_account(log, 3)], s.ownerSeat, "owner");
            }
        }
        if (opened) {
            (,, s.deadline) = abi.decode(log.data, (uint16, uint32, uint48));
            (c.cycle, c.place) = (cycle, place);
        } else if (skipped) {
            s.state = SlotState.Skipped;
            (, s.skipReason) = abi.decode(log.data, (uint16, SkipReason));
        } else if (what == SlotRestarted.selector) {
            (s.attempt, s.state,, s.deadline) =
                abi.decode(log.data, (uint16, SlotState, RestartReason, uint48));
            s.candidateDigest = 0;
            if (s.state == SlotState.Waiting) s.requestKeyDigest = 0;
        } else if (what == FetchRequested.selector) {
            (s.fetchAttempt, s.requestKeyDigest) = abi.decode(log.data, (uint16, bytes32));
        } else if (what == ModelOpened.selector) {
            (,,,,, s.deadline) = abi.decode(log.data, (uint16, uint32, uint8, uint8, uint8, uint48));
            s.state = SlotState.Training;
        } else if (what == CandidateSubmitted.selector) {
            _submitted(log, s);
        } else if (what == TokenGranted.selector) {
            _granted(log, s);
        } else if (what == TokenRedeemed.selector) {
            ofFinalModel = _kind(log) == BallotKind.FinalFetch;
            if (ofFinalModel) finals[_account(log, 3)].state = FinalFetchState.Opened;
        }
        return true;
    }

    function _next(uint32 slot) private {
        if (++place >= c.places) {
            place = 0;
            cycle++;
        }
        c.slot = slot;
    }

    function _submitted(Vm.Log calldata log, SlotRecord storage s) private {
        (, Candidate memory candidate,,) =
            abi.decode(log.data, (uint16, Candidate, uint32, bytes32));
        s.parent = candidate.parent;
        s.candidateDigest = keccak256(abi.encode(candidate));
        s.ciphertextHash = candidate.ciphertextHash;
        s.weightsHash = candidate.weightsHash;
        s.capsuleHash = candidate.capsuleHash;
    }

    function _granted(Vm.Log calldata log, SlotRecord storage s) private {
        (, BallotKind kind, uint48 deadline) = abi.decode(log.data, (uint16, BallotKind, uint48));
        if (kind == BallotKind.FinalFetch) {
            FinalFetchRecord storage f = finals[_account(log, 3)];
            (f.state, f.deadline) = (FinalFetchState.Granted, deadline);
            return;
        }
        s.deadline = deadline;
        s.state = kind == BallotKind.Fetch ? SlotState.FetchGranted : SlotState.UploadGranted;
    }

    function _ofHead(bytes32 what, Vm.Log calldata log) private returns (bool) {
        if (what == ModelAccepted.selector) {
            uint32 slot = uint32(uint256(log.topics[2]));
            SlotRecord storage s = slots[slot];
            (, s.ciphertextHash,, s.capsuleHash) =
                abi.decode(log.data, (uint16, bytes32, bytes32, bytes32));
            s.state = SlotState.Accepted;
            c.head = slot;
            c.accepted++;
        } else if (what == HeadRestored.selector) {
            (uint32 from, uint32 to, RestoreReason reason) =
                abi.decode(log.data, (uint32, uint32, RestoreReason));
            if (reason == RestoreReason.Degraded) return true; // the head stays what it was
            for (; from != to; from = slots[from].parent) {
                slots[from].undone = true;
                c.accepted--;
            }
            c.head = to;
            // After the end no event follows that tells the state.
            if (c.state == CampaignState.Completed && to == 0) c.state = CampaignState.Failed;
        } else {
            return what == CapsuleAdded.selector; // nothing is kept of it
        }
        return true;
    }

    function _ofFinalModel(bytes32 what, Vm.Log calldata log) private returns (bool) {
        if (what == FinalModelRequested.selector) {
            BallotId ballot = _ballot(log);
            bytes32 digest = abi.decode(log.data, (bytes32));
            finals[ballot.openerOf()] =
                FinalFetchRecord(FinalFetchState.Requested, ballot.attemptOf(), 0, c.head, digest);
            subjects[ballot] = digest;
        } else {
            return what == FinalModelUsed.selector;
        }
        return true;
    }

    // -------------------------------------------------------------------- pieces

    /// @dev What an event repeats has to be what the events before it gave.
    function _same(uint256 told, uint256 rebuilt, string memory what) private pure {
        if (told != rebuilt) revert(string.concat("an event tells another ", what));
    }

    function _kind(Vm.Log calldata log) private pure returns (BallotKind kind) {
        (, kind) = abi.decode(log.data, (uint16, BallotKind));
    }

    function _account(Vm.Log calldata log, uint256 topic) private pure returns (address) {
        return address(uint160(uint256(log.topics[topic])));
    }

    function _ballot(Vm.Log calldata log) private pure returns (BallotId) {
        return BallotId.wrap(uint256(log.topics[1]));
    }

    function _bit(address account) private view returns (uint128) {
        uint8 seat = seatOf[account];
        return seat < members.length && members[seat].account == account ? uint128(1) << seat : 0;
    }
}
