// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title C-DistriM: the ledger of a consortium
/// @notice Keeps members, campaigns, slots, ballots, tokens and model records. Nobody owns it.
/// AUCs are fixed-point numbers in 1e-9, variances in 1e-18, times are seconds.
interface ICDistriM {
    enum CampaignState { Enrolling, Running, Completed, Failed }
    enum SlotState { Waiting, FetchRequested, FetchGranted, Training, UploadRequested, UploadGranted, Accepted, Skipped }
    enum SkipReason { None, FetchRefused, Degraded, DeadlinePassed, NotEnrolled }
    enum Step { Fetch, Upload }
    enum Mode { Holdout, Reported }
    enum BallotState { None, Open, Passed, Rejected }

    struct Founder { address account; string name; bytes sealingKey; }
    struct Evidence { uint32 aucHead; uint32 aucCandidate; uint64 variance; uint32 positives; uint32 negatives; }
    struct Deadlines {
        uint32 enrol; uint32 fetchRequest; uint32 fetchBallot; uint32 opening;
        uint32 training; uint32 uploadBallot; uint32 confirmation;
    }
    /// @dev What the owner fixes when it requests the upload. `parent` is the head's slot number (0: genesis).
    struct Candidate {
        uint32 parent; bytes32 ciphertextHash; bytes32 weightsHash; bytes32 capsuleHash; Evidence evidence;
    }
}
