"""How often a campaign's votes will be right, before it runs. No I/O.

For a candidate as good as the head, and for one whose AUC is lower by 0.10, the probability that an
upload ballot accepts it; the same with one evaluator that always says no, and with one that always
says yes. Assumed is what the bench of ``docs/voting.md`` simulates: a head of AUC 0.80 that is the
best so far, normal scores, those of two models correlated 0.8 in each class, cases of its own for
each evaluator.

An evaluator's yes is a normal approximation: the difference of two paired AUCs has its exact
variance under these assumptions, and DeLong's estimate of that variance counts as right. The
ballot is then counted as the contract does. ``tests/cdistrim/test_odds.py`` says how near this
comes to the simulation.

Sources: Hanley and McNeil, Radiology 143, 1982 (variance of an AUC); Bamber, Journal of
Mathematical Psychology 12, 1975 (its terms as probabilities); Owen, Annals of Mathematical
Statistics 27, 1956 (bivariate normal probabilities).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri, owens_t

from cdistrim.protocol import CampaignState, quorum_of
from cdistrim.spec import PolicyName, VotingMode, VotingSpec

if TYPE_CHECKING:
    from cdistrim.protocol import CampaignView
    from cdistrim.spec import CampaignSpec

__all__ = [
    "GOOD_EQUAL",
    "GOOD_EQUAL_VETOED",
    "GOOD_WORSE",
    "GOOD_WORSE_HELPED",
    "HEAD_AUC",
    "WORSE_BY",
    "HoldOut",
    "Odds",
    "Outlook",
    "acceptance",
    "approval",
    "outlook",
    "voting_odds",
]

HoldOut = tuple[int, int]
"""Positive and negative cases of an evaluator."""

HEAD_AUC = 0.80
WORSE_BY = 0.10
"""How much lower the AUC is of the candidate that should be refused."""
CORRELATION = 0.8

GOOD_EQUAL = 0.90
"""Good odds: a candidate as good as the head is accepted at least so often …"""
GOOD_WORSE = 0.10
"""… one that is worse by :data:`WORSE_BY` at most so often …"""
GOOD_EQUAL_VETOED = 0.75
"""… the good one at least so often although one evaluator always says no …"""
GOOD_WORSE_HELPED = 0.25
"""… and the worse one at most so often although one evaluator always says yes."""

_ALPHAS = (0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
_MOST_PARTNERS = 50
_MOST_CASES = 500
_MANY = 10**6
_FAR = 30.0


@dataclass(frozen=True)
class Odds:
    """Probabilities that an upload is accepted, averaged over the partners' turns, in [0, 1].

    Attributes:
        equal: Of a candidate with the head's AUC.
        worse: Of one whose AUC is lower by :data:`WORSE_BY`.
        equal_vetoed: As ``equal``, with one evaluator that always says no, or is silent.
        worse_helped: As ``worse``, with one evaluator that always says yes.
        tolerant: Whether four or more evaluate. In an electorate of three the trainer and one that
            always says yes decide, whatever the rule is; so nothing is asked of the last two then.
    """

    equal: float
    worse: float
    equal_vetoed: float
    worse_helped: float
    tolerant: bool

    @property
    def good(self) -> bool:
        """Whether they are, in whole tenths of a percent, as this module's constants ask for."""
        equal, worse, vetoed, helped = (
            round(each, 3)
            for each in (self.equal, self.worse, self.equal_vetoed, self.worse_helped)
        )
        honest = equal >= GOOD_EQUAL and worse <= GOOD_WORSE
        withstands = vetoed >= GOOD_EQUAL_VETOED and helped <= GOOD_WORSE_HELPED
        return honest and (withstands or not self.tolerant)


def voting_odds(voting: VotingSpec, holdouts: Sequence[HoldOut | None]) -> Odds:
    """The odds of an upload's ballot; ``holdouts`` as for :func:`acceptance`."""
    worse = HEAD_AUC - WORSE_BY
    return Odds(
        equal=acceptance(voting, holdouts, HEAD_AUC),
        worse=acceptance(voting, holdouts, worse),
        equal_vetoed=acceptance(voting, holdouts, HEAD_AUC, false_vote=False),
        worse_helped=acceptance(voting, holdouts, worse, false_vote=True),
        tolerant=sum(one is not None for one in holdouts) >= 4,
    )


def acceptance(
    voting: VotingSpec,
    holdouts: Sequence[HoldOut | None],
    area: float,
    *,
    false_vote: bool | None = None,
) -> float:
    """Probability that a candidate is accepted, averaged over the partners' turns, in [0, 1].

    Args:
        voting: The campaign's rules, its quorum included.
        holdouts: One a partner, two to fifty: the size of its hold-out, None where it does not
            evaluate. In mode ``reported`` all partners vote on what the trainer measured on the
            common validation set, whose size they all get here; that it is honest is assumed.
        area: The candidate's true AUC, between 0 and 1.
        false_vote: What one evaluator other than the trainer votes whatever it measures, that one
            with whom it does most harm; None if all vote what they measure.
    """
    evaluators = [one for one in holdouts if one]
    total = 0.0
    # Turns of partners alike are alike.
    for trainer, turns in Counter(holdouts).items():
        others = list(evaluators)
        if trainer:
            others.remove(trainer)
        needed = quorum_of(len(others) + 1, voting.quorum or 0) - 1
        if false_vote is None:
            total += turns * _at_least(needed, voting, area, others)
            continue
        honest = ([*others[:i], *others[i + 1 :]] for i in map(others.index, set(others)))
        found = [_at_least(needed - false_vote, voting, area, rest) for rest in honest]
        total += turns * (max(found, default=0.0) if false_vote else min(found, default=0.0))
    return total / len(holdouts)


@lru_cache(maxsize=4096)
def approval(voting: VotingSpec, area: float, holdout: HoldOut) -> float:
    """Probability that one evaluator approves a candidate, in [0, 1].

    Args:
        voting: The campaign's rules.
        area: The candidate's true AUC, between 0 and 1.
        holdout: Positive and negative cases, one or more of each.
    """
    # A spec may ask for more cases than there are people, and for levels beyond any figure.
    positives, negatives = (min(cases, _MANY) for cases in holdout)
    pairs, sharing = positives * negatives, positives + negatives - 2

    def covariance(one: float, other: float, correlation: float) -> float:
        # Of two AUCs on the same cases. Two pairs of cases share both, or one of them.
        expected = float(ndtr(one) * ndtr(other))
        same = _both_below(one, other, correlation) - expected
        half = _both_below(one, other, correlation / 2) - expected
        return (same + sharing * half) / pairs

    head, candidate = float(ndtri(HEAD_AUC)), float(ndtri(area))
    own, common = covariance(candidate, candidate, 1.0), covariance(head, candidate, CORRELATION)
    deviation = math.sqrt(covariance(head, head, 1.0) + own - 2 * common)
    reach = (area - HEAD_AUC) / deviation
    if voting.policy is PolicyName.STRICT:
        # Differences are multiples of one pair of cases; none is a yes.
        reach += 0.5 / pairs / deviation
    else:
        reach += float(ndtri(1 - voting.alpha))
    reach = max(-_FAR, min(_FAR, reach))
    if voting.auc_floor == 0:
        return float(ndtr(reach))
    above = max(-_FAR, min(_FAR, (area - voting.auc_floor) / math.sqrt(own)))
    return _both_below(reach, above, (own - common) / deviation / math.sqrt(own))


def _both_below(one: float, other: float, correlation: float) -> float:
    """Probability that two standard normals, so correlated, lie below these (Owen)."""
    if correlation >= 1:
        return float(ndtr(min(one, other)))
    one, other = one or 1e-15, other or 1e-15
    root = math.sqrt(1 - correlation * correlation)
    found = (ndtr(one) + ndtr(other)) / 2
    found -= owens_t(one, (other - correlation * one) / (one * root))
    found -= owens_t(other, (one - correlation * other) / (other * root))
    return float(found - 0.5 * (one * other < 0))


def _at_least(needed: int, voting: VotingSpec, area: float, holdouts: Sequence[HoldOut]) -> float:
    """Probability that so many or more of these evaluators approve."""
    if needed <= 0:
        return 1.0
    if needed > len(holdouts):
        return 0.0
    chances = [approval(voting, area, one) for one in holdouts]
    if voting.mode is VotingMode.REPORTED:  # All judge the same figures, by the same rule.
        return chances[0]
    number_of_yes = np.ones(1)
    for chance in chances:
        number_of_yes = np.convolve(number_of_yes, (1 - chance, chance))
    return min(1.0, float(number_of_yes[needed:].sum()))


@dataclass(frozen=True)
class Outlook:
    """A campaign's odds, on what they rest, and which single changes would make them good."""

    odds: Odds
    assumed: str
    remedies: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """What an operator is told, a part of it a line."""
        odds = self.odds
        equal = (
            f"  A candidate as good as the head is accepted in {odds.equal:.0%}; although one "
            f"voter always says no, in {odds.equal_vetoed:.0%}."
        )
        worse = (
            f"  One whose AUC is lower by {WORSE_BY:.2f} is accepted in {odds.worse:.0%}; where "
            f"one voter always says yes, in {odds.worse_helped:.0%}."
        )
        told = [f"Odds of a vote, {self.assumed}:", equal, worse]
        if not odds.tolerant:
            told.append("  So few evaluators withstand no false vote, whatever the rule.")
        if odds.good:
            return tuple(told)
        told.append(
            f"WARNING: these odds are poor. Good ones: at least {GOOD_EQUAL:.0%} and "
            f"{GOOD_EQUAL_VETOED:.0%}, at most {GOOD_WORSE:.0%} and {GOOD_WORSE_HELPED:.0%}."
            if odds.tolerant
            else f"WARNING: these odds are poor. Good ones: at least {GOOD_EQUAL:.0%}, at most "
            f"{GOOD_WORSE:.0%}."
        )
        if self.remedies:
            told.append(f"  Any of these alone would give them: {'; '.join(self.remedies)}.")
        else:
            told.append("  No single change gives them: it takes more evaluators and more cases.")
        return tuple(told)


def outlook(spec: CampaignSpec, view: CampaignView | None = None) -> Outlook:
    """The odds of a campaign's votes, as far as spec and ledger tell.

    Args:
        spec: The campaign's.
        view: The campaign on the ledger; None before it is opened. The ledger says who evaluates,
            not on how many cases: each hold-out counts as the smallest that the spec allows, of two
            classes. Who has not enrolled yet counts as an evaluator.
    """
    least = spec.voting.min_cases_per_class
    if spec.voting.mode is VotingMode.REPORTED:
        partners = len(_evaluating(spec, view))
        judged: list[HoldOut | None] = [(least, least)] * partners
        assumed = (
            f"{partners} partners, all judge what the trainer reports of {least} + {least} "
            "validation cases; that it reports what it measured is taken for granted"
        )
    else:
        judged = [(least, least) if evaluates else None for evaluates in _evaluating(spec, view)]
        evaluators = len(judged) - judged.count(None)
        assumed = (
            f"{len(judged)} partners, {evaluators} evaluate, each on {least} + {least} cases, "
            "the fewest that the spec allows"
        )
    if spec.model.classes > 2:
        assumed += ", as if there were two classes"
    odds = voting_odds(spec.voting, judged)
    return Outlook(odds, assumed, () if odds.good else tuple(_remedies(spec.voting, judged)))


def _evaluating(spec: CampaignSpec, view: CampaignView | None) -> list[bool]:
    """One a partner: whether it evaluates, or may yet enrol as who does."""
    if view is None:
        return [True] * len(spec.order)
    if view.state is CampaignState.ENROLLING:
        found = [view.enrolment(account) for account in view.order]
        return [one is None or one.evaluator for one in found]
    return [one.evaluator for one in view.enrolments if one.voter]


def _remedies(voting: VotingSpec, judged: Sequence[HoldOut | None]) -> Iterator[str]:
    """Single changes that make the odds good, each the smallest of its kind."""
    if voting.policy is PolicyName.STRICT:
        delong = voting.model_copy(update={"policy": PolicyName.DELONG})
        if voting_odds(delong, judged).good:
            yield "voting.policy delong"
    else:
        nearest = sorted(_ALPHAS, key=lambda alpha: abs(alpha - voting.alpha))
        for alpha in nearest:
            if voting_odds(voting.model_copy(update={"alpha": alpha}), judged).good:
                yield f"voting.alpha {alpha:g}"
                break
    asked = quorum_of(len(judged), voting.quorum or 0)
    for quorum in range(asked + 1, len(judged) + 1):
        if voting_odds(voting.model_copy(update={"quorum": quorum}), judged).good:
            yield f"voting.quorum {quorum}, which every other ballot needs then, too"
            break
    least = voting.min_cases_per_class
    for cases in range(least + 1, _MOST_CASES):
        if voting_odds(voting, [one and (cases, cases) for one in judged]).good:
            yield f"hold-outs of {cases} cases of each class (voting.min_cases_per_class)"
            break
    for more in range(1, _MOST_PARTNERS - len(judged) + 1):
        if voting_odds(voting, [*judged, *[(least, least)] * more]).good:
            yield f"{more} more {'partner' if more == 1 else 'partners'} that evaluate"
            break
