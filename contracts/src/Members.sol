// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BallotBox} from "./BallotBox.sol";
import {ICDistriM} from "./ICDistriM.sol";

/// @title Who belongs to the consortium
/// @notice Accounts, names and seats are unique for ever: none is given to somebody else later.
abstract contract Members is ICDistriM {
    uint256 internal constant MIN_MEMBERS = 2;
    uint256 internal constant MAX_MEMBERS = 50;
    uint256 private constant MAX_SEATS = 128; // bits of a mask
    uint256 private constant MAX_SEALING_KEY = 4096;

    struct StoredMember {
        uint8 ordinal; // seat + 1; 0: never a member
        uint48 keyChangedAt;
        bytes32 sealingKeyDigest;
        bytes32 name;
    }

    mapping(address account => StoredMember) private _members;
    mapping(bytes32 name => bool) private _nameTaken;
    address[] private _accounts;
    uint128 internal _active;

    constructor(Applicant[] memory founders) {
        uint256 size = founders.length;
        if (size < MIN_MEMBERS || size > MAX_MEMBERS) revert BadMembers(size);
        for (uint256 i = 0; i < size; i++) {
            _requireApplicant(founders[i]);
            _admit(founders[i]);
        }
    }

    modifier onlyMember() {
        _requireMember(msg.sender);
        _;
    }

    // -------------------------------------------------------------------- keys

    /// @inheritdoc ICDistriM
    function publishKey(bytes calldata sealingKey) external onlyMember {
        uint256 length = sealingKey.length;
        if (length == 0 || length > MAX_SEALING_KEY) revert BadSealingKey(length);
        StoredMember storage member = _members[msg.sender];
        bytes32 former = member.sealingKeyDigest;
        bytes32 digest = sha256(sealingKey);
        if (digest == former) revert SameSealingKey(digest);
        member.sealingKeyDigest = digest;
        member.keyChangedAt = uint48(block.timestamp);
        emit KeyRotated(msg.sender, former, digest, sealingKey);
    }

    // ------------------------------------------------------------------- views

    /// @inheritdoc ICDistriM
    function seats() public view returns (uint256) {
        return _accounts.length;
    }

    /// @inheritdoc ICDistriM
    function activeSeats() external view returns (uint128) {
        return _active;
    }

    /// @inheritdoc ICDistriM
    function memberAt(uint256 seat) external view returns (Member memory member) {
        if (seat < _accounts.length) return memberOf(_accounts[seat]);
    }

    /// @inheritdoc ICDistriM
    function memberOf(address account) public view returns (Member memory member) {
        StoredMember storage stored = _members[account];
        if (stored.ordinal == 0) return member;
        member.account = account;
        member.name = stored.name;
        member.seat = stored.ordinal - 1;
        member.active = _active & _bit(account) != 0;
        member.sealingKeyDigest = stored.sealingKeyDigest;
        member.keyChangedAt = stored.keyChangedAt;
    }

    // -------------------------------------------------------- admission, removal

    /// @dev Whoever calls this has checked the applicant.
    function _admit(Applicant memory applicant) internal {
        uint8 seat = uint8(_accounts.length);
        _accounts.push(applicant.account);
        _nameTaken[applicant.name] = true;
        StoredMember storage member = _members[applicant.account];
        member.ordinal = seat + 1;
        member.name = applicant.name;
        _active |= uint128(1) << seat;
        emit MemberAdmitted(applicant.account, applicant.name, seat);
    }

    function _remove(uint8 seat) internal {
        _active &= ~(uint128(1) << seat);
        emit MemberRemoved(_accounts[seat], seat);
    }

    // -------------------------------------------------------------- derivation

    /// @dev The mask of one account; empty if it never was a member.
    function _bit(address account) internal view returns (uint128) {
        uint8 ordinal = _members[account].ordinal;
        return ordinal == 0 ? 0 : uint128(1) << (ordinal - 1);
    }

    /// @dev Of somebody who is or was a member.
    function _seatOf(address account) internal view returns (uint8) {
        return _members[account].ordinal - 1;
    }

    function _accountAt(uint8 seat) internal view returns (address) {
        return _accounts[seat];
    }

    /// @dev How many members have left so far. Never falls.
    function _departures() internal view returns (uint32) {
        return uint32(_accounts.length - BallotBox.count(_active));
    }

    function _hasKey(address account) internal view returns (bool) {
        return _members[account].sealingKeyDigest != 0;
    }

    // ------------------------------------------------------------------ guards

    function _requireMember(address account) internal view {
        if (_active & _bit(account) == 0) revert NotAMember(account);
    }

    function _requireApplicant(Applicant memory applicant) internal view {
        if (applicant.account == address(0)) revert BadAccount(applicant.account);
        _requireName(applicant.name);
        if (_members[applicant.account].ordinal != 0 || _nameTaken[applicant.name]) {
            revert DuplicateMember(applicant.account, applicant.name);
        }
    }

    function _requireRoom() internal view {
        uint256 active = BallotBox.count(_active);
        if (active >= MAX_MEMBERS || _accounts.length >= MAX_SEATS) revert BadMembers(active + 1);
    }

    /// @dev Once it has ended, only zeros may follow; the last byte is one.
    function _requireName(bytes32 name) private pure {
        bool fits = name[0] != 0 && name[0] != "-" && name[31] == 0;
        for (uint256 i = 0; i < 32 && fits; i++) {
            bytes1 c = name[i];
            if (c == 0) fits = uint256(name) << (8 * i) == 0;
            else fits = (c >= "a" && c <= "z") || (c >= "0" && c <= "9") || c == "-";
        }
        if (!fits) revert BadName(name);
    }
}
