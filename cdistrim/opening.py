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
from cdistrim.messages import OpeningReport, Release
from cdistrim.protocol import GENESIS, CampaignView, ModelRecord, SlotView
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
    "erase_request_key",
    "gather",
    "key_that_fits",
    "open_granted_head",
    "open_together",
    "opening_one",
    "report_opening",
    "request_key",
]

_TRIES = 500
"""Sets of t shares that are tried where a dealer dealt badly; 7 of 11 are 330."""


# --- the requester's one-time key -----------------------------------------------------------------


def _request_key_path(site: Site, campaign: int, slot: int, attempt: int) -> Path:
    return site.work / f"request-{campaign}-{slot}-{attempt}.key"


def request_key(site: Site, campaign: int, slot: int, attempt: int) -> SealingKey:
    """The one-time key of this site's slot: made on the first call, published in the store.

    It survives a crash (encrypted under the site's passphrase), or a restarted process could not
    open what was released to it.
    """
    path = _request_key_path(site, campaign, slot, attempt)
    if path.exists():
        key = site.keys.open_one_time_key(path.read_bytes())
    else:
        key = SealingKey.generate()
        write_atomically(path, site.keys.protect_one_time_key(key))
    site.store.put(prefix(site, campaign, "requests", f"{slot}-{attempt}"), key.public_bytes)
    return key


def erase_request_key(site: Site, campaign: int, slot: int, attempt: int) -> None:
    """The slot is over: what was released to its one-time key can't be opened any more."""
    _request_key_path(site, campaign, slot, attempt).unlink(missing_ok=True)


# --- gathering shares -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Gathered:
    """What was released of one capsule's shares, by account; the requester's own is among them.

    ``bad`` are holders who signed a release that is junk; ``missing`` have released nothing, or
    somebody put junk in their name.
    """

    capsule: Capsule
    good: Mapping[str, Share]
    bad: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether these shares can open the model."""
        return len(self.good) >= self.capsule.threshold


def gather(
    site: Site, campaign: int, record: ModelRecord, *, slot: int, attempt: int
) -> tuple[Gathered, ...]:
    """The shares of a model that were released to this site's grant, by capsule, the best first.

    First those of which there are enough, the newest first, then those with most shares. Nobody
    vouches for a capsule that a partner has added: it may be of another key.

    Args:
        slot: The requester's slot, and the attempt in which it asked.

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
    found.sort(key=lambda one: (not one.enough, 0 if one.enough else -len(one.good)))
    return tuple(found)


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
        where = prefix(site, campaign, "releases", f"{slot}-{attempt}", holder)
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
    return Gathered(capsule, good, tuple(bad), missing)


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
    gathered, key = opening_one(site, view.number, record, found, envelope)
    try:
        weights = open_with(key, envelope, site, view.number, record)
    except UntrustedDataError as error:
        # The key is the envelope's: what it opens is not the model that was accepted.
        raise UnopenableHeadError(error.what, hint=error.hint, reproducible=False) from error
    return OpenedHead(weights, key, gathered)


def opening_one(
    site: Site, campaign: int, record: ModelRecord, found: Sequence[Gathered], envelope: bytes
) -> tuple[Gathered, DataKey]:
    """The first capsule of which there are enough shares that open the envelope, and the key.

    Args:
        found: What :func:`gather` gave.

    Raises:
        NotReleasedError: There are too few good shares of a capsule that may still open it.
        SealError: There are enough of all of them, and none opens it.
    """
    failure: SealError | None = None
    for gathered in found:
        if not gathered.enough:
            raise NotReleasedError(
                f"{len(gathered.good)} good shares of {record.name}'s key are there, "
                f"{gathered.capsule.threshold} are needed; junk from {_named(gathered.bad)}, "
                f"nothing from {_named(gathered.missing)}.",
                hint="Holders release after the grant; if too few do, the slot ends at its "
                "deadline.",
            )
        try:
            return gathered, key_that_fits(site, campaign, record, gathered, envelope)
        except SealError as error:
            site.logger.warning("A capsule of %s is no use: %s", record.name, error)
            failure = failure or error
    raise failure or no_capsule(record)


def key_that_fits(
    site: Site, campaign: int, record: ModelRecord, gathered: Gathered, envelope: bytes
) -> DataKey:
    """The key of the envelope, out of enough shares.

    More than one set of them has to be tried after a bad dealing only.

    Raises:
        SealError: None of the sets gives it.
    """
    context = record_context(site, campaign, record)
    threshold = gathered.capsule.threshold
    sets = itertools.combinations(gathered.good.values(), threshold)
    for number, chosen in enumerate(itertools.islice(sets, _TRIES)):
        key = recover(chosen, threshold)
        if belongs(envelope, key, context):
            if number:
                dealer = _dealer_of(site, campaign, record, gathered.capsule)
                site.logger.warning("%s dealt shares that don't fit each other", dealer)
            return key
    raise SealError(
        f"{len(gathered.good)} shares of {record.name} fit its capsule but don't open it: "
        f"{_dealer_of(site, campaign, record, gathered.capsule)} dealt badly.",
        hint="Ask the partners to restore the head before it.",
    )


def _dealer_of(site: Site, campaign: int, record: ModelRecord, capsule: Capsule) -> str:
    """Who put a capsule on the ledger: the model's trainer, or who shared its key anew."""
    digest = capsule.digest()
    added = site.ledger.added_capsules(campaign, record.slot)
    return next((each.partner for each in added if each.capsule_hash == digest), record.partner)


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


def report_opening(site: Site, slot: SlotView, gathered: Gathered, *, opened: bool) -> None:
    """Tell all partners, through the store, whose shares were good, junk or missing."""
    capsule = gathered.capsule
    report = OpeningReport(
        model=capsule.context,
        capsule=capsule.digest(),
        requester=site.account,
        slot=slot.number,
        attempt=slot.fetch_attempt,
        opened=opened,
        good=tuple(sorted(gathered.good)),
        bad=gathered.bad,
        missing=gathered.missing,
    ).signed(site.keys)
    where = prefix(site, slot.campaign, "openings", f"{slot.number}-{slot.fetch_attempt}")
    site.store.put(where, report.to_bytes())


def _named(accounts: tuple[str, ...]) -> str:
    return ", ".join(accounts) or "nobody"
