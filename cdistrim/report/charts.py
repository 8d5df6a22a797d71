"""The report's charts: AUC per slot, ROC and calibration curves, stacked bars per slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from cdistrim.report import wording
from cdistrim.report.drawing import Canvas, Colour, Scale, ticks
from cdistrim.report.figures import IntervalFigure, ModelTest, SlotFigure, SlotOutcome

__all__ = ["draw_aucs", "draw_bars", "draw_calibration", "draw_roc"]

_WIDTH = 1080.0
_SQUARE = 500.0
_MOST_SERIES = 8
_LEGEND_COLUMNS = 5
_OTHER = "other"


def draw_aucs(slots: Sequence[SlotFigure]) -> str:
    """AUC before and after each slot, with the 95 % interval of the latter."""
    shown = [slot for slot in slots if slot.auc_before and slot.auc_after]
    figures = [f for s in shown for f in (s.auc_before, s.auc_after) if f is not None]
    low = min((f.low for f in figures), default=0.5)
    high = max((f.high for f in figures), default=1.0)
    marks = [t for t in ticks(low, high) if t <= 1.0]
    canvas = Canvas(
        "aucs",
        _WIDTH,
        302,
        title="AUC before and after each slot",
        description="AUC of the head and of the candidate with its 95 % interval, by slot.",
    )
    y = Scale(marks[0], marks[-1], 262, 46)
    x = Scale(0.5, max((s.number for s in slots), default=1) + 0.5, 66, _WIDTH - 14)
    digits = 2 if marks[1] - marks[0] >= 0.01 else 3
    canvas.axis_left(y, x.low, x.high, [(t, f"{t:.{digits}f}") for t in marks], "AUC")
    canvas.axis_bottom(x, y.low, [(s.number, str(s.number)) for s in _every(slots)], "slot")
    reach = min(9.0, (x(2) - x(1)) / 7)
    for slot in shown:
        if slot.auc_before and slot.auc_after:
            _before_after(canvas, x(slot.number), y, slot.auc_before, slot.auc_after, slot, reach)
    _auc_legend(canvas, x.low)
    return canvas.render()


def _before_after(
    canvas: Canvas,
    x: float,
    y: Scale,
    before: IntervalFigure,
    after: IntervalFigure,
    slot: SlotFigure,
    reach: float,
) -> None:
    accepted = slot.outcome is SlotOutcome.ACCEPTED
    colour = Colour.BLUE if accepted else Colour.VERMILION
    left, right = x - reach, x + reach
    canvas.line(left, y(before.value), right, y(after.value), colour, 1.2)
    canvas.line(right, y(after.low), right, y(after.high), colour, 1.6)
    for bound in (after.low, after.high):
        canvas.line(right - 4, y(bound), right + 4, y(bound), colour, 1.6)
    tip = (
        f"Slot {slot.number}: {wording.auc(before.value)} → "
        f"{wording.auc_with_interval(after.value, after.low, after.high)}"
    )
    canvas.circle(left, y(before.value), 4, Colour.PAPER, Colour.GREY, 1.6, tip=tip)
    if accepted:
        canvas.circle(right, y(after.value), 5, colour, tip=tip)
    else:
        canvas.circle(right, y(after.value), 6, Colour.PAPER, colour, 1.6, tip=tip)
        canvas.cross(right, y(after.value), 3, colour, 1.8)


def _auc_legend(canvas: Canvas, x: float) -> None:
    canvas.circle(x + 8, 18, 4, Colour.PAPER, Colour.GREY, 1.6)
    canvas.text(x + 20, 22, "head before the slot")
    canvas.circle(x + 172, 18, 5, Colour.BLUE)
    canvas.text(x + 184, 22, "candidate, accepted (95 % interval)")
    canvas.circle(x + 440, 18, 6, Colour.PAPER, Colour.VERMILION, 1.6)
    canvas.cross(x + 440, 18, 3, Colour.VERMILION, 1.8)
    canvas.text(x + 454, 22, "candidate, refused")


def draw_roc(models: Sequence[ModelTest]) -> str:
    """ROC curves of up to two models on the same test set."""
    canvas, x, y = _square(
        "roc", "ROC curves on the test set", "false positive rate", "true positive rate"
    )
    for index, model in enumerate(models):
        points = [(x(p.false_positive_rate), y(p.true_positive_rate)) for p in model.roc]
        colour, dash = _STYLES[index % len(_STYLES)]
        canvas.polyline(points, colour, 2.4, dash)
    lines = [
        f"{m.label}: AUC {wording.auc_with_interval(m.auc.value, m.auc.low, m.auc.high)}"
        for m in models
    ]
    _curve_legend(canvas, lines, x(1.0) - 10, y(0.0) - 16 - 20 * (len(models) - 1))
    return canvas.render()


def draw_calibration(models: Sequence[ModelTest]) -> str:
    """Calibration curves: observed rate against mean predicted score, a dot per bin."""
    canvas, x, y = _square(
        "calibration", "Calibration on the test set", "mean predicted score", "observed rate"
    )
    for index, model in enumerate(models):
        colour, dash = _STYLES[index % len(_STYLES)]
        points = [(x(p.predicted), y(p.observed)) for p in model.calibration]
        canvas.polyline(points, colour, 2, dash)
        most = max((p.cases for p in model.calibration), default=1)
        for point, (px, py) in zip(model.calibration, points, strict=True):
            tip = f"{model.label}: {wording.plural(point.cases, 'case')}, "
            tip += f"score {point.predicted:.2f}, rate {point.observed:.2f}"
            radius = 3 + 4 * (point.cases / most) ** 0.5
            fill = colour if index == 0 else Colour.PAPER
            canvas.circle(px, py, radius, fill, colour, 1.8, tip=tip)
    lines = [f"{m.label}: Brier {m.brier:.3f}, ECE {m.ece:.3f}" for m in models]
    _curve_legend(canvas, lines, x(1.0) - 10, y(0.0) - 16 - 20 * (len(models) - 1))
    return canvas.render()


_STYLES = ((Colour.BLUE, ""), (Colour.ORANGE, "7 4"))


def _square(name: str, title: str, across: str, up: str) -> tuple[Canvas, Scale, Scale]:
    canvas = Canvas(
        name,
        _SQUARE,
        _SQUARE - 10,
        title=title,
        description=f"{up} against {across}; the thin diagonal is chance or perfect calibration.",
    )
    x, y = Scale(0, 1, 58, _SQUARE - 14), Scale(0, 1, _SQUARE - 58, 12)
    marks = [(t, f"{t:.1f}") for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    canvas.axis_left(y, x.low, x.high, marks, up)
    for value, _ in marks:
        canvas.line(x(value), y.low, x(value), y.high, Colour.PALE, 0.7)
    canvas.axis_bottom(x, y.low, marks, across)
    canvas.line(x(0), y(0), x(1), y(1), Colour.GREY, 1, "2 3")
    return canvas, x, y


def _curve_legend(canvas: Canvas, lines: Sequence[str], right: float, top: float) -> None:
    width = max((len(line) for line in lines), default=0) * 6.4 + 52
    canvas.rectangle(
        right - width, top - 16, width, 20 * len(lines) + 8, "#ffffff", stroke=Colour.PALE, radius=4
    )
    for index, line in enumerate(lines):
        colour, dash = _STYLES[index % len(_STYLES)]
        y = top + 20 * index
        canvas.line(right - width + 10, y - 4, right - width + 38, y - 4, colour, 2.4, dash)
        canvas.text(right - width + 46, y, line)


def draw_bars(
    name: str,
    title: str,
    bars: Sequence[tuple[str, Mapping[str, float]]],
    write: Callable[[float], str],
    label: str,
) -> str:
    """Stacked bars: per bar a label and figures by series. Series beyond eight share "other".

    Args:
        name: Id of the drawing.
        title: Its title.
        bars: From left to right.
        write: How a figure is written.
        label: Name of the vertical axis, with the unit.
    """
    series = _series(bars)
    stacked = [(text, _merged(figures, series)) for text, figures in bars]
    highest = max((sum(figures.values()) for _, figures in stacked), default=0.0) or 1.0
    marks = ticks(0, highest)
    rows = -(-len(series) // _LEGEND_COLUMNS)
    top = 38 + 20 * rows
    canvas = Canvas(
        name,
        _WIDTH,
        top + 236,
        title=title,
        description=f"{title}: a bar per slot, stacked by step. {label}.",
    )
    canvas.text(14, 16, title, size=14, bold=True)
    y = Scale(0, marks[-1], top + 196, top + 8)
    x = Scale(0, len(bars) or 1, 92, _WIDTH - 14)
    canvas.axis_left(y, x.low, x.high, [(t, write(t)) for t in marks], label)
    every = max(1, -(-len(bars) // 40))
    named = [(i + 0.5, text) for i, (text, _) in enumerate(bars) if i % every == 0]
    canvas.axis_bottom(x, y.low, named, "slot")
    width = min(46.0, (x(1) - x(0)) * 0.68)
    for i, (text, figures) in enumerate(stacked):
        _stack(canvas, x(i + 0.5) - width / 2, width, y, text, figures, series, write)
    for i, step in enumerate(series):
        left = 92 + 196 * (i % _LEGEND_COLUMNS)
        height = 40 + 20 * (i // _LEGEND_COLUMNS)
        canvas.rectangle(left, height - 10, 12, 12, Colour.SERIES[i], stroke="#00000033")
        canvas.text(left + 18, height, step)
    return canvas.render()


def _stack(
    canvas: Canvas,
    left: float,
    width: float,
    y: Scale,
    text: str,
    figures: Mapping[str, float],
    series: Sequence[str],
    write: Callable[[float], str],
) -> None:
    base = 0.0
    for i, step in enumerate(series):
        figure = figures.get(step, 0.0)
        if figure > 0:
            low, high = y(base), y(base + figure)
            tip = f"{text}, {step}: {write(figure)}"
            canvas.rectangle(
                left, high, width, low - high, Colour.SERIES[i], stroke=Colour.PAPER, tip=tip
            )
            base += figure
    if base:
        whole = write(base)
        if len(whole) * 5.6 < width * 1.45:
            canvas.text(left + width / 2, y(base) - 5, whole, anchor="middle", size=10, halo=True)


def _series(bars: Sequence[tuple[str, Mapping[str, float]]]) -> tuple[str, ...]:
    """The steps in order of first appearance; the smallest are merged if there are too many."""
    sums: Counter[str] = Counter()
    for _, figures in bars:
        for step, figure in figures.items():
            sums[step] += int(figure * 1000)
    if len(sums) <= _MOST_SERIES:
        return tuple(sums)
    kept = {step for step, _ in sums.most_common(_MOST_SERIES - 1)}
    return (*(step for step in sums if step in kept), _OTHER)


def _merged(figures: Mapping[str, float], series: Sequence[str]) -> dict[str, float]:
    merged: Counter[str] = Counter()
    for step, figure in figures.items():
        merged[step if step in series else _OTHER] += figure  # type: ignore[assignment]
    return dict(merged)


def _every(slots: Sequence[SlotFigure]) -> Sequence[SlotFigure]:
    """Slots whose numbers stand on the axis: at most 40 of them."""
    return slots[:: max(1, -(-len(slots) // 40))]
