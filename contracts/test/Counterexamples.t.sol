// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {BallotId, ballotId} from "../src/ValueTypes.sol";
import {Consortium} from "./base/Consortium.sol";

/// @dev Runs of the protocol that went wrong in some version of it, on paper or in code. Each test
/// says what would happen if the rule that it tests were not there.
contract CounterexamplesTest is Consortium {
    // --------------------------------------------------- ballots that come back

    /// A member who was admitted and removed again leaves the same members as before. If an open
    /// ballot only compared who is a member, one from before would live again, and admit the removed
    /// one a second time, with a second seat.
    function test_an_old_admission_does_not_readmit_a_removed_member() public {
        Applicant memory applicant = Applicant(_account(9), _name(9));
        BallotId slow = _proposeAdmission(partners[1], applicant);
        BallotId quick = _proposeAdmission(partners[0], applicant);
        _decide(quick, true);
        assertState(slow, BallotState.Rejected);
        _removeMember(applicant.account);
        assertState(slow, BallotState.Rejected);
        assertVoid(slow, partners[2]);
    }

    /// The ledger keeps an opener's latest applicant. If the ballot of an earlier round came back to
    /// life, the votes for one applicant would admit another.
    function test_votes_for_one_applicant_do_not_admit_another() public {
        BallotId first = _proposeAdmission(partners[0], Applicant(_account(8), _name(8)));
        _vote(first, partners[1], true); // one more is needed
        address passing = _admit(7, partners[2]);
        _proposeAdmission(partners[0], Applicant(_account(9), _name(9)));
        _removeMember(passing);
        assertState(first, BallotState.Rejected);
        assertVoid(first, partners[2]);
    }

    /// Two open ballots of one opener could both pass: the same member would join twice, and by votes
    /// for a number of cases that it has replaced since.
    function test_an_old_join_ballot_does_not_come_back_when_a_voter_was_added_and_removed()
        public
    {
        uint256 campaign = _running(Mode.Holdout, 3);
        address passing = _admit(7, partners[0]);
        _bring(campaign, 1, SlotState.Accepted);
        _decide(_requestJoin(campaign, passing), true);
        BallotId old = _requestJoin(campaign, bystander);
        _bring(campaign, 2, SlotState.Accepted); // deals a head to the first joiner
        assertState(old, BallotState.Rejected);
        BallotId second = _requestJoin(campaign, bystander);
        _removeMember(passing);
        _apply(campaign);
        assertState(second, BallotState.Rejected);
        assertState(old, BallotState.Rejected);
        assertVoid(old, partners[2]);
    }

    /// A ballot that reads as rejected while a removal waits to be applied, and as open afterwards,
    /// would have been reported as lost to its opener.
    function test_the_removal_of_a_partner_without_a_vote_leaves_a_restore_ballot_open() public {
        uint256 campaign = _running(Mode.Holdout, 3);
        _bring(campaign, 1, SlotState.Accepted);
        _bring(campaign, 2, SlotState.FetchGranted);
        _decide(_requestJoin(campaign, bystander), true);
        BallotId restore = _requestRestore(campaign, partners[2], 0);
        _removeMember(bystander);
        assertState(restore, BallotState.Open);
        assertRefused(
            partners[0],
            abi.encodeCall(ledger.castVote, (restore, true, _silence())),
            abi.encodeWithSelector(
                ICDistriMErrors.RemovalsPending.selector, campaign, uint128(1) << 4
            )
        );
        _apply(campaign);
        assertState(restore, BallotState.Open);
        _decide(restore, true);
        assertEq(_head(campaign), 0, "head");
    }

    // ------------------------------------------------------------------- moves

    function _proposeAdmission(address opener, Applicant memory applicant)
        private
        returns (BallotId)
    {
        vm.prank(opener);
        uint16 round = ledger.proposeAdmission(applicant);
        return ballotId(BallotKind.Admission, 0, 0, round, opener);
    }

    function _admit(uint256 index, address opener) private returns (address account) {
        account = _account(index);
        _decide(_proposeAdmission(opener, Applicant(account, _name(index))), true);
        vm.prank(account);
        ledger.publishKey(abi.encodePacked("public key ", vm.toString(index + 1)));
    }

    function _requestJoin(uint256 campaign, address account) private returns (BallotId) {
        vm.prank(account);
        uint16 round = ledger.requestJoin(campaign, 50, keccak256("joiner's data"), true);
        return ballotId(BallotKind.Join, campaign, 0, round, account);
    }

    function _requestRestore(uint256 campaign, address opener, uint32 target)
        private
        returns (BallotId)
    {
        CampaignRecord memory c = _record(campaign);
        bool running = c.state == CampaignState.Running;
        uint32 slot = running ? c.slot : c.head;
        uint16 attempt = running ? _attempt(campaign, slot) : 0;
        vm.prank(opener);
        ledger.requestRestore(campaign, slot, attempt, target, RestoreReason.Unopenable);
        return ballotId(BallotKind.Restore, campaign, slot, attempt, opener);
    }

    function _apply(uint256 campaign) private {
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
    }

    function assertVoid(BallotId ballot, address voter) private {
        assertRefused(
            voter,
            abi.encodeCall(ledger.castVote, (ballot, true, _silence())),
            abi.encodeWithSelector(ICDistriMErrors.BallotVoid.selector, ballot)
        );
    }
}
