"""The protocol's words. Enum values are the contract's (a test compares them)."""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = [
    "GENESIS",
    "BallotKind",
    "BallotState",
    "CampaignState",
    "Clock",
    "FinalFetchState",
    "Mode",
    "RestartReason",
    "RestoreReason",
    "SkipReason",
    "SlotEvent",
    "SlotState",
]

GENESIS = 0
"""Number of the public head before slot 1."""


class CampaignState(IntEnum):
    """Where a campaign stands; values as in ``ICDistriM.CampaignState``."""

    ENROLLING = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3

    @property
    def ended(self) -> bool:
        """Whether no slot can open any more."""
        return self in (CampaignState.COMPLETED, CampaignState.FAILED)


class SlotState(IntEnum):
    """Where a slot stands; values as in ``ICDistriM.SlotState``."""

    WAITING = 0
    FETCH_REQUESTED = 1
    FETCH_GRANTED = 2
    TRAINING = 3
    UPLOAD_REQUESTED = 4
    UPLOAD_GRANTED = 5
    ACCEPTED = 6
    SKIPPED = 7

    @property
    def ended(self) -> bool:
        """Whether the slot is over."""
        return self in (SlotState.ACCEPTED, SlotState.SKIPPED)


class SkipReason(IntEnum):
    """Why a slot was skipped; values as in ``ICDistriM.SkipReason``."""

    NONE = 0
    FETCH_REFUSED = 1
    DEGRADED = 2
    """The upload ballot failed: the head is restored and the partner skipped (paper, "restore")."""
    DEADLINE_PASSED = 3
    NOT_ENROLLED = 4
    OWNER_REMOVED = 5
    TOO_FEW_PARTNERS = 6
    """Removals left too few partners or evaluators to decide anything: the campaign ends."""


class RestartReason(IntEnum):
    """Why a slot starts over; values as in ``ICDistriM.RestartReason``."""

    HEAD_RESTORED = 0
    PARTNER_REMOVED = 1


class RestoreReason(IntEnum):
    """Why the head goes back to an earlier model; values as in ``ICDistriM.RestoreReason``."""

    DEGRADED = 0
    """A candidate was voted down in its own slot; the head stays what it was."""
    UNOPENABLE = 1
    IRREPRODUCIBLE = 2
    """The head opens, but it is not what its record says."""


class BallotKind(IntEnum):
    """What a ballot is about; values as in ``ICDistriM.BallotKind``."""

    FETCH = 0
    UPLOAD = 1
    RESTORE = 2
    JOIN = 3
    FINAL_FETCH = 4
    ADMISSION = 5
    REMOVAL = 6


class Clock(IntEnum):
    """What has a deadline; values as in ``ICDistriM.Clock``."""

    ENROL = 0
    FETCH_REQUEST = 1
    FETCH_BALLOT = 2
    OPENING = 3
    TRAINING = 4
    UPLOAD_BALLOT = 5
    CONFIRMATION = 6


class Mode(IntEnum):
    """On what evidence upload ballots are decided; values as in ``ICDistriM.Mode``."""

    HOLDOUT = 0
    REPORTED = 1


class BallotState(IntEnum):
    """Derived from the counts, never stored; values as in ``ICDistriM.BallotState``."""

    NONE = 0
    OPEN = 1
    PASSED = 2
    REJECTED = 3


class FinalFetchState(IntEnum):
    """A partner's fetch of the final model; values as in ``ICDistriM.FinalFetchState``."""

    NONE = 0
    REQUESTED = 1
    GRANTED = 2
    OPENED = 3


class SlotEvent(Enum):
    """What can happen to a slot. Values are the labels of the diagram in ARCHITECTURE.md."""

    FETCH_REQUESTED = "owner requests the fetch, in time"
    FETCH_APPROVED = "fetch ballot: yes >= q"
    FETCH_OUT_OF_REACH = "fetch ballot: q out of reach"
    OPENED = "owner reports the head opened"
    UPLOAD_REQUESTED = "owner requests the upload: full record fixed"
    UPLOAD_APPROVED = "upload ballot: yes >= q"
    UPLOAD_OUT_OF_REACH = "upload ballot: q out of reach, restore and skip"
    CONFIRMED = "owner confirms the same record, token valid"
    DEADLINE_CLOSED = "deadline passed, a member closes"
    UNENROLLED = "owner never enrolled"
    HEAD_RESTORED = "restore ballot: yes >= q"
    PARTNER_REMOVED = "a partner, not the owner, was removed"
    OWNER_REMOVED = "owner was removed"
    TOO_FEW_LEFT = "removals left too few to decide"
