"""Custody of models: where they lie in the store, and who holds a share of which key.

A model lies in the store as one AES-256-GCM envelope and one capsule, which shares its data key
among the campaign's partners: t of n open it, t being the quorum. Holders release their shares
after a grant (:mod:`cdistrim.releasing`), the requester opens the model with them
(:mod:`cdistrim.opening`), and evaluators come to see a candidate by :mod:`cdistrim.grants`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cdistrim.capsule import Capsule
from cdistrim.documents import MAX_DOCUMENT, Document
from cdistrim.envelope import Context, DataKey, account_of, decrypt
from cdistrim.errors import BadDealingError, IntegrityError, SealError, UntrustedDataError
from cdistrim.messages import Shares
from cdistrim.places import campaign_place
from cdistrim.protocol import GENESIS, CampaignView, ModelRecord, quorum_of
from cdistrim.signing import SignedDocument
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.shares import Share
    from cdistrim.site import Site
    from cdistrim.weights import Weights

__all__ = [
    "SealedModel",
    "capsule_by",
    "capsules",
    "ciphertext",
    "context_of",
    "deposit",
    "has_share",
    "head_hash",
    "holders_of",
    "no_capsule",
    "open_genesis",
    "open_with",
    "own_share",
    "prefix",
    "read_messages",
    "read_signed",
    "record_context",
    "recorded_capsule",
    "require_dealing",
    "see_envelope",
    "see_whole",
    "share_key",
    "threshold_of",
]

MODEL_LIMIT = 2 * 1024**3

Message = TypeVar("Message", bound=Document)
Signed = TypeVar("Signed", bound=SignedDocument)


class SealedModel:
    """A model as it is deposited: its envelope and its capsule, with their SHA-256."""

    def __init__(self, envelope: bytes, capsule: bytes) -> None:
        self.envelope, self.capsule = envelope, capsule
        self.ciphertext_hash = hashlib.sha256(envelope).digest()
        self.capsule_hash = hashlib.sha256(capsule).digest()

    def forget_bytes(self) -> None:
        """The store has them; the hashes stay."""
        self.envelope = self.capsule = b""


def prefix(site: Site, author: str, campaign: int, *parts: object) -> str:
    """Where an account's objects of one kind lie in the store; unique to chain and contract."""
    return campaign_place(site.settings.chain_id, site.contract, author, campaign, *parts)


def context_of(site: Site, campaign: int, slot: int, attempt: int, partner: str) -> Context:
    """What a model's envelope and keys are bound to: authenticated, never secret."""
    return Context(
        chain_id=site.settings.chain_id,
        contract=site.contract,
        campaign=campaign,
        slot=slot,
        attempt=attempt,
        partner=partner,
    )


def record_context(site: Site, campaign: int, record: ModelRecord) -> Context:
    """The context of a model that is on the ledger."""
    return context_of(site, campaign, record.slot, record.attempt, record.partner)


# --- objects in the store -------------------------------------------------------------------------


def ciphertext(site: Site, campaign: int, record: ModelRecord) -> bytes:
    """A model's envelope out of the store, checked against the ledger.

    Raises:
        IntegrityError: It is missing, truncated or altered.
    """
    where = prefix(site, record.partner, campaign, "models", record.name)
    fingerprint = site.store.fingerprint(where, record.ciphertext_hash)
    envelope = site.store.get(where, record.ciphertext_hash, limit=MODEL_LIMIT)
    _remember_whole(site, record.ciphertext_hash, fingerprint)
    return envelope


def deposit(site: Site, campaign: int, name: str, sealed: SealedModel) -> None:
    """Put a model of this site into the store: its envelope and its capsule.

    Raises:
        IntegrityError: Other bytes lie there under a name of theirs.
    """
    where = prefix(site, site.account, campaign, "models", name)
    site.store.put(where, sealed.envelope, digest=sealed.ciphertext_hash)
    fingerprint = site.store.fingerprint(where, sealed.ciphertext_hash)
    _remember_whole(site, sealed.ciphertext_hash, fingerprint)
    where = prefix(site, site.account, campaign, "capsules", name)
    site.store.put(where, sealed.capsule, digest=sealed.capsule_hash)


def see_whole(site: Site, campaign: int, record: ModelRecord) -> None:
    """See that a model and a capsule of its key lie whole in the store.

    The model is read only if it may have changed since last time. For votes: whoever *uses* the
    bytes checks them, since a hostile store can give each reader others, whatever it told a voter.

    Raises:
        IntegrityError: It is missing, truncated or altered, or all its capsules are.
    """
    if not any(capsules(site, campaign, record)):
        raise no_capsule(record)
    see_envelope(site, campaign, record)


def see_envelope(
    site: Site, campaign: int, record: ModelRecord, *, read_unseen: bool = True
) -> None:
    """See that a model's envelope lies whole in the store; read only if it may have changed.

    Args:
        read_unseen: Whether to read one that this site has never seen whole, and not only to see
            that it is there.

    Raises:
        IntegrityError: It is missing, truncated or altered.
    """
    where = prefix(site, record.partner, campaign, "models", record.name)
    path = _whole_path(site, record.ciphertext_hash)
    seen = path.read_bytes() if path.exists() else b""
    looks = site.store.fingerprint(where, record.ciphertext_hash).encode()
    if seen != looks and (seen or read_unseen):
        ciphertext(site, campaign, record)


def _remember_whole(site: Site, digest: bytes, fingerprint: str) -> None:
    write_atomically(_whole_path(site, digest), fingerprint.encode(), durable=False)


def _whole_path(site: Site, digest: bytes) -> Path:
    """Where this site remembers how an object looked when its bytes were right."""
    return site.memory / "whole" / digest.hex()


def open_with(
    key: DataKey, envelope: bytes, site: Site, campaign: int, record: ModelRecord
) -> Weights:
    """A model's weights, with its data key.

    Raises:
        SealError: The envelope does not open with this key.
        IntegrityError: The weights are not the recorded ones.
    """
    from cdistrim.weights import from_bytes, weights_hash

    weights = from_bytes(decrypt(envelope, key, record_context(site, campaign, record)))
    found = weights_hash(weights)
    if found != record.weights_hash:
        raise IntegrityError(
            f"The weights of {record.name} have the hash {found.hex()}, "
            f"the ledger says {record.weights_hash.hex()}.",
            hint="Its uploader sealed other weights than it recorded; the model can't be used.",
        )
    return weights


def head_hash(site: Site, view: CampaignView) -> bytes:
    """Hash of the head's weights, as on the ledger."""
    if view.head == GENESIS:
        return view.genesis_hash
    return site.ledger.model(view.number, view.head).weights_hash


def open_genesis(site: Site, view: CampaignView) -> Weights:
    """Head 0, regenerated from the seed in the spec.

    Raises:
        IntegrityError: This machine makes other weights out of the seed than the spec or the
            ledger says.
    """
    from cdistrim.genesis import make_genesis

    return make_genesis(site.spec(view), on_ledger=view.genesis_hash)


# --- sharing a model's key ------------------------------------------------------------------------


def holders_of(view: CampaignView) -> frozenset[str]:
    """Among whom a model's key is shared: all partners of the campaign, by account."""
    return frozenset(each.partner for each in view.enrolments)


def threshold_of(view: CampaignView, holders: int) -> int:
    """How many of ``holders`` open a model: the campaign's quorum, were all of them voters."""
    return quorum_of(holders, view.quorum)


def share_key(site: Site, view: CampaignView, key: DataKey, context: Context) -> Capsule:
    """Share a model's key among the campaign's partners, as the ledger has them now.

    Raises:
        SealError: A partner's sealing key is malformed.
    """
    partners = holders_of(view)
    keys = {
        member.account: member.sealing_key
        for member in site.ledger.members()
        if member.account in partners
    }
    return Capsule.seal(key, keys, threshold_of(view, len(keys)), context)


def require_dealing(site: Site, view: CampaignView, capsule: Capsule, context: Context) -> None:
    """See that a capsule names those who shall hold shares, and the right threshold.

    Joiners of the last minute may be missing in it; who will have a vote may not.

    Raises:
        BadDealingError: Somebody is missing, somebody is no partner, or the threshold is another.
        SealError: It is another model's.
    """
    capsule.require(context)
    holders = set(capsule.holders)
    partners = {account_of(each) for each in holders_of(view)}
    owed = {account_of(each.partner) for each in view.enrolments if each.voter}
    owed |= {account_of(each) for each in site.ledger.dealt(view.number)} & partners
    threshold = threshold_of(view, len(holders))
    problems = [
        *(f"{each} is no partner of the campaign" for each in sorted(holders - partners)),
        *(f"{each} got no share" for each in sorted(owed - holders)),
    ]
    if capsule.threshold != threshold:
        problems.append(f"{capsule.threshold} shares open it instead of {threshold}")
    if problems:
        raise BadDealingError(
            f"The key of slot {context.slot} was not shared as it should be: {problems[0]}.",
            hint="Vote no. If somebody was removed meanwhile, the trainer seals it again.",
        )


def capsules(site: Site, campaign: int, record: ModelRecord) -> Iterator[Capsule]:
    """All capsules of a model that can be read, the newest first.

    The first one came with the model; partners add others when its key was shared anew.
    """
    added = reversed(site.ledger.added_capsules(campaign, record.slot))
    by_author = [(each.partner, each.capsule_hash) for each in added]
    for author, digest in (*by_author, (record.partner, record.capsule_hash)):
        try:
            yield capsule_by(author, digest, site, campaign, record)
        except UntrustedDataError as error:
            site.logger.warning("A capsule of %s can't be used: %s", record.name, error)


def recorded_capsule(site: Site, campaign: int, record: ModelRecord) -> Capsule:
    """The capsule that was accepted with a model.

    Raises:
        IntegrityError: It is missing, truncated or altered, or another model's.
    """
    return capsule_by(record.partner, record.capsule_hash, site, campaign, record)


def capsule_by(
    author: str, digest: bytes, site: Site, campaign: int, record: ModelRecord
) -> Capsule:
    """The capsule of a model's key that an account has put on the ledger.

    Raises:
        IntegrityError: It is missing, truncated or altered, or another model's.
    """
    where = prefix(site, author, campaign, "capsules", record.name)
    content = site.store.get(where, digest, limit=MAX_DOCUMENT)
    capsule = Capsule.parse_recorded(content, digest)
    capsule.require(record_context(site, campaign, record))
    return capsule


def no_capsule(record: ModelRecord) -> IntegrityError:
    """What to raise where no capsule of a model can be read."""
    return IntegrityError(
        f"No capsule of {record.name} is in the store as the ledger names it.",
        hint="Restore it from a backup of the store, or restore an earlier head by a ballot.",
    )


def own_share(site: Site, campaign: int, record: ModelRecord, capsule: Capsule) -> Share:
    """This site's share in a capsule, out of it or as an evaluator has published it again.

    Raises:
        SealError: This site holds none there, or none that opens and fits.
    """
    keys = site.keys.opening_keys
    try:
        return capsule.open_share(site.account, keys, record_context(site, campaign, record))
    except SealError as error:
        if not capsule.holds(site.account):
            raise
        missing = error
    for evaluator in _evaluators_of(site, campaign, record):
        where = prefix(site, evaluator, campaign, "shares", record.name)
        for found in read_messages(site, where, Shares):
            try:
                return found.open_share(capsule, site.account, keys)
            except SealError:
                continue
    raise missing


def has_share(site: Site, campaign: int, record: ModelRecord, capsule: Capsule) -> bool:
    """Whether this site holds a share in a capsule that opens and fits."""
    try:
        own_share(site, campaign, record, capsule)
    except SealError:
        return False
    return True


def _evaluators_of(site: Site, campaign: int, record: ModelRecord) -> list[str]:
    """Who has published a model's shares again: who approved it, since that comes before the yes.

    The ledger remembers them, also if they are no members any more.
    """
    ballot = site.ledger.slot(campaign, record.slot).ballot
    return [vote.partner for vote in ballot.votes if vote.approve] if ballot is not None else []


# --- messages -------------------------------------------------------------------------------------

MOST_MESSAGES = 1000
"""Objects of one kind that are read: more would be junk that shall keep a site busy."""


def read_messages(site: Site, where: str, kind: type[Message]) -> Iterator[Message]:
    """What can be read of the messages under a prefix; junk is logged and passed over."""
    for reference in site.store.list(where)[:MOST_MESSAGES]:
        parent = reference.path.rpartition("/")[0]
        try:
            content = site.store.get(parent, reference.digest, limit=MAX_DOCUMENT)
            yield kind.parse(content)
        except UntrustedDataError as error:
            site.logger.warning("Junk at %s: %s", reference.path, error)


def read_signed(site: Site, where: str, kind: type[Signed], author: str) -> Iterator[Signed]:
    """Those of the messages under a prefix that an account has signed; others are logged."""
    for message in read_messages(site, where, kind):
        try:
            message.require_author(author)
        except IntegrityError as error:
            site.logger.warning("Passed over at %s: %s", where, error)
            continue
        yield message
