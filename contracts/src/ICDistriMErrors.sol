// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICDistriMTypes} from "./ICDistriMTypes.sol";
import {BallotId, Evidence} from "./ValueTypes.sol";

/// @title What the ledger refuses, and why
/// @notice A refused call has changed nothing.
interface ICDistriMErrors is ICDistriMTypes {
    // ---------------------------------------------------------------- who asks

    error NotAMember(address account);
    error NotAPartner(uint256 campaign, address account);
    error NotYourTurn(uint256 campaign, uint32 slot, address owner, address caller);
    error NoVote(address account);
    error AlreadyVoted(address account);
    error AlreadyEnrolled(uint256 campaign, address account);

    // ------------------------------------------------------------- what exists

    error NoCampaign(uint256 campaign);
    error NoBallot(BallotId ballot);
    error NoRemovals(uint256 campaign);
    error BallotAlreadyOpened(BallotId ballot);
    error BallotAlreadyClosed(BallotId ballot);
    error BallotVoid(BallotId ballot);
    error WrongSubject(bytes32 asked, bytes32 subject);

    // ---------------------------------------------------------- state and time

    error WrongCampaignState(CampaignState state, CampaignState needed);
    error WrongState(SlotState state, SlotState needed);
    error WrongFinalFetchState(FinalFetchState state, FinalFetchState needed);
    error WrongSlot(uint256 campaign, uint32 asked, uint32 open);
    error WrongAttempt(uint16 asked, uint16 open);
    error WrongParent(uint32 expected, uint32 given);
    error NotAnAncestor(uint32 head, uint32 target);
    error HeadMoved(uint32 granted, uint32 head);
    error RemovalsPending(uint256 campaign, uint128 seats);
    error TooFewPartners(uint256 campaign);
    error DeadlinePassed(uint64 deadline, uint64 time);
    error DeadlineNotPassed(uint64 deadline, uint64 time);

    // --------------------------------------------------------------- arguments

    error RecordMismatch(bytes32 requestedDigest, bytes32 givenDigest);
    error HashTooEarly();
    error ZeroHash();
    error BadCases();
    error BadCycles(uint16 cycles);
    error BadDeadline(uint32 given);
    error BadEvidence(Evidence evidence);
    error BadName(bytes32 name);
    error BadAccount(address account);
    error BadOrder(uint256 partners);
    error BadMembers(uint256 members);
    error BadQuorum(uint8 quorum, uint256 partners);
    error BadReason(RestoreReason reason);
    error BadSealingKey(uint256 length);
    error BadSignature(uint256 index);
    error SameSealingKey(bytes32 sealingKeyDigest);
    error NoSealingKey(address account);
    error DuplicatePartner(address account);
    error DuplicateMember(address account, bytes32 name);
}
