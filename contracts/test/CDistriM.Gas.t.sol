// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotId, Evidence} from "../src/ValueTypes.sol";
import {Consortium} from "./base/Consortium.sol";

/// @dev Every call is a transaction of its own here, with cold storage and its base cost.
/// Show the figures with `make gas`.
contract GasTest is Consortium {
    uint256 private total;

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_4() public {
        uint256 campaign = _running(Mode.Holdout);
        for (uint32 slot = 1; slot <= 4; slot++) {
            _play(campaign, slot, slot == 2);
        }
        emit log_named_uint("cycle of 4, holdout", total);
        assertTrue(total < 2_400_000, "gas of a cycle");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_of_50() public {
        _found(49);
        uint256 campaign = _running(Mode.Holdout);
        for (uint32 slot = 1; slot <= 3; slot++) {
            if (slot == 3) total = 0;
            _play(campaign, slot, slot == 2);
        }
        emit log_named_uint("slot of 49, holdout", total);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_cycle_by_signatures() public {
        _found(49);
        uint256 campaign = _running(Mode.Holdout);
        for (uint32 slot = 1; slot <= 3; slot++) {
            bool show = slot == 2;
            if (slot == 3) total = 0;
            _requestFetch(campaign, slot);
            _count(show, "requestFetch");
            _signatures(_ballot(campaign, slot, BallotKind.Fetch), show);
            _reportOpened(campaign, slot);
            _count(show, "reportOpened");
            _requestUpload(campaign, slot);
            _count(show, "requestUpload");
            _signatures(_ballot(campaign, slot, BallotKind.Upload), show);
        }
        emit log_named_uint("slot of 49, signatures", total);
    }

    function _signatures(BallotId ballot, bool show) private {
        SignedVote[] memory votes = new SignedVote[](24);
        Evidence evidence = ballot.kindOf() == BallotKind.Upload ? _evidence() : _silence();
        uint256 next = 0;
        for (uint256 seat = 0; next < 24; seat++) {
            if (ledger.memberAt(seat).account == ballot.openerOf()) continue;
            votes[next++] = _signed(ballot, seat, true, evidence, uint64(block.timestamp + 60));
        }
        vm.prank(ballot.openerOf());
        ledger.castVotes(ballot, votes);
        _count(show, "castVotes");
    }

    function _play(uint256 campaign, uint32 slot, bool show) private {
        _requestFetch(campaign, slot);
        _count(show, "requestFetch");
        _votes(_ballot(campaign, slot, BallotKind.Fetch), show);
        _reportOpened(campaign, slot);
        _count(show, "reportOpened");
        _requestUpload(campaign, slot);
        _count(show, "requestUpload");
        _votes(_ballot(campaign, slot, BallotKind.Upload), show);
    }

    function _votes(BallotId ballot, bool show) private {
        uint128 electorate = ledger.ballotRecord(ballot).electorate;
        for (uint256 seat = 0; electorate >> seat != 0; seat++) {
            if (ledger.ballotState(ballot) != BallotState.Open) return;
            Box memory box = ledger.ballotRecord(ballot);
            uint128 bit = uint128(1 << seat);
            if (electorate & bit == 0 || (box.approvals | box.refusals) & bit != 0) continue;
            _vote(ballot, ledger.memberAt(seat).account, true);
            bool fetch = ballot.kindOf() == BallotKind.Fetch;
            _count(show, fetch ? "castVote, fetch" : "castVote, upload");
        }
    }

    function _count(bool show, string memory what) private {
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        total += gas;
        if (show) emit log_named_uint(what, gas);
    }
}
