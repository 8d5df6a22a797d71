"""Draws a campaign's lineage: slots from left to right, a lane per hospital."""

from __future__ import annotations

from dataclasses import dataclass

from cdistrim.report import wording
from cdistrim.report.drawing import Canvas, Colour
from cdistrim.report.figures import CampaignReport, LineageEdge, SlotFigure, SlotOutcome

__all__ = ["draw_lineage"]

_PAGE = 1080.0
_GENESIS_WIDTH = 92.0
_RIGHT = 26.0
_TOP = 58.0
_LANE = 66.0
_NARROWEST = 46.0
_RADIUS = 15.0
_LONGEST_LANE_NAME = 17
_LETTER = 8.0


@dataclass(frozen=True)
class _Layout:
    """Where things are, in pixels."""

    lanes: tuple[str, ...]
    planned: int
    column: float
    left: float
    """Where the names of the lanes end."""

    @classmethod
    def of(cls, report: CampaignReport) -> _Layout:
        planned = max(report.totals.planned, 1)
        lanes = tuple(
            wording.printable(partner.name, _LONGEST_LANE_NAME) for partner in report.partners
        )
        left = 24 + _LETTER * max((len(name) for name in lanes), default=0)
        room = (_PAGE - left - _GENESIS_WIDTH - _RIGHT) / planned
        return cls(lanes, planned, min(max(room, _NARROWEST), 96.0), left)

    @property
    def width(self) -> float:
        return self.left + _GENESIS_WIDTH + self.planned * self.column + _RIGHT

    @property
    def height(self) -> float:
        return _TOP + len(self.lanes) * _LANE + 12

    def x(self, slot: int) -> float:
        if slot == 0:
            return self.left + _GENESIS_WIDTH / 2
        return self.left + _GENESIS_WIDTH + (slot - 0.5) * self.column

    def lane(self, index: int) -> float:
        return _TOP + (index + 0.5) * _LANE

    def y(self, slot: int) -> float:
        """Slots go through the lanes in order; the genesis stands between the middle two."""
        if slot == 0:
            return _TOP + len(self.lanes) // 2 * _LANE
        return self.lane((slot - 1) % len(self.lanes))


def draw_lineage(report: CampaignReport) -> str:
    """The lineage as SVG; wider than a page if there are many slots."""
    layout = _Layout.of(report)
    canvas = Canvas(
        "lineage",
        layout.width,
        layout.height,
        title="Lineage of the models",
        description=(
            f"{report.totals.planned} slots from left to right, a lane per hospital. Filled "
            "circles are accepted models, crossed ones were refused; a thick line leads to the "
            "final model."
        ),
        fixed=layout.width > _PAGE,
    )
    _lanes(canvas, layout)
    outcomes = {slot.number: slot.outcome for slot in report.slots}
    for edge in sorted(report.lineage, key=lambda e: e.on_head_path):
        if edge.kind == "trained":
            _trained(canvas, layout, edge, outcomes[edge.target])
        else:
            _restored(canvas, layout, edge)
    canvas.circle(layout.x(0), layout.y(0), _RADIUS, Colour.PAPER, Colour.INK, 2)
    canvas.text(layout.x(0), layout.y(0) + 4, "0", anchor="middle", bold=True)
    canvas.text(layout.x(0) - _RADIUS - 5, layout.y(0) + 4, "start", anchor="end", size=11)
    for slot in report.slots:
        _node(canvas, layout, slot, is_head=slot.number == report.head)
    return canvas.render()


def _lanes(canvas: Canvas, layout: _Layout) -> None:
    lanes = len(layout.lanes)
    for first in range(1, layout.planned + 1, lanes):
        cycle = (first - 1) // lanes + 1
        left = layout.x(first) - layout.column / 2
        width = min(lanes, layout.planned - first + 1) * layout.column
        if cycle % 2:
            canvas.rectangle(left, 22, width, layout.height - 30, "#f3f6f9", radius=6)
        canvas.text(
            left + width / 2, 15, f"cycle {cycle}", anchor="middle", colour=Colour.GREY, size=12
        )
    for index, name in enumerate(layout.lanes):
        y = layout.lane(index)
        canvas.line(layout.left, y, layout.width - _RIGHT / 2, y, Colour.PALE, 0.8, "2 4")
        canvas.text(layout.left - 12, y + 4, name, anchor="end", bold=True)


def _trained(canvas: Canvas, layout: _Layout, edge: LineageEdge, outcome: SlotOutcome) -> None:
    """Along the parent's lane up to the column before the target's, then over to its lane.

    So the line passes no node of the slots between, which were refused.
    """
    x1, y1 = layout.x(edge.source) + _RADIUS, layout.y(edge.source)
    x2, y2 = layout.x(edge.target) - _RADIUS, layout.y(edge.target)
    turn = max(x1, layout.x(edge.target) - layout.column + _RADIUS)
    middle = (turn + x2) / 2
    d = f"M{x1:.1f},{y1:.1f} L{turn:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} "
    d += f"{middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
    if edge.on_head_path:
        canvas.path(d, Colour.BLUE, 4)
    elif outcome is SlotOutcome.ACCEPTED:
        canvas.path(d, Colour.BLUE, 1.5)
    else:
        canvas.path(d, Colour.GREY, 1.3)


def _restored(canvas: Canvas, layout: _Layout, edge: LineageEdge) -> None:
    """From the refused node back to the head that was restored, arriving from the node's side."""
    x1, y1 = layout.x(edge.source), layout.y(edge.source)
    x2, y2 = layout.x(edge.target), layout.y(edge.target)
    down = 1 if y1 >= y2 else -1
    start = (x1 - _RADIUS * 0.75, y1 + down * _RADIUS * 0.75)
    end = (x2, y2 + _RADIUS + 2)
    if down < 0:  # Beside the figure that stands above the node.
        end = (x2 + _RADIUS * 0.8, y2 - _RADIUS * 0.8 - 1)
    bend = y1 + down * _RADIUS * 1.2
    d = f"M{start[0]:.1f},{start[1]:.1f} C{(x1 + x2) / 2:.1f},{bend:.1f} "
    d += f"{end[0]:.1f},{bend:.1f} {end[0]:.1f},{end[1]:.1f}"
    canvas.path(d, Colour.VERMILION, 1.8, dash="5 3", arrow=True)


def _node(canvas: Canvas, layout: _Layout, slot: SlotFigure, *, is_head: bool) -> None:
    x, y = layout.x(slot.number), layout.y(slot.number)
    tip = f"Slot {slot.number}, {slot.model}: {slot.verdict}"
    number = str(slot.number)
    if slot.outcome is SlotOutcome.ACCEPTED:
        if is_head:
            canvas.circle(x, y, _RADIUS + 5, Colour.PAPER, Colour.BLUE, 2)
        canvas.circle(x, y, _RADIUS, Colour.BLUE, Colour.PAPER, 1.5, tip=tip)
        canvas.text(x, y + 4, number, anchor="middle", colour=Colour.PAPER, bold=True)
    else:
        refused = slot.outcome is SlotOutcome.REFUSED
        colour = Colour.VERMILION if refused else Colour.GREY
        canvas.circle(
            x, y, _RADIUS, Colour.PAPER, colour, 2, tip=tip, dash="" if refused else "3 3"
        )
        if slot.outcome is SlotOutcome.OPEN:
            canvas.text(x, y + 4, number, anchor="middle", colour=colour, bold=True)
        else:
            canvas.cross(x, y, 6, colour, 2.5)
    auc = f"{slot.auc_after.value:.2f}" if slot.auc_after else slot.outcome.value
    size = 11 if slot.auc_after else 10
    bold = is_head
    colour = {SlotOutcome.ACCEPTED: Colour.INK, SlotOutcome.REFUSED: Colour.VERMILION}.get(
        slot.outcome, Colour.GREY
    )
    lift = 11 if is_head else 6
    canvas.text(
        x, y - _RADIUS - lift, auc, anchor="middle", size=size, colour=colour, bold=bold, halo=True
    )
