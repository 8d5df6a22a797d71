"""The vote is decided here: the one place where a verdict is formed. No I/O.

An upload ballot, in this order; the first rule that is broken is the reason of the refusal:

1. **Hard checks.** Architecture, shapes and finite weights (:mod:`cdistrim.weights`), size of the
   update (:func:`check_update`), finite scores. No AUC can make up for them.
2. **Worse than the head.** ``strict`` (the paper, section III): refused if the AUC is lower than
   the head's; improved or unchanged passes. ``delong``: refused if it is *significantly* lower,
   that is if the one-sided p of DeLong's paired test is below ``alpha``. So an equal model is
   refused by one evaluator with probability ``alpha``, whatever its number of cases; how much worse
   a model has to be to be noticed depends on that number. How often a ballot is right by this rule,
   and why the default is what it is: ``docs/voting.md``. Proving non-inferiority instead
   (:func:`cdistrim.statistics.non_inferiority`) would refuse most equal models on 50 cases: it is
   for a study's conclusion, not for a vote.
3. **Creep** (``delong`` only). Steps too small to be noticed add up, so the candidate is also
   tested against the best head accepted so far: refused if it is significantly lower, at the same
   ``alpha``, than that head's AUC minus ``margin``. The margin is for the whole campaign, never per
   step. It is there because the best of many heads on one hold-out looks better than it is: without
   it, honest models would be refused more often the longer a campaign runs. What 32 slots that each
   lose 0.02 come to, with and without this test: ``docs/voting.md``.
4. **Floor.** The point estimate has to lie above ``auc_floor``. The floor itself does not pass:
   with 0.5 that is the model which gives every case the same score, and after a random genesis
   model it would be "not worse" for ever. A floor of 0 switches the rule off (pure replicas).

With more than two classes the AUC is the mean of each class against the rest, the variance that of
two models' paired difference (:func:`cdistrim.statistics.macro_delong_test`); the evidence's
positives are the cases of the smallest class, its negatives all others.

Figures are rounded as the ledger keeps them *before* they are judged, so that rules 2 and 4 can be
recomputed from the ledger by anybody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cdistrim.errors import DataError, ModelRejectedError
from cdistrim.protocol import Evidence
from cdistrim.report.wording import sentence_list
from cdistrim.spec import PolicyName, VotingSpec
from cdistrim.statistics import (
    class_counts,
    delong_test,
    hanley_mcneil_variance,
    macro_delong_test,
    z_score,
)

__all__ = [
    "KEY_REST_S",
    "NO_EVIDENCE",
    "BestHead",
    "FetchFacts",
    "FetchOpinion",
    "FetchReason",
    "Opinion",
    "Reason",
    "RequestOpinion",
    "RestoreFacts",
    "best_of",
    "check_update",
    "form_fetch_opinion",
    "form_opinion",
    "form_request_opinion",
    "form_restore_opinion",
    "judge_reported",
    "may_evaluate",
    "measure",
    "refuse_hard",
]

AUC_DECIMALS = 9
VARIANCE_DECIMALS = 18

KEY_REST_S = 600
"""Seconds for which nothing is granted to somebody who has just replaced its sealing key: who stole
an account could do that, and its owner shall have time to notice."""

NO_EVIDENCE = Evidence(auc_head=0.0, auc_candidate=0.0, variance=0.0, positives=0, negatives=0)
"""Evidence of a vote that rests on no measurement."""


class Reason(Enum):
    """Why a voter approves or refuses a candidate."""

    NOT_WORSE = "not worse than the head"
    """The only reason to approve."""
    HARD_CHECK = "failed a hard check"
    SCORES_NOT_FINITE = "gives scores that are not finite"
    WORSE = "worse than the head"
    CREEP = "too far below the best head so far"
    BELOW_FLOOR = "not above the AUC floor"
    TOO_FEW_CASES = "reported on too few cases"
    IMPLAUSIBLE = "reported figures that can't be"


@dataclass(frozen=True)
class Opinion:
    """A voter's verdict on a candidate. ``sentence`` has figures, but nothing about a case."""

    approve: bool
    reason: Reason
    sentence: str
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class BestHead:
    """The best head that a campaign has accepted so far, on the hold-out of whoever judges.

    Attributes:
        slot: Number of the slot that brought it; 0 is the genesis model.
        auc: Its AUC there, in [0, 1].
        scores: Its scores there, shape (cases,), if they are still known. Without them its AUC
            counts as independent of the candidate's, which makes the creep test slower to refuse.
    """

    slot: int
    auc: float
    scores: npt.ArrayLike | None = None


def best_of(heads: Iterable[BestHead]) -> BestHead | None:
    """The accepted head with the highest AUC, the earliest of equals; None if there is none."""
    return max(heads, key=lambda head: (head.auc, -head.slot), default=None)


def may_evaluate(y_true: npt.ArrayLike, voting: VotingSpec, *, classes: int = 2) -> bool:
    """Whether a hold-out has enough cases of every class for the evaluator's role.

    Raises:
        DataError: Labels of no class, or none at all.
    """
    return min(_counts(y_true, classes)) >= voting.min_cases_per_class


def check_update(update_ratio: float, voting: VotingSpec) -> None:
    """Hard check of an update's size (rule 1), in units of the head's norm; NaN never passes.

    Raises:
        ModelRejectedError: The ratio is beyond ``max_update_ratio``; see :func:`refuse_hard`.
    """
    if not update_ratio <= voting.max_update_ratio:
        raise ModelRejectedError(
            f"The update is {update_ratio:.3g} times as large as the head;"
            f" at most {voting.max_update_ratio:.3g} is allowed.",
            hint="Nobody should accept this model; look at the trainer's data and learning rate.",
        )


def refuse_hard(error: ModelRejectedError) -> Opinion:
    """The opinion on a candidate that failed a hard check (rule 1)."""
    return Opinion(False, Reason.HARD_CHECK, f"Failed a hard check: {error.what}", NO_EVIDENCE)


def measure(
    y_true: npt.ArrayLike, head_scores: npt.ArrayLike, candidate_scores: npt.ArrayLike
) -> Evidence:
    """Head and candidate on the same cases, rounded as the ledger keeps it.

    Args:
        y_true: Labels, shape (cases,), two or more of each class. Scores have this shape, or
            (cases, classes).
        head_scores: The head's scores, same shape.
        candidate_scores: The candidate's scores, same shape and order.

    Raises:
        DataError: The input can't be judged; see :func:`cdistrim.statistics.delong_test`.
    """
    classes = _classes_of(candidate_scores)
    paired_test = delong_test if classes == 2 else macro_delong_test
    test = paired_test(y_true, candidate_scores, head_scores)
    counts = _counts(y_true, classes)
    # With two classes the positive ones are class 1, also where they are the larger class.
    positives = counts[1] if classes == 2 else min(counts)
    return Evidence(
        auc_head=round(test.auc_b, AUC_DECIMALS),
        auc_candidate=round(test.auc_a, AUC_DECIMALS),
        variance=round(test.variance, VARIANCE_DECIMALS),
        positives=positives,
        negatives=sum(counts) - positives,
    )


def _counts(y_true: npt.ArrayLike, classes: int) -> tuple[int, ...]:
    """Cases of each class, from class 0 on."""
    if classes == 2:
        positives, negatives = class_counts(y_true)
        return negatives, positives
    return tuple(np.bincount(np.asarray(y_true, dtype=np.int64), minlength=classes).tolist())


def _classes_of(scores: npt.ArrayLike) -> int:
    array = np.asarray(scores)
    return int(array.shape[1]) if array.ndim == 2 else 2


def form_opinion(
    voting: VotingSpec,
    y_true: npt.ArrayLike,
    head_scores: npt.ArrayLike,
    candidate_scores: npt.ArrayLike,
    *,
    best: BestHead | None,
) -> Opinion:
    """An evaluator's opinion from its own hold-out (mode ``holdout``), after the hard checks.

    Args:
        voting: The campaign's rules.
        y_true: Labels of the hold-out, shape (cases,).
        head_scores: The head's scores, same shape, or (cases, classes).
        candidate_scores: The candidate's scores, same shape as the head's.
        best: The best head accepted so far on this hold-out; None skips the creep test.

    Raises:
        DataError: The hold-out is too small for the evaluator's role, the lengths differ, or the
            head's scores are not finite.
    """
    classes = _classes_of(head_scores)
    if not may_evaluate(y_true, voting, classes=classes):
        counts = _counts(y_true, classes)
        told = (
            f"{counts[1]} positive and {counts[0]} negative cases"
            if classes == 2
            else f"{sentence_list([str(count) for count in counts])} cases of the classes"
        )
        raise DataError(
            f"A hold-out of {told} can't judge;"
            f" the spec asks for {voting.min_cases_per_class} of each.",
            hint="Enrol without the evaluator's role.",
        )
    candidate = np.asarray(candidate_scores)
    finite = np.isfinite(candidate) if candidate.dtype.kind == "f" else np.ones(1, dtype=bool)
    broken = int(np.count_nonzero(~finite.reshape(len(finite), -1).all(axis=1)))
    if broken:
        return Opinion(
            False,
            Reason.SCORES_NOT_FINITE,
            f"The candidate gives {broken} of {len(candidate)} cases a score that is not finite.",
            NO_EVIDENCE,
        )
    evidence = measure(y_true, head_scores, candidate)
    rival = None
    if best is not None and best.scores is not None:
        paired = measure(y_true, best.scores, candidate)
        rival = _Rival(best.slot, paired.auc_head, paired.variance)
    elif best is not None:
        rival = _unpaired_rival(evidence, best.slot, best.auc)
    return _judge(voting, evidence, rival)


def judge_reported(
    voting: VotingSpec, evidence: Evidence, *, best: BestHead | None = None
) -> Opinion:
    """A voter's opinion on what the trainer reports of the agreed validation set (``reported``).

    Besides the rules, figures that no scores can give are refused: otherwise a large variance
    would pass any model. DeLong's variance of one AUC A is at most
    ``A (1 - A) (1 / (m - 1) + 1 / (n - 1))``, that of a difference at most the squared sum of the
    two standard deviations.

    Args:
        voting: The campaign's rules.
        evidence: As in the record on the ledger.
        best: The accepted record with the highest reported AUC; its scores are not used.
    """
    if min(evidence.positives, evidence.negatives) < voting.min_cases_per_class:
        return Opinion(
            False,
            Reason.TOO_FEW_CASES,
            f"Reported on {evidence.positives} + {evidence.negatives} cases;"
            f" the spec asks for {voting.min_cases_per_class} of each class.",
            evidence,
        )
    if not _plausible(evidence):
        return Opinion(
            False,
            Reason.IMPLAUSIBLE,
            f"No scores on {evidence.positives} + {evidence.negatives} cases can give the reported"
            f" AUCs {evidence.auc_head:.3f} and {evidence.auc_candidate:.3f}"
            f" with variance {evidence.variance:.3g}.",
            evidence,
        )
    rival = None if best is None else _unpaired_rival(evidence, best.slot, best.auc)
    return _judge(voting, evidence, rival)


@dataclass(frozen=True)
class _Rival:
    """The best head of the campaign, and the variance of (candidate - best)."""

    slot: int
    auc: float
    variance: float


def _unpaired_rival(evidence: Evidence, slot: int, area: float) -> _Rival:
    variance = sum(
        hanley_mcneil_variance(one, evidence.positives, evidence.negatives)
        for one in (evidence.auc_candidate, area)
    )
    return _Rival(slot, area, variance)


def _judge(voting: VotingSpec, evidence: Evidence, rival: _Rival | None) -> Opinion:
    """Rules 2 to 4 on rounded evidence."""
    difference = evidence.auc_candidate - evidence.auc_head
    told = (
        f"AUC {evidence.auc_candidate:.3f} against the head's {evidence.auc_head:.3f}"
        f" on {evidence.positives} + {evidence.negatives} cases"
    )
    if voting.policy is PolicyName.STRICT:
        worse, grounds = difference < 0, "strict rule"
    else:
        p_worse = float(ndtr(z_score(difference, evidence.variance)))
        worse = p_worse < voting.alpha
        grounds = f"one-sided DeLong p = {p_worse:.3g}, alpha {voting.alpha:g}"
    if worse:
        return Opinion(False, Reason.WORSE, f"{told}: worse ({grounds}).", evidence)
    if voting.policy is PolicyName.DELONG and rival is not None:
        lost = rival.auc - evidence.auc_candidate
        p_creep = float(ndtr(z_score(voting.margin - lost, rival.variance)))
        if p_creep < voting.alpha:
            return Opinion(
                False,
                Reason.CREEP,
                f"{told}: {lost:.3f} below the best head so far (slot {rival.slot}, AUC"
                f" {rival.auc:.3f}), more than the campaign's margin of {voting.margin:g}"
                f" (one-sided p = {p_creep:.3g}, alpha {voting.alpha:g}).",
                evidence,
            )
    if voting.auc_floor > 0 and evidence.auc_candidate <= voting.auc_floor:
        return Opinion(
            False,
            Reason.BELOW_FLOOR,
            f"{told}: not above the floor of {voting.auc_floor:g}.",
            evidence,
        )
    return Opinion(True, Reason.NOT_WORSE, f"{told}: not worse ({grounds}).", evidence)


def _plausible(evidence: Evidence) -> bool:
    areas = (evidence.auc_head, evidence.auc_candidate)
    if not all(0 <= area <= 1 for area in areas) or not 0 <= evidence.variance < math.inf:
        return False
    cases = 1 / (evidence.positives - 1) + 1 / (evidence.negatives - 1)
    rounding = 2 * 10.0**-AUC_DECIMALS
    deviations = sum(math.sqrt((area * (1 - area) + rounding) * cases) for area in areas)
    return evidence.variance <= deviations**2


class FetchReason(Enum):
    """Why a voter grants or refuses a fetch; protocol, "On what grounds a fetch is refused"."""

    GRANTED = "nothing speaks against it"
    NOT_ITS_TURN = "it is not the requester's turn"
    SPEC_NOT_APPROVED = "the campaign's spec is not approved at this site"
    HEAD_NOT_INTACT = "the head's object is missing or its hash is wrong"
    KEY_JUST_ROTATED = "the requester's key was rotated moments ago"
    OPERATOR_VETO = "the local operator said no"


@dataclass(frozen=True, kw_only=True)
class FetchFacts:
    """What a voter found out before it votes on a fetch.

    Attributes:
        owners_turn: The requester owns the open slot.
        spec_approved: The spec's hash is the ledger's and was approved at this site.
        head_intact: The head's object is in the store and has the ledger's hash.
        head_fault: Otherwise: which object failed, and how.
        key_just_rotated: The requester's sealing key changed moments ago.
        operator_veto: The local operator refuses this fetch.
    """

    owners_turn: bool
    spec_approved: bool
    head_intact: bool
    head_fault: str = ""
    key_just_rotated: bool = False
    operator_veto: bool = False


@dataclass(frozen=True)
class FetchOpinion:
    """A voter's verdict on a fetch; ``sentence`` gives every ground, ``reason`` the first."""

    approve: bool
    reason: FetchReason
    sentence: str


def form_fetch_opinion(facts: FetchFacts) -> FetchOpinion:
    """Grant a fetch unless something speaks against it (protocol)."""
    grounds = [
        reason
        for reason, holds in (
            (FetchReason.NOT_ITS_TURN, not facts.owners_turn),
            (FetchReason.SPEC_NOT_APPROVED, not facts.spec_approved),
            (FetchReason.HEAD_NOT_INTACT, not facts.head_intact),
            (FetchReason.KEY_JUST_ROTATED, facts.key_just_rotated),
            (FetchReason.OPERATOR_VETO, facts.operator_veto),
        )
        if holds
    ]
    if not grounds:
        return FetchOpinion(True, FetchReason.GRANTED, "Granted: nothing speaks against it.")
    detail = {FetchReason.HEAD_NOT_INTACT: facts.head_fault}
    told = "; ".join(
        f"{reason.value} ({detail[reason]})" if detail.get(reason) else reason.value
        for reason in grounds
    )
    return FetchOpinion(False, grounds[0], f"Refused: {told}.")


@dataclass(frozen=True, kw_only=True)
class RestoreFacts:
    """What a voter found out itself about the head, before it votes on going back behind it.

    Attributes:
        spec_approved: The campaign's spec was approved at this site.
        head_fault: Which object of the head is missing or altered in the store, and how; empty if
            all are whole.
        own_share_bad: This site is a holder, but has no share of the head that fits the capsule.
        failed_itself: This site failed to open or to reproduce the head in a slot of its own.
        too_few_released: A grant stands for half of its time, and fewer holders than needed have
            released anything.
    """

    spec_approved: bool
    head_fault: str
    own_share_bad: bool
    failed_itself: bool
    too_few_released: bool


@dataclass(frozen=True)
class RequestOpinion:
    """A voter's verdict on a request that is no slot's."""

    approve: bool
    sentence: str


def form_restore_opinion(facts: RestoreFacts) -> RequestOpinion:
    """Go back behind the head only if this site has found itself that it can't be opened."""
    if not facts.spec_approved:
        return RequestOpinion(False, "Refused: the campaign's spec is not approved at this site.")
    grounds = [
        told
        for told, holds in (
            (f"its object or capsule is damaged ({facts.head_fault})", facts.head_fault),
            ("this site's share of its key does not open", facts.own_share_bad),
            ("this site failed itself to open it", facts.failed_itself),
            ("too few holders have released a share", facts.too_few_released),
        )
        if holds
    ]
    if grounds:
        return RequestOpinion(True, f"Approved, the head can't be opened: {'; '.join(grounds)}.")
    return RequestOpinion(False, "Refused: nothing that this site sees is wrong with the head.")


def form_request_opinion(
    *, spec_approved: bool, key_published: bool, key_just_rotated: bool
) -> RequestOpinion:
    """Let a member join, or open the final model: a majority has admitted it to the consortium."""
    for told, holds in (
        ("the campaign's spec is not approved at this site", not spec_approved),
        ("the member has published no sealing key", not key_published),
        ("the member's sealing key was rotated moments ago", key_just_rotated),
    ):
        if holds:
            return RequestOpinion(False, f"Refused: {told}.")
    return RequestOpinion(True, "Granted: nothing speaks against it.")
