"""What became of slots and of the campaign, in plain words, and the AUCs that the words rest on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from cdistrim.protocol import SkipReason
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
from cdistrim.statistics import hanley_mcneil_variance

__all__ = ["headline", "slot_aucs", "slot_verdict"]

_Z95 = 1.959963984540054


def slot_aucs(
    votes: Sequence[VoteFigure], measured: tuple[IntervalFigure, IntervalFigure] | None
) -> tuple[IntervalFigure | None, IntervalFigure | None, AucBasis | None]:
    """AUC before and after a slot, and on what they rest.

    The evaluators' hold-outs are pooled as the mean of their AUCs weighted by pairs of cases; the
    interval is normal with Hanley and McNeil's variance (Radiology 143, 1982), clipped to [0, 1].
    The trainer's own figure counts only where nobody else measured: it is the claim to be judged.
    """
    if measured is not None:
        return (*measured, AucBasis.TEST_SET)
    others = [vote for vote in votes if not vote.trainer and vote.auc_head is not None]
    if others:
        return _pooled(others, head=True), _pooled(others, head=False), AucBasis.EVALUATORS
    own = [vote for vote in votes if vote.trainer and vote.auc_head is not None]
    if own:
        return _pooled(own, head=True), _pooled(own, head=False), AucBasis.TRAINER
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


def _pooled(votes: Sequence[VoteFigure], *, head: bool) -> IntervalFigure:
    figures = [
        (
            (vote.auc_head if head else vote.auc_candidate) or 0.0,
            vote.positives or 0,
            vote.negatives or 0,
        )
        for vote in votes
    ]
    pairs = sum(positives * negatives for _, positives, negatives in figures)
    value = sum(a * p * n for a, p, n in figures) / pairs
    variance = sum((p * n / pairs) ** 2 * hanley_mcneil_variance(a, p, n) for a, p, n in figures)
    reach = _Z95 * math.sqrt(variance)
    return IntervalFigure(value, max(0.0, value - reach), min(1.0, value + reach))
