"""Who the cases are, for the site alone; and who was left out, which names nobody."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cdistrim.data.assignment import Part
from cdistrim.data.case_names import CaseNamer
from cdistrim.data.scan import CaseExcluded
from cdistrim.data.sources.interface import Listing

__all__ = ["CASES_FILE", "EXCLUSIONS_FILE", "Exclusions", "case_table", "source_digest"]

CASES_FILE = "cases.csv"
"""The site's own table: the only file that has patients and the names of their cases."""
EXCLUSIONS_FILE = "exclusions.json"


@dataclass(frozen=True)
class Exclusions:
    """Who was left out, and why.

    Args:
        cases: Reason and numbers, by the name of the case.
    """

    cases: Mapping[str, CaseExcluded]

    @property
    def counts(self) -> dict[str, int]:
        """By the name of the reason, most frequent first."""
        return self.count(self.cases.values())

    @staticmethod
    def count(left_out: Iterable[CaseExcluded]) -> dict[str, int]:
        """How many by the name of the reason, most frequent first."""
        return dict(Counter(one.reason.name for one in left_out).most_common())

    def document(self, usable: int) -> bytes:
        """``exclusions.json``."""
        return json.dumps(
            {
                "version": 1,
                "usable": usable,
                "excluded": len(self.cases),
                "reasons": self.counts,
                "cases": [
                    {"case": case, "reason": one.reason.name, "detail": one.detail}
                    for case, one in sorted(self.cases.items())
                ],
            },
            indent=1,
        ).encode()


def source_digest(listing: Listing, namer: CaseNamer) -> str:
    """SHA-256 of who is in a source, with which label or reason: tells whether that changed.

    Names of cases are made under the site's secret, so it tells nobody else anything.
    """
    told = [f"{namer.case_of(one.patient)} {one.label}" for one in listing.pending]
    told += [f"{namer.case_of(one.patient)} {one.excluded.reason.name}" for one in listing.left_out]
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()


def case_table(
    listing: Listing,
    namer: CaseNamer,
    parts: Mapping[str, Part],
    excluded: Mapping[str, CaseExcluded],
) -> bytes:
    """``cases.csv``: patient, name of the case, set, reason why it is in none, numbers."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["patient", "case", "set", "reason", "detail"])
    patients = [one.patient for one in listing.pending]
    patients += [one.patient for one in listing.left_out]
    for patient in sorted(patients):
        case = namer.case_of(patient)
        why = excluded.get(case)
        part = parts[case].value if case in parts else ""
        reason, detail = (why.reason.value, why.detail) if why else ("", "")
        writer.writerow([_harmless(patient), case, part, reason, detail])
    return stream.getvalue().encode()


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula, and no terminal for a command."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"'{shown}" if text[:1] in "=+-@\t\r" else shown
