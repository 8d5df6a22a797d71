"""The one transition table, the one that ARCHITECTURE.md draws, and the quorum's rule. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from cdistrim.protocol.words import Mode, SkipReason, SlotEvent, SlotState

__all__ = [
    "TRANSITIONS",
    "IllegalTransition",
    "Transition",
    "advance",
    "model_name",
    "quorum_of",
]


@dataclass(frozen=True)
class Transition:
    """One row of the table.

    ``mode`` is None where the row holds in both modes; ``restarts`` says that the slot begins its
    next attempt.
    """

    source: SlotState
    event: SlotEvent
    target: SlotState
    mode: Mode | None = None
    reason: SkipReason = SkipReason.NONE
    restarts: bool = False


_OPEN = tuple(state for state in SlotState if not state.ended)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(SlotState.WAITING, SlotEvent.FETCH_REQUESTED, SlotState.FETCH_REQUESTED),
    Transition(SlotState.FETCH_REQUESTED, SlotEvent.FETCH_APPROVED, SlotState.FETCH_GRANTED),
    Transition(
        SlotState.FETCH_REQUESTED,
        SlotEvent.FETCH_OUT_OF_REACH,
        SlotState.SKIPPED,
        reason=SkipReason.FETCH_REFUSED,
    ),
    Transition(SlotState.FETCH_GRANTED, SlotEvent.OPENED, SlotState.TRAINING),
    Transition(SlotState.TRAINING, SlotEvent.UPLOAD_REQUESTED, SlotState.UPLOAD_REQUESTED),
    Transition(
        SlotState.UPLOAD_REQUESTED, SlotEvent.UPLOAD_APPROVED, SlotState.ACCEPTED, mode=Mode.HOLDOUT
    ),
    Transition(
        SlotState.UPLOAD_REQUESTED,
        SlotEvent.UPLOAD_APPROVED,
        SlotState.UPLOAD_GRANTED,
        mode=Mode.REPORTED,
    ),
    Transition(
        SlotState.UPLOAD_REQUESTED,
        SlotEvent.UPLOAD_OUT_OF_REACH,
        SlotState.SKIPPED,
        reason=SkipReason.DEGRADED,
    ),
    Transition(
        SlotState.UPLOAD_GRANTED, SlotEvent.CONFIRMED, SlotState.ACCEPTED, mode=Mode.REPORTED
    ),
    Transition(
        SlotState.WAITING,
        SlotEvent.UNENROLLED,
        SlotState.SKIPPED,
        reason=SkipReason.NOT_ENROLLED,
    ),
    Transition(
        SlotState.FETCH_REQUESTED, SlotEvent.PARTNER_REMOVED, SlotState.WAITING, restarts=True
    ),
    Transition(
        SlotState.UPLOAD_REQUESTED, SlotEvent.PARTNER_REMOVED, SlotState.TRAINING, restarts=True
    ),
    Transition(
        SlotState.UPLOAD_GRANTED,
        SlotEvent.PARTNER_REMOVED,
        SlotState.TRAINING,
        mode=Mode.REPORTED,
        restarts=True,
    ),
    *(
        Transition(state, SlotEvent.HEAD_RESTORED, SlotState.WAITING, restarts=True)
        for state in _OPEN
    ),
    *(
        Transition(state, event, SlotState.SKIPPED, reason=reason)
        for event, reason in (
            (SlotEvent.DEADLINE_CLOSED, SkipReason.DEADLINE_PASSED),
            (SlotEvent.OWNER_REMOVED, SkipReason.OWNER_REMOVED),
            (SlotEvent.TOO_FEW_LEFT, SkipReason.TOO_FEW_PARTNERS),
        )
        for state in _OPEN
    ),
)


class IllegalTransition(ValueError):
    """The table has no row for this event in this state."""


def advance(state: SlotState, event: SlotEvent, mode: Mode) -> Transition:
    """The row of :data:`TRANSITIONS` that applies.

    Raises:
        IllegalTransition: There is none.
    """
    for row in TRANSITIONS:
        if row.source is state and row.event is event and row.mode in (None, mode):
            return row
    raise IllegalTransition(f"{event.name} is not possible in {state.name} ({mode.name}).")


def quorum_of(voters: int, asked: int = 0) -> int:
    """Strict majority of ``voters``, or more if the spec asks for more; never more than all."""
    return min(voters, max(voters // 2 + 1, asked))


def model_name(partner: str, slot: int) -> str:
    """Name of a slot's model: partner + iteration (paper, section III)."""
    return f"{partner}-{slot}"
