"""The final model of a completed campaign: asked for, granted by ballot, opened with shares.

The same rules as for a head: a one-time key whose digest is on the ledger, a majority's grant, and
then every holder's share. What comes out is a file in the clear: whoever asks for it means to use
it, and answers for it from there on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.belonging import refuse_removed
from cdistrim.custody import ciphertext, see_whole
from cdistrim.errors import LedgerRefusal, NotReleasedError, UsageError
from cdistrim.final_waiting import FinalModelTeller
from cdistrim.lease import Lease
from cdistrim.opening import (
    dealt_badly,
    erase_request_key,
    find_key,
    gather,
    open_with_shares,
    request_key,
)
from cdistrim.opening_reports import report_opening
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    BallotState,
    CampaignState,
    FinalFetch,
    FinalFetchState,
    ModelRecord,
)
from cdistrim.recoverability import damage_of
from cdistrim.resharing import due_for_resharing, reshare
from cdistrim.restore import apply_removals
from cdistrim.sealing import public_digest
from cdistrim.site import write_atomically
from cdistrim.watch import observe, poll_seconds

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.weights import Weights

__all__ = ["OpenedFinalModel", "fetch_final_model", "reshare_final_model", "standing_round"]


@dataclass(frozen=True)
class OpenedFinalModel:
    """What came of an opening: the model's record, and the names of models whose keys were shared
    anew on the way, or still have to be (too few shares of an ancestor, or too many models)."""

    record: ModelRecord
    shared_anew: tuple[str, ...]
    still_due: tuple[str, ...]


def fetch_final_model(
    site: Site,
    campaign: int,
    file: Path,
    *,
    patience: float,
    say: Callable[[str], object] = lambda _line: None,
) -> OpenedFinalModel:
    """Ask for the final model, wait for the partners, and write it to a file (safetensors, 0600).

    Said again after it was interrupted, it goes on where it was. Having the model's key, it shares
    that and its ancestors' anew where members came, went or replaced their sealing keys.

    Args:
        file: Must not exist.
        patience: Seconds to wait for the ballot and the shares.
        say: Told what is waited for.

    Raises:
        ConfigurationError: This site was removed from the consortium.
        UsageError: The file exists, or the campaign has no final model.
        NotReleasedError: The partners have not decided, or too few have released, in time.
        LedgerRefusal: The partners refused.
        IntegrityError: Its objects are missing or altered in the store; nothing was asked for.
        UnopenableHeadError: The model can't be opened: a restore ballot is due.
        LeaseHeldError: Another process of this site has weights in memory.
    """
    if file.exists():
        raise UsageError(f"{file} is there already.", hint="Nothing is overwritten.")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"There is no directory {file.parent}.", hint="Make it, or correct it.")

    def keep(weights: Weights) -> None:
        from cdistrim.weights import to_bytes

        write_atomically(file, to_bytes(weights))

    return _open(site, campaign, patience=patience, say=say, use=keep)


def reshare_final_model(
    site: Site,
    campaign: int,
    *,
    patience: float,
    say: Callable[[str], object] = lambda _line: None,
) -> OpenedFinalModel:
    """Share the keys of a completed campaign's models anew, and check what others have shared.

    A slot's owner does that in a running campaign; in one that is over somebody has to ask. It is
    an opening like any other, by a majority's grant and on the ledger, but writes no file.

    Args:
        patience: Seconds to wait for the ballot and the shares.
        say: Told what is waited for.

    Raises:
        ConfigurationError, UsageError, NotReleasedError, LedgerRefusal, IntegrityError,
        UnopenableHeadError, LeaseHeldError: As :func:`fetch_final_model`.
    """
    return _open(site, campaign, patience=patience, say=say, use=lambda _weights: None)


def _open(
    site: Site,
    campaign: int,
    *,
    patience: float,
    say: Callable[[str], object],
    use: Callable[[Weights], object],
) -> OpenedFinalModel:
    refuse_removed(site)
    view = observe(site.ledger, campaign)
    if view.state is not CampaignState.COMPLETED or view.head == GENESIS:
        what = "no model was accepted" if view.state.ended else f"it is {view.state.name.lower()}"
        raise UsageError(
            f"Campaign {campaign} has no final model: {what}.",
            hint="Look at `cdistrim campaign status`.",
        )
    if view.removals_pending:
        # Nothing is due in a campaign that is over, so no agent has done it.
        apply_removals(site, campaign)
        view = observe(site.ledger, campaign)
    record = site.ledger.model(campaign, view.head)
    see_whole(site, campaign, record)  # Nobody need vote on what can't be opened anyway.
    for ancestor in due_for_resharing(site, view):
        if ancestor.slot != view.head:
            for what in damage_of(site, view, ancestor):
                say(f"The key of {ancestor.name} can't be shared anew here: {what}")
    number = standing_round(site, campaign)
    if number is None:
        # Only now: a request gives up what was granted before.
        number = site.ledger.final_fetch(campaign, site.account).round + 1
        key = request_key(site, campaign, 0, number)
        site.ledger.request_final_model(
            campaign=campaign, request_key_digest=public_digest(key.public_bytes)
        )
    at = {"slot": 0, "attempt": number}
    end = time.monotonic() + patience
    say(f"{record.name} is asked for; the partners vote.")
    teller = FinalModelTeller(site, campaign, number, say)
    _await_grant(site, campaign, number, end, teller)
    say("It is granted; holders release their shares.")
    envelope = ciphertext(site, campaign, record)
    with Lease(site.work, campaign=campaign, slot=0, purpose="final model"):
        while True:
            found = gather(site, campaign, record, **at)
            ready = find_key(site, campaign, record, found, envelope) or dealt_badly(found)
            if ready or time.monotonic() > end:
                break
            teller.shares(found)
            time.sleep(poll_seconds())
        opened = open_with_shares(site, campaign, record, found, envelope)
        site.ledger.report_final_opened(campaign=campaign, **opened.counts)
        use(opened.weights)
        anew: list[str] = []
        due: list[ModelRecord] = []
        if opened.key is not None and opened.gathered is not None:
            report_opening(site, campaign, record, opened.gathered, opened.key, **at)
            anew = reshare(site, view, opened.key, **at)
            due = due_for_resharing(site, view)
    erase_request_key(site, campaign, 0, number)
    return OpenedFinalModel(record, tuple(anew), tuple(each.name for each in due))


def standing_round(site: Site, campaign: int) -> int | None:
    """The round of this site's request, if one is open, or granted and still in time; else None."""
    known = site.ledger.final_fetch(campaign, site.account)
    if known.state is FinalFetchState.GRANTED and site.ledger.now() <= known.deadline:
        return known.round
    if known.state is FinalFetchState.REQUESTED and _ballot_state(site, campaign, known.round) in (
        BallotState.OPEN,
        BallotState.PASSED,
    ):
        return known.round
    return None


def _ballot_state(site: Site, campaign: int, number: int) -> BallotState:
    name = BallotId(BallotKind.FINAL_FETCH, campaign, 0, number, site.account)
    ballot = site.ledger.ballot(name)
    return ballot.state if ballot is not None else BallotState.NONE


def _await_grant(
    site: Site, campaign: int, number: int, end: float, teller: FinalModelTeller
) -> FinalFetch:
    while True:
        known = site.ledger.final_fetch(campaign, site.account)
        if known.round == number and known.state is FinalFetchState.GRANTED:
            return known
        if _ballot_state(site, campaign, number) is BallotState.REJECTED:
            raise LedgerRefusal(
                f"The partners refused the final model of campaign {campaign}.",
                name="FinalFetchRefused",
                hint="Ask them why; their sites log a sentence for each vote.",
            )
        if time.monotonic() > end:
            raise NotReleasedError(
                f"The partners have not granted the final model of campaign {campaign} yet.",
                hint="Their agents vote by themselves; say the same again later.",
            )
        teller.votes()
        time.sleep(poll_seconds())
