"""Sets of cases, and the two sets that a hospital keeps: training and hold-out.

A case is one patient: one volume, one label, one identifier. Labels are classes, counted from 0;
with two classes 1 is the positive one. Identifiers are digests that mean nothing outside the site;
no message of this module ever carries one.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cdistrim.errors import DataError
from cdistrim.report.wording import plural, sentence_list

__all__ = ["CaseSet", "Labels", "SiteData", "Volumes", "has_cases", "load_site_data", "pool"]

Volumes = NDArray[np.float16]
Labels = NDArray[np.int8]

TRAIN_FILE = "train.npz"
HOLDOUT_FILE = "holdout.npz"
VALIDATION_FILE = "validation.npz"
CALIBRATION_FILE = "calibration.npz"
"""Cases that neither train nor vote, where a site keeps some."""
_FIELDS = {
    "volumes": ("fiu", "numbers (float16)"),
    "labels": ("iubf", "numbers (int8)"),
    "ids": ("UiuS", "texts"),
}
"""Arrays of a file: numpy's kinds that are taken, and what the user is told otherwise."""
MAX_CLASSES = 100
"""As many classes as a label may tell apart."""

_BUILD_AGAIN = (
    "Run `cdistrim data prepare` again. Of sets that were put there by hand docs/deployment.md "
    "says which arrays they have."
)


@dataclass(frozen=True, eq=False)
class CaseSet:
    """Cases in memory.

    Args:
        volumes: Shape (n, 1, x, y, z), half precision, finite. A table's rows are volumes, too, of
            shape (features, 1, 1).
        labels: Shape (n,), whole numbers from 0 on, less than :data:`MAX_CLASSES`.
        ids: n distinct identifiers, one a patient.

    Raises:
        DataError: No cases, lengths or shapes that do not fit, other labels, a value that is not
            finite, an identifier twice.
    """

    volumes: Volumes
    labels: Labels
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "volumes", np.asarray(self.volumes, dtype=np.float16))
        labels = np.asarray(self.labels)
        count = len(self.ids)
        if count == 0:
            raise DataError(
                "The set holds no cases.", hint="Check the data directory and the label's rule."
            )
        if self.volumes.ndim != 5 or self.volumes.shape[1] != 1 or 0 in self.volumes.shape:
            raise DataError(
                f"The volumes have shape {self.volumes.shape}; expected (cases, 1, x, y, z).",
                hint="Build the data set again.",
            )
        if self.volumes.shape[0] != count or labels.shape != (count,):
            raise DataError(
                f"{plural(count, 'identifier')}, {plural(self.volumes.shape[0], 'volume')} and "
                f"labels of shape {labels.shape} do not belong together.",
                hint="Build the data set again.",
            )
        if odd := int((~np.isin(labels, np.arange(MAX_CLASSES))).sum()):
            raise DataError(
                f"{odd} of {plural(count, 'label')} {'is' if odd == 1 else 'are'} no class: whole "
                f"numbers from 0 to {MAX_CLASSES - 1} are.",
                hint="Correct the labels and build the set again.",
            )
        if not np.isfinite(self.volumes).all():
            broken = int((~np.isfinite(self.volumes)).any(axis=(1, 2, 3, 4)).sum())
            raise DataError(
                f"{broken} of {plural(count, 'volume')} {'holds' if broken == 1 else 'hold'} "
                "values that are not finite.",
                hint="Repair or leave out these scans and build the set again.",
            )
        if len(set(self.ids)) != count:
            raise DataError(
                f"Of {plural(count, 'identifier')} only {len(set(self.ids))} differ: some occur "
                "more than once.",
                hint="A patient counts once: keep one case for each patient.",
            )
        object.__setattr__(self, "labels", labels.astype(np.int8))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of one volume, (x, y, z)."""
        x, y, z = self.volumes.shape[2:]
        return x, y, z

    @property
    def is_table(self) -> bool:
        """Whether the cases are rows of a table: nothing in them has a place, or a mirror image."""
        return self.shape[1:] == (1, 1)

    def counts(self, classes: int = 2) -> tuple[int, ...]:
        """Numbers of cases of the classes 0, 1, …: of ``classes`` at least, else of all there."""
        return tuple(np.bincount(self.labels, minlength=classes).tolist())

    @property
    def positives(self) -> int:
        """Number of cases with label 1."""
        return self.counts()[1]

    @property
    def negatives(self) -> int:
        """Number of cases with another label."""
        return len(self) - self.positives

    def require_classes(self, minimum: int = 1, *, classes: int | None = None) -> None:
        """Refuse a set that has too few cases of a class.

        Args:
            minimum: Cases that each class needs.
            classes: How many classes there are; None for as many as the labels tell apart, and two
                at least.

        Raises:
            DataError: Fewer than ``minimum`` cases of a class, or a label of no class.
        """
        counts = self.counts(classes or 2)
        if classes is not None and len(counts) > classes:
            raise DataError(
                f"The set holds labels up to {len(counts) - 1}; there are {classes} classes, "
                "counted from 0.",
                hint="Correct the labels, or agree on a spec whose model has as many classes.",
            )
        if min(counts) < minimum:
            told = [f"{plural(counts[0], 'case')} of class 0"]
            told += [f"{count} of class {label}" for label, count in enumerate(counts) if label]
            raise DataError(
                f"The set holds {sentence_list(told)}; at least {minimum} of each are needed.",
                hint="Add cases of the missing class, or take part without this role.",
            )

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse cases that a model can't take.

        Args:
            shape: Of the model's input, as ``cdistrim.spec.ModelSpec.shape``.

        Raises:
            DataError: They have another shape.
        """
        if self.shape != shape:
            raise DataError(
                f"The volumes have shape {self.shape}, the model's input is {shape}.",
                hint="Build the data set again with the shape of the campaign's spec.",
            )

    def subset(self, index: Sequence[int] | NDArray[np.intp]) -> CaseSet:
        """The cases at these positions, in this order."""
        chosen = np.asarray(index, dtype=np.intp)
        return CaseSet(
            self.volumes[chosen], self.labels[chosen], tuple(self.ids[int(i)] for i in chosen)
        )

    def digest(self) -> bytes:
        """SHA-256 over identifiers, labels and volumes, 32 bytes."""
        hasher = hashlib.sha256(b"cdistrim/cases/v1\0")
        hasher.update(repr((self.volumes.shape, self.ids)).encode())
        hasher.update(self.labels.tobytes())
        hasher.update(np.ascontiguousarray(self.volumes, dtype="<f2").tobytes())
        return hasher.digest()

    def save(self, path: Path) -> None:
        """Write a ``.npz`` file in one step: another process sees the old file or the new one.

        Raises:
            DataError: The file can't be written.
        """
        try:
            with _replacing(path) as stream:
                np.savez_compressed(
                    stream,
                    volumes=self.volumes,
                    labels=self.labels,
                    ids=np.array(self.ids, dtype=np.str_),
                )
        except OSError as error:
            raise DataError(
                f"Can't write {path}: {error.strerror}.", hint="Check permissions and free space."
            ) from error

    @classmethod
    def load(cls, path: Path) -> CaseSet:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: The file is missing, can't be read, is no ``.npz`` file or a damaged one,
                lacks an array or has one of another type, or holds no usable cases.
        """
        arrays = _arrays_in(path)
        try:
            for name, (kinds, wanted) in _FIELDS.items():
                if arrays[name].dtype.kind not in kinds:
                    raise DataError(
                        f"The array {name} has the type {arrays[name].dtype.name}; expected are "
                        f"{wanted}.",
                        hint=_BUILD_AGAIN,
                    )
            if arrays["ids"].ndim != 1:
                raise DataError(
                    f"The array ids has shape {arrays['ids'].shape}; expected is (cases,).",
                    hint=_BUILD_AGAIN,
                )
            with np.errstate(over="ignore"):  # What float16 can't hold is found to be infinite.
                ids = tuple(str(one) for one in arrays["ids"])
                return cls(arrays["volumes"], arrays["labels"], ids)
        except DataError as error:
            raise DataError(f"{path}: {error.what}", hint=error.hint) from None


def _arrays_in(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file of cases; what else is in it is not named, since that may be anything.

    Raises:
        DataError: It is missing, can't be read, is none, is damaged, or has other arrays.
    """
    try:
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise DataError(
                    f"{path} is no .npz file, or was cut short: it is not a zip archive.",
                    hint=_BUILD_AGAIN,
                )
            stream.seek(0)
            archive = np.load(stream, allow_pickle=False)
            missing = [name for name in _FIELDS if name not in archive.files]
            if missing:
                raise DataError(
                    f"{path} lacks the {'array' if len(missing) == 1 else 'arrays'} "
                    f"{sentence_list(missing)}.",
                    hint=_BUILD_AGAIN,
                )
            if more := len(archive.files) - len(_FIELDS):
                raise DataError(
                    f"{path} has {plural(more, 'array')} besides volumes, labels and ids.",
                    hint="Leave everything else out. " + _BUILD_AGAIN,
                )
            return {name: archive[name] for name in _FIELDS}
    except FileNotFoundError:
        raise DataError(
            f"There is no file {path}.", hint="Prepare the site's data first."
        ) from None
    except MemoryError as error:
        raise DataError(
            f"{path} says that it has more than fits into this machine's memory.",
            hint="If that is so, take more memory or fewer cases. " + _BUILD_AGAIN,
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        # numpy refuses arrays of Python objects with a ValueError: they could run code. zipfile
        # has a RuntimeError for what is encrypted, or packed in a way that it does not know.
        raise DataError(
            f"{path} is damaged or encrypted: an array in it can't be read, or is of Python "
            "objects.",
            hint=_BUILD_AGAIN,
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror or type(error).__name__}.",
            hint="See what lies there and whether this account may read it.",
        ) from error


def pool(sets: Sequence[CaseSet]) -> CaseSet:
    """All cases of several sets, in order: what central training sees.

    Raises:
        DataError: No sets, volumes of different shape, or a case in two of them.
    """
    shapes = {cases.shape for cases in sets}
    if len(shapes) != 1:
        raise DataError(
            f"{len(sets)} sets with {len(shapes)} different volume shapes can't be pooled.",
            hint="Build all sets with the shape of the campaign's spec.",
        )
    return CaseSet(
        np.concatenate([cases.volumes for cases in sets]),
        np.concatenate([cases.labels for cases in sets]),
        tuple(one for cases in sets for one in cases.ids),
    )


@dataclass(frozen=True, eq=False)
class SiteData:
    """A hospital's cases.

    Args:
        train: For training; nobody else's.
        holdout: For judging other partners' candidates; nobody else's.
        validation: The agreed set that all partners share in mode ``reported``; None without it.

    Raises:
        DataError: A case is in two sets, or the volumes have different shapes.
    """

    train: CaseSet
    holdout: CaseSet
    validation: CaseSet | None = None

    def __post_init__(self) -> None:
        sets = {TRAIN_FILE: self.train, HOLDOUT_FILE: self.holdout}
        if self.validation is not None:
            sets[VALIDATION_FILE] = self.validation
        for (one, some), (other, more) in combinations(sets.items(), 2):
            if both := len({*some.ids} & {*more.ids}):
                raise DataError(
                    f"{both} of the cases in {one} {'is' if both == 1 else 'are'} in {other}, too.",
                    hint="Split by patient: nobody may be on both sides.",
                )
        if len({cases.shape for cases in sets.values()}) != 1:
            shapes = ", ".join(f"{name} {cases.shape}" for name, cases in sets.items())
            raise DataError(
                f"The site's sets have volumes of different shapes: {shapes}.",
                hint="Build all sets with the shape of the campaign's spec.",
            )

    def evaluation(self, *, reported: bool) -> CaseSet:
        """The cases that a trainer's own figures rest on: hold-out, or the agreed validation set.

        Raises:
            DataError: ``reported``, and the site has no validation set.
        """
        if not reported:
            return self.holdout
        if self.validation is None:
            raise DataError(
                "The site has no agreed validation set.",
                hint=f"Put the set that all partners share into its data directory as "
                f"{VALIDATION_FILE}, or run the campaign in mode holdout.",
            )
        return self.validation

    def save(self, directory: Path) -> None:
        """Write all sets into the site's data directory.

        Raises:
            DataError: A file can't be written.
        """
        self.train.save(directory / TRAIN_FILE)
        self.holdout.save(directory / HOLDOUT_FILE)
        if self.validation is not None:
            self.validation.save(directory / VALIDATION_FILE)


def has_cases(directory: Path) -> bool:
    """Whether a site's data directory has something in it for training, usable or not."""
    return (directory / TRAIN_FILE).exists()


def load_site_data(directory: Path, *, min_cases_per_class: int = 1) -> SiteData:
    """Read a site's data directory.

    Args:
        directory: Holds ``train.npz``, ``holdout.npz`` and, where partners agreed on one,
            ``validation.npz``.
        min_cases_per_class: What every set must hold of each class.

    Raises:
        DataError: A file is missing or damaged, a set holds no cases or one class only. The message
            names the file and the site's counts, no case.
    """

    def load(name: str) -> CaseSet:
        cases = CaseSet.load(directory / name)
        try:
            cases.require_classes(min_cases_per_class)
        except DataError as error:
            raise DataError(f"{directory / name}: {error.what}", hint=error.hint) from None
        return cases

    shared = load(VALIDATION_FILE) if (directory / VALIDATION_FILE).exists() else None
    train, holdout = load(TRAIN_FILE), load(HOLDOUT_FILE)
    try:
        return SiteData(train, holdout, shared)
    except DataError as error:
        raise DataError(f"{directory}: {error.what}", hint=error.hint) from None


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
