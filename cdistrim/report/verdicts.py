"""What became of slots and of the campaign, in plain words, and the AUCs that the words rest on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from cdistrim.protocol import Evidence, SkipReason
from cdistrim.report import wording
from cdistrim.report.figures import (
    AucBasis,
    IntervalFigure,
    NonInferiority,
    SlotFigure,
    SlotOutcome,
    Totals,
    VoteFigure,
)
from cdistrim.report.measured import Measured
from cdistrim.report.sentences import SKIP_WORDS
from cdistrim.statistics import Combination, combine_evidence

__all__ = ["headline", "slot_aucs", "slot_verdict"]


def slot_aucs(
    votes: Sequence[VoteFigure], measured: tuple[IntervalFigure, IntervalFigure] | None
) -> tuple[IntervalFigure | None, IntervalFigure | None, AucBasis | None]:
    """AUC before and after a slot, and on what they rest.

    The evaluators' hold-outs are combined by size (:mod:`cdistrim.statistics.combination`). The
    trainer's own figure counts only where nobody else measured: it is the claim to be judged.
    """
    if measured is not None:
        return (*measured, AucBasis.TEST_SET)
    for trainer, basis in ((False, AucBasis.EVALUATORS), (True, AucBasis.TRAINER)):
        evidence = {v.voter: e for v in votes if v.trainer is trainer and (e := _evidence(v))}
        if evidence:
            found = combine_evidence(evidence, min_cases_per_class=1)
            return _interval(found.head), _interval(found.candidate), basis
    return None, None, None


def slot_verdict(
    outcome: SlotOutcome,
    reason: SkipReason,
    *,
    tally: str,
    seen: tuple[IntervalFigure | None, IntervalFigure | None, AucBasis | None],
    owner: str,
    head: str,
) -> str:
    """A slot's verdict with its reason.

    Args:
        outcome: How the slot ended.
        reason: The ledger's reason for a skip.
        tally: The upload ballot's votes in words.
        seen: AUC before and after as the vote knew them, and whose figures these were.
        owner: The partner's name.
        head: What the restored head is called.
    """
    before, after, basis = seen
    change = ""
    if before is not None and after is not None:
        whose = "as the trainer reported" if basis is AucBasis.TRAINER else "as the voters measured"
        change = f": AUC {wording.auc(before.value)} → {wording.auc(after.value)} {whose}"
    if outcome is SlotOutcome.ACCEPTED:
        return f"Accepted with {tally}{change}."
    if outcome is SlotOutcome.REFUSED:
        return f"Refused with {tally}{change}. {owner} was skipped and {head} restored."
    if outcome is SlotOutcome.SKIPPED:
        return f"{owner} was skipped: {SKIP_WORDS[reason]}."
    return "Not ended when this report was written."


def headline(totals: Totals, slots: Sequence[SlotFigure], measured: Measured) -> tuple[str, ...]:
    """The campaign's verdict, a sentence each: slots, refusals, test results, comparison."""
    sentences = [_progress(totals)]
    for outcome, words in (
        (SlotOutcome.REFUSED, "refused {} by the vote and skipped; the head was restored"),
        (SlotOutcome.SKIPPED, "skipped {} without a verdict on a model"),
    ):
        counts = Counter(slot.partner for slot in slots if slot.outcome is outcome)
        for times in sorted(set(counts.values()), reverse=True):
            names = [name for name, n in counts.items() if n == times]
            verb = "was" if len(names) == 1 else "were each"
            what = words.format(wording.times(times))
            sentences.append(f"{wording.sentence_list(names)} {verb} {what}.")
    if measured.sabotaged:
        name = wording.printable(measured.sabotaged)
        sentences.append(f"The training labels of {name} were flipped on purpose, as a test.")
    sentences += _results(measured)
    return tuple(sentences)


def _progress(totals: Totals) -> str:
    verb = "was" if totals.accepted == 1 else "were"
    text = f"{totals.accepted} of {totals.planned} partner iterations {verb} accepted"
    left = totals.planned - totals.accepted - totals.refused - totals.skipped
    return f"{text}; {left} had not ended when this report was written." if left else f"{text}."


def _results(measured: Measured) -> list[str]:
    sequential, central, comparison = measured.sequential, measured.central, measured.comparison
    sentences = []
    if sequential is not None:
        against = (
            f"; central training on pooled data reaches {_auc(central.auc)}" if central else ""
        )
        cases = wording.count(sequential.positives + sequential.negatives)
        sentences.append(
            f"On {cases} untouched test cases the final model has an AUC of "
            f"{_auc(sequential.auc)}{against}."
        )
    if comparison is not None:
        difference, margin = comparison.difference, f"{comparison.margin:g}"
        verdict = {
            NonInferiority.SHOWN: f"not inferior to central training at the margin of {margin}",
            NonInferiority.NOT_SHOWN: f"non-inferiority at the margin of {margin} is not shown",
            NonInferiority.INFERIOR: f"inferior to central training by more than {margin}",
        }[comparison.verdict]
        sentences.append(
            f"The difference is {wording.signed(difference.value)} "
            f"({wording.signed(difference.low)} to {wording.signed(difference.high)}, DeLong "
            f"{wording.p_value(comparison.p_value)}): {verdict}."
        )
    return sentences


def _auc(figure: IntervalFigure) -> str:
    return wording.auc_with_interval(figure.value, figure.low, figure.high)


def _evidence(vote: VoteFigure) -> Evidence | None:
    """What a voter measured, if it can be: a ledger takes any figures."""
    figures = (vote.auc_head, vote.auc_candidate, vote.variance, vote.positives, vote.negatives)
    head, candidate, variance, positives, negatives = figures
    if (
        head is None
        or candidate is None
        or variance is None
        or not positives
        or not negatives
        or not (0 <= head <= 1 and 0 <= candidate <= 1 and 0 <= variance < math.inf)
    ):
        return None
    return Evidence(head, candidate, variance, positives, negatives)


def _interval(found: Combination) -> IntervalFigure:
    return IntervalFigure(found.value, found.low, found.high)
