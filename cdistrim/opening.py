"""Opening the head after a granted fetch, with the shares that its holders released.

The slot's owner asks with a fresh one-time key, whose digest is on the ledger. It lies here,
encrypted, until the slot is over, and is then erased: the store plus a stolen disk don't open what
was released in old slots. Any t good shares will do; who sent junk is named.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.custody import (
    capsules,
    ciphertext,
    no_capsule,
    open_genesis,
    open_with,
    own_share,
    prefix,
    read_messages,
    record_context,
)
from cdistrim.envelope import DataKey, account_of, belongs
from cdistrim.errors import (
    IntegrityError,
    NotReleasedError,
    SealError,
    UnopenableHeadError,
    UntrustedDataError,
)
from cdistrim.messages import Release
from cdistrim.names import names_of
from cdistrim.protocol import GENESIS, CampaignView, GrantedFetch, ModelRecord, SlotView
from cdistrim.report.wording import plural
from cdistrim.sealing import SealingKey
from cdistrim.shares import Share, recover
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.capsule import Capsule
    from cdistrim.site import Site
    from cdistrim.weights import Weights

__all__ = [
    "Gathered",
    "OpenedHead",
    "dealt_badly",
    "erase_request_key",
    "find_key",
    "gather",
    "open_granted_head",
    "open_together",
    "open_with_shares",
    "place_of",
    "place_of_final",
    "place_of_slot",
    "request_key",
]

_TRIES = 500
"""Sets of t shares that are tried where a dealer dealt badly; 7 of 11 are 330."""


def place_of(fetch: GrantedFetch) -> str:
    """Where messages of a fetch lie in the store, e.g. ``2-1`` for slot 2, attempt 1."""
    return _place(fetch.slot, fetch.attempt, fetch.requester)


def place_of_slot(slot: SlotView) -> str:
    """The same for the slot's owner, whose request it was: releases carry the attempt of that."""
    return _place(slot.number, slot.fetch_attempt, slot.owner)


def place_of_final(number: int, requester: str) -> str:
    """The same for a request of the final model, by its round."""
    return _place(0, number, requester)


def _place(slot: int, attempt: int, requester: str) -> str:
    return f"{slot}-{attempt}" if slot else f"final-{attempt}-{requester.lower()}"


# --- the requester's one-time key -----------------------------------------------------------------


def _request_key_path(site: Site, campaign: int, slot: int, attempt: int) -> Path:
    return site.work / f"request-{campaign}-{slot}-{attempt}.key"


def request_key(site: Site, campaign: int, slot: int, attempt: int) -> SealingKey:
    """The one-time key of this site's slot: made on the first call, published in the store.

    For the final model ``slot`` is 0 and ``attempt`` the request's round.

    It survives a crash (encrypted under the site's passphrase), or a restarted process could not
    open what was released to it.
    """
    path = _request_key_path(site, campaign, slot, attempt)
    if path.exists():
        key = site.keys.open_one_time_key(path.read_bytes())
    else:
        key = SealingKey.generate()
        write_atomically(path, site.keys.protect_one_time_key(key))
    where = prefix(site, site.account, campaign, "requests", _place(slot, attempt, site.account))
    site.store.put(where, key.public_bytes)
    return key


def erase_request_key(site: Site, campaign: int, slot: int, attempt: int) -> None:
    """The slot is over: what was released to its one-time key can't be opened any more."""
    _request_key_path(site, campaign, slot, attempt).unlink(missing_ok=True)


# --- gathering shares -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Gathered:
    """What was released of one capsule's shares, by account; the requester's own is among them.

    ``bad`` are holders who signed a release that is junk; ``missing`` have released nothing, or
    somebody put junk in their name. ``recorded`` says that the capsule is the one that was accepted
    with the model; others were added by partners, and nobody has vouched for those.
    """

    capsule: Capsule
    recorded: bool
    good: Mapping[str, Share]
    bad: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether these shares can open the model."""
        return len(self.good) >= self.capsule.threshold


def gather(
    site: Site, campaign: int, record: ModelRecord, *, slot: int, attempt: int
) -> list[Gathered]:
    """The shares of a model that were released to this site's grant, by capsule.

    Those of which there are enough come first, and then those with most of them; of equals the
    newest.

    Args:
        slot: The requester's slot; 0 for the final model.
        attempt: In which it asked; of the final model the round.

    Raises:
        IntegrityError: No capsule of the model can be read.
    """
    one_time = request_key(site, campaign, slot, attempt)
    found = [
        _gather_of(site, campaign, record, capsule, one_time, slot=slot, attempt=attempt)
        for capsule in capsules(site, campaign, record)
    ]
    if not found:
        raise no_capsule(record)
    return sorted(found, key=lambda one: (not one.enough, -len(one.good) * (not one.enough)))


def _gather_of(
    site: Site,
    campaign: int,
    record: ModelRecord,
    capsule: Capsule,
    one_time: SealingKey,
    *,
    slot: int,
    attempt: int,
) -> Gathered:
    good: dict[str, Share] = {}
    bad: list[str] = []
    me = account_of(site.account)
    if capsule.holds(me):
        try:
            good[me] = own_share(site, campaign, record, capsule)
        except SealError as error:
            site.logger.warning("The own share of %s does not open: %s", record.name, error)
    for holder in sorted(set(capsule.holders) - {me}):
        junk = False
        place = _place(slot, attempt, site.account)
        where = prefix(site, holder, campaign, "releases", place)
        for release in read_messages(site, where, Release):
            if release.capsule != capsule.digest():
                continue
            try:
                release.require_author(holder)
            except IntegrityError as error:
                site.logger.warning("A release in the name of %s: %s", holder, error)
                continue
            try:
                good[holder] = release.open(capsule, one_time, slot=slot, attempt=attempt)
                break
            except SealError as error:
                site.logger.warning("The share that %s released is junk: %s", holder, error)
                junk = True
        if junk and holder not in good:
            bad.append(holder)
    missing = tuple(sorted(set(capsule.holders) - set(good) - set(bad)))
    recorded = capsule.digest() == record.capsule_hash
    return Gathered(capsule, recorded, good, tuple(bad), missing)


# --- opening --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenedHead:
    """The head in memory, its key, and whose shares opened it; both None for genesis."""

    weights: Weights
    key: DataKey | None = None
    gathered: Gathered | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many shares were good, bad, or missing, as the ledger wants it."""
        if self.gathered is None:
            return {"good": 0, "bad": 0, "missing": 0}
        return {
            "good": len(self.gathered.good),
            "bad": len(self.gathered.bad),
            "missing": len(self.gathered.missing),
        }


def open_granted_head(
    site: Site, view: CampaignView, slot: SlotView, envelope: bytes
) -> OpenedHead:
    """Open the head with the shares that were released to this site's one-time key.

    Args:
        site: The slot's owner.
        view: The campaign; ``view.head`` is what gets opened.
        slot: The site's own slot, granted.
        envelope: What :func:`cdistrim.custody.ciphertext` gave; empty for the genesis head.

    Raises:
        NotReleasedError: There are too few good shares (yet): wait for holders, or try again.
        SealError: The shares don't open the envelope: whoever dealt them dealt badly.
        UnopenableHeadError: It opens, but is not the recorded model.
        IntegrityError: No capsule can be read.
    """
    if view.head == GENESIS:
        return OpenedHead(open_genesis(site, view))
    record = site.ledger.model(view.number, view.head)
    found = gather(site, view.number, record, slot=slot.number, attempt=slot.fetch_attempt)
    return open_with_shares(site, view.number, record, found, envelope)


def open_with_shares(
    site: Site, campaign: int, record: ModelRecord, found: Sequence[Gathered], envelope: bytes
) -> OpenedHead:
    """Open a model with what was released to this site's one-time key.

    Raises:
        NotReleasedError, SealError, UnopenableHeadError: As :func:`open_granted_head`.
    """
    opened = find_key(site, campaign, record, found, envelope)
    if opened is None:
        if dealt_badly(found):
            raise SealError(
                f"The shares of {record.name} fit its capsule but don't open it: {record.partner} "
                "dealt badly.",
                hint="Ask the partners to restore the head before it.",
            )
        best = next((each for each in found if each.recorded), found[0])
        names = names_of(site.ledger)
        raise NotReleasedError(
            f"{plural(len(best.good), 'good share')} of {record.name}'s key "
            f"{'is' if len(best.good) == 1 else 'are'} there, {best.capsule.threshold} are needed; "
            f"junk from {names.listed(best.bad) or 'nobody'}, nothing from "
            f"{names.listed(best.missing) or 'nobody'}.",
            hint="Holders release once it is granted, if they are awake and have their keys. The "
            "same again goes on where this was, until the deadline.",
        )
    key, gathered = opened
    try:
        weights = open_with(key, envelope, site, campaign, record)
    except UntrustedDataError as error:
        # The key is the envelope's: what it opens is not the model that was accepted.
        raise UnopenableHeadError(error.what, hint=error.hint, reproducible=False) from error
    return OpenedHead(weights, key, gathered)


def find_key(
    site: Site, campaign: int, record: ModelRecord, found: Sequence[Gathered], envelope: bytes
) -> tuple[DataKey, Gathered] | None:
    """The key of an envelope, and the shares that gave it; None if there are too few of the right.

    Enough shares may not be the right ones: any partner can add a capsule of junk, and a dealer may
    have dealt badly, where nobody checked it. Then more than one set of them is tried.
    """
    context = record_context(site, campaign, record)
    for gathered in found:
        if not gathered.enough:
            continue
        threshold = gathered.capsule.threshold
        sets = itertools.combinations(gathered.good.values(), threshold)
        for number, chosen in enumerate(itertools.islice(sets, _TRIES)):
            key = recover(chosen, threshold)
            if belongs(envelope, key, context):
                if number:
                    site.logger.warning("Shares of %s don't fit each other", record.name)
                return key, gathered
        site.logger.warning(
            "%d shares of %s fit their capsule but don't open it: %s dealt badly",
            len(gathered.good),
            record.name,
            _dealer_of(site, campaign, record, gathered.capsule),
        )
    return None


def _dealer_of(site: Site, campaign: int, record: ModelRecord, capsule: Capsule) -> str:
    """Who put a capsule on the ledger: the model's trainer, or who shared its key anew."""
    digest = capsule.digest()
    added = site.ledger.added_capsules(campaign, record.slot)
    return next((each.partner for each in added if each.capsule_hash == digest), record.partner)


def dealt_badly(found: Sequence[Gathered]) -> bool:
    """Whether there are enough shares of the recorded capsule, so that waiting is no use."""
    return any(each.recorded and each.enough for each in found)


def open_together(sites: Sequence[Site], campaign: int, record: ModelRecord) -> Weights:
    """Open a model with the long-term keys of many sites, on a machine that has them all.

    What a demo does after its campaign, and what colluding partners could do. Partners that trust
    each other less ask for a ballot.

    Raises:
        SealError: These sites hold too few shares.
        IntegrityError: An object is missing or altered, or the weights are not the recorded ones.
    """
    site = sites[0]
    envelope = ciphertext(site, campaign, record)
    context = record_context(site, campaign, record)
    for capsule in capsules(site, campaign, record):
        shares = []
        for each in sites:
            with contextlib.suppress(SealError):
                shares.append(own_share(each, campaign, record, capsule))
        if len(shares) < capsule.threshold:
            continue
        key = recover(shares, capsule.threshold)
        if belongs(envelope, key, context):
            return open_with(key, envelope, site, campaign, record)
    raise SealError(
        f"{len(sites)} sites together hold too few shares of {record.name}'s key.",
        hint="As many holders as the campaign's quorum open a model, and no fewer.",
    )
