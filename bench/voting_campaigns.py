"""Campaigns of 32 slots: what small losses add up to, and how many honest turns are lost.

As in :mod:`bench.voting_ballots`, and with the creep test: each partner keeps its scores of all
heads and compares the candidate with the one that it measured highest, by
:func:`cdistrim.policy.best_of`, as :mod:`cdistrim.voting` does. The partners take turns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.paired_scores import HoldOut, Site
from cdistrim.policy import BestHead, best_of, form_opinion, measure
from cdistrim.protocol import quorum_of
from cdistrim.spec import PolicyName, VotingSpec

__all__ = ["SLOTS", "STORIES", "CampaignResult", "Story", "measure_campaign"]

FloatArray = npt.NDArray[np.float64]

SLOTS = 32


@dataclass(frozen=True)
class Story:
    """Each candidate's true AUC is the head's plus ``step``; the first head has ``start``."""

    start: float
    step: float


STORIES = {
    "creep": Story(0.90, -0.02),
    "equal": Story(0.80, 0.0),
    "improving": Story(0.75, 0.005),
}


@dataclass(frozen=True)
class CampaignResult:
    """Of many campaigns of one kind: mean, and half of its 95 % interval (normal).

    Attributes:
        margin: None where there was no creep test.
        refused: Share of the 32 slots that were lost.
        auc: True AUC of the last head.
    """

    story: str
    partners: int
    holdout: HoldOut
    policy: PolicyName
    alpha: float
    margin: float | None
    floor: float
    liar: bool
    campaigns: int
    refused: float
    refused_reach: float
    auc: float
    auc_reach: float


def measure_campaign(
    story: str,
    partners: int,
    holdout: HoldOut,
    voting: VotingSpec,
    *,
    creep_test: bool = True,
    liar: bool = False,
    campaigns: int,
    seed: int,
) -> CampaignResult:
    """Run ``campaigns`` of them.

    Args:
        story: A key of :data:`STORIES`.
        partners: All evaluate.
        holdout: Each partner's.
        voting: The rule.
        creep_test: Without it the candidate is compared with the head only.
        liar: Whether the last partner says yes to everything.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng([seed, partners, holdout.positives, holdout.negatives])
    told = STORIES[story]
    ends = np.array(
        [_run(told, partners, holdout, voting, creep_test, liar, rng) for _ in range(campaigns)]
    )
    reach = 1.96 * ends.std(axis=0, ddof=1) / np.sqrt(campaigns)
    refused, area = ends.mean(axis=0)
    return CampaignResult(
        story=story,
        partners=partners,
        holdout=holdout,
        policy=voting.policy,
        alpha=voting.alpha,
        margin=voting.margin if creep_test and voting.policy is PolicyName.DELONG else None,
        floor=voting.auc_floor,
        liar=liar,
        campaigns=campaigns,
        refused=float(refused),
        refused_reach=float(reach[0]),
        auc=float(area),
        auc_reach=float(reach[1]),
    )


@dataclass
class _Partner:
    """A partner's cases, its scores of the head, and every head that it measured."""

    site: Site
    head: FloatArray
    heads: list[BestHead] = field(default_factory=list)

    def best(self, head: int) -> BestHead | None:
        best = best_of(self.heads)
        return None if best is None or best.slot == head else best


def _run(
    story: Story,
    partners: int,
    holdout: HoldOut,
    voting: VotingSpec,
    creep_test: bool,
    liar: bool,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Share of refused slots, and the last head's true AUC. Slot 0 brought the first head."""
    area, head, refused = story.start, 0, 0
    consortium = []
    for site in (Site(holdout, rng) for _ in range(partners)):
        scores = site.scores(area)
        first = measure(site.labels, scores, scores).auc_candidate
        consortium.append(_Partner(site, scores, [BestHead(0, first, scores)]))
    for slot in range(1, SLOTS + 1):
        trainer = (slot - 1) % partners
        aimed = min(area + story.step, 0.99)
        candidate = [one.site.scores(aimed) for one in consortium]
        yes, found = 1, []
        for number, (one, scores) in enumerate(zip(consortium, candidate, strict=True)):
            if number == trainer:
                found.append(measure(one.site.labels, one.head, scores).auc_candidate)
                continue
            best = one.best(head) if creep_test else None
            opinion = form_opinion(voting, one.site.labels, one.head, scores, best=best)
            found.append(opinion.evidence.auc_candidate)
            yes += opinion.approve or (liar and number == partners - 1)
        if yes < quorum_of(partners):
            refused += 1
            continue
        area, head = aimed, slot
        for one, scores, measured in zip(consortium, candidate, found, strict=True):
            one.head = scores
            one.heads.append(BestHead(slot, measured, scores))
    return refused / SLOTS, area
