"""Which patients train, which are kept for votes and which for calibration, for ever.

A patient who trained an earlier model and is measured with later would flatter all of its
descendants. So who was dealt out once keeps the set, whatever patients come later, and whatever
becomes of the settings; only new ones are dealt out, to whichever set lacks some of their class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

from cdistrim.data.split import proportional
from cdistrim.errors import DataError

__all__ = [
    "ASSIGNMENT_FILE",
    "Part",
    "assign",
    "assignment_document",
    "calibration_sizes",
    "holdout_sizes",
    "read_assignment",
]

ASSIGNMENT_FILE = "assignment.json"
_LONGEST_NAME = 200


class Part(Enum):
    """One of a site's sets."""

    TRAIN = "train"
    HOLDOUT = "holdout"
    CALIBRATION = "calibration"


def assign(
    labels: Mapping[str, int],
    former: Mapping[str, Part],
    *,
    holdout: float,
    rank: Mapping[str, str],
    calibration: float = 0.0,
) -> dict[str, Part]:
    """The set of each case.

    Hold-out and calibration set shall have their share of all cases, divided among the classes in
    proportion; at least one of each class, and not all of one. Of new cases, those with the least
    rank make up for what the hold-out lacks, and the next for what the calibration set does.

    Args:
        labels: Class of each usable case, by name.
        former: What was decided before, also about cases that are not usable now.
        holdout: Share of the hold-out, in (0, 1).
        rank: In which order cases are drawn.
        calibration: Share of the calibration set, in [0, 1); 0 for none.
    """
    result = {case: former[case] for case in labels if case in former}
    classes = sorted(set(labels.values()))
    members = {c: [case for case, label in labels.items() if label == c] for c in classes}
    counts = [len(members[c]) for c in classes]
    held = holdout_sizes(counts, holdout)
    wanted = {Part.HOLDOUT: held, Part.CALIBRATION: calibration_sizes(counts, held, calibration)}
    for place, label in enumerate(classes):
        cases = members[label]
        new = sorted((case for case in cases if case not in result), key=lambda one: rank[one])
        for part, sizes in wanted.items():
            drawn = max(0, sizes[place] - sum(result.get(case) is part for case in cases))
            result |= dict.fromkeys(new[:drawn], part)
            del new[:drawn]
        result |= dict.fromkeys(new, Part.TRAIN)
    return result


def holdout_sizes(counts: Sequence[int], holdout: float) -> tuple[int, ...]:
    """How many cases of each class the hold-out shall have.

    Args:
        counts: Of all usable cases, by class.
        holdout: Share of the hold-out.
    """
    if not sum(counts):
        return tuple(counts)
    shares = proportional(counts, round(holdout * sum(counts)))
    return tuple(
        min(max(share, 1), max(count - 1, 0)) for share, count in zip(shares, counts, strict=True)
    )


def calibration_sizes(
    counts: Sequence[int], held: Sequence[int], calibration: float
) -> tuple[int, ...]:
    """How many cases of each class the calibration set shall have.

    Args:
        counts: Of all usable cases, by class.
        held: Of the hold-out.
        calibration: Share of the calibration set; 0 for none.
    """
    if not calibration or not sum(counts):
        return (0,) * len(counts)
    shares = proportional(counts, round(calibration * sum(counts)))
    return tuple(
        min(max(share, 1), max(count - kept - 1, 0))
        for share, count, kept in zip(shares, counts, held, strict=True)
    )


def read_assignment(path: Path) -> dict[str, Part]:
    """What was decided before; nothing if there is no such file.

    Raises:
        DataError: It is damaged.
    """
    try:
        document = json.loads(path.read_bytes())
        return {_name(case): Part(part) for case, part in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise DataError(
            f"{path} can't be read, or is damaged.",
            hint="Restore it from the site's backup: it says who was trained on.",
        ) from None


def assignment_document(parts: Mapping[str, Part]) -> bytes:
    """Content of the file that :func:`read_assignment` reads."""
    document = {case: part.value for case, part in sorted(parts.items())}
    return json.dumps(document, indent=0).encode()


def _name(case: object) -> str:
    if not isinstance(case, str) or len(case) > _LONGEST_NAME:
        raise ValueError
    return case
