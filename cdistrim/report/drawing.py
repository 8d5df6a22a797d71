"""Inline SVG: a canvas, a linear scale and axes. No fonts, scripts or links from anywhere else.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind readers can
tell apart; no figure relies on colour alone. Every text and attribute is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cdistrim.report.wording import printable

__all__ = ["Canvas", "Colour", "Scale", "ticks"]

_LONGEST_TEXT = 400


class Colour:
    """Okabe-Ito, and greys for whatever only frames."""

    BLUE = "#0072B2"
    VERMILION = "#D55E00"
    GREEN = "#009E73"
    ORANGE = "#E69F00"
    SKY = "#56B4E9"
    PURPLE = "#CC79A7"
    YELLOW = "#F0E442"
    INK = "#1b2733"
    GREY = "#6b7785"
    PALE = "#c9d1d9"
    PAPER = "#ffffff"

    SERIES = (BLUE, ORANGE, GREEN, SKY, PURPLE, YELLOW, VERMILION, "#000000", GREY, PALE)


@dataclass(frozen=True)
class Scale:
    """A linear map from figures ``start`` .. ``end`` to pixels ``low`` .. ``high``."""

    start: float
    end: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Pixel of ``value``, within the scale's range."""
        share = (value - self.start) / (self.end - self.start)
        return self.low + min(1.0, max(0.0, share)) * (self.high - self.low)


def ticks(start: float, end: float, about: int = 5) -> tuple[float, ...]:
    """Round figures from at or below ``start`` to at or above ``end``, about so many steps."""
    span = max(end - start, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(span / about))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= span / about)
    first, last = math.floor(start / step + 1e-9), math.ceil(end / step - 1e-9)
    return tuple(round(i * step, 10) for i in range(first, max(last, first + 1) + 1))


class Canvas:
    """An SVG drawing that grows by calls; sizes are in pixels.

    Args:
        name: Unique within the page; prefix of the drawing's ids.
        width: Of the drawing.
        height: Of the drawing.
        title: Read out by screen readers in place of the drawing.
        description: What it shows, in a sentence.
        fixed: Keep the size instead of shrinking to the page (a wide drawing then scrolls).
    """

    def __init__(
        self,
        name: str,
        width: float,
        height: float,
        *,
        title: str,
        description: str,
        fixed: bool = False,
    ) -> None:
        self.width = width
        self.height = height
        self._name = name
        self._parts: list[str] = []
        self._title = title
        self._description = description
        self._fixed = fixed

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        colour: str,
        width: float = 1,
        dash: str = "",
    ) -> None:
        """A straight line."""
        self._add(
            "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, stroke_width=width,
            stroke_dasharray=dash,
        )  # fmt: skip

    def path(
        self, d: str, colour: str, width: float = 1.5, *, dash: str = "", arrow: bool = False
    ) -> None:
        """An open path; ``d`` is SVG path data. ``arrow`` puts a head on its end."""
        self._add(
            "path", d=d, fill="none", stroke=colour, stroke_width=width, stroke_dasharray=dash,
            stroke_linejoin="round", marker_end=f"url(#{self._name}-arrow)" if arrow else "",
        )  # fmt: skip

    def polyline(
        self, points: Sequence[tuple[float, float]], colour: str, width: float = 2, dash: str = ""
    ) -> None:
        """A line through points."""
        if points:
            self.path(
                "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points), colour, width, dash=dash
            )

    def circle(
        self, x: float, y: float, radius: float, fill: str, stroke: str = "", width: float = 1.5,
        *, tip: str = "", dash: str = "",
    ) -> None:  # fmt: skip
        """A circle; ``tip`` shows when pointed at."""
        self._add(
            "circle", tip, cx=x, cy=y, r=radius, fill=fill, stroke=stroke, stroke_width=width,
            stroke_dasharray=dash,
        )  # fmt: skip

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: str,
        *, stroke: str = "", radius: float = 0, tip: str = "",
    ) -> None:  # fmt: skip
        """A rectangle; ``tip`` shows when pointed at."""
        self._add(
            "rect", tip, x=x, y=y, width=width, height=height, fill=fill, stroke=stroke,
            rx=radius or "",
        )  # fmt: skip

    def cross(self, x: float, y: float, reach: float, colour: str, width: float = 2) -> None:
        """An x-shaped mark."""
        self.line(x - reach, y - reach, x + reach, y + reach, colour, width)
        self.line(x - reach, y + reach, x + reach, y - reach, colour, width)

    def text(
        self, x: float, y: float, content: str,
        *, anchor: str = "start", colour: str = Colour.INK, size: float = 12, bold: bool = False,
        halo: bool = False, turn: float = 0,
    ) -> None:  # fmt: skip
        """A line of text; ``halo`` keeps it legible over lines, ``turn`` is in degrees."""
        attributes: dict[str, object] = {
            "x": x, "y": y, "fill": colour, "font_size": size, "text_anchor": anchor,
            "font_weight": "600" if bold else "",
            "transform": f"rotate({turn:g} {x:.1f} {y:.1f})" if turn else "",
        }  # fmt: skip
        if halo:
            attributes |= {"stroke": Colour.PAPER, "stroke_width": 3, "paint_order": "stroke"}
        self._parts.append(f"<text{_attributes(attributes)}>{_clean(content)}</text>")

    def axis_bottom(
        self, x: Scale, y: float, marks: Sequence[tuple[float, str]], label: str
    ) -> None:
        """Tick labels and the name of a horizontal axis at height ``y``."""
        self.line(x.low, y, x.high, y, Colour.GREY)
        for value, mark in marks:
            self.text(x(value), y + 16, mark, anchor="middle", colour=Colour.GREY, size=11)
        self.text((x.low + x.high) / 2, y + 34, label, anchor="middle", colour=Colour.GREY)

    def axis_left(
        self, y: Scale, x: float, right: float, marks: Sequence[tuple[float, str]], label: str
    ) -> None:
        """Grid lines from ``x`` to ``right``, tick labels and the name of a vertical axis."""
        for value, mark in marks:
            self.line(x, y(value), right, y(value), Colour.PALE, 0.7)
            self.text(x - 7, y(value) + 4, mark, anchor="end", colour=Colour.GREY, size=11)
        middle = (y.low + y.high) / 2
        self.text(14, middle, label, anchor="middle", colour=Colour.GREY, turn=-90)

    def render(self) -> str:
        """The ``<svg>`` element."""
        arrow = (
            f'<marker id="{self._name}-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto-start-reverse"><path d="M0,0 L8,4 L0,8 Z" '
            f'fill="{Colour.VERMILION}"/></marker>'
        )
        size = f' width="{self.width:g}" height="{self.height:g}"' if self._fixed else ""
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}"{size} role="img" '
            f'aria-labelledby="{self._name}-title {self._name}-desc">'
            f'<title id="{self._name}-title">{_clean(self._title)}</title>'
            f'<desc id="{self._name}-desc">{_clean(self._description)}</desc>'
            f"<defs>{arrow}</defs>{''.join(self._parts)}</svg>"
        )

    def _add(self, tag: str, tip: str = "", /, **attributes: object) -> None:
        inner = f"><title>{_clean(tip)}</title></{tag}>" if tip else "/>"
        self._parts.append(f"<{tag}{_attributes(attributes)}{inner}")


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(
        f' {name.replace("_", "-")}="{_number(value)}"'
        for name, value in attributes.items()
        if value != ""
    )


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return _clean(str(value)) if not isinstance(value, int) else str(value)


def _clean(text: str) -> str:
    # Path data may be long; it has no character that escaping or shortening would touch.
    longest = max(_LONGEST_TEXT, len(text)) if text.startswith("M") else _LONGEST_TEXT
    return escape(printable(text, longest))
