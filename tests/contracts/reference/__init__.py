"""The whole contract once more, in plain Python and without I/O, for comparison with the real one.

Written from the protocol, the interface's documentation and the trees of ``contracts/test/trees``,
and in other ways than the contract wherever there is a choice: members are sets instead of masks, a
ballot is made void by the event that takes its ground away instead of being compared with the
present, lineage and undone models are derived from the head. A slot moves by
:func:`cdistrim.protocol.advance` only, quorums are :func:`cdistrim.protocol.quorum_of`'s.

Read in this order: records, consortium, turns, actions, answers.
"""

from __future__ import annotations

from tests.contracts.reference.actions import Action, Reference, SignedVote
from tests.contracts.reference.answers import Answer, Question, answers
from tests.contracts.reference.consortium import MEMBERSHIP, NOBODY
from tests.contracts.reference.records import (
    NO_HASH,
    Ballot,
    Campaign,
    Event,
    Refused,
    Slot,
)

__all__ = [
    "MEMBERSHIP",
    "NOBODY",
    "NO_HASH",
    "Action",
    "Answer",
    "Ballot",
    "Campaign",
    "Event",
    "Question",
    "Reference",
    "Refused",
    "SignedVote",
    "Slot",
    "answers",
]
