"""The campaigns on the ledger, as a table: plain text where no terminal is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdistrim.cli.outcome import why_failed
from cdistrim.errors import CDistriMError, StoreUnavailableError
from cdistrim.protocol import GENESIS, CampaignState, CampaignView
from cdistrim.report import wording

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["show_campaigns"]

_PLAIN_WIDTH = 170
"""A row stays a line, whatever its names: `grep` finds it whole."""


def show_campaigns(site: Site, views: Iterable[CampaignView], stream: TextIO) -> None:
    """Print a row a campaign: number, name, where it stands, and what its operator said."""
    console = Console(file=stream) if stream.isatty() else Console(file=stream, width=_PLAIN_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("no", justify="right", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("accepted", justify="right", no_wrap=True)
    table.add_column("head", no_wrap=True)
    table.add_column("open slot", overflow="fold")
    table.add_column("until", no_wrap=True)
    table.add_column("here", no_wrap=True)
    names = _Names(site)
    for view in views:
        table.add_row(*map(Text, _cells(site, view, names.of(view))))
    console.print(table)


def _cells(site: Site, view: CampaignView, name: str) -> tuple[str, ...]:
    slot, until = wording.NONE, wording.NONE
    if view.state is CampaignState.ENROLLING:
        until = wording.moment(view.enrol_deadline)
    elif view.state is CampaignState.FAILED:
        slot = f"none: {why_failed(view)}"
    elif view.slot is not None:
        owner = wording.printable(view.name_of(view.slot.owner))
        state = view.slot.state.name.lower().replace("_", " ")
        slot, until = f"{view.slot.number}, {owner}: {state}", wording.moment(view.slot.deadline)
    return (
        str(view.number),
        name,
        view.state.name.lower(),
        f"{view.accepted} of {view.slots}" if view.slots else wording.NONE,
        "genesis" if view.head == GENESIS else f"slot {view.head}",
        slot,
        until,
        site.answer_to(view.spec_hash).value,
    )


class _Names:
    """Campaigns' names, out of their specs; a store that does not answer is asked once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._answers = True

    def of(self, view: CampaignView) -> str:
        """A campaign's name; a dash if its spec can't be had."""
        if self._answers:
            try:
                return self._site.spec(view).name
            except StoreUnavailableError:
                self._answers = False
            except CDistriMError:
                pass
        return wording.NONE
