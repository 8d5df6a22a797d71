"""A model's scores made probabilities at one site, on cases that neither trained nor voted.

A model was accepted because it did well on the hold-outs that voted, so a scale fitted there would
be too sure. Sites differ, too: a scale that is right at one may be wrong at another, so each fits
its own, and nothing of it leaves the site.

Temperature and Platt scaling are those of :mod:`cdistrim.statistics.scaling`. How much better they
make the scores is told by cross-validation: each case is scaled by a fit on others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cdistrim.data.cases import CALIBRATION_FILE, CaseSet
from cdistrim.data.prepared import read_prepared, require_preprocessing, require_unused
from cdistrim.errors import ConfigurationError, DataError, IntegrityError, UsageError
from cdistrim.files import read_regular
from cdistrim.prediction import predict
from cdistrim.protocol import CampaignView, ModelRecord, SlotState
from cdistrim.statistics import (
    PlattScaling,
    TemperatureScaling,
    brier_of_classes,
    fit_platt,
    fit_temperature,
    logits_of,
    top_label_calibration_error,
)
from cdistrim.weights import check_weights, from_bytes, weights_hash

if TYPE_CHECKING:
    from cdistrim.ledger import Ledger
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec

__all__ = ["LEAST_CASES", "ModelCalibration", "Quality", "calibrate"]

LEAST_CASES = 10
"""Of each class. Fewer fix no scale: a fit on five could as well be on five others."""
FOLDS = 10
_LARGEST_MODEL = 4 << 30
"""Bytes of a file that are read at most."""

AS_THEY_ARE, TEMPERATURE, PLATT = "as they are", "temperature", "Platt"
_Scaling = PlattScaling | TemperatureScaling
_Fit = Callable[[NDArray[np.int8], NDArray[np.float64]], _Scaling]
_FITS: Mapping[str, _Fit] = MappingProxyType({TEMPERATURE: fit_temperature, PLATT: fit_platt})


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Quality(_Document):
    """How good probabilities are, on cases that no fit saw.

    Attributes:
        brier: Squared distance from what was the case, summed over classes, in [0, 2]; 0 is best.
        calibration_error: Of the likeliest class, in [0, 1], ten bins.
    """

    brier: float
    calibration_error: float


class ModelCalibration(_Document):
    """``calibration.json``: how this site makes a model's scores probabilities.

    Attributes:
        version: Of this document.
        campaign: Its number.
        model: Name of the model.
        weights_hash: Of its weights, SHA-256.
        cases: To calibrate on, by class.
        temperature: Divides logits; None where no temperature helps.
        platt: Slope and intercept for the logit of class 1; None for more than two classes.
        quality: By the way of scaling, the scores as they are among them.
    """

    version: Literal[1] = 1
    campaign: int
    model: str
    weights_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    cases: tuple[int, ...]
    temperature: float | None
    platt: tuple[float, float] | None
    quality: dict[str, Quality]


def calibrate(site: Site, campaign: int, file: Path) -> ModelCalibration:
    """Fit scales for a model on the site's calibration set.

    Args:
        site: Its set is ``data/calibration.npz``; no key is needed.
        campaign: In which the model was accepted.
        file: Its weights, as ``cdistrim campaign final-model`` writes them.

    Raises:
        UsageError: The file can't be read.
        IntegrityError: It holds no model, or none that the campaign accepted.
        DataError: There is no calibration set, it has too few cases of a class, or cases that train
            or vote.
        ConfigurationError: The cases were made in another way than the campaign's.
    """
    content = _content(file)
    cases = _load(site)
    ledger = site.readable_ledger
    view = ledger.campaign(campaign)
    spec = site.spec(view)
    _require_as_agreed(site, cases, spec)
    _require_enough(cases, spec.model.classes)
    weights = from_bytes(content)
    check_weights(weights, spec.model)
    record = _record_of(ledger, view, weights_hash(weights))
    scores = predict(weights, cases, spec.model, accelerator=site.settings.accelerator)
    logits = logits_of(scores)
    fitted = {name: fit for name, fit in _FITS.items() if name != PLATT or scores.ndim == 1}
    scalings: dict[str, _Scaling] = {}
    quality = {AS_THEY_ARE: _quality(cases, scores)}
    for name, fit in fitted.items():
        try:
            scaled = _cross_validated(cases, logits, fit)
            scalings[name] = fit(cases.labels, logits)
        except DataError as error:
            site.logger.warning("No %s scaling of %s: %s", name, record.name, error)
        else:
            quality[name] = _quality(cases, scaled)
    temperature, platt = scalings.get(TEMPERATURE), scalings.get(PLATT)
    return ModelCalibration(
        campaign=campaign,
        model=record.name,
        weights_hash=record.weights_hash.hex(),
        cases=cases.counts(spec.model.classes),
        temperature=(
            temperature.temperature if isinstance(temperature, TemperatureScaling) else None
        ),
        platt=(platt.slope, platt.intercept) if isinstance(platt, PlattScaling) else None,
        quality=quality,
    )


def _load(site: Site) -> CaseSet:
    path = site.directory / "data" / CALIBRATION_FILE
    if not path.exists():
        raise DataError(
            f"{site.name} has no cases to calibrate on: there is no {path}.",
            hint='Set "calibration" in site.json, data, to a share of the patients, and run '
            "`cdistrim data prepare`: new patients are kept for it. Or put such a file there.",
        )
    return CaseSet.load(path)


def _require_as_agreed(site: Site, cases: CaseSet, spec: CampaignSpec) -> None:
    sets = site.data
    require_unused(cases, sets)
    data = site.directory / "data"
    require_preprocessing(data, sets, spec)
    prepared = read_prepared(data)
    told = prepared.calibration_digest if prepared is not None else None
    if told is not None and told != cases.digest().hex():
        raise ConfigurationError(
            f"{data / CALIBRATION_FILE} was changed after it was made.",
            hint="Run `cdistrim data prepare` again.",
        )


def _require_enough(cases: CaseSet, classes: int) -> None:
    try:
        cases.require_classes(LEAST_CASES, classes=classes)
    except DataError as error:
        raise DataError(
            f"{CALIBRATION_FILE}: {error.what}",
            hint=f"A scale needs {LEAST_CASES} cases of each class: keep a larger share of the "
            "patients for it.",
        ) from None


def _content(file: Path) -> bytes:
    try:
        return read_regular(file, _LARGEST_MODEL)
    except OSError as error:
        raise UsageError(
            f"Can't read {file}: {error.strerror or 'it is no regular file'}.",
            hint="Give the file that `cdistrim campaign final-model` wrote.",
        ) from None


def _record_of(ledger: Ledger, view: CampaignView, digest: bytes) -> ModelRecord:
    for number in range(view.slots, 0, -1):
        slot = ledger.slot(view.number, number)
        if (
            slot.state is SlotState.ACCEPTED
            and slot.candidate is not None
            and slot.candidate.weights_hash == digest
        ):
            return slot.candidate
    raise IntegrityError(
        f"Campaign {view.number} accepted no model with the weights {digest.hex()}.",
        hint="Give the campaign of this model, or fetch its final model anew.",
    )


def _cross_validated(cases: CaseSet, logits: NDArray[np.float64], fit: _Fit) -> NDArray[np.float64]:
    """Probabilities, each by a fit on other folds; a fold has its part of every class.

    Raises:
        DataError: A fold can't be fitted.
    """
    place = np.empty(len(cases), dtype=int)
    for label in np.unique(cases.labels):
        own = np.flatnonzero(cases.labels == label)
        place[own] = np.arange(own.size) % FOLDS
    scaled = np.empty_like(logits)
    for fold in range(FOLDS):
        left = place == fold
        scaled[left] = fit(cases.labels[~left], logits[~left]).apply(logits[left])
    return scaled


def _quality(cases: CaseSet, scores: NDArray[np.float64]) -> Quality:
    chances = scores if scores.ndim == 2 else np.column_stack([1 - scores, scores])
    return Quality(
        brier=brier_of_classes(cases.labels, chances),
        calibration_error=top_label_calibration_error(cases.labels, chances),
    )
