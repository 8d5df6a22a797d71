"""A history, held against what the partners signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cdistrim.audit.book import Member
from cdistrim.audit.checkpoint import Checkpoint, Held
from cdistrim.audit.history import Finding, Ground, History
from cdistrim.envelope import account_of
from cdistrim.errors import IntegrityError
from cdistrim.report.wording import plural

if TYPE_CHECKING:
    from cdistrim.ledger import BlockRef, Ledger

__all__ = ["Holding", "Signer", "hold"]


@dataclass
class Signer:
    """What one member's checkpoints say. ``agreed`` are the numbers of records that it confirms.

    ``finding`` is where its first checkpoint that says otherwise differs.
    """

    account: str
    name: str
    agreed: list[int] = field(default_factory=list)
    finding: Finding | None = None

    @property
    def confirmed(self) -> int:
        """Records that this member has signed as they are here."""
        return max(self.agreed, default=0)


@dataclass(frozen=True)
class Holding:
    """What checkpoints say of a history.

    ``strangers`` are findings about checkpoints that an auditor named, of who was no member then;
    ``passed_over`` says where in the store there are such ones: anybody may have put them there.
    """

    signers: Sequence[Signer]
    strangers: Sequence[Finding]
    passed_over: Sequence[str]

    @property
    def findings(self) -> Iterator[Finding]:
        """All that is wrong."""
        yield from (signer.finding for signer in self.signers if signer.finding is not None)
        yield from self.strangers


def hold(history: History, held: Iterable[Held], ledger: Ledger | None = None) -> Holding:
    """Hold a history against signed checkpoints.

    Args:
        history: What was read.
        held: Sound checkpoints.
        ledger: Where the history comes from a chain: it has to have the blocks that were signed.

    Raises:
        IntegrityError: A checkpoint that was named is of another contract or chain.
        LedgerUnavailableError: No answer.
    """
    signers: dict[str, Signer] = {}
    strangers: dict[str, Finding] = {}
    passed_over: list[str] = []
    blocks: dict[str, BlockRef] = {}
    for each in _once(held):
        member = _signer_of(history, each)
        if member is None and not each.named:
            passed_over.append(each.where)
            continue
        if member is None:
            stranger = _stranger(history, each)
            strangers.setdefault(each.checkpoint.account, stranger)
            continue
        signer = signers.setdefault(member.account, Signer(member.account, member.name))
        finding = _difference(history, each, signer)
        if finding is None:
            signer.agreed.append(each.checkpoint.records)
            blocks[member.account] = each.checkpoint.reference
        elif signer.finding is None or finding.number < signer.finding.number:
            signer.finding = finding
    for account, block in blocks.items():
        signer = signers[account]
        if ledger is not None and signer.finding is None and not ledger.has_block(block):
            why = (
                f"the chain does not have block {block.number} as {signer.name} signed it, though "
                f"no record up to {signer.confirmed} differs"
            )
            signer.finding = history.finding(Ground.CHECKPOINT, signer.confirmed, why)
    in_order = [signers[one.account] for one in history.members if one.account in signers]
    return Holding(in_order, list(strangers.values()), passed_over)


def _once(held: Iterable[Held]) -> list[Held]:
    """Each checkpoint once, however many copies there are, the fewest records first."""
    copies: dict[Checkpoint, Held] = {}
    for each in held:
        former = copies.setdefault(each.checkpoint, each)
        if each.named and not former.named:
            copies[each.checkpoint] = each
    return sorted(copies.values(), key=lambda one: (one.checkpoint.records, one.where))


def _signer_of(history: History, held: Held) -> Member | None:
    """The member who signed, if it was one when it did.

    Raises:
        IntegrityError: What was named is of another contract.
    """
    checkpoint, expected = held.checkpoint, history.origin
    if checkpoint.origin != expected:
        if not held.named:
            return None
        raise IntegrityError(
            f"{held.where} is of contract {checkpoint.contract} on chain {checkpoint.chain_id}; "
            f"the history is of {expected.contract} on chain {expected.chain_id}.",
            hint="Give checkpoints of the same consortium.",
        )
    known = min(checkpoint.records, history.records, history.replay.number)
    for member in history.members:
        if account_of(member.account) == checkpoint.account and member.belonged(known):
            return member
    return None


def _stranger(history: History, held: Held) -> Finding:
    """What to say of a checkpoint that was named and is by no member: where it differs, if so."""
    account = held.checkpoint.account
    why = (
        f"{held.where} is signed by {account}, who was no member then by this history: either it "
        "is nobody's word, or the history leaves a member out"
    )
    differs = _difference(history, held, Signer(account, account))
    if differs is not None:
        return replace(differs, why=f"{differs.why}; {why}")
    return history.finding(Ground.CHECKPOINT, held.checkpoint.records, why, earliest=1)


def _difference(history: History, held: Held, signer: Signer) -> Finding | None:
    """Where a history first differs from what somebody signed, as closely as that tells."""
    checkpoint, digests = held.checkpoint, history.digests
    why = f"it is not what {signer.name} signed ({held.where})"
    same = max((one for one in signer.agreed if one < checkpoint.records), default=0)
    for number, piece in checkpoint.pieces.items():
        if number > history.records:
            why = f"{signer.name} signed {plural(checkpoint.records, 'record')} ({held.where})"
            missing = history.records + 1
            return history.finding(Ground.CHECKPOINT, missing, why, earliest=same + 1)
        if not digests[number].startswith(piece):
            return history.finding(Ground.CHECKPOINT, number, why, earliest=same + 1)
        same = number
    last = checkpoint.records
    if digests[last] != checkpoint.digest or history.block(last) > checkpoint.block:
        return history.finding(Ground.CHECKPOINT, last, why)
    if last < history.records and history.block(last + 1) <= checkpoint.block:
        why = f"{signer.name} signed block {checkpoint.block} without it ({held.where})"
        return history.finding(Ground.CHECKPOINT, last + 1, why)
    return None
