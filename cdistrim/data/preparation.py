"""``cdistrim data prepare``: a source's patients become a site's sets of cases.

1. The source lists its patients; who has no label, or is there twice, is left out.
2. Each case gets a name under the site's secret (:mod:`cdistrim.data.case_names`).
3. Volumes are built, each once: what was built from the same bytes lies in the cache.
4. New patients are dealt out to the sets, which is written (:mod:`cdistrim.data.assignment`).
5. Sets, the site's own table and the report on who was left out are put in place in one step
   (:mod:`cdistrim.data.prepared`). Where no sets can be made, table and report go into ``failed``:
   the sets that are there keep theirs.

A run that is killed at any point is finished by the next one, which arrives at the same bits.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cdistrim.data.assignment import (
    ASSIGNMENT_FILE,
    Part,
    assign,
    assignment_document,
    read_assignment,
)
from cdistrim.data.building import Made, make_cases
from cdistrim.data.case_cache import FORMAT_VERSION
from cdistrim.data.case_names import CASE_SECRET_FILE, CaseNamer
from cdistrim.data.case_table import (
    CASES_FILE,
    EXCLUSIONS_FILE,
    Exclusions,
    case_table,
    source_digest,
)
from cdistrim.data.cases import CaseSet
from cdistrim.data.prepared import (
    PREPARED_FILE,
    Prepared,
    about_holdout,
    put_in_place,
    read_prepared,
    refuse_other_sets,
    remove_former,
)
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.interface import Crop, Listing
from cdistrim.data.workplace import Workplace
from cdistrim.errors import DataError, KeyFileError, LeaseHeldError
from cdistrim.report.wording import plural
from cdistrim.site import write_atomically
from cdistrim.spec import CampaignSpec

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["Preparation", "prepare"]

_LOCK = ".preparation.lock"
_FAILED = "failed"
"""Directory for table and report of a preparation that could not make its sets."""


@dataclass(frozen=True)
class Preparation:
    """What a preparation made.

    Args:
        prepared: The sets, in figures.
        exclusions: Who is in neither.
        built: Cases that were built now; the others lay in the cache.
        notes: What else was found, a sentence each.
        warnings: What may not do, a sentence each.
    """

    prepared: Prepared
    exclusions: Exclusions
    built: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def held(self) -> float:
        """Share of the usable cases that the hold-out has, in [0, 1]."""
        return sum(self.prepared.holdout) / self.cases

    @property
    def cases(self) -> int:
        """Usable ones, in all sets."""
        return _cases(self.prepared)


def prepare(
    site: Site,
    spec: CampaignSpec | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    left_out: Callable[[Exclusions], None] = lambda _exclusions: None,
) -> Preparation:
    """Make a site's sets of cases out of its source.

    Args:
        site: The site; ``data`` in its settings names the source.
        spec: An agreed one: shape and preprocessing are taken from it.
        workers: Processes that read scans, at least 1.
        progress: Called with cases done and cases in all.
        left_out: Called once it is known who is, whatever fails afterwards.

    Raises:
        ConfigurationError: As of :meth:`Workplace.of`.
        DataError: The source can't be read, no case of a class is usable, sets that were put there
            by hand would be lost, who was dealt out before can't be told any more, another process
            prepares, or one that reads scans was ended.
        KeyFileError: The secret of the cases' names is damaged, or lost.
    """
    place = Workplace.of(site, spec)
    with _alone(place.data):
        former = read_assignment(place.data / ASSIGNMENT_FILE)
        _refuse_lost_history(place.data, former)
        before = _cases_before(place.data)
        refuse_other_sets(place.data)
        remove_former(place.data)
        place.open_cache()
        listing = place.list_cases()
        namer = CaseNamer.of(place.data)
        _refuse_strangers(place.data, listing, namer, former)
        excluded = {namer.case_of(one.patient): one.excluded for one in listing.left_out}
        made = _build(place, listing, namer, workers, progress)
        excluded |= {case: one.excluded for case, one in made.items() if one.excluded}
        usable = {
            namer.case_of(one.patient): one.label
            for one in listing.pending
            if made[namer.case_of(one.patient)].crop is not None
        }
        exclusions = Exclusions(excluded)
        rank = {
            namer.case_of(one.patient): namer.rank(one.patient, place.settings.seed)
            for one in listing.pending
        }
        shares = {
            "holdout": place.settings.holdout,
            "calibration": place.settings.calibration,
        }
        parts = assign(usable, former, rank=rank, **shares)
        documents = {
            CASES_FILE: case_table(listing, namer, parts, excluded),
            EXCLUSIONS_FILE: exclusions.document(len(usable)),
        }
        left_out(exclusions)
        built = sum(one.crop is not None and not one.from_cache for one in made.values())
        try:
            train, holdout = (
                _set(place, usable, parts, made, part) for part in (Part.TRAIN, Part.HOLDOUT)
            )
        except DataError:
            _keep_failed(place.data, documents)
            raise
        calibration = (
            _set(place, usable, parts, made, Part.CALIBRATION)
            if Part.CALIBRATION in parts.values()
            else None
        )
        prepared = Prepared(
            built=FORMAT_VERSION,
            source=place.source.kind,
            shape=place.plan.shape,
            preprocessing=place.plan.preprocessing,
            features=place.source.features or None,
            train=train.counts(place.source.classes),
            holdout=holdout.counts(place.source.classes),
            calibration=calibration.counts(place.source.classes) if calibration else (),
            excluded=exclusions.counts,
            train_digest=train.digest().hex(),
            holdout_digest=holdout.digest().hex(),
            calibration_digest=calibration.digest().hex() if calibration else None,
            source_digest=source_digest(listing, namer),
        )
        # Before anything can be trained on, and not for sets that can't be made.
        _write(place.data / ASSIGNMENT_FILE, assignment_document(former | parts))
        put_in_place(place.data, train, holdout, prepared, calibration, documents)
        shutil.rmtree(place.data / _FAILED, ignore_errors=True)
    site.logger.info(
        "data prepared: %d training, %d hold-out, %d left out", len(train), len(holdout),
        len(excluded),
    )  # fmt: skip
    warnings = (*_about_size(prepared, before), *about_holdout(prepared.holdout, spec))
    return Preparation(prepared, exclusions, built, listing.notes, warnings)


def _about_size(prepared: Prepared, before: int) -> list[str]:
    now = _cases(prepared)
    if now >= before:
        return []
    told = f"{plural(now, 'case')} can be used now, {before} could before"
    return [f"{told}: see who is left out, and why."]


def _cases(prepared: Prepared) -> int:
    return sum((*prepared.train, *prepared.holdout, *prepared.calibration))


def _cases_before(data: Path) -> int:
    try:
        prepared = read_prepared(data)
    except DataError:
        return 0  # It is about to be written anew.
    return 0 if prepared is None else _cases(prepared)


def _refuse_lost_history(data: Path, former: Mapping[str, Part]) -> None:
    """Without one of the two files who was trained on would be dealt out anew."""
    prepared = (data / PREPARED_FILE).exists()
    anew = (
        f"Restore it from the site's backup. To begin anew with patients whom no model was trained "
        f"on, move {data} away."
    )
    if (former or prepared) and not (data / CASE_SECRET_FILE).exists():
        raise KeyFileError(
            f"{data / CASE_SECRET_FILE} is missing, by which the cases of an earlier preparation "
            "were named: under another one, patients who were trained on would be dealt out anew.",
            hint=anew,
        )
    if prepared and not former:
        raise DataError(
            f"{data / ASSIGNMENT_FILE} is missing, though there are sets: it says who was trained "
            "on.",
            hint=anew,
        )


def _refuse_strangers(
    data: Path, listing: Listing, namer: CaseNamer, former: Mapping[str, Part]
) -> None:
    """Of those who were dealt out some are there still, unless names are made otherwise now."""
    patients = [
        *(one.patient for one in listing.pending),
        *(one.patient for one in listing.left_out),
    ]
    if former and former.keys().isdisjoint(map(namer.case_of, patients)):
        raise DataError(
            f"None of the {plural(len(former), 'case')} in {data / ASSIGNMENT_FILE} is one of the "
            f"source's {plural(len(patients), 'patient')}: {CASE_SECRET_FILE} is another one, or "
            "it is a table of others.",
            hint=f"Restore both files from the site's backup, or correct site.json. To begin anew "
            f"with patients whom no model was trained on, move {data} away.",
        )


_SET_NAMES = {
    Part.TRAIN: "training set",
    Part.HOLDOUT: "hold-out",
    Part.CALIBRATION: "calibration set",
}


def _build(
    place: Workplace,
    listing: Listing,
    namer: CaseNamer,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[str, Made]:
    recipes = {namer.case_of(one.patient): one.recipe for one in listing.pending}
    made: dict[str, Made] = {}

    def told(case: str, one: Made) -> None:
        # Regions are for the eye: with them all cases would take half as much memory again.
        made[case] = replace(one, crop=Crop(one.crop.volume)) if one.crop else one
        progress(len(made), len(recipes))

    progress(0, len(recipes))
    processes = 0 if place.source.features else max(1, workers)
    make_cases(recipes, place.kitchen, workers=processes, told=told)
    return _without_twins(made)


def _without_twins(made: Mapping[str, Made]) -> dict[str, Made]:
    """Leave out all patients who share a scan: one of them could train and one vote."""
    times = Counter(one.scan for one in made.values() if one.crop is not None and one.scan)
    return {
        case: Made(None, CaseExcluded(Exclusion.SAME_SCAN, f"{times[one.scan]} patients"))
        if times[one.scan] > 1
        else one
        for case, one in made.items()
    }


def _set(
    place: Workplace,
    usable: Mapping[str, int],
    parts: Mapping[str, Part],
    made: Mapping[str, Made],
    part: Part,
) -> CaseSet:
    """One of the sets, in the order of the cases' names.

    Raises:
        DataError: It has no case of a class, and is one to train or vote with.
    """
    name = _SET_NAMES[part]
    cases = sorted(case for case in usable if parts[case] is part)
    try:
        found = CaseSet(
            np.stack([_volume(made[case]) for case in cases])[:, None]
            if cases
            else np.zeros((0, 1, *place.plan.shape), np.float16),
            np.array([usable[case] for case in cases], dtype=np.int8),
            tuple(cases),
        )
        if part is not Part.CALIBRATION:
            # Whether those suffice is for who calibrates to see: without them a site can train.
            found.require_classes(1, classes=place.source.classes)
    except DataError as error:
        raise DataError(
            f"The {name}, of {plural(len(usable), 'usable case')} in all: {error.what}",
            hint="See why the others are left out: data/failed/exclusions.json, and "
            "data/failed/cases.csv for who they are. Sets that were there before are as they were.",
        ) from None
    return found


def _volume(made: Made) -> np.ndarray:
    if made.crop is None:
        raise AssertionError("a usable case was built")
    return made.crop.volume


def _keep_failed(data: Path, documents: Mapping[str, bytes]) -> None:
    for name, content in documents.items():
        place = data / _FAILED / name
        try:
            place.parent.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritten(place, error) from None
        _write(place, content)


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} can't be written: {error.strerror}.", hint="Check permissions and free space."
    )


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Keep other preparations of this site out; the lock goes with the process that holds it."""
    import portalocker

    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(data / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "w") as stream:
        try:
            portalocker.lock(stream, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException:
            raise LeaseHeldError(
                "Another process prepares this site's data.", hint="Wait until it has ended."
            ) from None
        yield
