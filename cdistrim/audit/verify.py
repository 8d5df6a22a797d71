"""The audit: a history, held against rules, the partners' checkpoints, another export, the store.

Nobody is trusted: neither who wrote an export, nor the node that a history is read from, nor the
store. What is wrong is a :class:`~cdistrim.audit.history.Finding`, which names a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.audit.checkpoint import Held, checkpoints_in
from cdistrim.audit.export import Header, Origin, Record, numbered, read_export
from cdistrim.audit.history import Finding, Ground, History, first_of, read_history
from cdistrim.audit.holding import Holding, Signer, hold
from cdistrim.envelope import account_of
from cdistrim.errors import IntegrityError
from cdistrim.places import campaign_place
from cdistrim.protocol import model_name

if TYPE_CHECKING:
    from cdistrim.ledger import Ledger, LoggedEvent
    from cdistrim.store import ObjectStore

__all__ = ["Audit", "Compared", "Source", "Stored", "audit", "export", "look_into"]

_MODEL_LIMIT = 2 * 1024**3
_CAPSULE_LIMIT = 1 << 18


@dataclass(frozen=True)
class Source:
    """Where a history comes from: ``records`` begins to read it anew.

    ``ledger`` is the chain's, None where it is an export.
    """

    name: str
    origin: Origin
    records: Callable[[], Iterator[Record]]
    ledger: Ledger | None = None

    @classmethod
    def of_export(cls, file: Path) -> Source:
        """An export.

        Raises:
            UsageError: It can't be read.
            IntegrityError: It is none.
        """
        header, _ = read_export(file)
        return cls(str(file), header.origin, lambda: read_export(file)[1])

    @classmethod
    def of_ledger(cls, ledger: Ledger) -> Source:
        """The chain, up to the last block that counts now.

        Raises:
            LedgerUnavailableError: No answer.
        """
        origin = Origin(ledger.chain_id, account_of(ledger.address))
        final = ledger.final_block()
        return cls("the chain", origin, lambda: numbered(origin, ledger.logged(final)), ledger)


@dataclass(frozen=True)
class Compared:
    """Another export: how many records are the same from the start, and what differs then."""

    name: str
    same: int
    finding: Finding | None


@dataclass(frozen=True)
class Audit:
    """What was found. ``compared`` and ``stored`` are None where that was not asked for.

    ``junk`` says where in the store something lies among the checkpoints that is nobody's word.
    """

    source: Source
    history: History
    holding: Holding
    compared: Compared | None
    stored: Stored | None
    junk: Sequence[str]

    @property
    def first(self) -> Finding | None:
        """The finding that names the earliest record; None if all is well."""
        found = [self.history.broken, self.history.objection, *self.holding.findings]
        found += [part.finding for part in (self.compared, self.stored) if part is not None]
        return first_of(finding for finding in found if finding is not None)

    @property
    def confirmed(self) -> int:
        """Records that some member's checkpoint confirms."""
        return max((signer.confirmed for signer in self.holding.signers), default=0)

    def signer(self, account: str) -> Signer | None:
        """What a member's checkpoints say; None without any."""
        return next((one for one in self.holding.signers if one.account == account), None)


def audit(
    source: Source,
    *,
    held: Sequence[Held] = (),
    other: Source | None = None,
    store: ObjectStore | None = None,
) -> Audit:
    """Check all that can be checked.

    Args:
        source: The history.
        held: Checkpoints that the auditor has.
        other: Another history of the same contract.
        store: The consortium's: its checkpoints are taken, too, and accepted models looked for.

    Raises:
        IntegrityError: A checkpoint or the other history is of another contract, or the other
            history is broken.
        UnavailableError: Chain or store don't answer, or there is no such store.
    """
    if store is not None:
        # Where it is not, nothing is missing in it: that would look as if all were well.
        store.require_there()
    history = read_history(source.origin, source.records())
    in_store, junk = ([], []) if store is None else checkpoints_in(store, source.origin)
    holding = hold(history, [*held, *in_store], source.ledger)
    compared = None
    if other is not None:
        compared = _compare(history, source, other)
    stored = None if store is None else look_into(store, history)
    return Audit(source, history, holding, compared, stored, [*junk, *holding.passed_over])


def export(ledger: Ledger, release: str) -> tuple[Header, Iterator[LoggedEvent]]:
    """A ledger's whole history as it counts now, to be written.

    Args:
        ledger: The ledger.
        release: Of this program.

    Raises:
        LedgerUnavailableError: No answer.
    """
    final = ledger.final_block()
    header = Header(
        chain_id=ledger.chain_id,
        contract=ledger.address,
        views=ledger.views,
        release=release,
        block=final.number,
        block_hash="0x" + final.digest.hex(),
    )
    return header, ledger.logged(final)


# --- against another history ----------------------------------------------------------------------


def _compare(history: History, source: Source, other: Source) -> Compared:
    if source.origin != other.origin:
        raise IntegrityError(
            f"{other.name} is of contract {other.origin.contract} on chain "
            f"{other.origin.chain_id}, {source.name} of {source.origin.contract} on "
            f"{source.origin.chain_id}.",
            hint="Compare histories of the same consortium.",
        )
    # Asked in this order: behind the last record that could be read none is asked for.
    readable = zip(range(history.records), source.records(), strict=False)
    ours = (record for _, record in readable)
    return Compared(other.name, *_against(history, ours, other.records(), other.name))


def _against(
    history: History, records: Iterable[Record], others: Iterator[Record], name: str
) -> tuple[int, Finding | None]:
    """How many records are the same from the start, and what differs then.

    Where the other one ends earlier nothing does: it may be older.
    """
    same = 0
    for one, two in zip_longest(records, others):
        if two is None:
            break
        if one is None:
            why = f"{name} goes on with {two.event.name}"
            return same, history.finding(Ground.EXPORT, same + 1, why)
        if one.digest != two.digest:
            parts = ", ".join(_parts_that_differ(one.event, two.event))
            why = f"{name} has another {parts} there"
            return same, history.finding(Ground.EXPORT, one.number, why)
        same = one.number
    return same, None


def _parts_that_differ(one: LoggedEvent, two: LoggedEvent) -> Iterator[str]:
    for part, value in vars(one).items():
        other = getattr(two, part)
        if value == other:
            continue
        if part == "arguments" and one.name == two.name:
            yield from (name for name in value if value[name] != other.get(name))
        elif part != "arguments":
            yield "event" if part == "name" else part.replace("_", " ")


# --- against the store ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """How many accepted models lie whole in the store, and what is wrong with the first other."""

    whole: int
    finding: Finding | None


def look_into(store: ObjectStore, history: History) -> Stored:
    """Read the object and the capsule of every accepted model, and compare them with the record.

    Raises:
        StoreUnavailableError: The store can't be reached.
    """
    whole, finding = 0, None
    for model in history.accepted:
        try:
            for kind, digest, limit in (
                ("models", model.ciphertext_hash, _MODEL_LIMIT),
                ("capsules", model.capsule_hash, _CAPSULE_LIMIT),
            ):
                at = (history.origin.chain_id, history.origin.contract, model.account)
                name = model_name(model.partner, model.slot)
                place = campaign_place(*at, model.campaign, kind, name)
                store.get(place, bytes.fromhex(digest.removeprefix("0x")), limit=limit)
        except IntegrityError as error:
            why = error.what.rstrip(".")
            finding = finding or history.finding(Ground.STORE, model.number, why)
        else:
            whole += 1
    return Stored(whole, finding)
