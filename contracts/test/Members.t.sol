// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CDistriM} from "../src/CDistriM.sol";
import {ICDistriM} from "../src/ICDistriM.sol";
import {Consortium} from "./base/Consortium.sol";

contract MembersTest is Consortium {
    function test_founders_are_members_in_order() public view {
        ICDistriM.Member[] memory all = ledger.members();
        assertEq(all.length, 5, "members");
        for (uint256 i = 0; i < partners.length; i++) {
            assertEq(all[i].account, partners[i], "account");
        }
        assertEq(all[2].name, "hospital-3", "name");
        assertTrue(all[2].active, "active");
    }

    function test_a_sealing_key_is_kept_as_its_sha256() public view {
        bytes32 digest = ledger.memberOf(partners[1]).sealingKeyDigest;
        assertEq(digest, sha256("public key 2"), "digest");
    }

    function test_an_admission_publishes_name_and_key() public {
        vm.recordLogs();
        _found(4);
        bytes memory data = vm.getRecordedLogs()[1].data;
        (string memory name, bytes memory key) = abi.decode(data, (string, bytes));
        assertEq(name, "hospital-2", "name");
        assertEq(string(key), "public key 2", "key");
    }

    function test_a_stranger_is_no_member() public view {
        assertTrue(!ledger.memberOf(OUTSIDER).active, "active");
        assertEq(ledger.memberOf(OUTSIDER).account, address(0), "account");
    }

    function test_fifty_founders_fit_and_fifty_one_do_not() public {
        assertEq(new CDistriM(_founders(50)).members().length, 50, "members");
        vm.expectRevert(abi.encodeWithSelector(ICDistriM.BadFounders.selector, 51));
        new CDistriM(_founders(51));
    }

    function test_a_lone_founder_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(ICDistriM.BadFounders.selector, 1));
        new CDistriM(_founders(1));
    }

    function test_an_account_cannot_be_two_members() public {
        ICDistriM.Founder[] memory founders = _founders(3);
        founders[2].account = founders[0].account;
        vm.expectRevert(
            abi.encodeWithSelector(
                ICDistriM.DuplicateMember.selector, founders[0].account, "hospital-3"
            )
        );
        new CDistriM(founders);
    }

    function test_a_name_cannot_be_two_members() public {
        ICDistriM.Founder[] memory founders = _founders(3);
        founders[2].name = "hospital-1";
        vm.expectRevert(
            abi.encodeWithSelector(
                ICDistriM.DuplicateMember.selector, founders[2].account, "hospital-1"
            )
        );
        new CDistriM(founders);
    }

    function test_the_zero_account_is_refused() public {
        ICDistriM.Founder[] memory founders = _founders(2);
        founders[0].account = address(0);
        vm.expectRevert(abi.encodeWithSelector(ICDistriM.BadAccount.selector, address(0)));
        new CDistriM(founders);
    }

    function test_names_outside_the_specs_rule_are_refused() public {
        string[7] memory names = [
            "",
            "-hospital",
            "Hospital",
            "hospital 1",
            "hospital_1",
            unicode"h\u00f4pital",
            "hospital-with-a-name-of-32-chars"
        ];
        for (uint256 i = 0; i < names.length; i++) {
            ICDistriM.Founder[] memory founders = _founders(2);
            founders[1].name = names[i];
            vm.expectRevert(abi.encodeWithSelector(ICDistriM.BadName.selector, names[i]));
            new CDistriM(founders);
        }
    }

    function test_the_longest_name_fits() public {
        ICDistriM.Founder[] memory founders = _founders(2);
        founders[1].name = "0-hospital-of-31-characters-end";
        assertEq(bytes(founders[1].name).length, 31, "length");
        assertEq(new CDistriM(founders).members()[1].name, founders[1].name, "name");
    }

    function test_sealing_keys_have_1_to_4096_bytes() public {
        ICDistriM.Founder[] memory founders = _founders(2);
        founders[0].sealingKey = new bytes(4096);
        new CDistriM(founders);
        uint256[2] memory lengths = [uint256(0), 4097];
        for (uint256 i = 0; i < lengths.length; i++) {
            founders[0].sealingKey = new bytes(lengths[i]);
            vm.expectRevert(abi.encodeWithSelector(ICDistriM.BadSealingKey.selector, lengths[i]));
            new CDistriM(founders);
        }
    }
}
