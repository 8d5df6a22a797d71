// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {ICDistriMErrors} from "../../src/ICDistriMErrors.sol";
import {ICDistriMTypes} from "../../src/ICDistriMTypes.sol";
import {ICDistriMViews} from "../../src/ICDistriMViews.sol";
import {BallotId, Deadlines, Evidence, ballotId} from "../../src/ValueTypes.sol";
import {Everything} from "./Everything.sol";
import {Test, Vm} from "./Test.sol";

/// @dev A ledger with four partners and one more member, and the moves that tests make.
abstract contract Consortium is Test, ICDistriMTypes {
    ICDistriM internal ledger;
    ICDistriMViews internal views;
    address[] internal partners;
    address internal bystander; // a member that is no partner of the campaigns
    address internal constant OUTSIDER = address(0xBAD);
    bytes32 internal constant KEY = keccak256("one-time key");
    uint256 internal constant FIRST_PRIVATE_KEY = 0xA11CE;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        _found(4);
    }

    // ------------------------------------------------------------------ parts

    /// @dev `size` partners and a bystander.
    function _found(uint256 size) internal {
        _foundExactly(size + 1);
        bystander = partners[size];
        partners.pop();
    }

    /// @dev `size` partners, which are all members.
    function _foundExactly(uint256 size) internal {
        Applicant[] memory founders = _founders(size);
        ledger = _deploy(founders);
        delete partners;
        for (uint256 i = 0; i < size; i++) {
            partners.push(founders[i].account);
            vm.prank(founders[i].account);
            ledger.publishKey(abi.encodePacked("public key ", vm.toString(i + 1)));
        }
    }

    function _deploy(Applicant[] memory founders) internal returns (ICDistriM) {
        if (address(views) == address(0)) {
            views = ICDistriMViews(vm.deployCode("CDistriMViews.sol:CDistriMViews"));
        }
        return ICDistriM(vm.deployCode("CDistriM.sol:CDistriM", abi.encode(founders, views)));
    }

    function _founders(uint256 size) internal pure returns (Applicant[] memory founders) {
        founders = new Applicant[](size);
        for (uint256 i = 0; i < size; i++) {
            founders[i] = Applicant(_account(i), _name(i));
        }
    }

    function _account(uint256 index) internal pure returns (address) {
        return vm.addr(FIRST_PRIVATE_KEY + index);
    }

    function _name(uint256 index) internal pure returns (bytes32) {
        return bytes32(bytes(string.concat("hospital-", vm.toString(index + 1))));
    }

    /// @dev Seconds of each step, in the order of Clock: 100, 200, … 700.
    function _deadlines() internal pure returns (Deadlines) {
        uint256 word = 0;
        for (uint256 i = 0; i < 7; i++) {
            word |= (i + 1) * 100 << (32 * i);
        }
        return Deadlines.wrap(word);
    }

    function _evidence() internal pure returns (Evidence) {
        return _evidence(800_000_000, 810_000_000, 1e15, 25, 25);
    }

    function _evidence(
        uint256 aucHead,
        uint256 aucCandidate,
        uint256 variance,
        uint256 positives,
        uint256 negatives
    ) internal pure returns (Evidence) {
        return Evidence.wrap(
            aucHead | aucCandidate << 32 | variance << 64 | positives << 128 | negatives << 160
        );
    }

    function _silence() internal pure returns (Evidence) {
        return Evidence.wrap(0);
    }

    /// @dev A record as the trainer of `slot` would request it in holdout mode.
    function _candidate(uint256 campaign, uint32 slot) internal view returns (Candidate memory) {
        return Candidate(
            _head(campaign),
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
        returns (Candidate memory candidate)
    {
        candidate = _candidate(campaign, slot);
        candidate.ciphertextHash = 0;
        candidate.capsuleHash = 0;
    }

    // --------------------------------------------------------------- questions

    function _record(uint256 campaign) internal view returns (CampaignRecord memory) {
        return ledger.campaignRecord(campaign);
    }

    function _slot(uint256 campaign, uint32 slot) internal view returns (SlotRecord memory) {
        return ledger.slotRecord(campaign, slot);
    }

    function _head(uint256 campaign) internal view returns (uint32) {
        return _record(campaign).head;
    }

    function _attempt(uint256 campaign, uint32 slot) internal view returns (uint16) {
        return _slot(campaign, slot).attempt;
    }

    /// @dev Of an open or ended slot.
    function _owner(uint256 campaign, uint32 slot) internal view returns (address) {
        return ledger.memberAt(_slot(campaign, slot).ownerSeat).account;
    }

    /// @dev A partner `steps` places behind a slot's owner.
    function _after(uint256 campaign, uint32 slot, uint256 steps) internal view returns (address) {
        address owner = _owner(campaign, slot);
        for (uint256 i = 0; i < partners.length; i++) {
            if (partners[i] == owner) return partners[(i + steps) % partners.length];
        }
        revert("no partner");
    }

    function _ballot(uint256 campaign, uint32 slot, BallotKind kind)
        internal
        view
        returns (BallotId)
    {
        return ballotId(kind, campaign, slot, _attempt(campaign, slot), _owner(campaign, slot));
    }

    /// @dev Zero for a name of no kind of ballot.
    function _subjectOf(BallotId ballot) internal view returns (bytes32) {
        bool known = uint8(BallotId.unwrap(ballot)) <= uint8(type(BallotKind).max);
        return known ? ledger.subjectOf(ballot) : bytes32(0);
    }

    /// @dev The refusal of a vote about something else than the ballot.
    function _wrongSubject(BallotId ballot, bytes32 asked) internal view returns (bytes memory) {
        return abi.encodeWithSelector(
            ICDistriMErrors.WrongSubject.selector, asked, ledger.subjectOf(ballot)
        );
    }

    /// @dev As the ledger keeps it of a request.
    function _digestOf(Candidate memory candidate) internal pure returns (bytes32) {
        return keccak256(abi.encode(candidate));
    }

    // ------------------------------------------------------------------ moves

    function _open(Mode mode, uint16 cycles, uint8 quorum) internal returns (uint256) {
        vm.prank(partners[0]);
        return ledger.openCampaign(
            keccak256("spec"), keccak256("genesis"), partners, cycles, quorum, mode, _deadlines()
        );
    }

    /// @dev The data of the one event of its kind among what was recorded.
    function _told(bytes32 what) internal returns (bytes memory data) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 found = 0;
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].topics[0] != what) continue;
            data = logs[i].data;
            found++;
        }
        assertEq(found, 1, "events of the kind");
    }

    function _enrol(uint256 campaign, uint256 place, bool evaluator) internal {
        vm.prank(partners[place]);
        ledger.enrol(campaign, uint32(100 + place), keccak256(abi.encode("data", place)), evaluator);
    }

    /// @dev A campaign of one cycle in which everybody is enrolled, as an evaluator too.
    function _running(Mode mode) internal returns (uint256 campaign) {
        return _running(mode, 1);
    }

    function _running(Mode mode, uint16 cycles) internal returns (uint256 campaign) {
        campaign = _open(mode, cycles, 0);
        for (uint256 i = 0; i < partners.length; i++) {
            _enrol(campaign, i, true);
        }
    }

    function _requestFetch(uint256 campaign, uint32 slot) internal {
        address owner = _owner(campaign, slot);
        uint16 attempt = _attempt(campaign, slot);
        vm.prank(owner);
        ledger.requestFetch(campaign, slot, attempt, KEY);
    }

    function _reportOpened(uint256 campaign, uint32 slot) internal {
        address owner = _owner(campaign, slot);
        uint16 attempt = _attempt(campaign, slot);
        vm.prank(owner);
        ledger.reportOpened(campaign, slot, attempt, 3, 0, 1);
    }

    function _requestUpload(uint256 campaign, uint32 slot) internal {
        bool reported = _record(campaign).mode == Mode.Reported;
        Candidate memory candidate = reported ? _report(campaign, slot) : _candidate(campaign, slot);
        address owner = _owner(campaign, slot);
        uint16 attempt = _attempt(campaign, slot);
        vm.prank(owner);
        ledger.requestUpload(campaign, slot, attempt, candidate);
    }

    function _confirmUpload(uint256 campaign, uint32 slot) internal {
        Candidate memory candidate = _candidate(campaign, slot);
        address owner = _owner(campaign, slot);
        uint16 attempt = _attempt(campaign, slot);
        vm.prank(owner);
        ledger.confirmUpload(campaign, slot, attempt, candidate);
    }

    function _vote(BallotId ballot, address voter, bool approve) internal {
        Evidence evidence = ballot.kindOf() == BallotKind.Upload ? _evidence() : _silence();
        bytes32 subject = ledger.subjectOf(ballot);
        vm.prank(voter);
        ledger.castVote(ballot, subject, approve, evidence);
    }

    /// @dev The electorate votes, one after the other in order of seats, until the ballot is decided.
    function _decide(BallotId ballot, bool approve) internal {
        uint128 electorate = ledger.ballotRecord(ballot).electorate;
        for (uint256 seat = 0; electorate >> seat != 0; seat++) {
            if (ledger.ballotState(ballot) != BallotState.Open) return;
            Box memory box = ledger.ballotRecord(ballot);
            uint128 bit = uint128(1 << seat);
            if (electorate & bit == 0 || (box.approvals | box.refusals) & bit != 0) continue;
            _vote(ballot, ledger.memberAt(seat).account, approve);
        }
    }

    /// @dev A vote of the member on a seat, signed with the private key that _account has it from.
    function _signed(
        BallotId ballot,
        uint256 seat,
        bool approve,
        Evidence evidence,
        uint64 deadline
    ) internal view returns (SignedVote memory vote) {
        vote = SignedVote(approve, evidence, deadline, 0, 0);
        _sign(ballot, _subjectOf(ballot), seat, vote);
    }

    /// @dev Signs a vote anew, whatever its ballot is about.
    function _sign(BallotId ballot, bytes32 subject, uint256 seat, SignedVote memory vote)
        internal
        view
    {
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(FIRST_PRIVATE_KEY + seat, _signedDigest(ballot, subject, vote));
        vote.r = r;
        vote.vs = bytes32(uint256(s) | uint256(v - 27) << 255);
    }

    /// @dev EIP-712.
    function _signedDigest(BallotId ballot, bytes32 subject, SignedVote memory vote)
        internal
        view
        returns (bytes32)
    {
        bytes32 hash = keccak256(
            abi.encode(
                keccak256(
                    "Vote(uint256 ballot,bytes32 subject,bool approve,uint256 evidence,"
                    "uint64 deadline)"
                ),
                ballot,
                subject,
                vote.approve,
                vote.evidence,
                vote.deadline
            )
        );
        return keccak256(abi.encodePacked(hex"1901", ledger.domainSeparator(), hash));
    }

    function _decide(uint256 campaign, uint32 slot, BallotKind kind, bool approve) internal {
        _decide(_ballot(campaign, slot, kind), approve);
    }

    /// @dev Brings a waiting slot to a later state by the shortest way.
    function _bring(uint256 campaign, uint32 slot, SlotState state) internal {
        if (state == SlotState.Waiting) return;
        _requestFetch(campaign, slot);
        if (state == SlotState.FetchRequested) return;
        _decide(campaign, slot, BallotKind.Fetch, true);
        if (state == SlotState.FetchGranted) return;
        _reportOpened(campaign, slot);
        if (state == SlotState.Training) return;
        _requestUpload(campaign, slot);
        if (state == SlotState.UploadRequested) return;
        _decide(campaign, slot, BallotKind.Upload, state != SlotState.Skipped);
        if (state == SlotState.Skipped || state == SlotState.UploadGranted) return;
        if (_record(campaign).mode == Mode.Reported) _confirmUpload(campaign, slot);
    }

    /// @dev Plays a campaign to its end; every model is accepted.
    function _complete(uint256 campaign) internal {
        while (_record(campaign).state == CampaignState.Running) {
            _bring(campaign, _record(campaign).slot, SlotState.Accepted);
        }
    }

    /// @dev All members of the electorate agree to remove somebody.
    function _removeMember(address account) internal {
        address opener = _someMemberBut(account);
        vm.prank(opener);
        uint16 round = ledger.proposeRemoval(account);
        _decide(ballotId(BallotKind.Removal, 0, 0, round, opener), true);
    }

    function _admit(uint256 index) internal returns (address account) {
        account = _account(index);
        address opener = partners[0];
        vm.prank(opener);
        uint16 round = ledger.proposeAdmission(Applicant(account, _name(index)));
        _decide(ballotId(BallotKind.Admission, 0, 0, round, opener), true);
        vm.prank(account);
        ledger.publishKey(abi.encodePacked("public key ", vm.toString(index + 1)));
    }

    function _someMemberBut(address account) private view returns (address) {
        for (uint256 seat = 0; seat < ledger.seats(); seat++) {
            Member memory member = ledger.memberAt(seat);
            if (member.active && member.account != account) return member.account;
        }
        revert("no other member");
    }

    // -------------------------------------------------------------- assertions

    function assertState(uint256 campaign, uint32 slot, SlotState state) internal view {
        assertEq(uint8(_slot(campaign, slot).state), uint8(state), "state of the slot");
    }

    function assertSkipped(uint256 campaign, uint32 slot, SkipReason reason) internal view {
        assertState(campaign, slot, SlotState.Skipped);
        assertEq(uint8(_slot(campaign, slot).skipReason), uint8(reason), "skip reason");
    }

    function assertState(uint256 campaign, CampaignState state) internal view {
        assertEq(uint8(_record(campaign).state), uint8(state), "state of the campaign");
    }

    function assertState(BallotId ballot, BallotState state) internal view {
        assertEq(uint8(ledger.ballotState(ballot)), uint8(state), "state of the ballot");
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

    function _everything() internal view returns (bytes32) {
        return Everything.digestOf(Everything.Ledger(ledger, views));
    }
}
