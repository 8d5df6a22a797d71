// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CDistriM} from "../src/CDistriM.sol";
import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMTypes} from "../src/ICDistriMTypes.sol";
import {Deadlines, Evidence, ballotId} from "../src/ValueTypes.sol";
import {Test} from "../test/base/Test.sol";

/// @dev Tokens, proven with halmos on the ledger itself: from one state in which a token was just granted,
/// for every caller, every moment and every argument.
contract TokenProof is Test, ICDistriMTypes {
    address private constant OWNER = address(0x1001);
    address private constant OTHER = address(0x1002);
    uint256 private constant NOW = 1_700_000_000;

    ICDistriM private holdout; // slot 1: fetch granted
    ICDistriM private reported; // slot 1: upload granted
    uint256 private fetchDeadline;
    uint256 private uploadDeadline;
    bytes32 private votedDigest;

    function setUp() public {
        vm.warp(NOW);
        holdout = _granted(Mode.Holdout);
        fetchDeadline = holdout.slotRecord(1, 1).deadline;
        reported = _granted(Mode.Reported);
        vm.prank(OWNER);
        reported.reportOpened(1, 1, 1, 1, 0, 0);
        Candidate memory candidate = _candidate();
        (candidate.ciphertextHash, candidate.capsuleHash) = (0, 0);
        vm.prank(OWNER);
        reported.requestUpload(1, 1, 1, candidate);
        votedDigest = keccak256(abi.encode(candidate));
        vm.prank(OTHER);
        reported.castVote(
            ballotId(BallotKind.Upload, 1, 1, 1, OWNER), votedDigest, true, Evidence.wrap(0)
        );
        uploadDeadline = reported.slotRecord(1, 1).deadline;
    }

    function check_a_fetch_token_is_redeemed_by_its_grantee_in_its_attempt_in_time(
        address caller,
        uint48 time,
        uint256 campaign,
        uint32 slot,
        uint16 attempt
    ) public {
        vm.assume(time >= NOW);
        vm.warp(time);
        if (!_open(caller, campaign, slot, attempt)) return;
        assert(caller == OWNER);
        assert(campaign == 1 && slot == 1 && attempt == 1);
        assert(time <= fetchDeadline);
    }

    function check_a_fetch_token_is_redeemed_once(
        address caller,
        uint48 time,
        uint256 campaign,
        uint32 slot,
        uint16 attempt
    ) public {
        assert(_open(OWNER, 1, 1, 1)); // so that the rest does not hold for want of a token
        vm.assume(time >= NOW);
        vm.warp(time);
        assert(!_open(caller, campaign, slot, attempt));
    }

    /// @dev The record is compared by its digest: that no two records have one is Keccak-256's, which halmos
    /// does not assume of a digest that it knows.
    function check_an_upload_token_is_redeemed_by_its_grantee_with_the_record_voted_on(
        address caller,
        uint48 time,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) public {
        vm.assume(time >= NOW);
        vm.warp(time);
        if (!_confirm(caller, slot, attempt, candidate)) return;
        assert(caller == OWNER);
        assert(slot == 1 && attempt == 1 && time <= uploadDeadline);
        (candidate.ciphertextHash, candidate.capsuleHash) = (0, 0);
        assert(keccak256(abi.encode(candidate)) == votedDigest);
    }

    function check_an_upload_token_is_redeemed_once(
        address caller,
        uint48 time,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) public {
        assert(_confirm(OWNER, 1, 1, _candidate()));
        vm.assume(time >= NOW);
        vm.warp(time);
        assert(!_confirm(caller, slot, attempt, candidate));
    }

    // ------------------------------------------------------------------ pieces

    function _open(address caller, uint256 campaign, uint32 slot, uint16 attempt)
        private
        returns (bool success)
    {
        vm.prank(caller);
        (success,) = address(holdout)
            .call(abi.encodeCall(ICDistriM.reportOpened, (campaign, slot, attempt, 1, 0, 0)));
    }

    function _confirm(address caller, uint32 slot, uint16 attempt, Candidate memory candidate)
        private
        returns (bool success)
    {
        vm.prank(caller);
        (success,) = address(reported)
            .call(abi.encodeCall(ICDistriM.confirmUpload, (1, slot, attempt, candidate)));
    }

    function _granted(Mode mode) private returns (ICDistriM ledger) {
        Applicant[] memory founders = new Applicant[](2);
        founders[0] = Applicant(OWNER, "owner");
        founders[1] = Applicant(OTHER, "other");
        ledger = new CDistriM(founders, address(1)); // no view is asked
        for (uint256 i = 0; i < 2; i++) {
            _giveKey(ledger, founders[i].account);
        }
        address[] memory order = new address[](2);
        (order[0], order[1]) = (OWNER, OTHER);
        uint256 each = 0;
        for (uint256 i = 0; i < 7; i++) {
            each = each << 32 | 100;
        }
        vm.prank(OWNER);
        ledger.openCampaign("spec", "genesis", order, 1, 0, mode, Deadlines.wrap(each));
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(order[i]);
            ledger.enrol(1, 1, "data", true);
        }
        vm.prank(OWNER);
        ledger.requestFetch(1, 1, 1, "key");
        vm.prank(OTHER);
        ledger.castVote(ballotId(BallotKind.Fetch, 1, 1, 1, OWNER), "key", true, Evidence.wrap(0));
    }

    /// @dev Instead of publishKey: halmos 0.3.3 fails in SHA-256. Members are the first thing stored, and
    /// the digest is the second word of each.
    function _giveKey(ICDistriM ledger, address account) private {
        bytes32 place = keccak256(abi.encode(account, uint256(0)));
        vm.store(address(ledger), bytes32(uint256(place) + 1), "key");
        assert(ledger.memberOf(account).sealingKeyDigest == "key");
    }

    function _candidate() private pure returns (Candidate memory) {
        return Candidate(0, "ciphertext", "weights", "capsule", Evidence.wrap(7));
    }
}
