// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {BallotId, Deadlines, Evidence, ballotId} from "../../src/ValueTypes.sol";
import {Draws} from "./Draws.sol";

/// @dev The moves of a run. The first one chooses the consortium: 2 to 7 founders. Every number that a
/// move needs is drawn from its seed, so that a run can be repeated and shortened.
contract Handler is Draws {
    uint256 private constant MAX_CAMPAIGNS = 3;
    uint256 private constant ACCOUNTS = 24;

    ICDistriM[] private _ledgers; // of 2 to 7 founders
    address[] private _accounts; // by their private keys
    mapping(address account => uint256) private _indexOf;
    uint256 private _applicants;

    constructor() {
        vm.warp(1_700_000_000);
        for (uint256 i = 0; i < ACCOUNTS; i++) {
            address account = _account(i);
            _accounts.push(account);
            _indexOf[account] = i;
        }
        for (uint256 size = 2; size <= 7; size++) {
            ICDistriM candidate = _deploy(_founders(size));
            for (uint256 i = 0; i < size; i++) {
                vm.prank(_accounts[i]);
                candidate.publishKey(abi.encodePacked("public key ", vm.toString(i + 1)));
            }
            _ledgers.push(candidate);
        }
    }

    /// @dev Entropy of the seed alone, whatever was before: a move stays the same if others are left out.
    modifier drawn(uint256 seed) {
        _entropy = uint256(keccak256(abi.encode(seed, msg.sig)));
        if (address(ledger) == address(0)) {
            ledger = _ledgers[_draw(_ledgers.length)];
            _applicants = ledger.seats();
            _watchFounders();
            _openCampaign(_drawOf(ledger.activeSeats()));
        }
        _;
    }

    // ------------------------------------------------------------------ moves

    /// @dev What comes next in a campaign, up to twelve times.
    function play(uint256 seed) external drawn(seed) {
        uint256 campaign = _drawCampaign();
        for (uint256 left = 1 + _draw(12); left > 0; left--) {
            _next(campaign);
        }
    }

    /// @dev One thing at a time, in all campaigns.
    function proceed(uint256 seed) external drawn(seed) {
        for (uint256 campaign = 1; campaign <= ledger.campaigns(); campaign++) {
            _next(campaign);
        }
    }

    /// @dev Any open ballot.
    function vote(uint256 seed) external drawn(seed) {
        (bool found, BallotId ballot) = _drawOpenBallot();
        if (!found) return _next(_drawCampaign());
        for (uint256 left = 1 + _draw(5); left > 0; left--) {
            _voteOn(ballot, 4);
        }
    }

    function openCampaign(uint256 seed) external drawn(seed) {
        if (ledger.campaigns() < MAX_CAMPAIGNS) _openCampaign(_drawOf(ledger.activeSeats()));
        else _next(_drawCampaign());
    }

    /// @dev Somebody who is no partner yet asks; often it is voted on at once.
    function join(uint256 seed) external drawn(seed) {
        uint256 campaign = _drawCampaign();
        address account = _drawOf(ledger.activeSeats() & ~_record(campaign).partners);
        if (ledger.memberOf(account).sealingKeyDigest == 0) _publishKey(account);
        _requestJoin(campaign, account);
        _voteAtOnce(BallotKind.Join, campaign, account);
    }

    /// @dev Any member asks, often a partner that has no vote yet.
    function restore(uint256 seed) external drawn(seed) {
        uint256 campaign = _drawCampaign();
        CampaignRecord memory c = _record(campaign);
        bool running = c.state == CampaignState.Running;
        uint32 slot = running ? c.slot : c.head;
        uint16 attempt = running ? _attempt(campaign, slot) : 0;
        uint32 target = c.head;
        for (uint256 back = 1 + _draw(3); back > 0 && target != 0; back--) {
            target = _slot(campaign, target).parent;
        }
        if (_draw(8) == 0) target = uint32(_draw(c.slot + 1));
        uint128 silent = c.partners & ~c.voters;
        address opener = _drawOf(silent != 0 && _draw(2) == 0 ? silent : ledger.activeSeats());
        bool opened = _requestRestore(campaign, slot, attempt, target, opener);
        if (!opened || _draw(2) == 0) return;
        BallotId ballot = ballotId(BallotKind.Restore, campaign, slot, attempt, opener);
        while (ledger.ballotState(ballot) == BallotState.Open) {
            if (!_voteOn(ballot, 12)) break;
        }
    }

    function admit(uint256 seed) external drawn(seed) {
        if (_draw(2) == 0) return _next(_drawCampaign());
        address opener = _drawOf(ledger.activeSeats());
        _proposeAdmission(opener);
        _voteAtOnce(BallotKind.Admission, 0, opener);
    }

    /// @dev Who asks to join, if somebody does. Else not often, or every campaign would end for want of
    /// partners.
    function remove(uint256 seed) external drawn(seed) {
        address account = _joiner();
        if (account == address(0) || _draw(4) == 0) {
            if (_draw(3) != 0) return _next(_drawCampaign());
            account = _drawOf(ledger.activeSeats());
        }
        address opener = _drawOf(ledger.activeSeats());
        _call(opener, abi.encodeCall(ICDistriM.proposeRemoval, (account)));
        _voteAtOnce(BallotKind.Removal, 0, opener);
    }

    /// @dev Around a deadline: of the open step, or of a ballot.
    function late(uint256 seed) external drawn(seed) {
        uint256 campaign = _drawCampaign();
        uint256 deadline = _deadlineOf(campaign);
        (bool found, BallotId ballot) = _drawOpenBallot();
        if (found && _draw(4) == 0) {
            uint256 own = ledger.ballotRecord(ballot).deadline;
            if (own != 0) deadline = own;
        }
        deadline += _draw(3);
        if (deadline > block.timestamp + 1) _wait(deadline - 1 - block.timestamp);
        if (_draw(2) == 0) _closeExpired(campaign);
        else if (found && _draw(3) == 0) _voteOn(ballot, 4);
        else _next(campaign);
    }

    function wait(uint256 seed) external drawn(seed) {
        _wait(_draw(40));
        _next(_drawCampaign());
    }

    function finish(uint256 seed) external drawn(seed) {
        uint256 campaign = _drawCampaign();
        for (uint256 left = 1 + _draw(6); left > 0; left--) {
            if (_record(campaign).state < CampaignState.Completed) _next(campaign);
            else _useFinalModel(campaign);
        }
    }

    function addCapsule(uint256 seed) external drawn(seed) {
        uint256 campaign = _drawCampaign();
        CampaignRecord memory c = _record(campaign);
        uint32 slot = _draw(3) == 0 ? uint32(_draw(c.slot + 1)) : c.head;
        bytes32 capsule = bytes32(1 + _draw(3));
        _call(_drawOf(c.partners), abi.encodeCall(ICDistriM.addCapsule, (campaign, slot, capsule)));
    }

    /// @dev Anybody calls anything, with arguments that are nearly right.
    function disturb(uint256 seed) external drawn(seed) {
        uint256 campaign = _draw(6) == 0 ? _draw(5) : _drawCampaign();
        bool known = campaign >= 1 && campaign <= ledger.campaigns();
        CampaignRecord memory c = _record(known ? campaign : 1);
        uint32 slot = _near(c.slot);
        uint16 attempt = uint16(_near(_attempt(campaign, c.slot)));
        address actor = _draw(3) == 0 || c.slot == 0
            ? _drawAnybody()
            : ledger.memberAt(_slot(campaign, c.slot).ownerSeat).account;
        uint256 what = _draw(14);
        if (what == 0) {
            _call(actor, abi.encodeCall(ICDistriM.requestFetch, (campaign, slot, attempt, KEY)));
        } else if (what <= 2) {
            _call(actor, abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, attempt, 1, 0, 0)));
        } else if (what <= 4) {
            Candidate memory candidate = _drawCandidate(known ? campaign : 1, slot, c);
            candidate.parent = _near(candidate.parent);
            if (_draw(4) == 0) (candidate.ciphertextHash, candidate.capsuleHash) = (0, 0);
            _call(
                actor,
                what == 3
                    ? abi.encodeCall(ICDistriM.requestUpload, (campaign, slot, attempt, candidate))
                    : abi.encodeCall(ICDistriM.confirmUpload, (campaign, slot, attempt, candidate))
            );
        } else if (what == 5) {
            _call(actor, abi.encodeCall(ICDistriM.closeExpired, (campaign)));
        } else if (what == 6) {
            _call(_drawAnybody(), abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 1, 0, 0)));
        } else if (what == 7) {
            _call(_drawAnybody(), abi.encodeCall(ICDistriM.requestFinalModel, (campaign, KEY)));
        } else if (what == 8) {
            _call(_drawAnybody(), abi.encodeCall(ICDistriM.applyRemovals, (campaign)));
        } else {
            _ask(campaign, slot, attempt);
        }
    }

    /// @dev Anybody votes on any ballot, decided ones too, also with what was signed for another one.
    function meddle(uint256 seed) external drawn(seed) {
        if (ballots.length == 0) return;
        BallotId ballot = ballots[_draw(ballots.length)];
        if (_draw(2) == 0) {
            bytes32 asked = _drawSubject(ballot);
            bytes memory call =
                abi.encodeCall(ICDistriM.castVote, (ballot, asked, _draw(4) != 0, _drawEvidence()));
            bool taken = _call(_drawAnybody(), call);
            assertTrue(!taken || asked == ledger.subjectOf(ballot), "I11: about something else");
            return;
        }
        BallotId signedFor = _draw(3) == 0 ? ballots[_draw(ballots.length)] : ballot;
        SignedVote[] memory votes = new SignedVote[](1 + _draw(3));
        for (uint256 i = 0; i < votes.length; i++) {
            uint64 deadline = uint64(block.timestamp + _draw(3) - 1);
            votes[i] = _signed(signedFor, _draw(ACCOUNTS), _draw(4) != 0, _drawEvidence(), deadline);
            if (_draw(6) == 0) votes[i].approve = !votes[i].approve;
        }
        bytes32 subject = _drawSubject(ballot);
        if (_call(_drawAnybody(), abi.encodeCall(ICDistriM.castVotes, (ballot, subject, votes)))) {
            assertEq(subject, ledger.subjectOf(ballot), "I11: about something else");
        }
    }

    // ------------------------------------------------------- for the invariants

    /// @dev I9. Nobody but one member does anything any more.
    function endEverything(uint256 seed) external drawn(seed) {
        address survivor = _drawOf(ledger.activeSeats());
        for (uint256 campaign = 1; campaign <= ledger.campaigns(); campaign++) {
            CampaignRecord memory c = _record(campaign);
            uint256 left = 4 + (uint256(c.cycles) + 1) * c.places;
            while (_record(campaign).state < CampaignState.Completed) {
                assertTrue(left > 0, "I9: a campaign that does not end");
                left--;
                bytes memory call = abi.encodeCall(ICDistriM.applyRemovals, (campaign));
                if (_record(campaign).partners & ~ledger.activeSeats() == 0) {
                    uint256 deadline = _deadlineOf(campaign);
                    if (deadline >= block.timestamp) _wait(deadline + 1 - block.timestamp);
                    call = abi.encodeCall(ICDistriM.closeExpired, (campaign));
                }
                assertTrue(_call(survivor, call), "I9: one member can't go on alone");
            }
        }
        _watchAllBallots();
        _checkHistory();
    }

    function check() external view {
        if (address(ledger) == address(0)) return;
        _checkSeats();
        _checkHistory();
        for (uint256 campaign = 1; campaign <= ledger.campaigns(); campaign++) {
            _checkSlots(campaign);
            _checkHead(campaign);
            _checkMasks(campaign);
        }
    }

    function howOften(Reached what) external view returns (uint256) {
        return reached[what];
    }

    // ------------------------------------------------------------- what is asked

    /// @dev What only members may ask for, mostly asked by who is none.
    function _ask(uint256 campaign, uint32 slot, uint16 attempt) private {
        address actor = _draw(3) == 0 ? _drawAnybody() : _drawStranger();
        uint256 what = _draw(7);
        if (what == 0) {
            _proposeAdmission(actor);
        } else if (what == 1) {
            address account = _drawAnybody();
            _call(actor, abi.encodeCall(ICDistriM.proposeRemoval, (account)));
        } else if (what == 2) {
            bool more = ledger.campaigns() < MAX_CAMPAIGNS;
            _openCampaign(more ? actor : _drawStranger());
        } else if (what == 3) {
            _publishKey(actor);
        } else if (what == 4) {
            _enrol(campaign, actor);
        } else if (what == 5) {
            _requestJoin(campaign, actor);
        } else {
            _requestRestore(campaign, slot, attempt, uint32(_draw(slot + 1)), actor);
        }
    }

    /// @dev Mostly of somebody new.
    function _proposeAdmission(address opener) private {
        uint256 index = _draw(3) == 0 ? _draw(ACCOUNTS) : _applicants;
        if (index >= ACCOUNTS) index = _draw(ACCOUNTS);
        Applicant memory applicant = Applicant(_accounts[index], _name(index));
        if (_call(opener, abi.encodeCall(ICDistriM.proposeAdmission, (applicant)))) {
            if (index == _applicants) _applicants++;
        }
    }

    function _requestJoin(uint256 campaign, address account) private {
        bool evaluator = _draw(4) != 0;
        uint32 cases = uint32(1 + _draw(500));
        bytes32 data = bytes32(1 + _draw(1000));
        _call(account, abi.encodeCall(ICDistriM.requestJoin, (campaign, cases, data, evaluator)));
    }

    function _requestRestore(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        uint32 target,
        address opener
    ) private returns (bool) {
        RestoreReason reason = RestoreReason(1 + _draw(2));
        return _call(
            opener,
            abi.encodeCall(ICDistriM.requestRestore, (campaign, slot, attempt, target, reason))
        );
    }

    // --------------------------------------------------------- what comes next

    function _next(uint256 campaign) private {
        CampaignRecord memory c = _record(campaign);
        if (c.partners & ~ledger.activeSeats() != 0) {
            address member = _drawOf(ledger.activeSeats());
            _call(member, abi.encodeCall(ICDistriM.applyRemovals, (campaign)));
        } else if (c.state == CampaignState.Enrolling) {
            uint128 absent = c.invited & ledger.activeSeats() & ~c.partners;
            uint128 former = c.invited & ~ledger.activeSeats();
            if (former != 0 && _draw(3) == 0) _enrol(campaign, _drawOf(former));
            else if (absent == 0 || block.timestamp > c.enrolDeadline) _closeExpired(campaign);
            else _enrolOne(campaign, absent);
        } else if (c.state != CampaignState.Running) {
            _useFinalModel(campaign);
        } else if (block.timestamp > _slot(campaign, c.slot).deadline) {
            _closeExpired(campaign);
        } else {
            _nextOfSlot(campaign, c);
        }
    }

    function _nextOfSlot(uint256 campaign, CampaignRecord memory c) private {
        uint32 slot = c.slot;
        SlotRecord memory s = _slot(campaign, slot);
        address owner = ledger.memberAt(s.ownerSeat).account;
        if (s.state == SlotState.FetchRequested) {
            _voteOn(ballotId(BallotKind.Fetch, campaign, slot, s.attempt, owner), 12);
        } else if (s.state == SlotState.UploadRequested) {
            _voteOn(ballotId(BallotKind.Upload, campaign, slot, s.attempt, owner), 8);
        } else if (s.state == SlotState.Waiting) {
            _call(owner, abi.encodeCall(ICDistriM.requestFetch, (campaign, slot, s.attempt, KEY)));
        } else if (s.state == SlotState.FetchGranted) {
            _call(
                owner, abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, s.attempt, 3, 0, 1))
            );
        } else {
            Candidate memory candidate = _drawCandidate(campaign, slot, c);
            bool confirms = s.state == SlotState.UploadGranted;
            if (confirms) candidate.weightsHash = s.weightsHash;
            if (!confirms && c.mode == Mode.Reported) {
                (candidate.ciphertextHash, candidate.capsuleHash) = (0, 0);
            }
            _call(
                owner,
                confirms
                    ? abi.encodeCall(
                        ICDistriM.confirmUpload, (campaign, slot, s.attempt, candidate)
                    )
                    : abi.encodeCall(
                            ICDistriM.requestUpload, (campaign, slot, s.attempt, candidate)
                        )
            );
        }
    }

    function _useFinalModel(uint256 campaign) private {
        address partner = _drawOf(_record(campaign).partners);
        FinalFetchRecord memory f = ledger.finalFetchRecord(campaign, partner);
        BallotId ballot = ballotId(BallotKind.FinalFetch, campaign, 0, f.round, partner);
        if (f.state == FinalFetchState.Requested && _voteOn(ballot, 12)) return;
        if (f.state == FinalFetchState.Granted && _draw(4) != 0) {
            _call(partner, abi.encodeCall(ICDistriM.reportFinalOpened, (campaign, 3, 0, 0)));
        } else if (f.state == FinalFetchState.Opened && _draw(4) != 0) {
            _call(partner, abi.encodeCall(ICDistriM.recordUse, (campaign, KEY)));
        } else {
            _call(partner, abi.encodeCall(ICDistriM.requestFinalModel, (campaign, KEY)));
        }
    }

    function _enrolOne(uint256 campaign, uint128 absent) private {
        address account = _drawOf(absent);
        if (ledger.memberOf(account).sealingKeyDigest == 0) _publishKey(account);
        _enrol(campaign, account);
    }

    function _enrol(uint256 campaign, address account) private {
        bool evaluator = _draw(8) != 0;
        bytes memory call =
            abi.encodeCall(ICDistriM.enrol, (campaign, uint32(1 + _draw(500)), KEY, evaluator));
        _call(account, call);
    }

    /// @dev Mostly all members, else some of them.
    function _openCampaign(address opener) private {
        uint128 active = ledger.activeSeats();
        address[] memory order = new address[](_size(active));
        uint256 size = 0;
        uint256 spare = _draw(3) != 0 ? 0 : order.length - 2;
        for (uint256 seat = 0; active >> seat != 0; seat++) {
            if (active >> seat & 1 == 0) continue;
            if (spare > 0 && _draw(2) == 0) {
                spare--;
                continue;
            }
            order[size++] = ledger.memberAt(seat).account;
        }
        assembly ("memory-safe") {
            mstore(order, size) // it only gets shorter
        }
        uint8 asked = _draw(3) == 0 ? uint8(_draw(size + 1)) : 0;
        bytes memory call = abi.encodeCall(
            ICDistriM.openCampaign,
            (
                keccak256("spec"),
                keccak256("genesis"),
                order,
                uint16(1 + _draw(3)),
                asked,
                Mode(_draw(2)),
                _deadlines()
            )
        );
        _call(opener, call);
    }

    function _closeExpired(uint256 campaign) private {
        address member = _drawOf(ledger.activeSeats());
        _call(member, abi.encodeCall(ICDistriM.closeExpired, (campaign)));
    }

    function _publishKey(address account) private {
        bytes memory sealingKey = abi.encodePacked("public key ", vm.toString(_draw(1e6)));
        _call(account, abi.encodeCall(ICDistriM.publishKey, (sealingKey)));
    }

    // -------------------------------------------------------------------- votes

    /// @dev One of the electorate who has not voted; one in `yes` refuses. One vote of four is signed and
    /// handed in by somebody else.
    function _voteOn(BallotId ballot, uint256 yes) private returns (bool) {
        if (ledger.ballotState(ballot) != BallotState.Open) return false;
        Box memory box = ledger.ballotRecord(ballot);
        uint128 left = box.electorate & ~(box.approvals | box.refusals);
        if (left == 0) return false;
        address account = _drawOf(left);
        bool approve = _draw(yes) != 0;
        Evidence evidence = _drawEvidence();
        bytes32 subject = ledger.subjectOf(ballot);
        bytes memory call = abi.encodeCall(ICDistriM.castVote, (ballot, subject, approve, evidence));
        if (_draw(4) == 0) {
            SignedVote[] memory votes = new SignedVote[](1);
            uint64 deadline = uint64(block.timestamp + _draw(100));
            votes[0] = _signed(ballot, _indexOf[account], approve, evidence, deadline);
            call = abi.encodeCall(ICDistriM.castVotes, (ballot, subject, votes));
            account = _drawOf(ledger.activeSeats());
        }
        return _call(account, call);
    }

    /// @dev Three times of four the others vote right away, so that it is decided.
    function _voteAtOnce(BallotKind kind, uint256 campaign, address opener) private {
        if (_draw(4) == 0) return;
        uint16 round = ledger.roundOf(kind, campaign, opener);
        BallotId ballot = ballotId(kind, campaign, 0, round, opener);
        while (ledger.ballotState(ballot) == BallotState.Open) {
            if (!_voteOn(ballot, 12)) break;
        }
    }
}
