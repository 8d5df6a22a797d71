// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "../base/Test.sol";
import {Books} from "./Books.sol";
import {Handler} from "./Handler.sol";

/// @dev README.md of this folder lists what is checked, and where.
contract InvariantTest is Test {
    Handler private handler;

    function setUp() public {
        handler = new Handler();
        _target(address(handler), _moves());
    }

    function invariant_of_every_state_I1_to_I17() public view {
        handler.check();
    }

    /// @dev forge calls this at the end of each run, in the state that it reached.
    function afterInvariant() public {
        uint256 state = vm.snapshotState();
        handler.endEverything(block.timestamp);
        handler.check();
        vm.revertToState(state);
    }

    /// @dev Nothing above would be worth anything if the moves did not come far.
    function test_the_moves_reach_every_corner() public {
        vm.pauseGasMetering();
        uint256 kinds = uint256(type(Books.Reached).max) + 1;
        uint256[] memory reached = new uint256[](kinds);
        bytes4[] memory moves = _moves();
        for (uint256 run = 0; run < 20; run++) {
            uint256 state = vm.snapshotState();
            for (uint256 i = 0; i < 100; i++) {
                uint256 seed = uint256(keccak256(abi.encode(run, i)));
                bytes4 move = moves[seed % moves.length];
                (bool success, bytes memory answer) =
                    address(handler).call(abi.encodeWithSelector(move, seed));
                if (success) continue;
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
            handler.check();
            for (uint256 kind = 0; kind < kinds; kind++) {
                reached[kind] += handler.howOften(Books.Reached(kind));
            }
            vm.revertToState(state);
        }
        for (uint256 kind = 0; kind < kinds; kind++) {
            emit log_named_uint(_names()[kind], reached[kind]);
        }
        for (uint256 kind = 0; kind < kinds; kind++) {
            assertTrue(reached[kind] > 0, _names()[kind]);
        }
    }

    function _moves() private pure returns (bytes4[] memory moves) {
        moves = new bytes4[](14);
        moves[0] = Handler.play.selector;
        moves[1] = Handler.proceed.selector;
        moves[2] = Handler.vote.selector;
        moves[3] = Handler.openCampaign.selector;
        moves[4] = Handler.join.selector;
        moves[5] = Handler.restore.selector;
        moves[6] = Handler.admit.selector;
        moves[7] = Handler.remove.selector;
        moves[8] = Handler.late.selector;
        moves[9] = Handler.wait.selector;
        moves[10] = Handler.finish.selector;
        moves[11] = Handler.addCapsule.selector;
        moves[12] = Handler.disturb.selector;
        moves[13] = Handler.meddle.selector;
    }

    function _names() private pure returns (string[32] memory) {
        return [
            "calls",
            "calls that were refused",
            "calls by outsiders and former members",
            "campaigns opened",
            "campaigns started",
            "campaigns completed",
            "campaigns failed",
            "models accepted, holdout",
            "models accepted, reported",
            "fetches granted",
            "slots skipped: fetch refused",
            "slots skipped: candidate refused",
            "slots skipped: deadline passed",
            "slots skipped: owner removed",
            "slots skipped: too few partners",
            "slots skipped: not enrolled",
            "restores passed",
            "restores passed after the end",
            "restores asked for by a partner without a vote",
            "slots restarted by a restore",
            "slots restarted by a removal",
            "members admitted",
            "members removed",
            "partners joined",
            "voters added later",
            "final fetches granted",
            "final models opened",
            "final models used",
            "capsules added",
            "signed votes counted",
            "ballots opened",
            "ballots that ended undecided or void"
        ];
    }
}
