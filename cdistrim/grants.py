"""Evaluate grants: how evaluators come to see a candidate, and what they check before they vote.

An evaluator *offers* a one-time key for a slot; the slot's owner seals the candidate's data key to
it. With the key the evaluator opens the candidate, checks that its key was dealt well, measures,
and before its yes publishes all shares once more, sealed to their holders: so no dealer can make a
head unopenable. When the slot is over, it erases its one-time key: the store plus its stolen disk
don't open candidates of old slots (protocol.md, "Keys", 3).

Offers are signed, or anybody who can write to the store could have the key sealed to a key of his.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from cdistrim.capsule import Capsule
from cdistrim.custody import (
    context_of,
    head_hash,
    prefix,
    read_messages,
    record_context,
    recorded_capsule,
    require_dealing,
)
from cdistrim.envelope import Context, DataKey, account_of, belongs, decrypt, encrypt
from cdistrim.errors import BadDealingError, IntegrityError, NotReleasedError, SealError
from cdistrim.measurements import Measurer
from cdistrim.messages import Grant, OfferedKey, Shares
from cdistrim.opening import request_key
from cdistrim.protocol import GENESIS, CampaignView, Mode, ModelRecord, SlotState, SlotView
from cdistrim.sealing import SealingKey
from cdistrim.shares import Share
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = [
    "Granting",
    "checked_shares",
    "erase_offered_key",
    "granted_key",
    "granting_path",
    "grants_prefix",
    "has_offered",
    "offer_key",
    "offers_prefix",
    "publish_shares",
]

_OFFER_STATES = (
    SlotState.FETCH_REQUESTED,
    SlotState.FETCH_GRANTED,
    SlotState.TRAINING,
    SlotState.UPLOAD_REQUESTED,
)


# --- the evaluator: offering a key, and using what was granted ------------------------------------


def _offered_path(site: Site, campaign: int, slot: int, attempt: int) -> Path:
    return site.work / f"evaluation-{campaign}-{slot}-{attempt}.key"


def _mark_path(site: Site, campaign: int, slot: int, attempt: int) -> Path:
    return site.memory / "offered" / f"{campaign}-{slot}-{attempt}"


def _owes_offer(site: Site, view: CampaignView) -> bool:
    slot, me = view.slot, view.enrolment(site.account)
    if slot is None or me is None or not me.evaluator or view.mode is not Mode.HOLDOUT:
        return False
    if slot.state is SlotState.UPLOAD_REQUESTED:
        return slot.ballot is not None and slot.ballot.waits_for(site.account)
    return slot.owner != site.account and slot.state in _OFFER_STATES


def has_offered(site: Site, campaign: int, slot: int, attempt: int) -> bool:
    """Whether this site offered a key for that slot, has it, and the store still has the offer."""
    mark = _mark_path(site, campaign, slot, attempt)
    if not mark.exists() or not _offered_path(site, campaign, slot, attempt).exists():
        return False
    where = offers_prefix(site, site.account, campaign, slot, attempt)
    return site.store.exists(where, mark.read_bytes())


def offer_key(site: Site, view: CampaignView) -> bool:
    """Offer a one-time key for the open slot's candidate, if this site shall measure it.

    Does nothing where it shall not, where its operator has not approved the campaign, or where it
    has offered one already. Returns whether this call offered.
    """
    slot = view.slot
    if slot is None or not _owes_offer(site, view) or not site.has_approved(view.spec_hash):
        return False
    if has_offered(site, view.number, slot.number, slot.attempt):
        return False
    path = _offered_path(site, view.number, slot.number, slot.attempt)
    if path.exists():
        key = site.keys.open_one_time_key(path.read_bytes())
    else:
        key = SealingKey.generate()
        write_atomically(path, site.keys.protect_one_time_key(key))
    offer = OfferedKey(
        model=_candidate_context(site, slot),
        evaluator=site.account,
        public=key.public_bytes,
        head=_needs_head(site, view, slot),
    ).signed(site.keys)
    where = offers_prefix(site, site.account, view.number, slot.number, slot.attempt)
    put = site.store.put(where, offer.to_bytes())
    mark = _mark_path(site, view.number, slot.number, slot.attempt)
    write_atomically(mark, put.digest, durable=False)
    return True


def erase_offered_key(site: Site, campaign: int, slot: int, attempt: int) -> None:
    """What was granted to this one-time key can't be opened any more."""
    _offered_path(site, campaign, slot, attempt).unlink(missing_ok=True)


def _needs_head(site: Site, view: CampaignView, slot: SlotView) -> bool:
    """Whether this site has to open the head to compare with, since it never measured it."""
    if view.head == GENESIS:
        return False
    measurer = Measurer(site, site.spec(view), slot)
    return measurer.remembered(site.data.holdout, head_hash(site, view)) is None


def granted_key(site: Site, slot: SlotView, context: Context, envelope: bytes) -> DataKey:
    """The key of a model that this site was granted in order to measure a slot's candidate.

    Args:
        context: The candidate's, or that of the head that it is compared with.
        envelope: What the key has to open.

    Raises:
        NotReleasedError: There is no grant that opens it (yet).
    """
    path = _offered_path(site, slot.campaign, slot.number, slot.attempt)
    if path.exists():
        one_time = site.keys.open_one_time_key(path.read_bytes())
        where = grants_prefix(site, slot, site.account)
        for grant in read_messages(site, where, Grant):
            if grant.model != context or grant.evaluator != account_of(site.account):
                continue
            try:
                key = grant.open(one_time)
            except SealError as error:
                site.logger.warning("A grant at %s does not open: %s", where, error)
                continue
            if belongs(envelope, key, context):
                return key
    raise NotReleasedError(
        f"Slot {slot.number} has no evaluate grant for {site.name} yet.",
        hint="Its trainer grants to whoever has offered a key while the ballot is open.",
    )


def checked_shares(
    site: Site, view: CampaignView, record: ModelRecord, key: DataKey
) -> tuple[Capsule, dict[str, Share]]:
    """All shares of a candidate's key, after everything about its dealing was checked.

    Raises:
        BadDealingError: Holders, threshold or shares are not as the protocol asks.
        IntegrityError: The capsule is not the recorded one.
    """
    context = record_context(site, view.number, record)
    capsule = recorded_capsule(site, view.number, record)
    require_dealing(site, view, capsule, context)
    shares = capsule.shares(key)
    if capsule.holds(site.account):
        try:
            capsule.open_share(site.account, site.keys.opening_keys, context)
        except SealError as error:
            raise BadDealingError(
                f"{record.partner} sealed something else than a share to {site.name}: {error.what}",
                hint="Vote no: it may have done so to others, too.",
            ) from None
    return capsule, shares


def publish_shares(
    site: Site, campaign: int, record: ModelRecord, capsule: Capsule, shares: dict[str, Share]
) -> None:
    """Seal checked shares to all holders once more, whatever the dealer sealed to them."""
    public = {member.account: member.sealing_key for member in site.ledger.members()}
    document = Shares.seal(capsule, shares, public)
    where = prefix(site, site.account, campaign, "shares", record.name)
    site.store.put(where, document.to_bytes())


# --- the trainer: granting ------------------------------------------------------------------------


class Granting:
    """A trainer's grants for one slot: the keys, and which offers were answered.

    The keys outlive the process, encrypted under the slot's one-time key, so that evaluators who
    come late are granted the candidate after a crash, too. With the one-time key they are gone.

    Args:
        site: The slot's owner.
        key: The candidate's data key.
        head: The head's context and data key, for evaluators that never measured it; None where
            the head is genesis.
    """

    def __init__(self, site: Site, key: DataKey, head: tuple[Context, DataKey] | None) -> None:
        self._site = site
        self._key = key
        self._head = head
        self._answered: set[bytes] = set()

    def keep(self, slot: SlotView) -> None:
        """Write the keys down, encrypted."""
        plain = self._key.reveal() + (self._head[1].reveal() if self._head else b"")
        context = _candidate_context(self._site, slot)
        path = granting_path(self._site, slot.campaign, slot.number, slot.attempt)
        write_atomically(path, encrypt(plain, _granting_key(self._site, slot), context))

    @classmethod
    def kept(cls, site: Site, slot: SlotView, head: Context | None) -> Self | None:
        """What :meth:`keep` wrote down in a process that was lost; None if there is nothing.

        Args:
            head: The head's context; None where the head is genesis.
        """
        path = granting_path(site, slot.campaign, slot.number, slot.attempt)
        if not path.exists():
            return None
        try:
            plain = decrypt(
                path.read_bytes(), _granting_key(site, slot), _candidate_context(site, slot)
            )
        except SealError as error:
            site.logger.warning("The kept keys of slot %d do not open: %s", slot.number, error)
            return None
        keys = [DataKey(plain[i : i + 32]) for i in range(0, len(plain), 32)]
        with_head = (head, keys[1]) if head is not None and len(keys) > 1 else None
        return cls(site, keys[0], with_head)

    def answer(self, view: CampaignView, slot: SlotView) -> int:
        """Seal what they need to all evaluators who have offered a key since; how many.

        To those who will have a vote, that is: not to joiners before they have one. While somebody
        who was removed is still a partner on the ledger, nobody is granted anything: it starts with
        the next call after that is applied.
        """
        if view.removals_pending:
            return 0
        context = _candidate_context(self._site, slot)
        count = 0
        for evaluator in sorted(e.partner for e in view.enrolments if e.evaluator and e.voter):
            if evaluator == self._site.account:
                continue
            where = offers_prefix(self._site, evaluator, slot.campaign, slot.number, slot.attempt)
            for offer in read_messages(self._site, where, OfferedKey):
                if self._is_new(offer, evaluator, context):
                    self._grant(offer, slot, context)
                    count += 1
        return count

    def _is_new(self, offer: OfferedKey, evaluator: str, context: Context) -> bool:
        if offer.public in self._answered or offer.model != context:
            return False
        try:
            offer.require_author(evaluator)
        except IntegrityError as error:
            self._site.logger.warning("No grant to a key offered as %s's: %s", evaluator, error)
            return False
        return offer.evaluator == account_of(evaluator)

    def _grant(self, offer: OfferedKey, slot: SlotView, context: Context) -> None:
        keys = {context: self._key}
        if offer.head and self._head is not None:
            keys[self._head[0]] = self._head[1]
        where = grants_prefix(self._site, slot, offer.evaluator)
        for model, key in keys.items():
            try:
                grant = Grant.seal(key, offer, model, slot=slot.number, attempt=slot.attempt)
            except SealError as error:
                self._site.logger.warning("%s offered no key: %s", offer.evaluator, error)
                break
            self._site.store.put(where, grant.to_bytes())
        self._answered.add(offer.public)


def granting_path(site: Site, campaign: int, slot: int, attempt: int) -> Path:
    """Where a trainer keeps the keys that it grants, encrypted."""
    return site.work / f"granting-{campaign}-{slot}-{attempt}.bin"


def _granting_key(site: Site, slot: SlotView) -> DataKey:
    one_time = request_key(site, slot.campaign, slot.number, slot.fetch_attempt)
    return one_time.local_key(b"granting")


def _candidate_context(site: Site, slot: SlotView) -> Context:
    return context_of(site, slot.campaign, slot.number, slot.attempt, slot.owner)


def offers_prefix(site: Site, evaluator: str, campaign: int, slot: int, attempt: int) -> str:
    """Where the keys lie in the store that an evaluator offered for a slot."""
    return prefix(site, evaluator, campaign, "offers", f"{slot}-{attempt}")


def grants_prefix(site: Site, slot: SlotView, evaluator: str) -> str:
    """Where the grants of a slot's owner to one evaluator lie in the store."""
    at = f"{slot.number}-{slot.attempt}"
    return prefix(site, slot.owner, slot.campaign, "grants", at, evaluator)
