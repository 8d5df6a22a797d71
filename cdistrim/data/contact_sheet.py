"""A picture of some cases: crops with the outlines of their regions, or ranges of features.

It has no name, no date and no path, but it shows scans: it stays at the site.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cdistrim.data.preflight import WIDE, Findings, Look, Shown
from cdistrim.errors import DataError, UsageError
from cdistrim.report.wording import plural, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Okabe and Ito 2008: told apart by readers of any colour vision, and from grey.
_OUTLINE = "#E69F00"
_CLASSES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
_MOST_FEATURES = 40
_LONGEST_NAME = 20
_MOST_POINTS = 500
_INK = "#222222"
_FINER = 8


def draw(findings: Findings, file: Path) -> None:
    """Write the picture of what a look at a site's cases found.

    Args:
        findings: With cases to show.
        file: A PNG file; a former one is replaced.

    Raises:
        DataError: There is no case to show.
        UsageError: The file can't be written.
    """
    look = findings.look
    if not look.shown:
        raise DataError(
            "No case could be built, so there is nothing to draw.",
            hint="See the reasons above why they are left out.",
        )
    figure = _ranges(look) if look.is_table else _sheet(look)
    FigureCanvasAgg(figure)
    file = file.absolute()
    part = file.with_name(f".{file.name}.part")
    try:
        # No metadata but the program's name: matplotlib would add its release and address.
        with part.open("wb") as stream:
            part.chmod(0o600)
            figure.savefig(stream, format="png", dpi=110, metadata={"Software": "C-DistriM"})
        part.replace(file)
    except OSError as error:
        raise UsageError(
            f"The picture can't be written to {file}: {error.strerror}.",
            hint="Choose another place that this account may write to.",
        ) from None
    finally:
        part.unlink(missing_ok=True)


# --- crops ---


def _sheet(look: Look) -> Figure:
    """Two rows a class: each case's axial slice with most of the region, and the coronal one."""
    by_class = [
        (label, [one for one in look.shown if one.label == label]) for label in range(look.classes)
    ]
    by_class = [(label, own) for label, own in by_class if own]
    columns = max(len(own) for _, own in by_class)
    x, y, z = _size(look)
    width = 1.9
    heights = [width * y / x, width * z / x] * len(by_class)
    top = 0.92
    total = sum(heights) + 0.34 * len(by_class) + 0.1 * len(heights) + top + 0.3
    figure = Figure(figsize=(0.55 + columns * (width + 0.08), total), facecolor="white")
    low = 1 - top / total
    for label, own in by_class:
        low -= 0.34 / total
        figure.text(
            0.012,
            low + 0.07 / total,
            f"class {label}: {plural(look.usable[label], 'patient')}",
            fontsize=11,
            fontweight="bold",
            color=_INK,
        )
        for row, plane in enumerate(("axial", "coronal")):
            height = heights[row] / total
            low -= height + 0.1 / total
            for column, one in enumerate(own):
                place = (0.42 + column * (width + 0.08)) / figure.get_figwidth()
                axes = figure.add_axes((place, low, width / figure.get_figwidth(), height))
                _crop(axes, one, plane, (x, y, z))
                if column == 0:
                    axes.set_ylabel(plane, fontsize=9, color=_INK)
    _title(figure, look, total, _crop_words(look))
    return figure


def _size(look: Look) -> tuple[float, float, float]:
    """Proportions of a crop: in mm where all have the same field of view, else in voxels."""
    preprocessing = look.plan.preprocessing
    if preprocessing is not None and preprocessing.crop == "fixed":
        return preprocessing.field_of_view_mm
    x, y, z = map(float, look.plan.shape)
    # Slices of a resized box have no common height; flat ones would be hard to see.
    return x, y, max(z, 0.5 * x)


def _crop(axes: Axes, one: Shown, plane: str, size: tuple[float, float, float]) -> None:
    volume = one.crop.volume.astype(np.float32)
    region = one.crop.region
    axis = 2 if plane == "axial" else 1
    place = _slice_of(region, axis, volume.shape[axis])
    x, y, z = size
    # Patient coordinates: x to the left, y to the back, z to the head. Radiologists look from the
    # feet and from the front, so left is on the right side of both, and the head is up.
    extent = (0.0, x, y, 0.0) if plane == "axial" else (0.0, x, 0.0, z)
    origin: Literal["upper", "lower"] = "upper" if plane == "axial" else "lower"
    axes.imshow(
        np.take(volume, place, axis=axis).T,
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=extent,
        origin=origin,
        interpolation="nearest",
        aspect="auto",
    )
    if region is not None:
        _outline(axes, np.take(region, place, axis=axis).T, extent)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _slice_of(region: np.ndarray | None, axis: int, count: int) -> int:
    """Where most of the region is; the middle without one."""
    if region is None or not region.any():
        return count // 2
    others = tuple(other for other in range(3) if other != axis)
    return int(region.sum(axis=others).argmax())


def _outline(axes: Axes, inside: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    """The region's edge along the edges of voxels; one that fills the slice has none."""
    left, right, bottom, top = extent
    # Repeated, so that the outline runs along voxels instead of cutting their corners.
    inside = inside.repeat(_FINER, axis=0).repeat(_FINER, axis=1)
    rows, columns = inside.shape
    first, last = (top, bottom) if bottom > top else (bottom, top)
    # A frame of outside around it closes outlines that reach the crop's edge.
    framed = np.pad(inside.astype(float), 1)
    step_x, step_y = (right - left) / columns, (last - first) / rows
    xs = left + step_x * (np.arange(columns + 2) - 0.5)
    ys = first + step_y * (np.arange(rows + 2) - 0.5)
    if framed.any():
        axes.contour(xs, ys, framed, levels=[0.5], colors=_OUTLINE, linewidths=1.3)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _crop_words(look: Look) -> str:
    shape = " x ".join(map(str, look.plan.shape))
    preprocessing = look.plan.preprocessing
    if preprocessing is None:
        return f"{shape} voxels"
    low, high = preprocessing.window
    size = (
        "field of view " + " x ".join(f"{one:g}" for one in preprocessing.field_of_view_mm) + " mm"
        if preprocessing.crop == "fixed"
        else f"bounding box with {preprocessing.margin_mm:g} mm around, each case its own scale"
    )
    window = "" if look.source == "lidc" else f"; window {low:g} to {high:g} HU"
    return f"{shape} voxels; {size}{window}"


def _title(figure: Figure, look: Look, height: float, words: str) -> None:
    usable = sum(look.usable)
    told = f"{look.source}: {plural(usable, 'case')}"
    if look.patients is not None:
        told = f"{look.source}: {plural(look.patients, 'patient')}, {usable} usable as far as seen"
    figure.text(
        0.012, 1 - 0.36 / height, told, fontsize=14, fontweight="bold", color=_INK, va="baseline"
    )
    outlined = any(one.crop.region is not None for one in look.shown)
    lines = [words] + (["orange: outline of the region"] if outlined else [])
    figure.text(0.012, 1 - 0.5 / height, "\n".join(lines), fontsize=9, color=_INK, va="top")


# --- rows of a table ---


def _ranges(look: Look) -> Figure:
    """A strip of points for each feature and class, with the quartiles."""
    values = look.features
    labels = np.array([one.label for one in look.shown])
    count = min(values.shape[1], _MOST_FEATURES)
    height = 1.75 + 0.34 * count * max(1.0, 0.55 * look.classes)
    figure = Figure(figsize=(9.5, height), facecolor="white")
    axes = figure.add_axes((0.2, 0.6 / height, 0.77, 1 - 1.75 / height))
    random = np.random.default_rng(0)
    for label in range(look.classes):
        own = values[labels == label][:, :count]
        colour = _CLASSES[label % len(_CLASSES)]
        offset = (label - (look.classes - 1) / 2) * 0.8 / look.classes
        _strip(axes, own, offset, 0.5 / look.classes, colour, random)
        axes.plot([], [], "o", color=colour, label=f"class {label} ({look.usable[label]})")
    axes.axvline(0, color="#999999", linewidth=0.8, zorder=0)
    shown = [printable(name, _LONGEST_NAME) for name in look.feature_names[:count]]
    axes.set_yticks(range(count), shown)
    axes.set_ylim(count - 0.5, -0.5)
    words = "value as the model sees it: (value - centre) / scale"
    if np.abs(values[:, :count]).max() > WIDE:
        # One feature that nobody scaled would press all others into a line.
        axes.set_xscale("symlog", linthresh=WIDE)
        words += f"; beyond {WIDE:g} logarithmic"
    axes.set_xlabel(words, color=_INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    columns = min(look.classes, 6)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=columns,
        frameon=False,
        fontsize=9,
        handletextpad=0.2,
    )
    more = values.shape[1] - count
    words = plural(values.shape[1], "feature") + (f", {count} of them shown" if more else "")
    _title(figure, look, height, f"{words}; bars: quartiles and median")
    return figure


def _strip(
    axes: Axes,
    values: np.ndarray,
    offset: float,
    spread: float,
    colour: str,
    random: np.random.Generator,
) -> None:
    if not len(values):
        return
    rows = np.arange(values.shape[1]) + offset
    few = random.permutation(values)[:_MOST_POINTS]
    jitter = random.uniform(-spread / 2, spread / 2, few.shape)
    axes.plot(
        few.ravel(),
        (rows[None, :] + jitter).ravel(),
        "o",
        markersize=_marker(len(few)),
        alpha=0.35,
        color=colour,
        markeredgewidth=0,
        rasterized=True,
    )
    low, middle, high = np.percentile(values, (25, 50, 75), axis=0)
    axes.hlines(rows, low, high, color=colour, linewidth=4, alpha=0.9)
    axes.plot(middle, rows, "|", color="white", markersize=7, markeredgewidth=2)


def _marker(cases: int) -> float:
    return max(1.5, 4.5 - ceil(cases / 200) * 0.5)
