// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriM} from "./ICDistriM.sol";
import {Partners} from "./Partners.sol";
import {BallotId, Evidence, ballotId} from "./ValueTypes.sol";

/// @title What the owner of the open slot does, and what its ballots decide
abstract contract Slots is Partners {
    // ------------------------------------------------------ the owner's actions

    /// @inheritdoc ICDistriM
    function requestFetch(uint256 campaign, uint32 slot, uint16 attempt, bytes32 requestKeyDigest)
        external
        onlyMember
    {
        (CampaignRecord storage c, SlotRecord storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.Waiting);
        _requireHash(requestKeyDigest);
        s.requestKeyDigest = requestKeyDigest;
        s.fetchAttempt = attempt;
        emit FetchRequested(campaign, slot, attempt, msg.sender, requestKeyDigest);
        _moveTo(c, s, SlotState.FetchRequested, Clock.FetchBallot);
        _openOfSlot(BallotKind.Fetch, campaign, slot, c, s);
    }

    /// @inheritdoc ICDistriM
    function reportOpened(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        uint8 good,
        uint8 bad,
        uint8 missing
    ) external onlyMember {
        (CampaignRecord storage c, SlotRecord storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.FetchGranted);
        emit TokenRedeemed(campaign, slot, attempt, BallotKind.Fetch, msg.sender);
        _moveTo(c, s, SlotState.Training, Clock.Training);
        emit ModelOpened(
            campaign, slot, attempt, msg.sender, c.head, good, bad, missing, s.deadline
        );
    }

    /// @inheritdoc ICDistriM
    function requestUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) external onlyMember {
        (CampaignRecord storage c, SlotRecord storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.Training);
        if (candidate.parent != c.head) revert WrongParent(c.head, candidate.parent);
        _requireHash(candidate.weightsHash);
        bool reported = c.mode == Mode.Reported;
        if (reported) {
            if (candidate.ciphertextHash != 0 || candidate.capsuleHash != 0) revert HashTooEarly();
        } else {
            _requireHash(candidate.ciphertextHash);
            _requireHash(candidate.capsuleHash);
        }
        _requireEvidence(candidate.evidence);

        _fix(s, candidate);
        _emitSubmitted(campaign, slot, attempt, candidate);
        _moveTo(c, s, SlotState.UploadRequested, Clock.UploadBallot);
        _openOfSlot(BallotKind.Upload, campaign, slot, c, s);
    }

    /// @inheritdoc ICDistriM
    function confirmUpload(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) external onlyMember {
        (CampaignRecord storage c, SlotRecord storage s) =
            _ownTurn(campaign, slot, attempt, SlotState.UploadGranted);
        _requireHash(candidate.ciphertextHash);
        _requireHash(candidate.capsuleHash);
        s.ciphertextHash = candidate.ciphertextHash;
        s.capsuleHash = candidate.capsuleHash;
        (candidate.ciphertextHash, candidate.capsuleHash) = (0, 0); // as it was voted on
        bytes32 digest = keccak256(abi.encode(candidate));
        if (digest != s.candidateDigest) revert RecordMismatch(s.candidateDigest, digest);
        emit TokenRedeemed(campaign, slot, attempt, BallotKind.Upload, msg.sender);
        _accept(campaign, c, slot, s);
    }

    // ------------------------------------------------- what its ballots decide

    function _fetchDecided(BallotId ballot, bool passed) internal {
        (uint256 campaign, uint32 slot) = (ballot.campaignOf(), ballot.slotOf());
        CampaignRecord storage c = _campaigns[campaign];
        SlotRecord storage s = _slots[campaign][slot];
        if (!passed) return _skip(campaign, c, slot, s, SkipReason.FetchRefused);
        _grant(ballot, c, s, SlotState.FetchGranted, Clock.Opening);
    }

    function _uploadDecided(BallotId ballot, bool passed) internal {
        (uint256 campaign, uint32 slot) = (ballot.campaignOf(), ballot.slotOf());
        CampaignRecord storage c = _campaigns[campaign];
        SlotRecord storage s = _slots[campaign][slot];
        if (!passed) {
            emit HeadRestored(campaign, slot, slot, c.head, RestoreReason.Degraded);
            return _skip(campaign, c, slot, s, SkipReason.Degraded);
        }
        if (c.mode == Mode.Holdout) return _accept(campaign, c, slot, s);
        _grant(ballot, c, s, SlotState.UploadGranted, Clock.Confirmation);
    }

    // ------------------------------------------------------------------ pieces

    /// @dev The owner votes in its own slot even where it is no voter or evaluator.
    function _openOfSlot(
        BallotKind kind,
        uint256 campaign,
        uint32 slot,
        CampaignRecord storage c,
        SlotRecord storage s
    ) private {
        bool measured = kind == BallotKind.Upload && c.mode == Mode.Holdout;
        uint128 voters = measured ? c.evaluators & c.voters : c.voters;
        Box memory box;
        box.electorate = voters | (uint128(1) << s.ownerSeat);
        _open(ballotId(kind, campaign, slot, s.attempt, msg.sender), box, 0, c.head);
    }

    function _fix(SlotRecord storage s, Candidate memory candidate) private {
        s.parent = candidate.parent;
        s.candidateDigest = keccak256(abi.encode(candidate));
        s.ciphertextHash = candidate.ciphertextHash;
        s.weightsHash = candidate.weightsHash;
        s.capsuleHash = candidate.capsuleHash;
    }

    function _emitSubmitted(
        uint256 campaign,
        uint32 slot,
        uint16 attempt,
        Candidate memory candidate
    ) private {
        EnrolmentRecord storage e = _enrolments[campaign][msg.sender];
        emit CandidateSubmitted(
            campaign, slot, attempt, msg.sender, candidate, e.cases, e.dataCommitment
        );
    }

    function _requireEvidence(Evidence evidence) internal pure {
        if (!evidence.isValid()) revert BadEvidence(evidence);
    }
}
