"""Whom a request for the final model waits for, in words, for whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cdistrim.names import names_of
from cdistrim.protocol import BallotId, BallotKind, BallotState
from cdistrim.report.wording import moment

if TYPE_CHECKING:
    from cdistrim.opening import Gathered
    from cdistrim.site import Site

__all__ = ["FinalModelTeller"]


class FinalModelTeller:
    """Says whose votes, then whose shares, are missing, whenever that changes.

    Args:
        site: Who asked.
        campaign: For whose final model.
        number: The request's round.
        say: Takes a line.
    """

    def __init__(
        self, site: Site, campaign: int, number: int, say: Callable[[str], object]
    ) -> None:
        self._site = site
        self._campaign = campaign
        self._ballot = BallotId(BallotKind.FINAL_FETCH, campaign, 0, number, site.account)
        self._say = say
        self._names = names_of(site.ledger)
        self._told = ""

    def votes(self) -> None:
        """To be called at every look at the ballot."""
        ballot = self._site.ledger.ballot(self._ballot)
        if ballot is None or ballot.state is not BallotState.OPEN:
            return
        missing = [one for one in ballot.electorate if ballot.waits_for(one)]
        self._tell(
            f"Waits for {ballot.quorum} votes, {ballot.yes} yes and {ballot.no} no so far, not "
            f"yet {self._names.listed(missing)}; until {moment(ballot.deadline)}."
        )

    def shares(self, found: Sequence[Gathered]) -> None:
        """To be called at every look at what was released, with what there is."""
        best = next((each for each in found if each.recorded), found[0])
        # They come by account: by name a reader finds them.
        missing = sorted(
            (one for one in best.missing if not self._names.was_removed(one)), key=self._names.of
        )
        junk = f", junk from {self._names.listed(best.bad)}" if best.bad else ""
        yet = f", nothing yet from {self._names.listed(missing)}" if missing else ""
        told = f"Has {len(best.good)} of the {best.capsule.threshold} shares needed"
        until = self._site.ledger.final_fetch(self._campaign, self._site.account).deadline
        self._tell(f"{told}{junk}{yet}; until {moment(until)}.")

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._say(text)
