// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {ICDistriMEvents} from "../src/ICDistriMEvents.sol";
import {BallotId, ballotId} from "../src/ValueTypes.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev proposeAdmission and proposeRemoval, and what their ballots do. There are five members: a
/// quorum is 3.
contract MembershipTest is Refusals {
    uint256 private constant NEW = 7; // index of an account that is no member

    // ---------------------------------------------------------------- admission

    function test_an_admission_asks_all_members_with_the_openers_yes() public {
        BallotId ballot = _proposeAdmission(bystander, NEW);
        Box memory box = ledger.ballotRecord(ballot);
        assertState(ballot, BallotState.Open);
        assertEq(box.electorate, 0x1F, "electorate");
        assertEq(box.approvals, 1 << 4, "the opener's yes");
        assertEq(box.deadline, block.timestamp + 7 days, "deadline");
        assertEq(views.ballotOf(ledger, ballot).quorum, 3, "quorum");
        bytes32 applicant = keccak256(abi.encode(Applicant(_account(NEW), _name(NEW))));
        assertEq(ledger.subjectOf(ballot), applicant, "applicant");
        assertEq(ledger.roundOf(BallotKind.Admission, 0, bystander), 1, "round");
    }

    function test_who_is_admitted_gets_the_next_seat() public {
        BallotId ballot = _proposeAdmission(partners[0], NEW);
        _vote(ballot, partners[1], true);
        assertTrue(!ledger.memberOf(_account(NEW)).active, "not before the quorum");
        vm.recordLogs();
        _vote(ballot, bystander, true);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs[2].topics[0], ICDistriMEvents.MemberAdmitted.selector, "event");
        Member memory member = ledger.memberOf(_account(NEW));
        assertTrue(member.active, "active");
        assertEq(member.seat, 5, "seat");
        assertEq(member.name, _name(NEW), "name");
        assertEq(ledger.activeSeats(), 0x3F, "active seats");
    }

    function test_who_is_turned_down_is_no_member_and_may_be_proposed_again() public {
        BallotId ballot = _proposeAdmission(partners[0], NEW);
        _decide(ballot, false);
        assertBallot(ballot, BallotState.Rejected, 1, 3);
        assertEq(ledger.seats(), 5, "seats");
        _decide(_proposeAdmission(partners[0], NEW), true);
        assertEq(ledger.roundOf(BallotKind.Admission, 0, partners[0]), 2, "round");
        assertTrue(ledger.memberOf(_account(NEW)).active, "active");
    }

    function test_a_member_is_not_admitted_again() public {
        _assertAdmissionRefused(partners[1], _name(NEW));
        _assertAdmissionRefused(_account(NEW), _name(1));
    }

    /// @dev Accounts and names are never given twice: history stays readable.
    function test_who_was_removed_is_not_admitted_again_and_its_name_neither() public {
        _removeMember(bystander);
        _assertAdmissionRefused(bystander, _name(NEW));
        _assertAdmissionRefused(_account(NEW), _name(4));
    }

    function test_the_zero_account_is_not_admitted() public {
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeAdmission, (Applicant(address(0), _name(NEW)))),
            abi.encodeWithSelector(ICDistriMErrors.BadAccount.selector, address(0))
        );
    }

    function test_more_than_50_members_are_not_admitted() public {
        ledger = _deploy(_founders(50));
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeAdmission, (Applicant(_account(60), _name(60)))),
            _badMembers(51)
        );
        _removeMember(_account(49));
        _proposeAdmission(partners[0], 60);
    }

    /// @dev A mask has 128 bits, and no seat is given twice.
    function test_after_128_seats_nobody_is_admitted() public {
        for (uint256 seat = 5; seat < 128; seat++) {
            _admit(seat);
            _removeMember(_account(seat));
        }
        assertEq(ledger.seats(), 128, "seats");
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeAdmission, (Applicant(_account(128), _name(128)))),
            _badMembers(6)
        );
    }

    // ------------------------------------------------------------------ removal

    function test_a_removal_asks_all_members_with_the_openers_yes() public {
        BallotId ballot = _proposeRemoval(partners[1], partners[3]);
        Box memory box = ledger.ballotRecord(ballot);
        assertEq(box.electorate, 0x1F, "electorate");
        assertEq(box.approvals, 1 << 1, "the opener's yes");
        assertEq(ledger.subjectOf(ballot), bytes32(uint256(uint160(partners[3]))), "account");
        assertEq(box.deadline, block.timestamp + 7 days, "deadline");
    }

    function test_who_is_removed_is_no_member_but_is_remembered() public {
        BallotId ballot = _proposeRemoval(partners[1], partners[3]);
        _vote(ballot, partners[0], true);
        assertTrue(ledger.memberOf(partners[3]).active, "not before the quorum");
        vm.recordLogs();
        _vote(ballot, partners[2], true);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs[2].topics[0], ICDistriMEvents.MemberRemoved.selector, "event");
        Member memory member = ledger.memberOf(partners[3]);
        assertTrue(!member.active, "active");
        assertEq(member.seat, 3, "seat");
        assertEq(member.name, _name(3), "name");
        assertEq(ledger.activeSeats(), 0x17, "active seats");
        assertEq(ledger.seats(), 5, "seats");
    }

    function test_who_is_to_be_removed_votes_too() public {
        BallotId ballot = _proposeRemoval(partners[1], partners[3]);
        _vote(ballot, partners[3], false);
        _vote(ballot, partners[0], false);
        _vote(ballot, partners[2], false);
        assertState(ballot, BallotState.Rejected);
        assertTrue(ledger.memberOf(partners[3]).active, "active");
    }

    function test_a_member_may_propose_to_remove_itself() public {
        _decide(_proposeRemoval(partners[3], partners[3]), true);
        assertTrue(!ledger.memberOf(partners[3]).active, "active");
    }

    function test_who_is_no_member_is_not_removed() public {
        _removeMember(partners[3]);
        address[3] memory accounts = [OUTSIDER, partners[3], address(0)];
        for (uint256 i = 0; i < accounts.length; i++) {
            assertRefused(
                partners[0],
                abi.encodeCall(ICDistriM.proposeRemoval, (accounts[i])),
                _notAMember(accounts[i])
            );
        }
    }

    function test_two_members_stay() public {
        for (uint256 i = 2; i < 4; i++) {
            _removeMember(partners[i]);
        }
        _removeMember(bystander);
        for (uint256 i = 0; i < 2; i++) {
            assertRefused(
                partners[0], abi.encodeCall(ICDistriM.proposeRemoval, (partners[i])), _badMembers(1)
            );
        }
    }

    // ------------------------------------------------------- one open ballot each

    function test_a_member_has_one_open_ballot_of_a_kind() public {
        BallotId admission = _proposeAdmission(partners[0], NEW);
        BallotId removal = _proposeRemoval(partners[0], partners[3]);
        assertRefused(
            partners[0],
            abi.encodeCall(
                ICDistriM.proposeAdmission, (Applicant(_account(NEW + 1), _name(NEW + 1)))
            ),
            _ballotOpened(admission)
        );
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeRemoval, (partners[2])),
            _ballotOpened(removal)
        );
        _proposeAdmission(partners[1], NEW); // another member may
    }

    function test_after_a_week_a_member_may_propose_again() public {
        BallotId first = _proposeRemoval(partners[0], partners[3]);
        uint256 deadline = block.timestamp + 7 days;
        vm.warp(deadline);
        _vote(first, partners[1], true);
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeRemoval, (partners[2])),
            _ballotOpened(first)
        );
        vm.warp(deadline + 1);
        assertVoteRefused(partners[2], first, _late(deadline));
        BallotId second = _proposeRemoval(partners[0], partners[3]);
        assertState(second, BallotState.Open);
        assertState(first, BallotState.Rejected);
        assertVoteRefused(partners[2], first, _late(deadline));
    }

    // --------------------------------------------------------------------- void

    function test_an_admission_or_a_removal_voids_all_other_proposals() public {
        for (uint256 i = 0; i < 2; i++) {
            BallotId admission = _proposeAdmission(partners[1], NEW + i);
            BallotId removal = _proposeRemoval(partners[1], partners[3]);
            if (i == 0) _admit(20);
            else _removeMember(bystander);
            assertState(admission, BallotState.Rejected);
            assertState(removal, BallotState.Rejected);
            assertVoteRefused(partners[2], admission, _ballotVoid(admission));
            assertVoteRefused(partners[2], removal, _ballotVoid(removal));
        }
    }

    /// @dev Two proposals for one account: the second can't pass once the first has.
    function test_nobody_is_admitted_twice() public {
        BallotId first = _proposeAdmission(partners[0], NEW);
        BallotId second = _proposeAdmission(partners[1], NEW);
        _vote(second, partners[2], true);
        _decide(first, true);
        assertVoteRefused(partners[3], second, _ballotVoid(second));
        assertEq(ledger.seats(), 6, "seats");
    }

    /// @dev Members are the same again once the newcomer has left, but time went on: what was void
    /// stays void. Else its account would be admitted a second time, to another seat.
    function test_a_void_proposal_stays_void_when_members_are_the_same_again() public {
        BallotId first = _proposeAdmission(partners[0], NEW);
        BallotId second = _proposeAdmission(partners[1], NEW);
        BallotId removal = _proposeRemoval(partners[1], partners[3]);
        _decide(first, true);
        _removeMember(_account(NEW));
        assertEq(ledger.activeSeats(), 0x1F, "the same members");
        assertState(second, BallotState.Rejected);
        assertState(removal, BallotState.Rejected);
        assertVoteRefused(partners[2], second, _ballotVoid(second));
        assertVoteRefused(partners[2], removal, _ballotVoid(removal));
    }

    /// @dev Votes for one applicant must not admit the one that its opener proposed next.
    function test_votes_of_a_void_proposal_do_not_count_for_the_next() public {
        BallotId first = _proposeAdmission(partners[0], NEW);
        _vote(first, partners[2], true);
        _decide(_proposeAdmission(partners[1], 20), true);
        _proposeAdmission(partners[0], NEW + 1);
        _decide(_proposeRemoval(partners[1], _account(20)), true);
        assertVoteRefused(partners[3], first, _ballotVoid(first));
    }

    /// @dev A third member can't be removed by a ballot of a time when there were more.
    function test_no_two_removals_leave_fewer_than_two_members() public {
        ledger = _deploy(_founders(3));
        BallotId first = _proposeRemoval(partners[0], partners[2]);
        BallotId second = _proposeRemoval(partners[1], partners[0]);
        _vote(first, partners[1], true);
        assertVoteRefused(partners[0], second, _ballotVoid(second));
        assertEq(ledger.activeSeats(), 3, "active seats");
    }

    function test_a_new_member_has_no_vote_in_ballots_before_it() public {
        BallotId removal = _proposeRemoval(partners[1], partners[3]);
        address account = _admit(NEW);
        assertVoteRefused(account, removal, _noVote(account));
    }

    function test_a_decided_proposal_takes_no_more_votes() public {
        BallotId ballot = _proposeAdmission(partners[0], NEW);
        _decide(ballot, true);
        assertVoteRefused(bystander, ballot, _ballotClosed(ballot));
    }

    /// @dev A campaign's quorum is no matter of the consortium's, whatever the ballot's name says.
    function test_a_proposal_belongs_to_no_campaign() public {
        uint256 campaign = _open(Mode.Holdout, 1, 4);
        BallotId ballot = _proposeAdmission(partners[0], NEW);
        assertEq(ballot.campaignOf(), 0, "campaign");
        BallotId other = ballotId(BallotKind.Admission, campaign, 0, 1, partners[0]);
        assertVoteRefused(partners[1], other, _noBallot(other));
        assertEq(views.ballotOf(ledger, ballot).quorum, 3, "quorum");
    }

    // ------------------------------------------------------------------ pieces

    function _badMembers(uint256 size) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BadMembers.selector, size);
    }

    function _assertAdmissionRefused(address account, bytes32 name) private {
        assertRefused(
            partners[0],
            abi.encodeCall(ICDistriM.proposeAdmission, (Applicant(account, name))),
            abi.encodeWithSelector(ICDistriMErrors.DuplicateMember.selector, account, name)
        );
    }
}
