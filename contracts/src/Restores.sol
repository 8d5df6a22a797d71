// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";
import {Slots} from "./Slots.sol";
import {BallotId, ballotId} from "./ValueTypes.sol";

/// @title Back to an earlier model, and keys that are shared anew
abstract contract Restores is Slots {
    /// @inheritdoc ICDistriM
    function requestRestore(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        uint32 target,
        RestoreReason reason
    ) external onlyMember {
        CampaignRecord storage c = _settled(campaign);
        if (reason == RestoreReason.Degraded) revert BadReason(reason);
        if (c.state == CampaignState.Enrolling) {
            revert WrongCampaignState(c.state, CampaignState.Running);
        }
        bool opened = false;
        if (c.state == CampaignState.Running) {
            (, SlotRecord storage s) = _openSlot(campaign, slot, attempt);
            opened = _wasOpened(s);
        } else {
            if (slot != c.head) revert WrongSlot(campaign, slot, c.head);
            if (attempt != 0) revert WrongAttempt(attempt, 0);
        }
        _requirePartner(campaign, c);
        _requireAncestor(campaign, c.head, target);
        Box memory box;
        box.electorate = c.voters;
        box.deadline = _ballotEnd(c);
        box.model = target;
        box.opened = opened;
        box.reason = uint8(reason);
        BallotId ballot = ballotId(BallotKind.Restore, campaign, slot, attempt, msg.sender);
        _open(ballot, box, _subjectOf(campaign, c.head, target), c.head);
        emit RestoreRequested(ballot, campaign, target, reason);
    }

    /// @inheritdoc ICDistriM
    function addCapsule(uint256 campaign, uint32 slot, bytes32 capsuleHash) external onlyMember {
        CampaignRecord storage c = _settled(campaign);
        _requirePartner(campaign, c);
        SlotState state = _slots[campaign][slot].state;
        if (state != SlotState.Accepted) revert WrongState(state, SlotState.Accepted);
        _requireHash(capsuleHash);
        emit CapsuleAdded(campaign, slot, msg.sender, capsuleHash);
    }

    function _restorePassed(BallotId ballot, Box memory box) internal {
        uint256 campaign = ballot.campaignOf();
        _restore(campaign, _campaigns[campaign], box.model, RestoreReason(box.reason));
    }

    /// @dev From which model back to which, by what they are and not only by their numbers.
    function _subjectOf(uint256 campaign, uint32 head, uint32 target)
        private
        view
        returns (bytes32)
    {
        mapping(uint32 => SlotRecord) storage slots = _slots[campaign];
        return keccak256(abi.encode(slots[head].candidateDigest, slots[target].candidateDigest));
    }

    /// @dev Slots of ancestors have lower numbers: the walk ends at the target or passes it.
    function _requireAncestor(uint256 campaign, uint32 head, uint32 target) private view {
        uint32 slot = head;
        while (slot > target) {
            slot = _slots[campaign][slot].parent;
        }
        if (slot != target || target == head) revert NotAnAncestor(head, target);
    }
}
