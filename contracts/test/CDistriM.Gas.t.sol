// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotId, Evidence, ballotId} from "../src/ValueTypes.sol";
import {Consortium} from "./base/Consortium.sol";

/// @dev Every call is a transaction of its own here, with cold storage and its base cost, and each
/// figure is logged once as `name: gas` for contracts/gas.json and the README (`make gas-snapshot`).
/// Ballots are played with as few votes as decide them; everybody is an evaluator.
contract GasTest is Consortium {
    uint256 private total;

    // ------------------------------------------------------- cycles and slots

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_2() public {
        _cycle(2, false);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_4() public {
        assertTrue(_cycle(4, false) < 2_400_000, "more than the prototype's");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_10() public {
        _cycle(10, false);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_50() public {
        assertTrue(_cycle(50, false) < 167_000_000, "more than the prototype's");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_2_by_signatures() public {
        _cycle(2, true);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_4_by_signatures() public {
        _cycle(4, true);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_10_by_signatures() public {
        _cycle(10, true);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_50_by_signatures() public {
        _cycle(50, true);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_slot_does_not_grow_with_those_before_it() public {
        uint256 campaign = _running(Mode.Holdout, 6);
        uint256 third = 0;
        for (uint32 slot = 1; slot <= 24; slot++) {
            total = 0;
            _slot(campaign, slot, false);
            if (slot == 3) third = total;
            if (slot == 23) assertTrue(total <= third + third / 100, "slot 23 against slot 3");
        }
    }

    // ------------------------------------------------------------- single calls

    /// forge-config: default.isolate = true
    function test_gas_of_each_call_of_a_slot() public {
        uint256 campaign = _running(Mode.Holdout);
        _bring(campaign, 1, SlotState.Accepted);
        _requestFetch(campaign, 2);
        _log("requestFetch");
        BallotId fetch = _ballot(campaign, 2, BallotKind.Fetch);
        _vote(fetch, partners[2], true);
        _log("castVote, fetch");
        _vote(fetch, partners[3], true);
        _log("castVote, which grants a fetch");
        _reportOpened(campaign, 2);
        _log("reportOpened");
        _requestUpload(campaign, 2);
        _log("requestUpload");
        BallotId upload = _ballot(campaign, 2, BallotKind.Upload);
        _vote(upload, partners[2], true);
        _log("castVote, upload with evidence");
        _vote(upload, partners[3], true);
        _log("castVote, which accepts a model");
        _bring(campaign, 3, SlotState.UploadRequested);
        upload = _ballot(campaign, 3, BallotKind.Upload);
        _vote(upload, partners[0], false);
        _vote(upload, partners[1], false);
        _log("castVote, which restores and skips");
        vm.warp(block.timestamp + 201);
        vm.prank(bystander);
        ledger.closeExpired(campaign);
        _log("closeExpired, last slot");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_each_call_around_a_campaign() public {
        ledger = _deploy(_founders(5)); // whose members have no keys yet
        for (uint256 i = 0; i < 5; i++) {
            vm.prank(_account(i));
            ledger.publishKey(_hybridKey(i));
            if (i == 0) _log("publishKey, 1,216 bytes");
        }
        uint256 campaign = _open(Mode.Reported, 2, 0);
        _log("openCampaign, 4 partners");
        _enrol(campaign, 0, true);
        _log("enrol");
        for (uint256 i = 1; i < 4; i++) {
            _enrol(campaign, i, true);
        }
        _log("enrol, which starts the campaign");
        vm.prank(bystander);
        uint16 round = ledger.requestJoin(campaign, 50, keccak256("data"), true);
        _log("requestJoin");
        _last(
            ballotId(BallotKind.Join, campaign, 0, round, bystander),
            "castVote, which lets a member join"
        );
        _bring(campaign, 1, SlotState.UploadGranted);
        _confirmUpload(campaign, 1);
        _log("confirmUpload");
        _bring(campaign, 2, SlotState.Accepted);
        vm.prank(partners[2]);
        ledger.requestRestore(campaign, 3, 1, 1, RestoreReason.Unopenable);
        _log("requestRestore");
        _last(
            ballotId(BallotKind.Restore, campaign, 3, 1, partners[2]),
            "castVote, which restores the head by one model"
        );
        vm.prank(partners[0]);
        ledger.addCapsule(campaign, 1, keccak256("capsule"));
        _log("addCapsule");
        vm.prank(partners[0]);
        round = ledger.proposeAdmission(Applicant(_account(10), _name(10)));
        _log("proposeAdmission");
        _last(
            ballotId(BallotKind.Admission, 0, 0, round, partners[0]),
            "castVote, which admits a member"
        );
        vm.prank(partners[0]);
        round = ledger.proposeRemoval(bystander);
        _log("proposeRemoval");
        _last(
            ballotId(BallotKind.Removal, 0, 0, round, partners[0]),
            "castVote, which removes a member"
        );
        vm.prank(partners[0]);
        ledger.applyRemovals(campaign);
        _log("applyRemovals");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_each_call_on_the_final_model() public {
        uint256 campaign = _running(Mode.Holdout);
        _complete(campaign);
        vm.prank(partners[0]);
        uint16 round = ledger.requestFinalModel(campaign, KEY);
        _log("requestFinalModel");
        _last(
            ballotId(BallotKind.FinalFetch, campaign, 0, round, partners[0]),
            "castVote, which grants the final model"
        );
        vm.prank(partners[0]);
        ledger.reportFinalOpened(campaign, 3, 0, 1);
        _log("reportFinalOpened");
        vm.prank(partners[0]);
        ledger.recordUse(campaign, keccak256("purpose"));
        _log("recordUse");
    }

    // ------------------------------------------------------------------- pieces

    /// @dev As long as a public key of ML-KEM-768 with X25519, and as random.
    function _hybridKey(uint256 index) private pure returns (bytes memory key) {
        for (uint256 i = 0; i < 38; i++) {
            key = bytes.concat(key, keccak256(abi.encode(index, i)));
        }
    }

    /// @dev Logs a usual slot (the second) and the whole cycle.
    function _cycle(uint256 size, bool signed) private returns (uint256 whole) {
        _foundExactly(size);
        uint256 campaign = _running(Mode.Holdout);
        string memory way = string.concat(
            vm.toString(size), signed ? " partners, signatures" : " partners, single votes"
        );
        for (uint32 slot = 1; slot <= size; slot++) {
            total = 0;
            _slot(campaign, slot, signed);
            whole += total;
            if (slot == 2) emit log_named_uint(string.concat("a slot, ", way), total);
        }
        emit log_named_uint(string.concat("a cycle, ", way), whole);
    }

    /// @dev The electorate says yes; logs what the vote costs that decides.
    function _last(BallotId ballot, string memory what) private {
        for (uint256 i = 0; ledger.ballotState(ballot) == BallotState.Open; i++) {
            if (partners[i] == ballot.openerOf()) continue;
            _vote(ballot, partners[i], true);
            total = vm.lastCallGas().gasTotalUsed;
        }
        emit log_named_uint(what, total);
    }

    function _slot(uint256 campaign, uint32 slot, bool signed) private {
        _requestFetch(campaign, slot);
        _count();
        _votes(_ballot(campaign, slot, BallotKind.Fetch), signed);
        _reportOpened(campaign, slot);
        _count();
        _requestUpload(campaign, slot);
        _count();
        _votes(_ballot(campaign, slot, BallotKind.Upload), signed);
    }

    /// @dev By the members on the lowest seats; the owner's request is its yes.
    function _votes(BallotId ballot, bool signed) private {
        bool measured = ballot.kindOf() == BallotKind.Upload;
        Evidence evidence = measured ? _evidence() : _silence();
        uint256 missing = partners.length / 2;
        SignedVote[] memory votes = new SignedVote[](missing);
        for (uint256 seat = 0; missing > 0; seat++) {
            if (partners[seat] == ballot.openerOf()) continue;
            missing--;
            if (signed) {
                uint64 deadline = uint64(block.timestamp + 60);
                votes[missing] = _signed(ballot, seat, true, evidence, deadline);
            } else {
                _vote(ballot, partners[seat], true);
                _count();
            }
        }
        if (!signed) return;
        bytes32 subject = ledger.subjectOf(ballot);
        vm.prank(ballot.openerOf());
        ledger.castVotes(ballot, subject, votes);
        _count();
    }

    function _count() private {
        total += vm.lastCallGas().gasTotalUsed;
    }

    function _log(string memory what) private {
        emit log_named_uint(what, vm.lastCallGas().gasTotalUsed);
    }
}
