"""Figures of several classes, compared with exact fractions, deletion of cases and scikit-learn."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError
from tests.cdistrim.statistics.drawn import Cases, cases, exactly

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Rows = list[list[int]]
CLASSES = 3


@st.composite
def three_classes(draw: st.DrawFn) -> tuple[list[int], Rows, Rows]:
    """Labels and the scores of two models for three classes; ties are the rule."""
    counts = [draw(st.integers(2, 5)) for _ in range(CLASSES)]
    labels = draw(st.permutations([k for k in range(CLASSES) for _ in range(counts[k])]))
    row = st.lists(st.integers(-2, 2), min_size=CLASSES, max_size=CLASSES)
    rows = st.lists(row, min_size=len(labels), max_size=len(labels))
    return list(labels), draw(rows), draw(rows)


def softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sample(
    rng: np.random.Generator, labels: IntArray, classes: int = CLASSES
) -> tuple[FloatArray, FloatArray]:
    """Probabilities of two models of which the first is better, on the same cases."""
    common = rng.normal(0, math.sqrt(0.8), (labels.size, classes))
    own = [rng.normal(0, math.sqrt(0.2), (labels.size, classes)) for _ in range(2)]
    truth = np.eye(classes)[labels]
    return softmax(1.2 * truth + common + own[0]), softmax(0.9 * truth + common + own[1])


def exact_macro(labels: list[int], rows: Rows) -> tuple[Fraction, list[Fraction]]:
    """Macro AUC and every case's influence by comparing all pairs."""
    area, influence = Fraction(0), [Fraction(0)] * len(labels)
    for k in range(CLASSES):
        own = [i for i, label in enumerate(labels) if label == k]
        rest = [i for i, label in enumerate(labels) if label != k]
        won = {
            (i, j): Fraction((rows[i][k] > rows[j][k]) - (rows[i][k] < rows[j][k]) + 1, 2)
            for i in own
            for j in rest
        }
        mean = sum(won.values(), Fraction(0)) / len(won)
        area += mean / CLASSES
        for i in own:
            v10 = sum((won[i, j] for j in rest), Fraction(0)) / len(rest)
            influence[i] += (v10 - mean) / len(own) / CLASSES
        for j in rest:
            v01 = sum((won[i, j] for i in own), Fraction(0)) / len(own)
            influence[j] += (v01 - mean) / len(rest) / CLASSES
    return area, influence


@given(three_classes())
@settings(deadline=None)
def test_the_macro_test_agrees_with_pair_counting_in_exact_fractions(
    drawn: tuple[list[int], Rows, Rows],
) -> None:
    labels, a, b = drawn
    (auc_a, one), (auc_b, other) = exact_macro(labels, a), exact_macro(labels, b)
    variance = Fraction(0)
    for k in range(CLASSES):
        own = [x - y for x, y, c in zip(one, other, labels, strict=True) if c == k]
        mean = sum(own, Fraction(0)) / len(own)
        spread = sum(((x - mean) ** 2 for x in own), Fraction(0)) / (len(own) - 1)
        variance += len(own) * (spread + mean**2)
    test = statistics.macro_delong_test(labels, a, b)
    assert test.auc_a == exactly(float(auc_a))
    assert test.auc_b == exactly(float(auc_b))
    assert test.difference == exactly(float(auc_a - auc_b))
    assert test.variance == exactly(float(variance))
    assert (test.variance == 0) == (variance == 0)
    if variance:
        assert test.z == exactly(float(auc_a - auc_b) / math.sqrt(variance))


def test_a_cases_influence_is_what_leaving_it_out_changes() -> None:
    rng = np.random.default_rng(1)
    labels = np.array([0] * 7 + [1] * 9 + [2] * 5)
    scores, nothing = sample(rng, labels)[0], np.zeros((21, CLASSES))
    influence = np.zeros(labels.size)
    for k in range(CLASSES):
        whole = metrics.roc_auc_score(labels == k, scores[:, k])
        for case in range(labels.size):
            kept = np.arange(labels.size) != case
            rest = metrics.roc_auc_score(labels[kept] == k, scores[kept, k])
            size = np.count_nonzero((labels == k) == (labels[case] == k))
            influence[case] += (whole - rest) * (size - 1) / size / CLASSES
    variance = sum(
        own.size * (np.var(own, ddof=1) + np.mean(own) ** 2)
        for own in (influence[labels == k] for k in range(CLASSES))
    )
    assert statistics.macro_delong_test(labels, scores, nothing).variance == exactly(variance)


def test_macro_and_class_figures_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 200)
    scores, _ = sample(rng, labels, 4)
    macro = metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert statistics.macro_auc(labels, scores).auc == exactly(macro)
    for k, found in enumerate(statistics.one_vs_rest(labels, scores)):
        assert found.auc == exactly(metrics.roc_auc_score(labels == k, scores[:, k]))
        assert found == statistics.auc_interval(labels == k, scores[:, k])


def test_each_class_against_the_rest_is_delongs_test() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 60)
    a, b = sample(rng, labels)
    tests = statistics.one_vs_rest_delong(labels, a, b)
    assert tests == tuple(
        statistics.delong_test(labels == k, a[:, k], b[:, k]) for k in range(CLASSES)
    )
    macro = statistics.macro_delong_test(labels, a, b)
    assert macro.difference == exactly(sum(test.difference for test in tests) / CLASSES)


@given(cases())
@settings(deadline=None)
def test_two_classes_give_the_binary_figures(drawn: Cases) -> None:
    labels, a, b = drawn
    binary = statistics.delong_test(labels, a, b)
    probabilities = [np.column_stack([1 - p, p]) for p in (expit(a), expit(b))]
    for one, other in ((a, b), probabilities):
        test = statistics.macro_delong_test(labels, one, other)
        assert (test.auc_a, test.difference) == (binary.auc_a, binary.difference)
        assert test.variance == pytest.approx(binary.variance, rel=1e-12, abs=1e-12)
        assert statistics.macro_auc(labels, one) == statistics.auc_interval(labels, a)
    first, second = statistics.one_vs_rest(labels, a)
    assert first.auc == second.auc == statistics.auc(labels, a)
    assert second == statistics.auc_interval(labels, a)


@given(cases())
@settings(deadline=None)
def test_a_third_class_that_both_models_know_adds_nothing_to_the_difference(drawn: Cases) -> None:
    labels, a, b = drawn
    certain = [[-9, -9, 9]] * 2
    rows_a, rows_b = ([[-s, s, -9] for s in scores] + certain for scores in (a, b))
    binary = statistics.delong_test(labels, a, b)
    test = statistics.macro_delong_test([*labels, 2, 2], rows_a, rows_b)
    positives = sum(labels)
    negatives = len(labels) - positives
    shares = (negatives / (negatives + 2), positives / (positives + 2))
    assert test.difference == exactly(binary.difference * sum(shares) / 3)


def expit(scores: list[int]) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.asarray(scores, dtype=np.float64))))


@given(three_classes())
@settings(deadline=None)
def test_only_the_order_within_a_column_counts_and_no_class_is_special(
    drawn: tuple[list[int], Rows, Rows],
) -> None:
    labels, a, b = drawn
    test = statistics.macro_delong_test(labels, a, b)
    bent = np.exp(np.asarray(a) * [0.5, 1.0, 2.0] + [1, 2, 3])
    assert statistics.macro_delong_test(labels, bent, b) == test
    order = [2, 0, 1]
    named = [order.index(label) for label in labels]
    moved = statistics.macro_delong_test(named, np.asarray(a)[:, order], np.asarray(b)[:, order])
    assert moved.difference == exactly(test.difference)
    assert moved.variance == exactly(test.variance)
    back = statistics.macro_delong_test(labels, b, a)
    assert (back.difference, back.variance) == (-test.difference, test.variance)


@given(three_classes())
@settings(deadline=None)
def test_models_that_order_every_column_alike_have_no_difference_and_p_1(
    drawn: tuple[list[int], Rows, Rows],
) -> None:
    labels, a, _ = drawn
    test = statistics.macro_delong_test(labels, a, np.exp(np.asarray(a)))
    assert (test.difference, test.variance, test.z, test.p) == (0.0, 0.0, 0.0, 1.0)


def test_perfect_classes_are_no_certainty() -> None:
    labels = np.repeat([0, 1, 2], [10, 4, 20])
    found = statistics.macro_auc(labels, np.eye(3)[labels])
    assert (found.auc, found.high) == (1.0, 1.0)
    assert found.low == exactly(0.025 ** (1 / 4))


def test_identical_scores_have_half_the_area_and_no_width() -> None:
    found = statistics.macro_auc([0, 0, 1, 1, 2, 2], np.full((6, 3), 1 / 3))
    assert (found.auc, found.low, found.high) == (0.5, 0.5, 0.5)


def test_float32_scores_give_the_figures_of_the_same_numbers_in_float64() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 100)
    a, b = (scores.astype(np.float32) for scores in sample(rng, labels))
    wide = statistics.macro_delong_test(labels, a.astype(float), b.astype(float))
    assert statistics.macro_delong_test(labels, a, b) == wide


def test_intervals_of_macro_differences_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    share = (0.5, 0.3, 0.2)
    many = rng.choice(CLASSES, 400_000, p=share)
    truth = statistics.macro_delong_test(many, *sample(rng, many))
    held = held_difference = 0
    for _ in range(1500):
        labels = rng.choice(CLASSES, 120, p=share)
        a, b = sample(rng, labels)
        interval = statistics.macro_delong_test(labels, a, b).interval()
        held_difference += interval.low <= truth.difference <= interval.high
        area = statistics.macro_auc(labels, a)
        held += area.low <= truth.auc_a <= area.high
    assert held / 1500 == pytest.approx(0.95, abs=0.02)
    assert held_difference / 1500 == pytest.approx(0.95, abs=0.02)


def test_a_million_cases_of_three_classes_are_no_trouble() -> None:
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 3, 1_000_000)
    a, b = sample(rng, labels)
    test = statistics.macro_delong_test(labels, a, b)
    assert test.auc_a == exactly(metrics.roc_auc_score(labels, a, multi_class="ovr"))
    assert 0 < test.variance < 1e-6


GOOD = [[0.5, 0.3, 0.2]] * 6
BAD: list[tuple[object, object, str]] = [
    ([], np.empty((0, 3)), "no cases"),
    ([0, 0, 1, 1, 2], GOOD, "5 labels, but 6 rows"),
    ([0, 0, 1, 1, 2, 3], GOOD, "1 of 6 labels are none of 0 to 2"),
    ([0, 0, 1, 1, 2, 1.5], GOOD, "1 of 6 labels"),
    ([0, 0, 1, 1, 2, math.nan], GOOD, "1 of 6 labels"),
    ([0, 0, 1, 1, 1, 2], GOOD, "cases of class 2 is 1"),
    ([0, 0, 1, 1, 1, 1], GOOD, "cases of class 2 is 0"),
    ([0, 0, 1, 1, 2, 2], [[0.5, math.nan, math.inf]] * 6, "12 of 18 scores are not finite"),
    ([0, 0, 1, 1, 2, 2], [[1.0]] * 6, "no table of numbers"),
    ([0, 0, 1, 1], np.zeros((4, 3, 2)), "no table of numbers"),
    ([0, 0, 1, 1], [["patient-7", "x"]] * 4, "no table of numbers"),
    ([0, 0, 1, 1], [[0.5, 0.5], [1.0], [0.0], [1.0]], "no table of numbers"),
    (["patient-7"] * 6, GOOD, "no list of numbers"),
    ([[0, 1, 2]] * 6, GOOD, "no list of numbers"),
]


@pytest.mark.parametrize(("labels", "scores", "told"), BAD, ids=lambda _: None)
def test_bad_input_is_refused_with_counts_and_without_values(
    labels: npt.ArrayLike, scores: npt.ArrayLike, told: str
) -> None:
    for figure in (statistics.one_vs_rest, statistics.macro_auc):
        with pytest.raises(DataError, match=told) as caught:
            figure(labels, scores)
        assert "patient" not in str(caught.value)
        assert caught.value.hint
    for test in (statistics.one_vs_rest_delong, statistics.macro_delong_test):
        with pytest.raises(DataError, match=told):
            test(labels, scores, scores)


def test_models_of_different_tasks_are_not_compared() -> None:
    labels = [0, 0, 1, 1]
    with pytest.raises(DataError, match="scores 2 classes, the other 3"):
        statistics.macro_delong_test(labels, np.eye(2)[labels], np.eye(3)[labels])
    with pytest.raises(DataError, match="4 labels, but 3 rows"):
        statistics.macro_delong_test(labels, [1, 2, 3, 4], [1, 2, 3])


def test_two_columns_that_say_different_things_are_not_halved_in_silence() -> None:
    labels, logits = [0, 0, 1, 1], [[1.0, 2.0], [3.0, 1.0], [0.5, 0.2], [2.0, 5.0]]
    with pytest.raises(DataError, match="don't add up"):
        statistics.macro_auc(labels, logits)
    single = np.asarray(softmax(np.asarray(logits)), dtype=np.float32)
    assert statistics.macro_auc(labels, single).auc == statistics.auc(labels, single[:, 1])


def test_a_level_outside_0_and_1_is_refused() -> None:
    labels = np.repeat([0, 1, 2], 2)
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(UsageError):
            statistics.macro_auc(labels, np.eye(3)[labels], level)


def test_more_cases_of_the_same_kind_narrow_the_interval_by_the_root_of_their_number() -> None:
    rng = np.random.default_rng(7)
    labels = np.tile([0, 1, 2], 30)
    a, b = sample(rng, labels)
    variances = [
        statistics.macro_delong_test(
            np.tile(labels, times), np.tile(a, (times, 1)), np.tile(b, (times, 1))
        ).variance
        for times in (1, 2, 4)
    ]
    assert all(few / many == pytest.approx(2, rel=0.03) for few, many in pairwise(variances))
