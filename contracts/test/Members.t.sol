// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../src/ICDistriM.sol";
import {ICDistriMErrors} from "../src/ICDistriMErrors.sol";
import {ICDistriMEvents} from "../src/ICDistriMEvents.sol";
import {ICDistriMViews} from "../src/ICDistriMViews.sol";
import {Refusals} from "./base/Refusals.sol";
import {Vm} from "./base/Test.sol";

/// @dev The constructor, publishKey, and the views on members.
contract MembersTest is Refusals {
    // ------------------------------------------------------------- constructor

    function test_founders_are_members_in_order() public {
        vm.recordLogs();
        Applicant[] memory founders = _founders(5);
        ledger = _deploy(founders);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(ledger.seats(), 5, "seats");
        assertEq(ledger.activeSeats(), 0x1F, "active");
        for (uint256 seat = 0; seat < 5; seat++) {
            Member memory member = ledger.memberAt(seat);
            assertEq(member.account, founders[seat].account, "account");
            assertEq(member.name, founders[seat].name, "name");
            assertEq(member.seat, seat, "seat");
            assertTrue(member.active, "active");
            assertEq(member.sealingKeyDigest, 0, "no key yet");
            assertEq(logs[seat].topics[0], ICDistriMEvents.MemberAdmitted.selector, "event");
            assertEq(
                keccak256(logs[seat].data), keccak256(abi.encode(member.name, seat)), "name, seat"
            );
        }
        assertEq(ledger.campaigns(), 0, "campaigns");
    }

    function test_2_to_50_founders_fit() public {
        assertEq(_deploy(_founders(2)).seats(), 2, "two");
        assertEq(_deploy(_founders(50)).seats(), 50, "fifty");
        uint256[4] memory sizes = [uint256(0), 1, 51, 129];
        for (uint256 i = 0; i < sizes.length; i++) {
            _assertFoundingRefused(_founders(sizes[i]), _badMembers(sizes[i]));
        }
    }

    function test_an_account_cannot_be_two_members() public {
        Applicant[] memory founders = _founders(3);
        founders[2].account = founders[0].account;
        _assertFoundingRefused(founders, _duplicate(founders[2]));
    }

    function test_a_name_cannot_be_two_members() public {
        Applicant[] memory founders = _founders(3);
        founders[2].name = founders[0].name;
        _assertFoundingRefused(founders, _duplicate(founders[2]));
    }

    function test_the_zero_account_is_no_founder() public {
        Applicant[] memory founders = _founders(2);
        founders[0].account = address(0);
        _assertFoundingRefused(
            founders, abi.encodeWithSelector(ICDistriMErrors.BadAccount.selector, address(0))
        );
    }

    function test_a_ledger_names_its_views() public {
        assertEq(ledger.views(), address(views), "views");
        views = ICDistriMViews(address(0));
        _assertFoundingRefused(
            _founders(2), abi.encodeWithSelector(ICDistriMErrors.BadAccount.selector, address(0))
        );
    }

    /// @dev One rule for founders and for those admitted later.
    function test_names_outside_the_specs_rule_are_refused() public {
        bytes32[12] memory names = [
            bytes32(""),
            "-hospital",
            "Hospital",
            "hospital 1",
            "hospital_1",
            unicode"h\u00f4pital",
            "hospital-with-a-name-of-32-chars",
            hex"6100620000000000000000000000000000000000000000000000000000000000",
            hex"6100000000000000000000000000000000000000000000000000000000000001",
            hex"0061000000000000000000000000000000000000000000000000000000000000",
            hex"617b000000000000000000000000000000000000000000000000000000000000",
            bytes32(type(uint256).max)
        ];
        for (uint256 i = 0; i < names.length; i++) {
            Applicant[] memory founders = _founders(2);
            founders[1].name = names[i];
            bytes memory refusal =
                abi.encodeWithSelector(ICDistriMErrors.BadName.selector, names[i]);
            _assertFoundingRefused(founders, refusal);
            assertRefused(
                partners[0],
                abi.encodeCall(ICDistriM.proposeAdmission, (Applicant(_account(9), names[i]))),
                refusal
            );
        }
    }

    function test_shortest_and_longest_name_fit() public {
        Applicant[] memory founders = _founders(3);
        founders[0].name = "a";
        founders[1].name = "0-hospital-of-31-characters-end";
        founders[2].name = "9";
        ledger = _deploy(founders);
        for (uint256 i = 0; i < 3; i++) {
            assertEq(ledger.memberAt(i).name, founders[i].name, "name");
        }
    }

    /// @dev Against the rule written out the long way; the other founder has its name already.
    function testFuzz_a_name_is_taken_only_by_the_rule(bytes32 name, uint8 length) public {
        if (length % 3 == 0) name = _tame(name, length % 34);
        Applicant[] memory founders = _founders(2);
        founders[1].name = name;
        (bool success,) = _found(founders);
        assertTrue(success == (_isName(name) && name != founders[0].name), "name");
    }

    // -------------------------------------------------------------- publishKey

    function test_a_sealing_key_is_kept_as_its_sha256() public view {
        Member memory member = ledger.memberOf(partners[1]);
        assertEq(member.sealingKeyDigest, sha256("public key 2"), "digest");
        assertEq(member.keyChangedAt, block.timestamp, "time");
    }

    function test_a_rotation_is_told_with_both_digests_and_the_key() public {
        vm.warp(block.timestamp + 5);
        vm.recordLogs();
        vm.prank(partners[1]);
        ledger.publishKey("another key");
        Vm.Log memory log = vm.getRecordedLogs()[0];
        assertEq(log.topics[1], bytes32(uint256(uint160(partners[1]))), "account");
        assertEq(
            keccak256(log.data),
            keccak256(
                abi.encode(sha256("public key 2"), sha256("another key"), bytes("another key"))
            ),
            "former digest, digest, key"
        );
        assertEq(ledger.memberOf(partners[1]).sealingKeyDigest, sha256("another key"), "digest");
        assertEq(ledger.memberOf(partners[1]).keyChangedAt, block.timestamp, "time");
    }

    function test_a_sealing_key_has_1_to_4096_bytes() public {
        uint256[2] memory lengths = [uint256(0), 4097];
        for (uint256 i = 0; i < lengths.length; i++) {
            assertRefused(
                partners[0],
                abi.encodeCall(ICDistriM.publishKey, (new bytes(lengths[i]))),
                abi.encodeWithSelector(ICDistriMErrors.BadSealingKey.selector, lengths[i])
            );
        }
        vm.prank(partners[0]);
        ledger.publishKey(new bytes(4096));
        vm.prank(partners[0]);
        ledger.publishKey(new bytes(1));
        assertEq(ledger.memberOf(partners[0]).sealingKeyDigest, sha256(new bytes(1)), "digest");
    }

    function test_the_same_sealing_key_is_no_rotation() public {
        assertRefused(
            partners[1],
            abi.encodeCall(ICDistriM.publishKey, ("public key 2")),
            abi.encodeWithSelector(ICDistriMErrors.SameSealingKey.selector, sha256("public key 2"))
        );
    }

    // ------------------------------------------------------------------- views

    function test_a_stranger_is_no_member() public view {
        bytes32 none = keccak256(abi.encode(Member(address(0), 0, 0, false, 0, 0)));
        assertEq(keccak256(abi.encode(ledger.memberOf(OUTSIDER))), none, "of an account");
        assertEq(keccak256(abi.encode(ledger.memberOf(address(0)))), none, "of no account");
        assertEq(keccak256(abi.encode(ledger.memberAt(5))), none, "at a seat");
        assertEq(keccak256(abi.encode(ledger.memberAt(type(uint256).max))), none, "at no seat");
    }

    // ------------------------------------------------------------------ pieces

    function _badMembers(uint256 size) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICDistriMErrors.BadMembers.selector, size);
    }

    function _duplicate(Applicant memory applicant) private pure returns (bytes memory) {
        return abi.encodeWithSelector(
            ICDistriMErrors.DuplicateMember.selector, applicant.account, applicant.name
        );
    }

    function _assertFoundingRefused(Applicant[] memory founders, bytes memory refusal) private {
        (bool success, bytes memory answer) = _found(founders);
        assertTrue(!success, "the founding was not refused");
        assertEq(keccak256(answer), keccak256(refusal), "refused with another error");
    }

    /// @dev Deploys without forge, which would hide the error.
    function _found(Applicant[] memory founders)
        private
        returns (bool success, bytes memory answer)
    {
        bytes memory code = abi.encodePacked(
            vm.getCode("CDistriM.sol:CDistriM"), abi.encode(founders, views)
        );
        address created;
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
            let size := returndatasize()
            answer := mload(0x40)
            mstore(0x40, add(add(answer, 32), and(add(size, 31), not(31))))
            mstore(answer, size)
            returndatacopy(add(answer, 32), 0, size)
        }
        return (created != address(0), answer);
    }

    /// @dev Makes most of a name's characters good ones, so that some names are.
    function _tame(bytes32 name, uint256 length) private pure returns (bytes32 tamed) {
        bytes memory letters = "abcdefghijklmnopqrstuvwxyz0123456789-";
        for (uint256 i = 0; i < 32 && i < length; i++) {
            bytes1 c = letters[uint8(name[i]) % letters.length];
            tamed |= bytes32(c) >> (8 * i);
        }
    }

    function _isName(bytes32 name) private pure returns (bool) {
        uint256 length = 0;
        while (length < 32 && name[length] != 0) length++;
        if (length == 0 || length == 32 || name[0] == "-") return false;
        for (uint256 i = 0; i < 32; i++) {
            uint8 c = uint8(name[i]);
            if (i >= length && c != 0) return false;
            bool letter = c >= 97 && c <= 122;
            bool digit = c >= 48 && c <= 57;
            if (i < length && !letter && !digit && c != 45) return false;
        }
        return true;
    }
}
