"""How often intervals hold the truth: simulations behind the choices of ``cdistrim.statistics``.

python -m bench.coverage [--write docs/statistics.md] [--rounds 1000]

Scores are normal, positives shifted. Every row has random numbers of its own seed, so that the
tables are the same wherever they are made; the time of a million cases alone is not.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr, ndtri, softmax

from cdistrim import statistics
from cdistrim.statistics import SeedScores, SiteFigure

Array = npt.NDArray[np.float64]
BEGIN, END = "<!-- coverage:begin -->", "<!-- coverage:end -->"
Z = 1.959963984540054
SMALL, MIXED = ((12, 15),), ((12, 15), (30, 40), (60, 80), (20, 20), (100, 60))


def main() -> int:
    """Simulate, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m bench.coverage", description=__doc__)
    parser.add_argument("--write", type=Path, help="the page whose tables to replace")
    parser.add_argument("--rounds", type=int, default=1000)
    arguments = parser.parse_args()
    text = "\n\n".join((sites(arguments.rounds), seeds(arguments.rounds // 2),
                        classes(arguments.rounds), million()))  # fmt: skip
    sys.stdout.write(text + "\n")
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return 0


def sites(rounds: int) -> str:
    """Sites combined: rivals of the weights by size, and of the interval for any such site."""
    lines = [
        (
            f"**Sites combined** (AUCs, {rounds} rounds a row). Share of 95 % intervals that hold "
            "the truth, in %, and in brackets the bias in 0.001."
        ),
        "",
        (
            "| AUC, sd between sites | sites | inverse variance | the same on logits |"
            " by size (ours) | DerSimonian-Laird | any such site (ours) |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for area in (0.75, 0.9):
        for spread in (0.0, 0.3):
            for shapes, name in ((SMALL, "12 + 15"), (MIXED, "12 + 15 to 100 + 60")):
                for count in (2, 4, 10):
                    rng = np.random.default_rng([1, round(100 * area), round(10 * spread), count])
                    cells, between = _sites_row(rng, area, spread, shapes, count, rounds)
                    lines.append(
                        f"| {area}, {between:.2f} | {count} of {name} | {' | '.join(cells)} |"
                    )
    return "\n".join(lines)


def _sites_row(
    rng: np.random.Generator,
    area: float,
    spread: float,
    shapes: Sequence[tuple[int, int]],
    count: int,
    rounds: int,
) -> tuple[list[str], float]:
    cases = [shapes[i % len(shapes)] for i in range(count)]
    middle = math.sqrt(2) * float(ndtri(area)) * math.sqrt(1 + spread**2 / 2)
    shift = middle + spread * rng.normal(size=(rounds, count))
    own = ndtr(shift / math.sqrt(2))
    values, variances = np.empty((rounds, count)), np.empty((rounds, count))
    for i, (m, n) in enumerate(cases):
        won = rng.normal(size=(rounds, m, 1)) + shift[:, i, np.newaxis, np.newaxis] > rng.normal(
            size=(rounds, 1, n)
        )
        values[:, i] = won.mean(axis=(1, 2))
        variances[:, i] = (
            won.mean(axis=2).var(axis=1, ddof=1) / m + won.mean(axis=1).var(axis=1, ddof=1) / n
        )
    size = np.array([m * n / (m + n + 1) for m, n in cases])
    pairs = np.array([m * n for m, n in cases])
    these = own @ size / size.sum()
    pulled = (values * pairs + 0.5) / (pairs + 1)
    variance = statistics.hanley_mcneil_variance
    least = np.array(
        [[variance(a, m, n) for a, (m, n) in zip(row, cases, strict=True)] for row in pulled]
    )
    filled = np.where(variances > 0, variances, least)
    plain, plain_reach = _inverse(values, filled)
    bent, bent_reach = _inverse(logit(pulled), filled / (pulled * (1 - pulled)) ** 2)
    between = _dersimonian_laird(values, filled)
    loose, loose_reach = _inverse(values, filled + between[:, np.newaxis])
    found = [
        statistics.combine_aucs(
            [
                SiteFigure(str(i), *figures, *cases[i])
                for i, figures in enumerate(zip(y, s, strict=True))
            ],
            min_cases_per_class=10,
        )
        for y, s in zip(values, variances, strict=True)
    ]
    ours = np.array([(f.value, f.low, f.high) for f in found])
    wide = np.array([(f.random.value, f.random.low, f.random.high) for f in found if f.random])
    return [
        _cell(plain, plain - plain_reach, plain + plain_reach, these),
        _cell(expit(bent), expit(bent - bent_reach), expit(bent + bent_reach), these),
        _cell(ours[:, 0], ours[:, 1], ours[:, 2], these),
        _cell(loose, loose - loose_reach, loose + loose_reach, np.full(rounds, area)),
        _cell(wide[:, 0], wide[:, 1], wide[:, 2], np.full(rounds, area)),
    ], float(own.std())


def _inverse(values: Array, variances: Array) -> tuple[Array, Array]:
    weights = 1 / variances
    total = weights.sum(axis=1)
    return np.sum(weights * values, axis=1) / total, Z / np.sqrt(total)


def _dersimonian_laird(values: Array, variances: Array) -> Array:
    weights = 1 / variances
    total = weights.sum(axis=1)
    mean = np.sum(weights * values, axis=1) / total
    q = np.sum(weights * (values - mean[:, np.newaxis]) ** 2, axis=1)
    excess = (q - values.shape[1] + 1) / (total - np.sum(weights**2, axis=1) / total)
    return np.asarray(np.maximum(0.0, excess))


def _cell(value: Array, low: Array, high: Array, truth: Array) -> str:
    held = float(np.mean((low <= truth) & (truth <= high)))
    return f"{100 * held:.1f} ({1000 * float(np.mean(value - truth)):+.0f})"


def seeds(rounds: int) -> str:
    """The bootstrap over seeds and patients: 40 positives and 40 negatives a run."""
    lines = [
        (
            "**Seeds and patients** (bootstrap of 500 resamples, 40 + 40 patients, "
            f"{rounds} rounds a row). Share of 95 % intervals that hold the truth, in %."
        ),
        "",
        "| sd of a seed's difference | runs | same patients | other patients |",
        "| --- | --- | --- | --- |",
    ]
    for noise in (0.0, 0.1, 0.3):
        for runs in (3, 5, 10):
            cells = []
            for crossed in (True, False):
                rng = np.random.default_rng([2, round(10 * noise), runs])
                held = sum(_seeds_round(rng, runs, noise, crossed=crossed) for _ in range(rounds))
                cells.append(f"{100 * held / rounds:.1f}")
            many = ndtr((1.2 + noise * np.random.default_rng(3).normal(size=(2, 10**5))) / 2**0.5)
            lines.append(f"| {np.std(many[0] - many[1]):.3f} | {runs} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _seeds_round(rng: np.random.Generator, runs: int, noise: float, *, crossed: bool) -> bool:
    labels = np.repeat([0, 1], 40)
    made, common = [], np.zeros((2, 80))
    for number in range(runs):
        if number == 0 or not crossed:
            common = math.sqrt(0.7) * rng.normal(size=80) + math.sqrt(0.2) * rng.normal(
                size=(2, 80)
            )
        skill = 1.2 + noise * rng.normal(size=(2, 1))
        a, b = skill * labels + common + math.sqrt(0.1) * rng.normal(size=(2, 80))
        made.append(SeedScores(labels, a, b))
    seed = int(rng.integers(2**32))
    _, found = statistics.hierarchical_bootstrap(made, resamples=500, random=seed, crossed=crossed)
    return found.low <= 0 <= found.high


def classes(rounds: int) -> str:
    """The macro AUC of three classes, cases drawn as they come."""
    lines = [
        (
            f"**Mean over three classes** ({rounds} rounds a row). Share of 95 % intervals that "
            "hold the truth, in %; in brackets without the second term (numbers per class fixed)."
        ),
        "",
        "| shares of the classes | cases | macro AUC | difference of two models |",
        "| --- | --- | --- | --- |",
    ]
    for share in ((1 / 3, 1 / 3, 1 / 3), (0.6, 0.3, 0.1)):
        rng = np.random.default_rng([4, round(100 * share[0])])
        many = rng.choice(3, 300_000, p=share)
        truth = statistics.macro_delong_test(many, *_three(rng, many))
        for count in (60, 200):
            held = np.zeros(4)
            done = 0
            while done < rounds:
                labels = rng.choice(3, count, p=share)
                if np.bincount(labels, minlength=3).min() < 2:
                    continue
                done += 1
                a, b = _three(rng, labels)
                held += _classes_round(labels, a, b, truth)
            shown = [f"{100 * h / rounds:.1f}" for h in held]
            told = ", ".join(f"{100 * one:.0f} %" for one in share)
            lines.append(
                f"| {told} | {count} | {shown[0]} ({shown[1]}) | {shown[2]} ({shown[3]}) |"
            )
    return "\n".join(lines)


def _three(rng: np.random.Generator, labels: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Ordered classes, as grades are: the middle one is hard to tell from both others."""
    middle = np.array([[1.2, 0, -1.2], [0.24, 0.72, 0.24], [-1.2, 0, 1.2]])[labels]
    common = math.sqrt(0.8) * rng.normal(size=(labels.size, 3))
    a, b = (
        softmax(skill * middle + common + math.sqrt(0.2) * rng.normal(size=common.shape), axis=1)
        for skill in (1.0, 0.85)
    )
    return a, b


def _classes_round(
    labels: npt.NDArray[np.int64], a: Array, b: Array, truth: statistics.DeLongTest
) -> Array:
    whole = statistics.macro_auc(labels, a)
    test = statistics.macro_delong_test(labels, a, b)
    spread = _fixed_numbers(labels, a, np.zeros_like(a)) ** 0.5 / (whole.auc * (1 - whole.auc))
    apart = abs(logit(whole.auc) - logit(truth.auc_a)) <= Z * spread
    interval = test.interval()
    return np.array([
        whole.low <= truth.auc_a <= whole.high,
        apart,
        interval.low <= truth.difference <= interval.high,
        abs(test.difference - truth.difference) <= Z * _fixed_numbers(labels, a, b) ** 0.5,
    ])  # fmt: skip


def _fixed_numbers(labels: npt.NDArray[np.int64], a: Array, b: Array) -> float:
    """The first term of the variance alone, by comparing all pairs."""
    influence = np.zeros(labels.size)
    for k in range(3):
        own = labels == k
        for scores, sign in ((a[:, k], 1), (b[:, k], -1)):
            won = np.sign(scores[own][:, np.newaxis] - scores[~own]) / 2 + 0.5
            influence[own] += sign * won.mean(axis=1) / own.sum() / 3
            influence[~own] += sign * won.mean(axis=0) / (~own).sum() / 3
    groups = (influence[labels == k] for k in range(3))
    return float(sum(group.size * group.var(ddof=1) for group in groups))


def million() -> str:
    """Seconds for a million cases: the median of three."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 1_000_000)
    a, b = labels + rng.normal(size=(2, labels.size))
    scores = expit(a)
    told = []
    for name, work in (
        ("DeLong's test", lambda: statistics.delong_test(labels, a, b)),
        ("AUC with interval", lambda: statistics.auc_interval(labels, a)),
        ("ROC curve", lambda: statistics.roc_curve(labels, a)),
        ("calibration curve", lambda: statistics.calibration_curve(labels, scores)),
        ("Platt scaling", lambda: statistics.fit_platt(labels, a)),
    ):
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        told.append(f"{name} {sorted(seconds)[1]:.1f} s")
    return f"**A million cases** take: {', '.join(told)}."


if __name__ == "__main__":
    sys.exit(main())
