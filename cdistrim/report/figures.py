"""The data model of a campaign's report. ``report.json`` is exactly this; the HTML shows it.

AUCs, scores, rates and margins are in [0, 1]; gas is in units of gas, times are in seconds. Hashes
and accounts are lower-case hexadecimal text with ``0x``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Literal

from cdistrim.errors import IntegrityError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = [
    "AucBasis",
    "CalibrationPoint",
    "CampaignReport",
    "Comparison",
    "EventFigure",
    "IntervalFigure",
    "LineageEdge",
    "ModelTest",
    "NonInferiority",
    "PartnerFigure",
    "RocPoint",
    "SlotFigure",
    "SlotOutcome",
    "Totals",
    "VoteFigure",
    "from_json",
    "to_json",
]


class SlotOutcome(StrEnum):
    """How a slot ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The upload ballot failed: the head was restored and the partner skipped."""
    SKIPPED = "skipped"
    """Skipped without a verdict on a model: fetch refused, deadline passed, not enrolled."""
    OPEN = "open"
    """The slot had not ended when the report was written."""


class AucBasis(StrEnum):
    """Where the AUCs of the slots come from."""

    EVALUATORS = "evaluators"
    """Combined over the evaluators' hold-outs without the trainer's, weighted by size."""
    TRAINER = "trainer"
    """As the trainer reported them."""
    TEST_SET = "test set"
    """Measured on the common test set after the campaign; no vote saw them."""


class NonInferiority(StrEnum):
    """What the interval of the difference says about the margin."""

    SHOWN = "non-inferior"
    NOT_SHOWN = "non-inferiority not shown"
    INFERIOR = "inferior"


@dataclass(frozen=True)
class IntervalFigure:
    """A figure with its 95 % interval.

    Raises:
        ValueError: A figure is not finite, or the bounds are in the wrong order.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(figure) for figure in (self.value, self.low, self.high)):
            raise ValueError(f"{self.value} ({self.low} to {self.high}) is not finite")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} lies outside of {self.low} to {self.high}")


@dataclass(frozen=True)
class PartnerFigure:
    """A partner and its contribution. ``gas`` is what its account's transactions cost."""

    name: str
    account: str
    train_cases: int
    holdout_positives: int
    holdout_negatives: int
    evaluator: bool
    slots: int
    accepted: int
    refused: int
    auc_gained: float | None
    """Sum over its accepted slots of AUC after - before; None without an accepted slot."""
    votes_yes: int
    votes_no: int
    gas: int
    transactions: int
    seconds: float | None
    """Time measured in its slots; None if none was measured."""


@dataclass(frozen=True)
class VoteFigure:
    """One vote on a candidate. Evidence is None where the voter measured nothing, or withheld."""

    voter: str
    approve: bool
    trainer: bool = False
    """Whether this is the trainer's own, counted with its request."""
    auc_head: float | None = None
    auc_candidate: float | None = None
    variance: float | None = None
    positives: int | None = None
    negatives: int | None = None
    reason: str = ""
    withheld: bool = False
    """Whether it measured on fewer cases of a class than the spec asks for: no figure is shown."""

    @property
    def change(self) -> float | None:
        """AUC of the candidate - AUC of the head, on the voter's hold-out."""
        if self.auc_head is None or self.auc_candidate is None:
            return None
        return self.auc_candidate - self.auc_head


@dataclass(frozen=True)
class SlotFigure:
    """One partner iteration. ``parent`` and ``restored`` are slot numbers; 0 is the genesis."""

    number: int
    cycle: int
    partner: str
    model: str
    outcome: SlotOutcome
    skip_reason: str
    cases: int
    parent: int | None
    restored: int | None
    auc_before: IntervalFigure | None
    auc_after: IntervalFigure | None
    auc_basis: AucBasis | None
    votes: tuple[VoteFigure, ...]
    yes: int
    no: int
    voters: int
    quorum: int
    verdict: str
    gas: int
    gas_by_step: dict[str, int] = field(hash=False)
    seconds_by_step: dict[str, float] = field(hash=False)
    transactions: int
    ciphertext_hash: str = ""
    weights_hash: str = ""

    @property
    def seconds(self) -> float | None:
        """Sum of the measured steps, None if none was measured."""
        return sum(self.seconds_by_step.values()) if self.seconds_by_step else None


@dataclass(frozen=True)
class LineageEdge:
    """An arrow of the lineage: a model trained from ``source``, or the way back to a head."""

    source: int
    target: int
    kind: Literal["trained", "restored"]
    on_head_path: bool = False
    """Whether the final model descends through this edge."""


@dataclass(frozen=True)
class RocPoint:
    """A point of a ROC curve."""

    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class CalibrationPoint:
    """A bin of a calibration curve: mean predicted score, observed rate, number of cases."""

    predicted: float
    observed: float
    cases: int


@dataclass(frozen=True)
class ModelTest:
    """A model on the untouched test set. ``brier`` and ``ece`` (calibration error) in [0, 1]."""

    label: str
    auc: IntervalFigure
    roc: tuple[RocPoint, ...]
    calibration: tuple[CalibrationPoint, ...]
    brier: float
    ece: float
    positives: int
    negatives: int


@dataclass(frozen=True)
class Comparison:
    """Sequential minus central on the same cases: DeLong test and interval of the difference."""

    difference: IntervalFigure
    p_value: float
    margin: float

    @property
    def verdict(self) -> NonInferiority:
        """Whether the whole interval lies above, or below, minus the margin."""
        # Here, since it loads numpy, which most who read figures do without.
        from cdistrim.statistics import DifferenceInterval, judge_difference

        found = self.difference
        judged = judge_difference(
            DifferenceInterval(found.value, found.low, found.high, level=0.95),
            margin=self.margin,
            aim=self.margin,
        )
        if judged.shown:
            return NonInferiority.SHOWN
        return NonInferiority.INFERIOR if judged.inferior else NonInferiority.NOT_SHOWN


@dataclass(frozen=True)
class EventFigure:
    """One event of the ledger. ``gas`` is None where an earlier event counts its transaction."""

    time: datetime
    block: int
    name: str
    slot: int | None
    sentence: str
    sender: str
    transaction: str
    gas: int | None


@dataclass(frozen=True)
class Totals:
    """Sums over the whole campaign, its opening and the membership included."""

    planned: int
    accepted: int
    refused: int
    skipped: int
    gas: int
    gas_outside_slots: dict[str, int] = field(hash=False)
    transactions: int
    events: int
    seconds: float
    """Wall time from start to end, as measured by whoever ran the campaign."""


@dataclass(frozen=True)
class CampaignReport:
    """Everything the report shows.

    Attributes:
        headline: The verdict in plain words, a sentence each.
        classes: That labels tell apart. With more than two, ``positives`` of votes and hold-outs
            are the cases of the smallest class, ``negatives`` all others.
    """

    run_id: str
    created: datetime
    versions: dict[str, str] = field(hash=False)
    chain_id: int
    contract: str
    campaign: int
    state: str
    task: str
    spec: dict[str, object] = field(hash=False)
    spec_hash: str
    mode: str
    policy: str
    head: int
    headline: tuple[str, ...]
    partners: tuple[PartnerFigure, ...]
    slots: tuple[SlotFigure, ...]
    lineage: tuple[LineageEdge, ...]
    sequential: ModelTest | None
    central: ModelTest | None
    comparison: Comparison | None
    noninferiority: NonInferiority | None
    totals: Totals
    events: tuple[EventFigure, ...]
    notes: tuple[str, ...]
    sabotaged: str | None
    classes: int = 2
    verify_command: str = ""
    chain_command: str = ""
    version: Literal[1] = 1


def to_json(report: CampaignReport) -> bytes:
    """``report`` as JSON, UTF-8, indented; the same report gives the same bytes."""
    return _codec().dump_json(report, indent=2) + b"\n"


def from_json(document: bytes) -> CampaignReport:
    """Read what :func:`to_json` wrote.

    Raises:
        IntegrityError: The document is truncated, altered or of another version.
    """
    from pydantic import ValidationError

    try:
        return _codec().validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise IntegrityError(
            f"The report is damaged at {where}: {first['msg']}.",
            hint="Write it again from the ledger.",
        ) from None


@cache
def _codec() -> TypeAdapter[CampaignReport]:
    from pydantic import TypeAdapter

    return TypeAdapter(CampaignReport)
