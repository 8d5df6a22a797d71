"""Each rule of the policy's list, at its edge, and the acceptance rates that design.md promises."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from cdistrim import policy, statistics
from cdistrim.errors import DataError, ModelRejectedError
from cdistrim.policy import BestHead, FetchFacts, FetchReason, Reason
from cdistrim.protocol import Evidence
from cdistrim.spec import PolicyName, VotingMode, VotingSpec

FloatArray = npt.NDArray[np.float64]

DELONG = VotingSpec(alpha=0.05, margin=0.05, min_cases_per_class=10)
"""Fixed here: what is tested are the rules, not the defaults."""
STRICT = DELONG.model_copy(update={"policy": PolicyName.STRICT})
LABELS = np.repeat([0, 1], 25)


def shift(area: float) -> float:
    """Distance of two unit normals whose AUC is ``area``."""
    return math.sqrt(2) * float(stats.norm.ppf(area))


def swapped(pairs: int) -> FloatArray:
    """Perfect scores on LABELS, then the tops of ``pairs`` negatives and positives exchanged."""
    scores = np.arange(50, dtype=float)
    scores[:pairs], scores[-pairs or 50 :] = scores[-pairs or 50 :].copy(), scores[:pairs].copy()
    return scores


def reported(auc_head: float, auc_candidate: float, variance: float = 0.05**2) -> Evidence:
    return Evidence(auc_head, auc_candidate, variance, positives=25, negatives=25)


def test_strict_approves_an_unchanged_model_and_refuses_the_smallest_loss() -> None:
    head = swapped(0)
    loss = head.copy()
    loss[[24, 25]] = head[[25, 24]]
    assert policy.form_opinion(STRICT, LABELS, head, head, best=None).approve
    opinion = policy.form_opinion(STRICT, LABELS, head, loss, best=None)
    assert (opinion.approve, opinion.reason) == (False, Reason.WORSE)
    assert opinion.evidence.auc_head - opinion.evidence.auc_candidate == pytest.approx(1 / 625)


def test_delong_refuses_exactly_when_the_one_sided_p_is_below_alpha() -> None:
    deviation, critical = 0.05, float(stats.norm.ppf(0.95))
    just_inside = reported(0.80, 0.80 - (critical - 0.01) * deviation)
    just_outside = reported(0.80, 0.80 - (critical + 0.01) * deviation)
    assert policy.judge_reported(DELONG, just_inside).approve
    opinion = policy.judge_reported(DELONG, just_outside)
    assert (opinion.approve, opinion.reason) == (False, Reason.WORSE)


def test_delong_never_refuses_an_improvement_or_the_same_model() -> None:
    head = swapped(5)
    for candidate in (head, swapped(0)):
        opinion = policy.form_opinion(DELONG, LABELS, head, candidate, best=None)
        assert (opinion.approve, opinion.reason) == (True, Reason.NOT_WORSE)


def test_the_evidence_is_what_was_measured_in_the_ledgers_precision() -> None:
    rng = np.random.default_rng(1)
    head, candidate = rng.normal(LABELS, 1), rng.normal(LABELS, 1)
    evidence = policy.form_opinion(DELONG, LABELS, head, candidate, best=None).evidence
    test = statistics.delong_test(LABELS, candidate, head)
    assert (evidence.positives, evidence.negatives) == (25, 25)
    assert evidence.auc_candidate == pytest.approx(test.auc_a, abs=1e-9)
    assert evidence.auc_head == pytest.approx(test.auc_b, abs=1e-9)
    assert evidence.variance == pytest.approx(test.variance, abs=1e-18)
    assert evidence.auc_candidate == round(evidence.auc_candidate * 10**9) / 10**9


@given(st.integers(0, 10_000), st.sampled_from([DELONG, STRICT]), st.floats(-1, 2))
@settings(deadline=None, max_examples=60)
def test_anybody_can_recompute_a_verdict_from_the_ledgers_integers(
    seed: int, voting: VotingSpec, signal: float
) -> None:
    rng = np.random.default_rng(seed)
    head = rng.normal(1.2 * LABELS, 1)
    candidate = rng.normal(signal * LABELS, 1).round(1)
    opinion = policy.form_opinion(voting, LABELS, head, candidate, best=None)
    kept = opinion.evidence
    from_ledger = Evidence(
        round(kept.auc_head * 10**9) / 10**9,
        round(kept.auc_candidate * 10**9) / 10**9,
        round(kept.variance * 10**18) / 10**18,
        kept.positives,
        kept.negatives,
    )
    again = policy.judge_reported(voting, from_ledger)
    assert (again.approve, again.reason) == (opinion.approve, opinion.reason)


def test_a_small_step_down_is_refused_once_the_sum_of_steps_exceeds_the_margin() -> None:
    head, candidate, best = swapped(5), swapped(6), swapped(0)
    assert policy.form_opinion(DELONG, LABELS, head, candidate, best=None).approve
    measured = BestHead(slot=3, auc=1.0, scores=best)
    opinion = policy.form_opinion(DELONG, LABELS, head, candidate, best=measured)
    assert (opinion.approve, opinion.reason) == (False, Reason.CREEP)
    assert "slot 3" in opinion.sentence
    generous = DELONG.model_copy(update={"margin": 0.5})
    assert policy.form_opinion(generous, LABELS, head, candidate, best=measured).approve
    assert policy.form_opinion(STRICT, LABELS, candidate, candidate, best=measured).approve


def test_creep_is_tested_at_best_minus_margin() -> None:
    deviation = math.sqrt(
        sum(statistics.hanley_mcneil_variance(area, 25, 25) for area in (0.80, 0.80))
    )
    reach = DELONG.margin + float(stats.norm.ppf(0.95)) * deviation
    # the variance moves a little with the candidate's AUC, hence the 0.03 either way
    for beyond, approve in ((-0.03, True), (0.03, False)):
        evidence = reported(0.80 - reach, 0.80 - reach - beyond)
        best = BestHead(slot=1, auc=0.80)
        floorless = DELONG.model_copy(update={"auc_floor": 0.0})
        assert policy.judge_reported(floorless, evidence, best=best).approve is approve


def test_an_unpaired_best_head_is_slower_to_refuse_than_its_scores() -> None:
    head, candidate, best = swapped(5), swapped(6), swapped(3)
    area = statistics.auc(LABELS, best)
    paired = BestHead(1, area, best)
    assert not policy.form_opinion(DELONG, LABELS, head, candidate, best=paired).approve
    assert policy.form_opinion(DELONG, LABELS, head, candidate, best=BestHead(1, area)).approve


def test_the_best_head_is_the_highest_and_of_equals_the_earliest() -> None:
    heads = [BestHead(1, 0.7), BestHead(2, 0.8), BestHead(4, 0.8), BestHead(5, 0.75)]
    best = policy.best_of(heads)
    assert best is not None
    assert best.slot == 2
    assert policy.best_of([]) is None


def test_a_coin_is_refused_even_when_the_head_is_one() -> None:
    coin = np.zeros(50)
    for voting in (DELONG, STRICT):
        opinion = policy.form_opinion(voting, LABELS, coin, coin, best=None)
        assert (opinion.approve, opinion.reason) == (False, Reason.BELOW_FLOOR)
    replica = STRICT.model_copy(update={"auc_floor": 0.0})
    assert policy.form_opinion(replica, LABELS, coin, coin, best=None).approve


def test_a_model_just_above_the_floor_passes_a_genesis_head() -> None:
    demanding = DELONG.model_copy(update={"auc_floor": 0.6})
    assert policy.judge_reported(demanding, reported(0.5, 0.601)).approve
    assert not policy.judge_reported(demanding, reported(0.5, 0.6)).approve


@pytest.mark.parametrize("voting", [DELONG, STRICT])
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused_without_evidence(
    voting: VotingSpec, broken: float
) -> None:
    candidate = swapped(0)
    candidate[7] = broken
    opinion = policy.form_opinion(voting, LABELS, swapped(5), candidate, best=None)
    assert (opinion.approve, opinion.reason) == (False, Reason.SCORES_NOT_FINITE)
    assert opinion.evidence == policy.NO_EVIDENCE
    assert "1 of 50" in opinion.sentence


def test_a_failed_hard_check_is_a_no_that_says_why() -> None:
    opinion = policy.refuse_hard(ModelRejectedError("Tensor conv1 has 3 values that are NaN."))
    assert (opinion.approve, opinion.reason) == (False, Reason.HARD_CHECK)
    assert "3 values that are NaN" in opinion.sentence
    assert opinion.evidence == policy.NO_EVIDENCE


@pytest.mark.parametrize("ratio", [10.001, math.inf, math.nan])
def test_an_update_beyond_the_limit_or_not_finite_fails_the_hard_check(ratio: float) -> None:
    with pytest.raises(ModelRejectedError, match="at most 10"):
        policy.check_update(ratio, DELONG)


def test_an_update_at_the_limit_passes() -> None:
    policy.check_update(10.0, DELONG)


def test_a_small_hold_out_has_no_say() -> None:
    labels = np.repeat([0, 1], [40, 9])
    assert not policy.may_evaluate(labels, DELONG)
    assert policy.may_evaluate(np.repeat([0, 1], [40, 10]), DELONG)
    scores = np.arange(49)
    with pytest.raises(DataError, match="9 positive and 40 negative"):
        policy.form_opinion(DELONG, labels, scores, scores, best=None)


def test_a_head_that_cannot_be_scored_is_an_error_and_no_vote() -> None:
    head = swapped(0)
    head[0] = math.nan
    with pytest.raises(DataError, match="not finite"):
        policy.form_opinion(DELONG, LABELS, head, swapped(0), best=None)
    with pytest.raises(DataError, match="50 labels, but 49 scores"):
        policy.form_opinion(DELONG, LABELS, swapped(0), swapped(0)[1:], best=None)


def test_sentences_name_figures_and_no_score() -> None:
    head, candidate = swapped(2), swapped(9)
    opinion = policy.form_opinion(DELONG, LABELS, head, candidate, best=None)
    told = opinion.evidence
    assert f"{told.auc_candidate:.3f}" in opinion.sentence
    assert f"{told.auc_head:.3f}" in opinion.sentence
    assert "25 + 25 cases" in opinion.sentence
    assert "alpha 0.05" in opinion.sentence


@pytest.mark.parametrize(
    "lie",
    [
        {"auc_candidate": 1.01},
        {"auc_head": -0.1},
        {"auc_candidate": math.nan},
        {"variance": -1e-6},
        {"variance": math.nan},
        {"variance": math.inf},
        {"variance": 0.2},
    ],
)
def test_reported_figures_that_no_scores_can_give_are_refused(lie: dict[str, Any]) -> None:
    honest = reported(0.7, 0.75)
    assert policy.judge_reported(DELONG, honest).approve
    opinion = policy.judge_reported(DELONG, replace(honest, **lie))
    assert (opinion.approve, opinion.reason) == (False, Reason.IMPLAUSIBLE)


@pytest.mark.parametrize("few", [{"positives": 9}, {"negatives": 0}])
def test_a_report_on_too_few_cases_is_refused(few: dict[str, Any]) -> None:
    opinion = policy.judge_reported(DELONG, replace(reported(0.7, 0.8), **few))
    assert (opinion.approve, opinion.reason) == (False, Reason.TOO_FEW_CASES)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 2))
@settings(deadline=None, max_examples=100)
def test_what_honest_scores_give_is_never_called_implausible(
    seed: int, head_signal: float, signal: float, digits: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [10, 30])
    head = rng.normal(head_signal * labels, 1).round(digits)
    candidate = rng.normal(signal * labels, 1).round(digits)
    evidence = policy.measure(labels, head, candidate)
    assert policy.judge_reported(DELONG, evidence).reason is not Reason.IMPLAUSIBLE


def test_reported_and_strict_is_the_papers_rule() -> None:
    paper = STRICT.model_copy(update={"mode": VotingMode.REPORTED})
    assert policy.judge_reported(paper, reported(0.76, 0.76)).approve
    assert policy.judge_reported(paper, reported(0.76, 0.77)).approve
    assert not policy.judge_reported(paper, reported(0.76, 0.759999999)).approve


GOOD = FetchFacts(owners_turn=True, spec_approved=True, head_intact=True)


def test_a_fetch_is_granted_when_nothing_speaks_against_it() -> None:
    opinion = policy.form_fetch_opinion(GOOD)
    assert (opinion.approve, opinion.reason) == (True, FetchReason.GRANTED)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(GOOD, owners_turn=False), FetchReason.NOT_ITS_TURN),
        (replace(GOOD, spec_approved=False), FetchReason.SPEC_NOT_APPROVED),
        (replace(GOOD, head_intact=False), FetchReason.HEAD_NOT_INTACT),
        (replace(GOOD, key_just_rotated=True), FetchReason.KEY_JUST_ROTATED),
        (replace(GOOD, operator_veto=True), FetchReason.OPERATOR_VETO),
    ],
)
def test_each_ground_alone_refuses_a_fetch(facts: FetchFacts, reason: FetchReason) -> None:
    opinion = policy.form_fetch_opinion(facts)
    assert (opinion.approve, opinion.reason) == (False, reason)
    assert reason.value in opinion.sentence


def test_a_refused_fetch_names_every_ground() -> None:
    opinion = policy.form_fetch_opinion(replace(GOOD, head_intact=False, operator_veto=True))
    assert FetchReason.HEAD_NOT_INTACT.value in opinion.sentence
    assert FetchReason.OPERATOR_VETO.value in opinion.sentence


class Evaluators:
    """Four hold-outs of 50 cases; scores of any two models are correlated 0.8 in each class."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.common = rng.normal(0, math.sqrt(0.8), (4, 50))

    def scores(self, area: float) -> FloatArray:
        own = self.rng.normal(0, math.sqrt(0.2), (4, 50))
        result: FloatArray = shift(area) * LABELS + self.common + own
        return result

    def accept(self, head: FloatArray, candidate: FloatArray, best: FloatArray | None) -> bool:
        yes = 0
        for site in range(4):
            known = None
            if best is not None:
                known = BestHead(1, statistics.auc(LABELS, best[site]), best[site])
            yes += policy.form_opinion(
                DELONG, LABELS, head[site], candidate[site], best=known
            ).approve
        return yes >= 3


def acceptance(area: float, *, rounds: int = 400) -> float:
    rng = np.random.default_rng(2020)
    accepted = 0
    for _ in range(rounds):
        group = Evaluators(rng)
        accepted += group.accept(group.scores(0.80), group.scores(area), None)
    return accepted / rounds


def test_three_of_four_evaluators_accept_equal_models_and_refuse_worse_ones() -> None:
    assert acceptance(0.80) >= 0.95
    assert acceptance(0.85) >= 0.99
    assert acceptance(0.70) <= 0.20


def lowest_after_creeping(*, guarded: bool) -> float:
    """True AUC after 20 candidates, each 0.02 worse than the head that it started from."""
    group = Evaluators(np.random.default_rng(3))
    area, head = 0.90, group.scores(0.90)
    best = head.copy()
    for _ in range(20):
        candidate = group.scores(area - 0.02)
        if group.accept(head, candidate, best if guarded else None):
            area, head = area - 0.02, candidate
            for site in range(4):
                if statistics.auc(LABELS, head[site]) > statistics.auc(LABELS, best[site]):
                    best[site] = head[site]
    return area


def test_many_small_losses_do_not_add_up() -> None:
    assert lowest_after_creeping(guarded=False) < 0.65
    assert lowest_after_creeping(guarded=True) > 0.70


# --- more than two classes ---

THREE = np.repeat([0, 1, 2], [20, 12, 15])


def probabilities(seed: int, *, spread: float = 1.0) -> FloatArray:
    """Of three classes, shape (cases, 3); the larger ``spread``, the worse."""
    logits = np.random.default_rng(seed).normal(0, spread, (len(THREE), 3))
    logits[np.arange(len(THREE)), THREE] += 2
    return special.softmax(logits, axis=1)


def test_several_classes_are_judged_by_the_mean_of_each_against_the_rest() -> None:
    head, candidate = probabilities(1), probabilities(2)
    evidence = policy.measure(THREE, head, candidate)
    areas = [statistics.auc(k == THREE, candidate[:, k]) for k in range(3)]
    assert evidence.auc_candidate == pytest.approx(sum(areas) / 3, abs=1e-9)
    assert (evidence.positives, evidence.negatives) == (12, 35)
    assert policy.form_opinion(DELONG, THREE, head, head, best=None).approve
    worse = policy.form_opinion(DELONG, THREE, head, probabilities(3, spread=20), best=None)
    assert worse.reason is Reason.WORSE
    best = policy.BestHead(1, 1.0, probabilities(4, spread=0.1))
    poor = probabilities(3, spread=20)
    assert policy.form_opinion(DELONG, THREE, poor, poor, best=best).reason is Reason.CREEP


def test_each_of_several_classes_needs_enough_cases_and_finite_scores() -> None:
    assert policy.may_evaluate(THREE, DELONG, classes=3)
    assert not policy.may_evaluate(THREE, DELONG, classes=4)
    assert not policy.may_evaluate(np.repeat([0, 1, 2], [20, 20, 9]), DELONG, classes=3)
    scores = probabilities(1)
    with pytest.raises(DataError, match="20, 12 and 9 cases of the classes can't judge"):
        policy.form_opinion(DELONG, THREE[:41], scores[:41], scores[:41], best=None)
    broken = scores.copy()
    broken[[3, 5], 1] = np.nan
    opinion = policy.form_opinion(DELONG, THREE, scores, broken, best=None)
    assert opinion.reason is Reason.SCORES_NOT_FINITE
    assert "2 of 47 cases" in opinion.sentence
