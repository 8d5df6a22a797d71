"""The audit: exports of the ledger's history, signed checkpoints of it, and ``cdistrim verify``.

Read in this order: export, checkpoint; book, stage, turns, deeds, replay (the protocol once more,
from events alone); history, holding, verify.
"""

from __future__ import annotations

from cdistrim.audit.checkpoint import Checkpoint, Held, checkpoints_at, keep_checkpoint
from cdistrim.audit.export import Header, Origin, Record, read_export, write_export
from cdistrim.audit.history import Finding, Ground, History
from cdistrim.audit.replay import Replay
from cdistrim.audit.verify import Audit, Source, audit, export

__all__ = [
    "Audit",
    "Checkpoint",
    "Finding",
    "Ground",
    "Header",
    "Held",
    "History",
    "Origin",
    "Record",
    "Replay",
    "Source",
    "audit",
    "checkpoints_at",
    "export",
    "keep_checkpoint",
    "read_export",
    "write_export",
]
