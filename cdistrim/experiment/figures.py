"""The paper's figures 4 to 7 from our results, as PNG. Colours after Okabe and Ito (2008).

Figure 4: ROC curves of all models. Figure 5: their calibration. Figure 6 is not among the facts of
the paper that we hold; in its place stands what table 2 (or 4) says: AUCs with intervals, the
paper's beside ours, and the differences. Figure 7: ROC curves after each partner's iteration of
scenario 3 (of the first scenario there is, where that was left out), and the AUC slot by slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cdistrim.experiment.paper import CENTRAL
from cdistrim.experiment.results import AIM, MARGIN, Results, Summary
from cdistrim.report.drawing import Colour
from cdistrim.report.wording import plural
from cdistrim.statistics import auc, calibration_curve, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_figures"]

_STYLES = (
    ("black", "-"),
    (Colour.BLUE, "-"),
    (Colour.VERMILION, "--"),
    (Colour.GREEN, "-."),
    (Colour.ORANGE, "-"),
    (Colour.SKY, "--"),
    (Colour.PURPLE, "-."),
)


def draw_figures(results: Results, directory: Path) -> tuple[Path, ...]:
    """Draw all figures; the files, in order."""
    drawn = []
    for number, draw in ((4, _rocs), (5, _calibrations), (6, _intervals), (7, _iterations)):
        path = directory / f"figure-{number}.png"
        with _figure(path) as figure:
            draw(results, figure)
        drawn.append(path)
    return tuple(drawn)


@contextmanager
def _figure(path: Path) -> Iterator[Figure]:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(layout="constrained", dpi=130)
        FigureCanvasAgg(figure)
        yield figure
        # No date and no program in the file: the same results give the same bytes.
        figure.savefig(path, metadata={"Software": None})


def _rocs(results: Results, figure: Figure) -> None:
    seed = results.seeds[0]
    _grid(results, figure, lambda one, axes, style: _roc(one, axes, style))
    figure.suptitle(
        f"ROC curves on the test set (the paper's figure 4)\nseed {seed}, with DeLong's intervals"
    )


def _roc(one: Summary, axes: Axes, style: tuple[str, str]) -> None:
    figures = one.seeds[0]
    curve = roc_curve(figures.labels, figures.scores)
    found = figures.interval
    label = f"{_name(one)}: {found.auc:.2f} ({found.low:.2f}-{found.high:.2f})"
    axes.plot(curve.fpr, curve.tpr, color=style[0], linestyle=style[1], linewidth=1.4, label=label)
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")


def _calibrations(results: Results, figure: Figure) -> None:
    _grid(results, figure, lambda one, axes, style: _calibration(one, axes, style))
    figure.suptitle(
        "Calibration on the test set (the paper's figure 5)\nall seeds; dots by number of cases"
    )


def _calibration(one: Summary, axes: Axes, style: tuple[str, str]) -> None:
    labels = np.concatenate([figures.labels for figures in one.seeds])
    scores = np.concatenate([figures.scores for figures in one.seeds])
    curve = calibration_curve(labels, scores, bins=8)
    axes.plot(
        curve.mean_score,
        curve.fraction,
        color=style[0],
        linestyle=style[1],
        linewidth=1.0,
        label=_name(one),
    )
    # A bin of three cases says little, and looks it.
    sizes = 3 + 60 * curve.count / curve.count.sum()
    axes.scatter(curve.mean_score, curve.fraction, s=sizes, color=style[0])
    axes.set_xlabel("mean predicted probability")
    axes.set_ylabel("fraction that has the label")


def _grid(results: Results, figure: Figure, draw: object) -> None:
    """One panel a class, all models in each."""
    classes = results.experiment.study.classes
    figure.set_size_inches(5.2 * len(classes), 5.0)
    panels = figure.subplots(1, len(classes), squeeze=False)[0]
    for name, axes in zip(classes, panels, strict=True):
        axes.plot([0, 1], [0, 1], color="0.75", linewidth=0.8)
        for one in results.summaries:
            if one.class_name == name:
                draw(one, axes, _STYLES[one.scenario % len(_STYLES)])  # type: ignore[operator]
        axes.set_aspect("equal")
        axes.set_title(name)
        axes.legend(fontsize=7, loc="lower right", frameon=False)


def _name(one: Summary) -> str:
    return "central" if one.scenario == CENTRAL else f"scenario {one.scenario}"


def _intervals(results: Results, figure: Figure) -> None:
    classes = results.experiment.study.classes
    rows = [one for one in results.summaries if one.class_name == classes[0]]
    figure.set_size_inches(9.0, len(classes) * (0.42 * len(rows) + 0.8) + 0.6)
    panels = figure.subplots(len(classes), 2, squeeze=False)
    for name, (left, right) in zip(classes, panels, strict=True):
        shown = [one for one in results.summaries if one.class_name == name]
        _areas(shown, left)
        _differences([one for one in shown if one.scenario != CENTRAL], right)
        left.set_title(f"AUC, {name}")
        right.set_title(f"sequential - central, {name}")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    seeds = plural(len(results.seeds), "seed")
    figure.suptitle(f"AUC with 95 % intervals, {seeds} (the paper's table)")


def _areas(shown: list[Summary], axes: Axes) -> None:
    for place, one in enumerate(shown):
        ours = one.interval
        _bar(axes, ours.estimate, ours.low, ours.high, place - 0.14, Colour.BLUE, "o")
        if one.printed is not None:
            printed = one.printed
            _bar(axes, printed.auc, printed.low, printed.high, place + 0.14, "0.45", "s")
    axes.plot([], [], color=Colour.BLUE, marker="o", label="ours")
    axes.plot([], [], color="0.45", marker="s", label="the paper's")
    axes.set_xlabel("AUC on the test set")
    axes.set_yticks(range(len(shown)), [_name(one) for one in shown])
    axes.invert_yaxis()


def _differences(shown: list[Summary], axes: Axes) -> None:
    for place, one in enumerate(shown):
        found = one.difference_interval
        _bar(axes, found.estimate, found.low, found.high, place, Colour.BLUE, "o")
        for figures in one.seeds:
            axes.plot(figures.test.difference, place + 0.25, ".", color="0.6", markersize=3)
    axes.axvline(0, color="0.75", linewidth=0.8)
    for margin, style in ((-AIM, ":"), (-MARGIN, "--")):
        axes.axvline(margin, color=Colour.VERMILION, linestyle=style, linewidth=1)
    axes.set_xlabel(f"dotted: aim {-AIM:g}; dashed: margin {-MARGIN:g}; small dots: seeds")
    axes.set_yticks(range(len(shown)), [_name(one) for one in shown])
    axes.invert_yaxis()


def _bar(
    axes: Axes, middle: float, low: float, high: float, height: float, colour: str, marker: str
) -> None:
    axes.plot([low, high], [height, height], color=colour, linewidth=1.4)
    axes.plot(middle, height, marker=marker, color=colour, markersize=4)


def _iterations(results: Results, figure: Figure) -> None:
    scenarios = results.experiment.scenarios
    number = 3 if 3 in scenarios else min(scenarios)
    figure.set_size_inches(10.0, 4.8)
    left, right = figure.subplots(1, 2)
    _first_cycle(results, number, left)
    _slot_by_slot(results, right)
    figure.suptitle(f"Scenario {number} after each partner (the paper's figure 7), and all slots")


def _first_cycle(results: Results, number: int, axes: Axes) -> None:
    """ROC after each partner of the first cycle, and of the final model; the first class."""
    seed = results.seeds[0]
    arm = results.arms[seed, number]
    binary = len(results.experiment.study.classes) == 1
    place = 0 if binary else 1
    labels = np.array(arm.labels) if binary else np.array(arm.labels) == place
    partners = len(results.experiment.scenarios[number].partners)
    chosen = [one for one in arm.candidates if one.slot <= partners]
    if arm.candidates and arm.candidates[-1] not in chosen:
        chosen.append(arm.candidates[-1])
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=0.8)
    for style, one in zip(_STYLES[1:] + _STYLES, chosen, strict=False):
        scores = np.array(one.scores)
        scores = scores if scores.ndim == 1 else scores[:, place]
        curve = roc_curve(labels, scores)
        verdict = "" if one.accepted else ", voted down"
        label = f"slot {one.slot}, {one.partner}{verdict}: {auc(labels, scores):.2f}"
        axes.plot(curve.fpr, curve.tpr, color=style[0], linestyle=style[1], label=label)
    axes.set_aspect("equal")
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.set_title(f"seed {seed}" + ("" if binary else f", {results.experiment.study.classes[1]}"))
    axes.legend(fontsize=7, loc="lower right", frameon=False)


def _slot_by_slot(results: Results, axes: Axes) -> None:
    """AUC of the head against the cycle, mean over the seeds."""
    cycles = results.experiment.cycles
    for number, scenario in results.experiment.scenarios.items():
        curves = results.curve(number)
        known = np.isfinite(curves).all(axis=0)
        turns = np.arange(1, curves.shape[1] + 1) / len(scenario.partners)
        colour, line = _STYLES[number % len(_STYLES)]
        axes.plot(
            turns[known],
            curves[:, known].mean(axis=0),
            color=colour,
            linestyle=line,
            label=f"scenario {number}",
        )
    central = np.mean([one.auc for one in results.summaries if one.scenario == CENTRAL])
    axes.axhline(float(central), color="black", linewidth=0.9, label="central")
    axes.set_xlabel(f"cycles (of {cycles})")
    over = "seeds" if len(results.experiment.study.classes) == 1 else "seeds and classes"
    axes.set_ylabel(f"AUC of the head on the test set, mean over {over}")
    axes.set_title("AUC against cycles")
    axes.legend(fontsize=7, frameon=False, loc="lower right")
