"""Custody of models: who can open which, and how a key travels. Every opening goes through here.

A model lies in the store as one AES-256-GCM envelope and one *capsule*, which holds the model's
data key sealed (HPKE) to its **custodians**:

- ``holdout``: the trainer and the evaluators of its upload ballot. They open the candidate to
  measure it (the *evaluate grant*), so they hold the key anyway.
- ``reported``: the partners whose yes accepted it.

Everybody else opens a model in its own slot only: it requests the fetch with a fresh one-time
public key, and after the grant is on the ledger every custodian *releases* the data key, sealed to
that key (protocol.md, "Keys"). The one-time key is erased when the slot is over, so the store plus
a stolen disk don't open old models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.errors import IntegrityError, SealError, UntrustedDataError
from cdistrim.model import initial_weights
from cdistrim.protocol import GENESIS, CampaignView, ModelRecord, SlotState, SlotView
from cdistrim.sealing import Capsule, Context, DataKey, Release, SealingKey, decrypt
from cdistrim.site import write_atomically
from cdistrim.weights import Weights, from_bytes, weights_hash

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = [
    "OpenedHead",
    "SealedModel",
    "ciphertext",
    "context_of",
    "deposit",
    "erase_request_key",
    "has_released",
    "head_hash",
    "open_as_custodian",
    "open_genesis",
    "open_granted_head",
    "prefix",
    "release_head_key",
    "request_key",
    "see_whole",
]

MODEL_LIMIT = 2 * 1024**3
DOCUMENT_LIMIT = 4 * 1024**2


class SealedModel:
    """A model as it is deposited: its envelope and its capsule, with their SHA-256."""

    def __init__(self, envelope: bytes, capsule: bytes) -> None:
        self.envelope, self.capsule = envelope, capsule
        self.ciphertext_hash = hashlib.sha256(envelope).digest()
        self.capsule_hash = hashlib.sha256(capsule).digest()

    def forget_bytes(self) -> None:
        """The store has them; the hashes stay."""
        self.envelope = self.capsule = b""


def prefix(site: Site, campaign: int, *parts: object) -> str:
    """Where a campaign's objects of one kind lie in the store; unique to chain and contract."""
    consortium = f"{site.settings.chain_id}-{site.contract.lower()}"
    return "/".join((consortium, f"campaign-{campaign}", *(str(part).lower() for part in parts)))


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


def _record_context(site: Site, campaign: int, record: ModelRecord) -> Context:
    return context_of(site, campaign, record.slot, record.attempt, record.partner)


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


# --- custodians -----------------------------------------------------------------------------------


def ciphertext(site: Site, campaign: int, record: ModelRecord) -> bytes:
    """A model's envelope out of the store, checked against the ledger.

    Raises:
        IntegrityError: It is missing, truncated or altered.
    """
    where = prefix(site, campaign, "models", record.name)
    fingerprint = site.store.fingerprint(where, record.ciphertext_hash)
    envelope = site.store.get(where, record.ciphertext_hash, limit=MODEL_LIMIT)
    _remember_whole(site, record.ciphertext_hash, fingerprint)
    return envelope


def deposit(site: Site, campaign: int, name: str, sealed: SealedModel) -> None:
    """Put a model's envelope and capsule into the store.

    Raises:
        IntegrityError: Other bytes lie there under a name of theirs.
    """
    where = prefix(site, campaign, "models", name)
    site.store.put(where, sealed.envelope, digest=sealed.ciphertext_hash)
    fingerprint = site.store.fingerprint(where, sealed.ciphertext_hash)
    _remember_whole(site, sealed.ciphertext_hash, fingerprint)
    where = prefix(site, campaign, "capsules", name)
    site.store.put(where, sealed.capsule, digest=sealed.capsule_hash)


def see_whole(site: Site, campaign: int, record: ModelRecord) -> None:
    """See that a model lies whole in the store; read only if it may have changed since last time.

    For votes: whoever *uses* the bytes checks them, since a hostile store can give each reader
    others, whatever it told a voter.

    Raises:
        IntegrityError: It is missing, truncated or altered.
    """
    where = prefix(site, campaign, "models", record.name)
    path = _whole_path(site, record.ciphertext_hash)
    seen = path.read_bytes() if path.exists() else b""
    if seen != site.store.fingerprint(where, record.ciphertext_hash).encode():
        ciphertext(site, campaign, record)


def _remember_whole(site: Site, digest: bytes, fingerprint: str) -> None:
    write_atomically(_whole_path(site, digest), fingerprint.encode(), durable=False)


def _whole_path(site: Site, digest: bytes) -> Path:
    """Where this site remembers how an object looked when its bytes were right."""
    return site.memory / "whole" / digest.hex()


def _data_key(site: Site, campaign: int, record: ModelRecord) -> DataKey:
    where = prefix(site, campaign, "capsules", record.name)
    document = site.store.get(where, record.capsule_hash, limit=DOCUMENT_LIMIT)
    capsule = Capsule.parse(document, record.capsule_hash)
    return capsule.open(
        site.account, site.keys.sealing_key, _record_context(site, campaign, record)
    )


def _open(envelope: bytes, key: DataKey, context: Context, record: ModelRecord) -> Weights:
    weights = from_bytes(decrypt(envelope, key, context))
    found = weights_hash(weights)
    if found != record.weights_hash:
        raise IntegrityError(
            f"The weights of {record.name} have the hash {found.hex()}, "
            f"the ledger says {record.weights_hash.hex()}.",
            hint="Its uploader sealed other weights than it recorded; the model can't be used.",
        )
    return weights


def open_as_custodian(site: Site, campaign: int, record: ModelRecord) -> Weights:
    """Open a model whose capsule names this site.

    Raises:
        SealError: The capsule does not name this site, or the seal does not open.
        IntegrityError: An object is missing or altered, or the weights are not the recorded ones.
    """
    key = _data_key(site, campaign, record)
    context = _record_context(site, campaign, record)
    return _open(ciphertext(site, campaign, record), key, context, record)


def release_head_key(site: Site, view: CampaignView) -> bool:
    """Seal the head's data key to the requester of the open slot, if its fetch was granted.

    Does nothing where the grant is not on the ledger, where this site is no custodian, or where it
    released already. Returns whether this call released.

    Raises:
        IntegrityError: The requester's public key in the store is not the one on the ledger.
    """
    slot = view.slot
    if slot is None or slot.state is not SlotState.FETCH_GRANTED or view.head == GENESIS:
        return False
    if has_released(site, view.number, slot.number, slot.attempt):
        return False
    record = site.ledger.model(view.number, view.head)
    try:
        key = _data_key(site, view.number, record)
    except SealError:
        return False
    public = site.store.get(
        prefix(site, view.number, "requests", f"{slot.number}-{slot.attempt}"),
        slot.request_key_digest,
        limit=DOCUMENT_LIMIT,
    )
    release = Release.seal(
        key,
        public,
        model=_record_context(site, view.number, record),
        holder=site.account,
        requester=slot.owner,
        slot=slot.number,
        attempt=slot.attempt,
    )
    site.store.put(
        _release_prefix(site, view.number, slot.number, slot.attempt), release.to_bytes()
    )
    return True


def has_released(site: Site, campaign: int, slot: int, attempt: int) -> bool:
    """Whether this site released a key for that slot."""
    return bool(site.store.list(_release_prefix(site, campaign, slot, attempt)))


def _release_prefix(site: Site, campaign: int, slot: int, attempt: int) -> str:
    return prefix(site, campaign, "releases", f"{slot}-{attempt}", site.account)


# --- the slot's owner -----------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenedHead:
    """The head in memory, and how many releases were good, bad, or are still missing."""

    weights: Weights
    good: int
    bad: int
    missing: int


def head_hash(site: Site, view: CampaignView) -> bytes:
    """Hash of the head's weights, as on the ledger."""
    if view.head == GENESIS:
        return view.genesis_hash
    return site.ledger.model(view.number, view.head).weights_hash


def open_genesis(site: Site, view: CampaignView) -> Weights:
    """Head 0, regenerated from the seed in the spec.

    Raises:
        IntegrityError: This machine makes other weights out of the seed than the spec says.
    """
    spec = site.spec(view)
    weights = initial_weights(spec.model, spec.genesis.seed)
    found = weights_hash(weights)
    if found != view.genesis_hash:
        raise IntegrityError(
            f"Seed {spec.genesis.seed} gives weights {found.hex()} here, "
            f"the ledger says {view.genesis_hash.hex()}.",
            hint="Another PyTorch release makes other weights: install the locked one.",
        )
    return weights


def open_granted_head(
    site: Site, view: CampaignView, slot: SlotView, envelope: bytes
) -> OpenedHead:
    """Open the head with what custodians released to this site's one-time key.

    Args:
        site: The slot's owner.
        view: The campaign; ``view.head`` is what gets opened.
        slot: The site's own slot, granted.
        envelope: What :func:`ciphertext` gave; empty for the genesis head.

    Raises:
        SealError: No release opened (yet): wait for custodians, or try again.
        IntegrityError: The weights are not those on the ledger.
    """
    if view.head == GENESIS:
        return OpenedHead(open_genesis(site, view), 0, 0, 0)
    record = site.ledger.model(view.number, view.head)
    one_time = request_key(site, view.number, slot.number, slot.attempt)
    context = _record_context(site, view.number, record)
    where = prefix(site, view.number, "releases", f"{slot.number}-{slot.attempt}")
    bad = 0
    for reference in site.store.list(where):
        parent = reference.path.rsplit("/", 1)[0]
        try:
            document = site.store.get(parent, reference.digest, limit=DOCUMENT_LIMIT)
            key = Release.parse(document).open(
                one_time,
                model=context,
                requester=site.account,
                slot=slot.number,
                attempt=slot.attempt,
            )
            weights = _open(envelope, key, context, record)
        except UntrustedDataError as error:
            site.logger.warning("A release at %s does not open: %s", reference.path, error)
            bad += 1
            continue
        return OpenedHead(weights, 1, bad, 0)
    raise SealError(
        f"No custodian has released a good key of {record.name} yet ({bad} bad).",
        hint="Custodians release after the grant; if none does, the slot ends at its deadline.",
    )
