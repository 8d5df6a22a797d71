"""The votes of a slot, combined."""

from __future__ import annotations

import pytest

from cdistrim.errors import DataError
from cdistrim.protocol import Evidence
from cdistrim.statistics import (
    SiteFigure,
    combine_aucs,
    combine_differences,
    combine_evidence,
    hanley_mcneil_variance,
)
from tests.cdistrim.statistics.drawn import exactly

VOTES = {
    "hospital-1": Evidence(0.80, 0.82, 0.0004, 24, 26),
    "hospital-2": Evidence(0.90, 0.86, 0.0009, 20, 22),
    "hospital-3": Evidence(0.70, 0.75, 0.0002, 40, 41),
}
SILENT = Evidence(0.0, 0.0, 0.0, 0, 0)
SMALL = Evidence(0.5, 1.0, 0.01, 4, 30)


def test_evidence_combines_as_its_parts_do() -> None:
    made = combine_evidence(VOTES, min_cases_per_class=10)

    def figures(candidate: bool) -> list[SiteFigure]:
        areas = {n: e.auc_candidate if candidate else e.auc_head for n, e in VOTES.items()}
        return [
            SiteFigure(
                name,
                areas[name],
                hanley_mcneil_variance(areas[name], e.positives, e.negatives),
                e.positives,
                e.negatives,
            )
            for name, e in VOTES.items()
        ]

    differences = [
        SiteFigure(n, e.auc_candidate - e.auc_head, e.variance, e.positives, e.negatives)
        for n, e in VOTES.items()
    ]
    assert made.head == combine_aucs(figures(candidate=False), min_cases_per_class=10)
    assert made.candidate == combine_aucs(figures(candidate=True), min_cases_per_class=10)
    assert made.difference == combine_differences(differences, min_cases_per_class=10)
    assert made.difference.value == exactly(made.candidate.value - made.head.value)


def test_who_measured_nothing_is_silent_and_who_has_few_cases_suppressed() -> None:
    votes = {"hospital-4": SILENT, **VOTES, "hospital-5": SMALL}
    made = combine_evidence(votes, min_cases_per_class=10)
    assert (made.silent, made.suppressed) == (("hospital-4",), ("hospital-5",))
    alone = combine_evidence(VOTES, min_cases_per_class=10)
    assert made.difference.value == alone.difference.value
    assert made.head.sites == tuple(VOTES)


def test_without_a_vote_that_counts_there_is_no_figure() -> None:
    for votes in ({}, {"hospital-4": SILENT}, {"hospital-5": SMALL}):
        with pytest.raises(DataError, match="None of"):
            combine_evidence(votes, min_cases_per_class=10)


def test_made_up_evidence_that_can_not_be_is_refused_by_name() -> None:
    votes = VOTES | {"hospital-6": Evidence(0.8, 1.2, 0.001, 20, 20)}
    with pytest.raises(DataError, match="hospital-6 gives"):
        combine_evidence(votes, min_cases_per_class=10)
