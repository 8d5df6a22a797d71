"""One upload ballot, many times: how often it accepts a candidate, by the library's own rule.

Every vote is :func:`cdistrim.policy.form_opinion` of an evaluator with a hold-out of its own, on a
head of AUC 0.80 that is the best so far. The same figures are then judged by the other rules
(:func:`cdistrim.policy.judge_reported`: what anybody recomputes from a vote's evidence). Votes are
counted as the contract counts them: the electorate is the evaluators and the trainer, whose request
is its yes, and :func:`cdistrim.protocol.quorum_of` says how many it takes. Who is silent until the
deadline counts as one who says no.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from bench.paired_scores import HoldOut, Site
from cdistrim.policy import form_opinion, judge_reported
from cdistrim.protocol import quorum_of
from cdistrim.spec import PolicyName, VotingSpec

__all__ = [
    "ABSTAINING",
    "ALPHAS",
    "BALANCED",
    "BETWEEN",
    "CANDIDATES",
    "CHOSEN",
    "HEAD_AUC",
    "UNBALANCED",
    "WHOLE",
    "BallotResult",
    "Cast",
    "Group",
    "Rate",
    "form_opinions",
    "measure_ballots",
]

BoolArray = npt.NDArray[np.bool_]

HEAD_AUC = 0.80
ALPHAS = (0.05, 0.10, 0.20)
CHOSEN = VotingSpec().alpha
"""The default, which these figures have justified."""
CANDIDATES = {
    "+0.05": 0.85,
    "+0.02": 0.82,
    "0": 0.80,
    "-0.02": 0.78,
    "-0.05": 0.75,
    "-0.10": 0.70,
    "-0.15": 0.65,
    "random": 0.50,
    "flipped": 0.20,
}
"""Candidates by how they differ from the head, and their true AUC: ``random`` was trained on labels
drawn by lot, ``flipped`` on wrong ones."""

ASKED_MORE = ("0", "-0.10")
"""Candidates for which a quorum of one more than the majority is counted, too, and groups of whom
some don't evaluate."""

BALANCED = (HoldOut(10, 10), HoldOut(25, 25), HoldOut(50, 50))
BETWEEN = (HoldOut(15, 15), HoldOut(20, 20))
UNBALANCED = (HoldOut(10, 40), HoldOut(20, 80))


class Cast(StrEnum):
    """Who is among the evaluators, the trainer aside."""

    HONEST = "all honest"
    LIAR = "one always yes"
    VETOER = "one always no"


@dataclass(frozen=True)
class Group:
    """Partners of a campaign; those that don't evaluate have too few cases for it."""

    partners: int
    evaluators: int
    trainer_evaluates: bool = True

    @property
    def others(self) -> int:
        """Evaluators that vote on the trainer's candidate."""
        return self.evaluators - self.trainer_evaluates

    @property
    def electorate(self) -> int:
        """Who votes on an upload: the trainer in any case."""
        return self.others + 1


WHOLE = tuple(Group(partners, partners) for partners in (3, 4, 7, 15))
ABSTAINING = tuple(
    Group(partners, evaluators, trainer)
    for partners, evaluators in ((4, 3), (4, 2), (7, 4), (15, 8))
    for trainer in (True, False)
)


@dataclass(frozen=True)
class Rate:
    """Accepted of so many, with a 95 % interval (Wilson), all in [0, 1]."""

    accepted: int
    ballots: int

    @property
    def value(self) -> float:
        """The share that was accepted."""
        return self.accepted / self.ballots

    @property
    def interval(self) -> tuple[float, float]:
        """Where it would come to lie with ever more ballots, with 95 % confidence."""
        low, high = binomtest(self.accepted, self.ballots).proportion_ci(method="wilson")
        return float(low), float(high)


@dataclass(frozen=True)
class BallotResult:
    """Ballots of one kind. ``quorum`` is how many yes they took, the trainer's included."""

    holdout: HoldOut
    candidate: str
    policy: PolicyName
    alpha: float
    group: Group
    cast: Cast
    quorum: int
    rate: Rate


def measure_ballots(
    holdout: HoldOut, candidates: Sequence[str], *, votes: int, seed: int
) -> Iterator[BallotResult]:
    """All groups, casts and rules for one size of hold-out.

    Args:
        holdout: Each evaluator's.
        candidates: Keys of :data:`CANDIDATES`.
        votes: Opinions that are formed of each candidate. The same ones serve all groups: of 15
            partners they make a fourteenth as many ballots.
        seed: Of the random numbers.
    """
    for candidate in candidates:
        for rule, verdicts in form_opinions(holdout, candidate, votes=votes, seed=seed).items():
            for group, asked in _ballots(candidate, rule):
                for cast in Cast:
                    yield BallotResult(
                        holdout,
                        candidate,
                        rule.policy,
                        rule.alpha,
                        group,
                        cast,
                        quorum_of(group.electorate, asked),
                        _count(verdicts, group, cast, asked),
                    )


def form_opinions(
    holdout: HoldOut, candidate: str, *, votes: int, seed: int
) -> dict[VotingSpec, BoolArray]:
    """What ``votes`` evaluators think of a candidate, by each rule; shape (votes,)."""
    # The hold-outs here are as small as they are: whether they may vote is not the question.
    rules = [VotingSpec(alpha=alpha, min_cases_per_class=2) for alpha in ALPHAS]
    rules.append(VotingSpec(policy=PolicyName.STRICT, min_cases_per_class=2))
    rng = np.random.default_rng(
        [seed, holdout.positives, holdout.negatives, list(CANDIDATES).index(candidate)]
    )
    verdicts = {rule: np.zeros(votes, dtype=bool) for rule in rules}
    for number in range(votes):
        site = Site(holdout, rng)
        head, scores = site.scores(HEAD_AUC), site.scores(CANDIDATES[candidate])
        opinion = form_opinion(rules[0], site.labels, head, scores, best=None)
        verdicts[rules[0]][number] = opinion.approve
        for rule in rules[1:]:
            verdicts[rule][number] = judge_reported(rule, opinion.evidence).approve
    return verdicts


def _ballots(candidate: str, rule: VotingSpec) -> Iterator[tuple[Group, int]]:
    """Groups, with the quorum that the spec asks for (0: none but a strict majority)."""
    yield from ((group, 0) for group in WHOLE)
    if candidate not in ASKED_MORE:
        return
    yield from ((group, quorum_of(group.partners) + 1) for group in WHOLE)
    if rule.policy is PolicyName.DELONG and rule.alpha == CHOSEN:
        yield from ((group, 0) for group in ABSTAINING)


def _count(verdicts: BoolArray, group: Group, cast: Cast, asked: int) -> Rate:
    honest = group.others - (cast is not Cast.HONEST)
    given = 1 + (cast is Cast.LIAR)
    ballots = len(verdicts) // max(honest, 1)
    yes = given + verdicts[: ballots * honest].reshape(ballots, honest).sum(axis=1)
    return Rate(int(np.count_nonzero(yes >= quorum_of(group.electorate, asked))), ballots)
