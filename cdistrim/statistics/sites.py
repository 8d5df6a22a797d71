"""What the votes of a slot say together about head and candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdistrim.protocol import Evidence
from cdistrim.statistics.combination import (
    Combination,
    SiteFigure,
    combine_aucs,
    combine_differences,
)
from cdistrim.statistics.roc import hanley_mcneil_variance

__all__ = ["CombinedEvidence", "combine_evidence"]


@dataclass(frozen=True)
class CombinedEvidence:
    """Head, candidate and their difference (candidate - head) over the sites that measured.

    ``suppressed`` sites have too few cases of a class; ``silent`` ones voted without evidence. All
    three figures are of the same sites with the same weights, so ``difference.value`` is
    ``candidate.value - head.value``.
    """

    head: Combination
    candidate: Combination
    difference: Combination
    suppressed: tuple[str, ...]
    silent: tuple[str, ...]


def combine_evidence(
    votes: Mapping[str, Evidence],
    *,
    min_cases_per_class: int,
    level: float = 0.95,
    totals_known: bool = False,
) -> CombinedEvidence:
    """Combine the evidence of a slot's votes, by voter's name.

    The ledger has the variance of the difference only. That of a single AUC is Hanley and
    McNeil's, from the AUC and the numbers of cases.

    Leave out the trainer's own vote: it is the claim to be judged. Evidence is what voters say they
    measured; nothing here finds out who made it up.

    Args:
        votes: Evidence by voter's name. Evidence without cases is a vote without measurement.
        min_cases_per_class: Voters with fewer of either class are suppressed; the spec's
            ``voting.min_cases_per_class`` is the number that everybody agreed to.
        level: Confidence level, in (0, 1).
        totals_known: As in :func:`cdistrim.statistics.combine_aucs`.

    Raises:
        DataError: No voter is left, or evidence is impossible.
        UsageError: ``level`` or ``min_cases_per_class`` is impossible.
    """
    silent = tuple(name for name, e in votes.items() if e.positives == 0 and e.negatives == 0)
    measured = {name: evidence for name, evidence in votes.items() if name not in silent}

    def auc(name: str, area: float, evidence: Evidence) -> SiteFigure:
        m, n = evidence.positives, evidence.negatives
        known = m > 0 and n > 0 and 0 <= area <= 1
        variance = hanley_mcneil_variance(area, m, n) if known else 0.0
        return SiteFigure(name, area, variance, m, n)

    heads = [auc(name, e.auc_head, e) for name, e in measured.items()]
    candidates = [auc(name, e.auc_candidate, e) for name, e in measured.items()]
    differences = [
        SiteFigure(name, e.auc_candidate - e.auc_head, e.variance, e.positives, e.negatives)
        for name, e in measured.items()
    ]
    head, candidate = (
        combine_aucs(
            figures,
            min_cases_per_class=min_cases_per_class,
            level=level,
            totals_known=totals_known,
        )
        for figures in (heads, candidates)
    )
    difference = combine_differences(
        differences,
        min_cases_per_class=min_cases_per_class,
        level=level,
        totals_known=totals_known,
    )
    return CombinedEvidence(head, candidate, difference, difference.suppressed, silent)
