"""``cdistrim data check``: what a site should know about its cases before anything runs on them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.assignment import calibration_sizes, holdout_sizes
from cdistrim.data.building import Made, make_cases
from cdistrim.data.case_names import CASE_SECRET_FILE, CaseNamer
from cdistrim.data.case_table import Exclusions, source_digest
from cdistrim.data.cases import SiteData, has_cases
from cdistrim.data.prepared import Prepared, about_holdout, read_prepared, same_volumes
from cdistrim.data.scan import CaseExcluded
from cdistrim.data.sources.interface import Crop, Listing, Plan, key_of
from cdistrim.data.sources.settings import DataSettings, no_source
from cdistrim.data.workplace import Workplace, wrong_network
from cdistrim.errors import DataError
from cdistrim.report.wording import plural, printable, sentence_list
from cdistrim.spec import CampaignSpec, FeatureSpec, ModelSpec, TrainingSpec

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.training_memory import MemoryEstimate

__all__ = ["BY_HAND", "Findings", "Look", "Shown", "check_data"]

BY_HAND = "sets put there by hand"
"""What stands for the source where there is none."""

MANY_LEFT_OUT = 0.2
"""Share of the patients from which on it is worth a warning."""

WIDE = 10.0
"""A scaled feature beyond this was hardly scaled by what partners agreed on."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A case to look at; nothing says whose it is."""

    label: int
    crop: Crop


@dataclass(frozen=True, eq=False)
class Look:
    """What a source, or a site's sets, have.

    Args:
        source: Kind of the source.
        plan: Shape and preprocessing.
        labelled: Patients who may be usable, by class.
        unusable: Of these, who turned out not to be when they were built.
        patients: All; None where there is no source.
        left_out: Those that can't be used, as far as known.
        looked_at: Cases that were built.
        holdout: Share of the hold-out.
        calibration: Share of the calibration set.
        shown: Cases to draw.
        rows_of: What rows are made of; empty for scans and for sets made by hand.
        notes: What else was found, a sentence each.
        digest: Of the source's patients and labels; None where nothing was prepared.
    """

    source: str
    plan: Plan
    labelled: tuple[int, ...]
    unusable: tuple[int, ...]
    patients: int | None
    left_out: tuple[CaseExcluded, ...]
    looked_at: int
    holdout: float
    calibration: float
    shown: tuple[Shown, ...]
    rows_of: tuple[FeatureSpec, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str | None = None

    @property
    def usable(self) -> tuple[int, ...]:
        """Patients of each class, as far as known."""
        return tuple(n - u for n, u in zip(self.labelled, self.unusable, strict=True))

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.labelled)

    @property
    def is_table(self) -> bool:
        """Whether the cases are rows."""
        return self.plan.shape[1:] == (1, 1) and self.plan.preprocessing is None

    @property
    def feature_names(self) -> list[str]:
        """Of the columns of :attr:`features`, fit for a terminal: a spec is somebody else's."""
        numbers = range(1, self.plan.shape[0] + 1)
        names = [one.name for one in self.rows_of] or [f"feature {number}" for number in numbers]
        return [printable(name) for name in names]

    @property
    def features(self) -> NDArray[np.float64]:
        """Values of the shown rows, shape (cases, features)."""
        return np.stack([one.crop.volume.ravel().astype(np.float64) for one in self.shown])


@dataclass(frozen=True, eq=False)
class Findings:
    """What a look at a site's cases found.

    Args:
        look: What there is.
        excluded: Patients left out, by the name of the reason: all of them if ``complete``.
        complete: Else more may turn out to be unusable when all cases are built.
        train: Cases of each class; expected ones, unless ``prepared``.
        holdout: Likewise.
        calibration: Likewise; empty without such cases.
        prepared: Whether the sets are there.
        spec: Name of the agreed spec; empty where defaults stand for one.
        batch_size: Cases a step.
        batches: Steps an epoch.
        memory: Of a training on the processor.
        available: Bytes of memory that this machine has.
        warnings: What will not do, a sentence each.
    """

    look: Look
    excluded: Mapping[str, int]
    complete: bool
    train: tuple[int, ...]
    holdout: tuple[int, ...]
    calibration: tuple[int, ...]
    prepared: bool
    spec: str
    batch_size: int
    batches: int
    memory: MemoryEstimate
    available: int
    warnings: tuple[str, ...]

    def require_usable(self, source: DataSettings | None) -> None:
        """See that sets can be made.

        Args:
            source: The site's settings of it.

        Raises:
            DataError: No case of a class is usable.
        """
        lacking = [str(label) for label, count in enumerate(self.look.usable) if not count]
        if self.look.patients is None or not lacking:
            return
        named = getattr(source, "classes", None)
        texts = (
            f" data.classes in site.json names {sentence_list([repr(one) for one in named])}."
            if isinstance(named, dict)
            else ""
        )
        raise DataError(
            f"No case of class {sentence_list(lacking)} can be used: no sets can be made.",
            hint=f"See above who is left out, and why.{texts}",
        )


def check_data(
    site: Site,
    spec: CampaignSpec | None = None,
    *,
    sample: int = 6,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Findings:
    """Look at a site's source, and at its sets if it has any.

    Args:
        site: The site.
        spec: An agreed one.
        sample: Cases of each class that are built to be looked at; rows of a table all are.
        workers: Processes that read scans.
        progress: Called with cases done and cases in all.

    Raises:
        ConfigurationError: The site has neither a source nor sets, or the source makes no cases as
            the spec wants them.
        DataError: The source can't be read, or the sets are damaged.
    """
    data = site.directory / "data"
    sets = site.data if has_cases(data) else None
    prepared = read_prepared(data) if sets is not None else None
    if site.settings.data is not None:
        look = _of_source(Workplace.of(site, spec), sample, workers, progress)
    elif sets is not None:
        look = _of_sets(sets, sample)
    else:
        raise no_source(site.name)
    # PyTorch takes seconds, and what is wrong with a source is told before.
    from cdistrim.sampling import EpochBatches, batch_size_for
    from cdistrim.training_memory import estimate_memory

    train, holdout, calibration = _sets(look, sets, prepared)
    model, training = _model(look, spec), spec.training if spec else TrainingSpec()
    balanced = max(train) * len(train) if training.balance.zoom_copies else sum(train)
    size = batch_size_for(balanced, training)
    memory = estimate_memory(
        model, batch_size=size, train=sum(train), holdout=sum(holdout), balanced=balanced
    )
    current = prepared is not None and prepared.source_digest == look.digest
    findings = Findings(
        look=look,
        excluded=prepared.excluded if prepared and current else Exclusions.count(look.left_out),
        complete=current or look.patients is None or look.looked_at == sum(look.labelled),
        train=train,
        holdout=holdout,
        calibration=calibration,
        prepared=sets is not None,
        spec=spec.name if spec else "",
        batch_size=size,
        batches=len(EpochBatches(balanced, size, 0, 0)),
        memory=memory,
        available=_machine_memory(),
        warnings=(),
    )
    told = (*_about_sets(findings, spec), *_about_agreement(findings, spec, prepared, current))
    return Findings(**{**vars(findings), "warnings": (*told, *_about_cases(findings))})


# --- what there is ---


def _of_source(
    place: Workplace, sample: int, workers: int, progress: Callable[[int, int], None]
) -> Look:
    listing = place.list_cases()
    counts = Counter(one.label for one in listing.pending)
    place.open_cache()
    wanted = len(listing) if place.source.features else sample
    chosen = _sample(listing, place.source.classes, wanted)
    made: dict[str, Made] = {}

    def told(case: str, one: Made) -> None:
        made[case] = one
        progress(len(made), len(chosen))

    progress(0, len(chosen))
    make_cases(
        {str(number): listing.pending[number].recipe for number in chosen},
        place.kitchen,
        workers=0 if place.source.features else workers,
        told=told,
    )
    built = [(listing.pending[number].label, made[str(number)]) for number in chosen]
    lost = Counter(label for label, one in built if one.excluded is not None)
    secret = place.data / CASE_SECRET_FILE
    return Look(
        source=place.source.kind,
        plan=place.plan,
        labelled=tuple(counts[label] for label in range(place.source.classes)),
        unusable=tuple(lost[label] for label in range(place.source.classes)),
        patients=len(listing),
        left_out=(
            *(one.excluded for one in listing.left_out),
            *(one.excluded for _, one in built if one.excluded is not None),
        ),
        looked_at=len(chosen),
        holdout=place.settings.holdout,
        calibration=place.settings.calibration,
        shown=tuple(Shown(label, one.crop) for label, one in built if one.crop is not None),
        rows_of=place.source.features,
        notes=listing.notes,
        digest=source_digest(listing, CaseNamer.of(place.data)) if secret.exists() else None,
    )


def _sample(listing: Listing, classes: int, wanted: int) -> list[int]:
    """Positions of as many cases of each class, in an order that dates in names do not give."""

    def order(number: int) -> bytes:
        return hashlib.sha256(key_of(listing.pending[number].patient).encode()).digest()

    chosen: list[int] = []
    for label in range(classes):
        own = [n for n, one in enumerate(listing.pending) if one.label == label]
        chosen += sorted(own, key=order)[:wanted]
    return chosen


def _of_sets(sets: SiteData, sample: int) -> Look:
    train, holdout = sets.train, sets.holdout
    classes = max(len(train.counts()), len(holdout.counts()))
    shown: list[Shown] = []
    for label in range(classes):
        own = np.flatnonzero(train.labels == label)
        chosen = own if train.is_table else own[:sample]
        shown += [Shown(label, Crop(train.volumes[place, 0])) for place in chosen]
    both = zip(train.counts(classes), holdout.counts(classes), strict=True)
    return Look(
        source=BY_HAND,
        plan=Plan(train.shape, None),
        labelled=tuple(sum(pair) for pair in both),
        unusable=(0,) * classes,
        patients=None,
        left_out=(),
        looked_at=0,
        holdout=len(holdout) / (len(train) + len(holdout)),
        calibration=0.0,
        shown=tuple(shown),
    )


def _sets(
    look: Look, sets: SiteData | None, prepared: Prepared | None
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Cases of each class in all sets; expected ones where there are none yet."""
    if sets is not None:
        kept = prepared.calibration if prepared is not None else ()
        return sets.train.counts(look.classes), sets.holdout.counts(look.classes), kept
    held = holdout_sizes(look.usable, look.holdout)
    kept = calibration_sizes(look.usable, held, look.calibration)
    left = tuple(n - h - k for n, h, k in zip(look.usable, held, kept, strict=True))
    return left, held, kept if look.calibration else ()


def _model(look: Look, spec: CampaignSpec | None) -> ModelSpec:
    if spec is not None:
        return spec.model
    architecture = "mlp" if look.is_table else ModelSpec().architecture
    return ModelSpec(architecture=architecture, shape=look.plan.shape, classes=look.classes)


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


# --- what will not do ---


def _about_sets(findings: Findings, spec: CampaignSpec | None) -> list[str]:
    told = []
    least = min(findings.train)
    if least < 2:
        told.append(
            f"The training set has {plural(least, 'case')} of a class; a training needs two of "
            "each."
        )
    told += about_holdout(findings.holdout, spec)
    if findings.memory.total > findings.available > 0:
        told.append(
            f"A training takes about {findings.memory.total / 1e9:.1f} GB; this machine has "
            f"{findings.available / 1e9:.1f} GB."
        )
    return told


def _about_agreement(
    findings: Findings, spec: CampaignSpec | None, prepared: Prepared | None, current: bool
) -> list[str]:
    told = []
    look = findings.look
    if not look.is_table and (spec is None or spec.preprocessing is None):
        told.append(
            "No preprocessing is agreed on: other partners' volumes may be made in another way. "
            "A campaign's spec fixes it (preprocessing)."
        )
    if look.is_table and (spec is None or spec.features is None):
        told.append(
            "No features are agreed on: other partners may take other columns, centres or scales. "
            "A campaign's spec fixes them (features)."
        )
    if spec is not None and (wrong := wrong_network(spec.model, rows=look.is_table)):
        told.append(wrong)
    if spec is not None and spec.model.classes != look.classes:
        told.append(f"The spec's model has {spec.model.classes} classes, labels {look.classes}.")
    if prepared is None or look.source == BY_HAND:
        return told
    again = "Run `cdistrim data prepare` again."
    made, wanted = prepared.preprocessing, look.plan.preprocessing
    other = made != wanted and (made is None or wanted is None or not same_volumes(made, wanted))
    if other or prepared.shape != look.plan.shape:
        told.append(f"The sets were made with another shape or preprocessing. {again}")
    elif look.is_table and prepared.features != look.rows_of:
        told.append(f"The sets were made of other features, or scaled otherwise. {again}")
    if not current:
        told.append(
            f"The source has other patients or labels than when the sets were made. {again}"
        )
    return told


def _about_cases(findings: Findings) -> list[str]:
    look = findings.look
    told = list(look.notes)
    out = sum(findings.excluded.values())
    if look.patients and out / look.patients >= MANY_LEFT_OUT:
        told.append(f"{out} of {plural(look.patients, 'patient')} are left out: see why.")
    if commas := sum("decimal comma" in one.detail for one in look.left_out):
        told.append(
            f"In {plural(commas, 'row')} numbers are written with a decimal comma: save the table "
            "with points."
        )
    if look.is_table and look.shown:
        told += _about_features(look)
    cut = [one for one in look.shown if one.crop.region is not None and _touches_edge(one.crop)]
    preprocessing = look.plan.preprocessing
    if cut and preprocessing is not None and preprocessing.crop == "fixed":
        told.append(
            f"In {len(cut)} of {plural(len(look.shown), 'crop')} the region reaches the edge: the "
            "field of view may be too small."
        )
    flat = sum(float(np.ptp(one.crop.volume.astype(np.float32))) == 0 for one in look.shown)
    if flat and not look.is_table:
        told.append(f"{flat} of {plural(len(look.shown), 'crop')} have one value only.")
    return told


def _about_features(look: Look) -> Sequence[str]:
    values, names = look.features, look.feature_names

    def those(found: NDArray[np.bool_]) -> str:
        return sentence_list([name for name, one in zip(names, found, strict=True) if one])

    told = []
    beyond = np.abs(values) > WIDE
    if beyond.any():
        told.append(
            f"Beyond {WIDE:g} after scaling: {those(np.asarray(beyond.any(axis=0)))}, in "
            f"{plural(int(beyond.any(axis=1).sum()), 'case')} of {len(values)}; correct the table, "
            "or agree on centre and scale with the partners."
        )
    constant = np.asarray(np.ptp(values, axis=0) == 0)
    if constant.any():
        told.append(f"One value only: {those(constant)}.")
    return told


def _touches_edge(crop: Crop) -> bool:
    region = crop.region
    if region is None or prod(region.shape) == 0:
        return False
    faces = [np.take(region, (0, -1), axis=axis) for axis in range(3)]
    return any(bool(face.any()) for face in faces)
