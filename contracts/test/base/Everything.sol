// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "../../src/ICDistriM.sol";
import {ICDistriMTypes} from "../../src/ICDistriMTypes.sol";
import {ICDistriMViews} from "../../src/ICDistriMViews.sol";
import {BallotId, ballotId} from "../../src/ValueTypes.sol";

/// @dev One digest of all that a ledger tells: two are equal only if nothing has changed between them.
library Everything {
    struct Ledger {
        ICDistriM ledger;
        ICDistriMViews views;
    }

    function digestOf(Ledger memory self) internal view returns (bytes32 digest) {
        ICDistriM ledger = self.ledger;
        uint256 last = ledger.campaigns();
        digest = keccak256(
            abi.encode(
                self.views.members(ledger),
                ledger.activeSeats(),
                last,
                ledger.domainSeparator(),
                _ofMembers(ledger)
            )
        );
        for (uint256 campaign = 1; campaign <= last; campaign++) {
            digest = keccak256(abi.encode(digest, _ofCampaign(self, campaign)));
        }
    }

    /// @dev The ballots on what they proposed.
    function _ofMembers(ICDistriM ledger) private view returns (bytes32 digest) {
        for (uint256 seat = 0; seat < ledger.seats(); seat++) {
            address account = ledger.memberAt(seat).account;
            digest = keccak256(
                abi.encode(
                    digest,
                    _ofRounds(ledger, ICDistriMTypes.BallotKind.Admission, 0, account),
                    _ofRounds(ledger, ICDistriMTypes.BallotKind.Removal, 0, account)
                )
            );
        }
    }

    function _ofCampaign(Ledger memory self, uint256 campaign)
        private
        view
        returns (bytes32 digest)
    {
        ICDistriM ledger = self.ledger;
        ICDistriMViews.Snapshot memory snapshot = self.views.snapshotOf(ledger, campaign);
        digest = keccak256(
            abi.encode(snapshot, ledger.campaignRecord(campaign), ledger.orderOf(campaign))
        );
        for (uint256 seat = 0; seat < ledger.seats(); seat++) {
            address account = ledger.memberAt(seat).account;
            digest = keccak256(abi.encode(digest, _ofPart(ledger, campaign, account)));
        }
        for (uint32 slot = 1; slot <= snapshot.campaign.slots; slot++) {
            ICDistriMTypes.SlotRecord memory s = ledger.slotRecord(campaign, slot);
            if (s.attempt == 0) {
                digest = keccak256(abi.encode(digest, s));
                continue;
            }
            digest = keccak256(abi.encode(digest, s, _ofSlot(ledger, campaign, slot, s)));
        }
    }

    /// @dev A member's part in a campaign.
    function _ofPart(ICDistriM ledger, uint256 campaign, address account)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                ledger.enrolmentRecord(campaign, account),
                ledger.finalFetchRecord(campaign, account),
                _ofRounds(ledger, ICDistriMTypes.BallotKind.Join, campaign, account),
                _ofRounds(ledger, ICDistriMTypes.BallotKind.FinalFetch, campaign, account)
            )
        );
    }

    /// @dev Ballots of a slot that has opened.
    function _ofSlot(
        ICDistriM ledger,
        uint256 campaign,
        uint32 slot,
        ICDistriMTypes.SlotRecord memory s
    ) private view returns (bytes32 digest) {
        for (uint256 seat = 0; seat < ledger.seats(); seat++) {
            address account = ledger.memberAt(seat).account;
            ICDistriMTypes.BallotKind restore = ICDistriMTypes.BallotKind.Restore;
            for (uint16 attempt = 0; attempt <= s.attempt; attempt++) {
                digest = _and(ledger, digest, restore, campaign, slot, attempt, account);
                if (seat != s.ownerSeat) continue;
                ICDistriMTypes.BallotKind fetch = ICDistriMTypes.BallotKind.Fetch;
                ICDistriMTypes.BallotKind upload = ICDistriMTypes.BallotKind.Upload;
                digest = _and(ledger, digest, fetch, campaign, slot, attempt, account);
                digest = _and(ledger, digest, upload, campaign, slot, attempt, account);
            }
        }
    }

    function _ofRounds(
        ICDistriM ledger,
        ICDistriMTypes.BallotKind kind,
        uint256 campaign,
        address account
    ) private view returns (bytes32 digest) {
        uint16 rounds = ledger.roundOf(kind, campaign, account);
        digest = bytes32(uint256(rounds));
        for (uint16 round = 1; round <= rounds; round++) {
            digest = _and(ledger, digest, kind, campaign, 0, round, account);
        }
    }

    /// @dev Adds a ballot.
    function _and(
        ICDistriM ledger,
        bytes32 digest,
        ICDistriMTypes.BallotKind kind,
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        address opener
    ) private view returns (bytes32) {
        BallotId ballot = ballotId(kind, campaign, slot, attempt, opener);
        return keccak256(abi.encode(digest, ledger.ballotRecord(ballot), ledger.subjectOf(ballot)));
    }
}
