"""The protocol: its words, its one transition table, and who has to do what next. No I/O.

The contract is the authority; this package is how Python reads it.
"""

from __future__ import annotations

from cdistrim.protocol.duties import (
    Deed,
    Duty,
    duties,
)
from cdistrim.protocol.records import (
    AddedCapsule,
    BallotId,
    BallotView,
    CampaignView,
    Contribution,
    Enrolment,
    Evidence,
    FinalFetch,
    GrantedFetch,
    LedgerEvent,
    ModelRecord,
    Proposal,
    SlotView,
    Vote,
)
from cdistrim.protocol.transitions import (
    TRANSITIONS,
    IllegalTransition,
    Transition,
    advance,
    model_name,
    quorum_of,
)
from cdistrim.protocol.words import (
    GENESIS,
    BallotKind,
    BallotState,
    CampaignState,
    Clock,
    FinalFetchState,
    Mode,
    RestartReason,
    RestoreReason,
    SkipReason,
    SlotEvent,
    SlotState,
)

__all__ = [
    "GENESIS",
    "TRANSITIONS",
    "AddedCapsule",
    "BallotId",
    "BallotKind",
    "BallotState",
    "BallotView",
    "CampaignState",
    "CampaignView",
    "Clock",
    "Contribution",
    "Deed",
    "Duty",
    "Enrolment",
    "Evidence",
    "FinalFetch",
    "FinalFetchState",
    "GrantedFetch",
    "IllegalTransition",
    "LedgerEvent",
    "Mode",
    "ModelRecord",
    "Proposal",
    "RestartReason",
    "RestoreReason",
    "SkipReason",
    "SlotEvent",
    "SlotState",
    "SlotView",
    "Transition",
    "Vote",
    "advance",
    "duties",
    "model_name",
    "quorum_of",
]
