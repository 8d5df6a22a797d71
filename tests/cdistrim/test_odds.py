"""The odds are those of the simulation, and of a ballot played with the library's own policy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.paired_scores import HoldOut, Site
from bench.voting_ballots import ABSTAINING, CANDIDATES, WHOLE, BallotResult, Cast
from bench.voting_counts import load
from cdistrim.odds import HEAD_AUC, WORSE_BY, Odds, acceptance, approval, outlook, voting_odds
from cdistrim.policy import form_opinion
from cdistrim.protocol import quorum_of
from cdistrim.spec import CampaignSpec, ModelSpec, PolicyName, VotingMode, VotingSpec
from tests.simulated import tiny_spec

COUNTED = Path(__file__).resolve().parents[2] / "bench" / "voting_ballots.csv"
ACCURACY, ELSEWHERE, ROUGHLY = 0.04, 0.05, 0.09
"""Farthest that the odds are from a simulated rate: by the default's level, by others, and by alpha
0.05 on few cases. ``docs/voting.md`` says so, too."""
FEW = 30
TYPICAL = 0.01
"""How far they are on average."""

FALSE_VOTE = {Cast.HONEST: None, Cast.LIAR: True, Cast.VETOER: False}


def rule_of(result: BallotResult) -> VotingSpec:
    """The rules by which these ballots were counted."""
    majority = quorum_of(result.group.electorate)
    return VotingSpec(
        policy=result.policy,
        alpha=result.alpha,
        min_cases_per_class=2,
        quorum=result.quorum if result.quorum > majority else None,
    )


def allowed(result: BallotResult) -> float:
    """How far the odds may be from this rate."""
    if result.policy is PolicyName.STRICT or result.alpha == VotingSpec().alpha:
        return ACCURACY
    return ROUGHLY if result.alpha < 0.1 and result.holdout.cases <= FEW else ELSEWHERE


def errors() -> Iterator[tuple[float, float]]:
    """How far the odds are from each rate of groups that all evaluate, and may be."""
    for result in load(COUNTED, BallotResult):
        if result.group not in WHOLE:
            continue
        size = (result.holdout.positives, result.holdout.negatives)
        expected = acceptance(
            rule_of(result),
            [size] * result.group.partners,
            CANDIDATES[result.candidate],
            false_vote=FALSE_VOTE[result.cast],
        )
        yield abs(expected - result.rate.value), allowed(result)


def test_the_odds_are_near_all_rates_of_the_bench() -> None:
    found = np.array(list(errors()))
    assert len(found) > 2000
    assert (found[:, 0] < found[:, 1]).all()
    assert found[:, 0].mean() < TYPICAL


def test_turns_of_evaluators_and_of_others_are_averaged() -> None:
    counted = {
        (one.group, one.cast, one.candidate): one.rate.value
        for one in load(COUNTED, BallotResult)
        if one.group in ABSTAINING and one.holdout == HoldOut(25, 25) and one.cast is Cast.HONEST
    }
    for group in ABSTAINING:
        if not group.trainer_evaluates:
            continue
        (other,) = (
            one
            for one in ABSTAINING
            if (one.partners, one.evaluators) == (group.partners, group.evaluators)
            and not one.trainer_evaluates
        )
        few = group.partners - group.evaluators
        for candidate in ("0", "-0.10"):
            one, two = (counted[each, Cast.HONEST, candidate] for each in (group, other))
            together = (group.evaluators * one + few * two) / group.partners
            expected = acceptance(
                VotingSpec(), [(25, 25)] * group.evaluators + [None] * few, CANDIDATES[candidate]
            )
            assert expected == pytest.approx(together, abs=0.03)


def test_ballots_of_unequal_hold_outs_go_as_the_odds_say() -> None:
    sizes = [(20, 20), (25, 40), (60, 30), (50, 50), (30, 30)]
    voting, rounds = VotingSpec(quorum=4), 300
    rng = np.random.default_rng(5)
    accepted = 0
    for turn in range(rounds):
        yes = 1
        for place, (positives, negatives) in enumerate(sizes):
            if place == turn % len(sizes):
                continue
            site = Site(HoldOut(positives, negatives), rng)
            head, candidate = site.scores(HEAD_AUC), site.scores(HEAD_AUC - 0.05)
            yes += form_opinion(voting, site.labels, head, candidate, best=None).approve
        accepted += yes >= 4
    expected = acceptance(voting, sizes, HEAD_AUC - 0.05)
    spread = 3 * math.sqrt(expected * (1 - expected) / rounds)
    assert accepted / rounds == pytest.approx(expected, abs=spread + 0.03)


def test_one_evaluator_refuses_an_equal_model_at_alpha() -> None:
    for alpha in (0.05, 0.10, 0.20):
        voting = VotingSpec(alpha=alpha, auc_floor=0.0)
        assert approval(voting, HEAD_AUC, (30, 40)) == pytest.approx(1 - alpha)


def test_more_cases_tell_a_worse_model_better_and_an_equal_one_alike() -> None:
    worse = [approval(VotingSpec(), 0.7, (size, size)) for size in (10, 20, 50, 200)]
    assert worse == sorted(worse, reverse=True)
    assert worse[-1] < 0.001


def test_a_floor_above_the_candidate_refuses_it() -> None:
    assert approval(VotingSpec(auc_floor=0.9), HEAD_AUC, (200, 200)) < 0.001
    assert approval(VotingSpec(auc_floor=HEAD_AUC), HEAD_AUC, (50, 50)) == pytest.approx(
        0.46, abs=0.05
    )


def test_of_three_partners_one_liar_decides_and_of_two_either() -> None:
    three = voting_odds(VotingSpec(), [(50, 50)] * 3)
    assert (three.worse_helped, three.tolerant) == (1.0, False)
    two = voting_odds(VotingSpec(), [(50, 50)] * 2)
    assert (two.worse_helped, two.equal_vetoed) == (1.0, 0.0)
    assert two.equal == pytest.approx(approval(VotingSpec(), HEAD_AUC, (50, 50)))


def test_the_false_vote_comes_from_whom_it_harms_most() -> None:
    sizes = [(200, 200), (20, 20), (20, 20), (20, 20)]
    worse = HEAD_AUC - WORSE_BY
    helped = acceptance(VotingSpec(), sizes, worse, false_vote=True)
    small = [1 - approval(VotingSpec(), worse, (20, 20))] * 2
    # In the turns of the small ones the large one lies: one of two small ones is enough.
    assert helped >= 3 / 4 * (1 - small[0] * small[1])


def test_reports_are_judged_alike_by_all_so_numbers_change_nothing() -> None:
    voting = VotingSpec(mode=VotingMode.REPORTED)
    one = approval(voting, HEAD_AUC - WORSE_BY, (30, 30))
    for partners in (2, 5, 20):
        odds = voting_odds(voting, [(30, 30)] * partners)
        assert odds.worse == pytest.approx(one)
    assert odds.worse_helped == odds.worse


def test_good_odds_are_what_the_constants_say() -> None:
    assert Odds(0.90, 0.10, 0.75, 0.25, tolerant=True).good
    for spoilt in (
        Odds(0.89, 0.10, 0.75, 0.25, tolerant=True),
        Odds(0.90, 0.11, 0.75, 0.25, tolerant=True),
        Odds(0.90, 0.10, 0.74, 0.25, tolerant=True),
        Odds(0.90, 0.10, 0.75, 0.26, tolerant=True),
    ):
        assert not spoilt.good
    assert Odds(0.90, 0.10, 0.0, 1.0, tolerant=False).good


def campaign(partners: int, **voting: object) -> CampaignSpec:
    """A spec whose voting part is looked at."""
    names = tuple(f"hospital-{number}" for number in range(1, partners + 1))
    return tiny_spec(names, voting=VotingSpec.model_validate(voting))


def test_a_campaign_with_good_odds_is_told_so_without_a_warning() -> None:
    found = outlook(campaign(4, min_cases_per_class=50))
    assert found.odds.good
    assert not found.remedies
    told = "\n".join(found.lines())
    assert "4 partners, 4 evaluate, each on 50 + 50 cases" in told
    assert "WARNING" not in told


def test_every_single_change_that_is_named_gives_good_odds() -> None:
    found = outlook(campaign(7))
    assert not found.odds.good
    told = "\n".join(found.lines())
    assert "WARNING" in told
    alpha, quorum, cases, partners = found.remedies
    assert alpha == "voting.alpha 0.2"
    assert outlook(campaign(7, alpha=0.2)).odds.good
    assert quorum.startswith("voting.quorum 5,")
    assert outlook(campaign(7, quorum=5)).odds.good
    number = int(cases.split()[2])
    assert outlook(campaign(7, min_cases_per_class=number)).odds.good
    assert not outlook(campaign(7, min_cases_per_class=number - 1)).odds.good
    more = int(partners.split()[0])
    assert outlook(campaign(7 + more)).odds.good
    for remedy in found.remedies:
        assert remedy in told


def test_the_papers_rule_is_told_to_be_what_it_is() -> None:
    found = outlook(campaign(4, policy=PolicyName.STRICT, min_cases_per_class=50))
    assert found.odds.equal == pytest.approx(0.5, abs=0.02)
    assert "voting.policy delong" in found.remedies
    assert approval(VotingSpec(policy=PolicyName.STRICT), HEAD_AUC, (50, 50)) > 0.5


def test_more_than_two_classes_are_counted_as_two_and_that_is_said() -> None:
    spec = campaign(4, min_cases_per_class=50)
    model = ModelSpec(architecture="mlp", shape=(4, 1, 1), classes=3)
    found = outlook(spec.model_copy(update={"model": model}))
    assert found.odds == outlook(spec).odds
    assert "as if there were two classes" in found.lines()[0]


def test_where_no_single_change_helps_more_of_everything_is_asked_for() -> None:
    found = outlook(campaign(3, auc_floor=0.9))
    assert not found.remedies
    assert "No single change" in found.lines()[-1]


@pytest.mark.parametrize(
    "voting",
    [
        {"min_cases_per_class": 10**300},
        {"alpha": 1e-320},
        {"auc_floor": 1.0},
        {"alpha": 0.4999, "margin": 1.0},
        {"min_cases_per_class": 2, "policy": PolicyName.STRICT},
    ],
)
def test_no_spec_is_too_strange_for_its_odds(voting: dict[str, object]) -> None:
    odds = outlook(campaign(4, **voting)).odds
    for each in (odds.equal, odds.worse, odds.equal_vetoed, odds.worse_helped):
        assert 0 <= each <= 1
