// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";

/// @title Who belongs to the consortium
/// @notice Accounts and names are unique for ever: neither is given to somebody else later.
abstract contract Members is ICDistriM {
    uint256 internal constant MIN_PARTNERS = 2;
    uint256 internal constant MAX_PARTNERS = 50;
    uint256 private constant MAX_NAME = 31;
    uint256 private constant MAX_SEALING_KEY = 4096;

    struct StoredMember {
        string name;
        bytes32 sealingKeyDigest;
        bool active;
    }

    mapping(address account => StoredMember) private _members;
    mapping(bytes32 nameHash => bool) private _nameTaken;
    address[] private _accounts;

    constructor(Founder[] memory founders) {
        if (founders.length < MIN_PARTNERS || founders.length > MAX_PARTNERS) {
            revert BadFounders(founders.length);
        }
        for (uint256 i = 0; i < founders.length; i++) {
            _admit(founders[i]);
        }
    }

    modifier onlyMember() {
        _requireMember(msg.sender);
        _;
    }

    /// @inheritdoc ICDistriM
    function members() external view returns (Member[] memory all) {
        all = new Member[](_accounts.length);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = memberOf(_accounts[i]);
        }
    }

    /// @inheritdoc ICDistriM
    function memberOf(address account) public view returns (Member memory member) {
        StoredMember storage stored = _members[account];
        if (stored.sealingKeyDigest == 0) return member;
        return Member(account, stored.name, stored.sealingKeyDigest, stored.active);
    }

    function _requireMember(address account) internal view {
        if (!_members[account].active) revert NotAMember(account);
    }

    function _nameOf(address account) internal view returns (string memory) {
        return _members[account].name;
    }

    function _admit(Founder memory founder) private {
        if (founder.account == address(0)) revert BadAccount(founder.account);
        _requireName(founder.name);
        uint256 length = founder.sealingKey.length;
        if (length == 0 || length > MAX_SEALING_KEY) revert BadSealingKey(length);
        bytes32 nameHash = keccak256(bytes(founder.name));
        StoredMember storage member = _members[founder.account];
        if (member.sealingKeyDigest != 0 || _nameTaken[nameHash]) {
            revert DuplicateMember(founder.account, founder.name);
        }
        _nameTaken[nameHash] = true;
        _accounts.push(founder.account);
        member.name = founder.name;
        member.sealingKeyDigest = sha256(founder.sealingKey);
        member.active = true;
        emit MemberAdmitted(founder.account, founder.name, founder.sealingKey);
    }

    /// @dev The spec's rule: 1 to 31 of a-z, 0-9 and "-", no "-" in front.
    function _requireName(string memory name) private pure {
        bytes memory text = bytes(name);
        if (text.length == 0 || text.length > MAX_NAME || text[0] == "-") revert BadName(name);
        for (uint256 i = 0; i < text.length; i++) {
            bytes1 c = text[i];
            bool fits = (c >= "a" && c <= "z") || (c >= "0" && c <= "9") || c == "-";
            if (!fits) revert BadName(name);
        }
    }
}
