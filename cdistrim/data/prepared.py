"""The sets that a preparation made, and what is said about them: put in place at once, or not.

::

    data/
      train.npz, holdout.npz, prepared.json   links to sets/current/…
      cases.csv, exclusions.json              likewise
      calibration.npz                         likewise, where the site keeps such cases
      sets/current                            link to the directory below that counts
      sets/<random>/                          the files themselves

One link is exchanged, in one step, so whoever is killed when: all files are the former ones, or all
are the new ones.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cdistrim.data.case_table import CASES_FILE, EXCLUSIONS_FILE
from cdistrim.data.cases import CALIBRATION_FILE, HOLDOUT_FILE, TRAIN_FILE, CaseSet, SiteData
from cdistrim.errors import ConfigurationError, DataError
from cdistrim.handwritten import MAX_FILE, NotUnderstood, understand
from cdistrim.private_files import sync_directory, write_private
from cdistrim.report.wording import plural
from cdistrim.spec import CampaignSpec, FeatureSpec, PreprocessingSpec, VotingSpec

__all__ = [
    "PREPARED_FILE",
    "Prepared",
    "put_in_place",
    "read_prepared",
    "refuse_other_sets",
    "remove_former",
    "require_preprocessing",
    "require_unused",
    "same_volumes",
]

PREPARED_FILE = "prepared.json"
_SETS = "sets"
_CURRENT = "current"
_FILES = (
    CASES_FILE,
    EXCLUSIONS_FILE,
    HOLDOUT_FILE,
    CALIBRATION_FILE,
    PREPARED_FILE,
    TRAIN_FILE,
)
"""The training set last: a site has cases as soon as it is there."""

_Axis = Annotated[int, Field(ge=1)]
_Count = Annotated[int, Field(ge=0)]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Prepared(BaseModel):
    """``prepared.json``: how a site's sets were made. Figures only; it names nobody.

    Attributes:
        version: Of this document.
        built: Version of what is built (:data:`~cdistrim.data.case_cache.FORMAT_VERSION`).
        source: The kind.
        shape: Voxels of a case.
        preprocessing: How they were made of scans; None for rows of a table.
        features: What rows were made of; None for scans.
        train: Cases of the classes 0, 1, …
        holdout: Likewise.
        calibration: Likewise; empty without such cases.
        excluded: Patients left out, by the name of the reason.
        train_digest: SHA-256 of the set: what was changed by hand is not what this tells of.
        holdout_digest: Likewise.
        calibration_digest: Likewise; None without such cases.
        source_digest: Of the source's patients and labels, under the site's secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    built: int
    source: str
    shape: tuple[_Axis, _Axis, _Axis]
    preprocessing: PreprocessingSpec | None
    features: tuple[FeatureSpec, ...] | None = None
    train: tuple[_Count, ...]
    holdout: tuple[_Count, ...]
    calibration: tuple[_Count, ...] = ()
    excluded: dict[str, _Count]
    train_digest: _Hash
    holdout_digest: _Hash
    calibration_digest: _Hash | None = None
    source_digest: _Hash | None = None


def put_in_place(
    data: Path,
    train: CaseSet,
    holdout: CaseSet,
    prepared: Prepared,
    calibration: CaseSet | None = None,
    documents: Mapping[str, bytes] | None = None,
) -> None:
    """Let these be the site's sets, in one step; what was there before is removed.

    Args:
        data: The site's data directory.
        train: The training set.
        holdout: The hold-out.
        prepared: What is said about them.
        calibration: Cases that neither train nor vote, if the site keeps any.
        documents: Who they are, and who was left out: files by name.

    Raises:
        DataError: The sets there are somebody else's, the new ones have a case in common, or they
            can't be written.
    """
    sets_of = {TRAIN_FILE: train, HOLDOUT_FILE: holdout}
    SiteData(train, holdout)
    if calibration is not None:
        sets_of[CALIBRATION_FILE] = calibration
        require_unused(calibration, SiteData(train, holdout))
    refuse_other_sets(data)
    sets = data / _SETS
    new = sets / secrets.token_hex(8)
    try:
        sets.mkdir(exist_ok=True, mode=0o700)
        new.mkdir(mode=0o700)
        for name, cases in sets_of.items():
            cases.save(new / name)
            _settle(new / name)
        for name, content in (documents or {}).items():
            write_private(new / name, content)
        write_private(new / PREPARED_FILE, prepared.model_dump_json(indent=1).encode() + b"\n")
        sync_directory(new)
        _link(sets / _CURRENT, Path(new.name))
        for name in _FILES:
            if not (new / name).exists():
                (data / name).unlink(missing_ok=True)
            elif not (data / name).is_symlink():
                _link(data / name, Path(_SETS, _CURRENT, name))
    except OSError as error:
        raise DataError(
            f"The sets can't be written to {data}: {error.strerror}.",
            hint="Check permissions and free space. The former sets are as they were.",
        ) from error
    remove_former(data)


def require_unused(calibration: CaseSet, sets: SiteData) -> None:
    """See that no case to calibrate on trains or votes.

    Raises:
        DataError: One does.
    """
    if used := len({*calibration.ids} & {*sets.train.ids, *sets.holdout.ids}):
        raise DataError(
            f"{used} of the cases in {CALIBRATION_FILE} {'is' if used == 1 else 'are'} in "
            f"{TRAIN_FILE} or {HOLDOUT_FILE}, too.",
            hint="Scores of cases that trained or voted are too good to calibrate on.",
        )


def remove_former(data: Path) -> None:
    """Remove sets that do not count, e.g. of a preparation that was killed."""
    sets = data / _SETS
    with suppress(OSError):
        current = str((sets / _CURRENT).readlink()) if (sets / _CURRENT).is_symlink() else ""
        for path in sets.iterdir():
            if path.name not in (current, _CURRENT):
                path.unlink() if path.is_symlink() else shutil.rmtree(path)


def refuse_other_sets(data: Path) -> None:
    """See that no sets would be lost that were put there by hand.

    Raises:
        DataError: They would.
    """
    for name in _FILES:
        path = data / name
        own = path.is_symlink() and path.readlink() == Path(_SETS, _CURRENT, name)
        if os.path.lexists(path) and not own:
            raise DataError(
                f"{path} was not made by `cdistrim data prepare`, which overwrites nothing else.",
                hint="Move it away, and the other set with it.",
            )


def read_prepared(data: Path) -> Prepared | None:
    """What a preparation said about the site's sets; None if they were not made by one.

    Raises:
        DataError: That can't be read.
    """
    path = data / PREPARED_FILE
    try:
        with path.open("rb") as stream:
            return understand(stream.read(MAX_FILE + 1), Prepared)
    except FileNotFoundError:
        return None
    except (OSError, NotUnderstood):
        raise DataError(
            f"{path} can't be read, or is of another release.",
            hint="Run `cdistrim data prepare` again; what is built is not built again.",
        ) from None


def about_holdout(holdout: Sequence[int], spec: CampaignSpec | None) -> list[str]:
    """A warning where a hold-out is too small to vote with.

    Args:
        holdout: Its cases of each class.
        spec: An agreed one; None for the defaults.
    """
    fewest = min(holdout)
    needed = (spec.voting if spec else VotingSpec()).min_cases_per_class
    if fewest >= needed:
        return []
    has = f"The hold-out has {plural(fewest, 'case')} of a class"
    return [f"{has}; an evaluator needs {needed} of each. The site would not judge others."]


def require_preprocessing(data: Path, sets: SiteData, spec: CampaignSpec) -> None:
    """See that a site's cases were made as its partners agreed, if they agreed on anything.

    Args:
        data: The site's data directory.
        sets: What lies there.
        spec: The campaign's.

    Raises:
        ConfigurationError: They were made in another way, or nobody can tell.
        DataError: ``prepared.json`` can't be read.
    """
    if spec.preprocessing is None and spec.features is None:
        return
    prepared = read_prepared(data)
    again = "Run `cdistrim data prepare SITE` with --campaign NUMBER or --spec FILE."
    if prepared is None:
        raise ConfigurationError(
            f"Campaign {spec.name} says how cases are made; nothing says how those in {data} were.",
            hint=f"{again} Or agree on a spec without preprocessing and features.",
        )
    if not _made_as_agreed(prepared, spec):
        raise ConfigurationError(
            f"Campaign {spec.name} is for {_said(spec.preprocessing, spec.features)}; this site "
            f"has {_said(prepared.preprocessing, prepared.features)}.",
            hint=again,
        )
    digests = (prepared.train_digest, prepared.holdout_digest)
    if digests != (sets.train.digest().hex(), sets.holdout.digest().hex()):
        raise ConfigurationError(
            f"The sets in {data} are not those that {PREPARED_FILE} tells of: they were changed "
            "after they were made.",
            hint=again,
        )


def _made_as_agreed(prepared: Prepared, spec: CampaignSpec) -> bool:
    """Whether a site's cases were made as its partners agreed, where they agreed on anything."""
    if spec.features is not None and prepared.features != spec.features:
        return False
    agreed, made = spec.preprocessing, prepared.preprocessing
    return agreed is None or (made is not None and same_volumes(made, agreed))


def same_volumes(one: PreprocessingSpec, other: PreprocessingSpec) -> bool:
    """Whether two ways of preprocessing give the same volumes: what a crop does not use is free."""
    return _used(one) == _used(other)


def _used(preprocessing: PreprocessingSpec) -> dict[str, object]:
    unused = {"margin_mm"} if preprocessing.crop == "fixed" else {"field_of_view_mm"}
    return preprocessing.model_dump(exclude=unused)


def _said(preprocessing: PreprocessingSpec | None, features: tuple[FeatureSpec, ...] | None) -> str:
    if preprocessing is not None:
        used = ", ".join(f"{name} {value}" for name, value in _used(preprocessing).items())
        return f"volumes made by {used}"
    if features is None:
        return "rows of a table, of which nothing else is told"
    told = [f"({one.name} - {one.centre:g}) / {one.scale:g}" for one in features[:5]]
    more = f" and {len(features) - 5} more" if len(features) > 5 else ""
    return f"rows of {', '.join(told)}{more}"


def _link(place: Path, target: Path) -> None:
    """A link in the place of a former one, in one step."""
    part = place.with_name(f".{place.name}.{secrets.token_hex(8)}.part")
    part.symlink_to(target)
    part.replace(place)
    sync_directory(place.parent)


def _settle(path: Path) -> None:
    """Make a file its owner's alone, and lasting."""
    path.chmod(0o600)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
