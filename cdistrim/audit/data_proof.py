"""Proofs that a case was in the training data behind a model, checked against a history.

A proof says: in this campaign a partner committed to so many cases, this case is one of them, and
the partner trained this model, or one of those that it descends from. Everything but the case is
on the ledger; a proof repeats it so that it can't be used for anything else. What that shows and
what it does not is in ``docs/data-proof.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from cdistrim.audit.book import MAX_SLOTS
from cdistrim.audit.history import History
from cdistrim.data.commitment import HiddenCase, hide_id, hide_label, hide_volume
from cdistrim.data.merkle import is_included
from cdistrim.documents import Account, Document
from cdistrim.envelope import account_of
from cdistrim.ledger.interface import NAME_PATTERN
from cdistrim.protocol import SkipReason, SlotState, model_name
from cdistrim.report.wording import plural

if TYPE_CHECKING:
    from cdistrim.audit.book import Campaign
    from cdistrim.data.cases import CaseSet

__all__ = [
    "DataProof",
    "Denied",
    "Examination",
    "PartInModel",
    "Step",
    "campaign_of",
    "examine",
    "part_in",
]

_LONGEST_PATH = 32


def _from_hex(value: object) -> object:
    if not isinstance(value, str):
        return value
    return bytes.fromhex(value.removeprefix("0x"))


def _to_hex(value: bytes) -> str:
    return "0x" + value.hex()


Digest = Annotated[
    bytes,
    Field(min_length=32, max_length=32),
    BeforeValidator(_from_hex),
    PlainSerializer(_to_hex, return_type=str),
]
"""32 bytes, in the document as 0x and 64 hexadecimal digits."""

Slot = Annotated[int, Field(ge=1, le=MAX_SLOTS)]


class DataProof(Document):
    """A proof. ``trained`` are the partner's slots among the model and its ancestors, newest first.

    ``index`` and ``path`` are the case's place among ``cases`` leaves and what stands beside its
    way to the root. The label is hidden unless the site disclosed it. No part of a case is in here
    in the clear, besides a disclosed label: the keys tell who *has* an identifier or a volume
    whether it is this case's.
    """

    kind: Literal["data proof"] = "data proof"
    version: Literal[1] = 1
    chain_id: Annotated[int, Field(gt=0)]
    contract: Account
    campaign: Annotated[int, Field(gt=0, lt=1 << 40)]
    partner: Annotated[str, Field(pattern=rf"^{NAME_PATTERN}$")]
    account: Account
    cases: Annotated[int, Field(gt=0, lt=1 << 32)]
    data_commitment: Digest
    model: Annotated[str, Field(pattern=rf"^{NAME_PATTERN}-[1-9][0-9]{{0,3}}$")]
    weights_hash: Digest
    trained: Annotated[list[Slot], Field(min_length=1, max_length=MAX_SLOTS)]
    index: Annotated[int, Field(ge=0, lt=1 << 32)]
    path: Annotated[list[Digest], Field(max_length=_LONGEST_PATH)]
    hidden_id: Digest
    hidden_label: Digest
    hidden_volume: Digest
    id_key: Digest
    volume_key: Digest
    label: Annotated[int, Field(ge=0, le=255)] | None = None
    label_key: Digest | None = None

    @model_validator(mode="after")
    def _label_has_a_key(self) -> Self:
        if (self.label is None) != (self.label_key is None):
            raise ValueError("a disclosed label has a key, a hidden one has none")
        return self

    @property
    def hidden(self) -> HiddenCase:
        """The case, hidden part by part."""
        return HiddenCase(self.hidden_id, self.hidden_label, self.hidden_volume)


class Denied(Exception):
    """Something that a proof says, or that it is asked for, is not so.

    Args:
        what: Which check says so.
        why: What is wrong, a sentence's end.
        given: Whether it is only that the case is not what whoever checks compared it with.
    """

    def __init__(self, what: str, why: str, *, given: bool = False) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.given = given


@dataclass(frozen=True)
class Step:
    """A check that ended well: what was looked at, and what was found."""

    what: str
    found: str


@dataclass(frozen=True)
class PartInModel:
    """A partner's part in a model, by a history.

    ``cases`` and ``root`` are what it enrolled with; ``lineage`` the slots of the model and its
    ancestors, newest first, and ``trained`` those of them that are the partner's. ``accepted`` is
    the number of the record in which the model was accepted.
    """

    campaign: int
    partner: str
    account: str
    cases: int
    root: bytes
    model: str
    weights_hash: bytes
    lineage: tuple[int, ...]
    names: tuple[str, ...]
    trained: tuple[int, ...]
    accepted: int

    @property
    def sentence(self) -> str:
        """Which of the models the partner trained, and how the model in question descends."""
        own = [self.names[self.lineage.index(slot)] for slot in self.trained]
        if own[0] == self.model:
            said = f"{self.partner} trained {self.model} itself"
            return said + (f", and {plural(len(own) - 1, 'ancestor')} of it" if own[1:] else "")
        between = self.names[: self.lineage.index(self.trained[0]) + 1]
        return f"{self.partner} trained {own[0]}, an ancestor: {' from '.join(between)}"


# --- what a history says --------------------------------------------------------------------------


def campaign_of(history: History, model: str) -> int:
    """The campaign that a model is of, where only one campaign has a model of this name.

    Raises:
        Denied: None has, or several have.
    """
    named = [each for each in history.replay.campaigns if _slot_of(history, each, model)]
    accepted = [
        each
        for each in named
        if each.slots[_slot_of(history, each, model)].state is SlotState.ACCEPTED
    ]
    if len(accepted) > 1:
        numbers = ", ".join(str(each.number) for each in accepted)
        raise Denied("model", f"campaigns {numbers} each have a model {model}")
    if not named:
        raise Denied("model", f"no campaign has a slot whose model would be {model}")
    return (accepted or named)[-1].number


def part_in(history: History, campaign: int, account: str, model: str) -> PartInModel:
    """What part somebody has in a model.

    Args:
        history: A history without objection.
        campaign: Its number.
        account: Whose part, in any spelling.
        model: The model's name: partner and slot.

    Raises:
        Denied: The model was not accepted or was taken back, or the partner has no part in it.
    """
    if not 1 <= campaign <= history.campaigns:
        raise Denied("campaign", f"there is none of number {campaign} in this history")
    found = history.replay.campaigns[campaign - 1]
    member = next(
        (m for m in history.members if account_of(m.account) == account_of(account)), None
    )
    if member is None or member.account not in found.enrolments:
        who = account if member is None else member.name
        raise Denied("enrolment", f"{who} has no part in campaign {campaign}")
    slot = _accepted_slot(history, found, model)
    lineage = _lineage(found, slot)
    own = tuple(each for each in lineage if found.slots[each].owner == member.account)
    if not own:
        raise Denied(
            "lineage",
            f"neither {model} nor a model that it descends from was trained by {member.name}",
        )
    terms = found.enrolments[member.account]
    candidate = found.slots[slot].candidate or {}
    return PartInModel(
        campaign=campaign,
        partner=member.name,
        account=account_of(member.account),
        cases=terms["cases"],
        root=_bytes(terms["dataCommitment"]),
        model=model,
        weights_hash=_bytes(candidate["weightsHash"]),
        lineage=lineage,
        names=tuple(
            model_name(history.replay.name_of(found.slots[each].owner), each) for each in lineage
        ),
        trained=own,
        accepted=next(
            each.number
            for each in history.accepted
            if (each.campaign, each.slot) == (campaign, slot)
        ),
    )


def _slot_of(history: History, campaign: Campaign, model: str) -> int:
    """The slot whose model would have this name; 0 if there is none in the campaign."""
    _, _, number = model.rpartition("-")
    slot = int(number) if number.isascii() and number.isdigit() and len(number) < 5 else 0
    if slot not in campaign.slots:
        return 0
    owner = history.replay.name_of(campaign.slots[slot].owner)
    return slot if model_name(owner, slot) == model else 0


def _accepted_slot(history: History, campaign: Campaign, model: str) -> int:
    """The slot of a model that was accepted and still stands.

    Raises:
        Denied: It was not, or does not.
    """
    slot = _slot_of(history, campaign, model)
    if not slot:
        raise Denied(
            "model", f"campaign {campaign.number} has no slot whose model would be {model}"
        )
    found = campaign.slots[slot]
    if found.state is SlotState.SKIPPED:
        voted_down = found.reason is SkipReason.DEGRADED
        why = "it was voted down" if voted_down else f"its slot was skipped ({found.reason.name})"
        raise Denied("model", f"{model} was never accepted: {why}")
    if found.state is not SlotState.ACCEPTED:
        raise Denied("model", f"{model} is not accepted yet: its slot is {found.state.name}")
    if slot not in campaign.lineage:
        raise Denied(
            "model", f"{model} was taken back: the partners restored the head to a model before it"
        )
    return slot


def _lineage(campaign: Campaign, slot: int) -> tuple[int, ...]:
    """A model of the head's lineage and its ancestors, newest first."""
    lineage = campaign.lineage
    return tuple(lineage[lineage.index(slot) :])


def _bytes(word: str) -> bytes:
    return bytes.fromhex(word.removeprefix("0x"))


# --- a proof, held against it ---------------------------------------------------------------------


@dataclass(frozen=True)
class Examination:
    """What came of a proof: the checks that ended well, and what is wrong; None if nothing is.

    ``part`` is what the history says of the partner and the model, None where it was not reached.
    """

    steps: tuple[Step, ...]
    denied: Denied | None
    part: PartInModel | None


def examine(
    proof: DataProof, history: History, *, case: str | None = None, cases: CaseSet | None = None
) -> Examination:
    """Check all that a proof says, up to the first thing that is wrong.

    Args:
        proof: The proof; nobody has vouched for it.
        history: A history in which nothing is wrong.
        case: The identifier that the case should have.
        cases: Cases that were disclosed, e.g. at the site: one of them should be the case.
    """
    steps: list[Step] = []
    part = denied = None
    try:
        _see_contract(proof, history, steps)
        part = part_in(history, proof.campaign, proof.account, proof.model)
        _see_commitment(proof, part, steps)
        _see_case(proof, case, cases, steps)
        _see_model(proof, part, steps)
    except Denied as found:
        denied = found
    return Examination(tuple(steps), denied, part)


def _see_contract(proof: DataProof, history: History, steps: list[Step]) -> None:
    origin = history.origin
    if (proof.chain_id, account_of(proof.contract)) != (origin.chain_id, origin.contract):
        raise Denied("contract", "the proof is about another contract or chain than the history")
    steps.append(Step("contract", f"{origin.contract} on chain {origin.chain_id}"))


def _see_commitment(proof: DataProof, part: PartInModel, steps: list[Step]) -> None:
    """What the partner enrolled with, and that the hidden case is a leaf of it."""
    if proof.partner != part.partner:
        raise Denied("partner", f"the account in it is that of {part.partner}")
    if (proof.cases, proof.data_commitment) != (part.cases, part.root):
        raise Denied(
            "commitment",
            f"it is not what {part.partner} enrolled with in campaign {part.campaign}",
        )
    enrolled = f"{part.partner} enrolled in campaign {part.campaign}"
    found = f"{enrolled} with {plural(part.cases, 'case')}, root {part.root.hex()}"
    steps.append(Step("commitment", found))
    # How many leaves there are is taken from the ledger: a root does not tell.
    if not is_included(proof.hidden.leaf, proof.index, part.cases, proof.path, part.root):
        raise Denied("case", f"it is none of the cases that {part.partner} committed to")
    steps.append(Step("case", f"one of these {part.cases}"))


def _see_case(proof: DataProof, case: str | None, cases: CaseSet | None, steps: list[Step]) -> None:
    """What is known of the case besides that it is in."""
    if case is not None:
        if hide_id(proof.id_key, case) != proof.hidden_id:
            raise Denied(
                "identifier", "the case in the proof has another one than was given", given=True
            )
        steps.append(Step("identifier", "the one that was given"))
    if cases is not None:
        _see_among(proof, cases)
        steps.append(Step("disclosed cases", "the case is among them, with the scan committed to"))
    if proof.label is None or proof.label_key is None:
        steps.append(Step("label", "hidden"))
        return
    if hide_label(proof.label_key, proof.label) != proof.hidden_label:
        raise Denied("label", f"the case has another one than {proof.label}")
    steps.append(Step("label", str(proof.label)))


def _see_among(proof: DataProof, cases: CaseSet) -> None:
    """Find the case among some that were disclosed."""
    hidden = [hide_id(proof.id_key, each) for each in cases.ids]
    if proof.hidden_id not in hidden:
        raise Denied(
            "disclosed cases",
            f"none of {plural(len(cases), 'case')} has its identifier",
            given=True,
        )
    number = hidden.index(proof.hidden_id)
    if hide_volume(proof.volume_key, cases.volumes[number]) != proof.hidden_volume:
        raise Denied("disclosed cases", "the case among them has another scan", given=True)
    if proof.label not in (None, int(cases.labels[number])):
        raise Denied("disclosed cases", "the case among them has another label", given=True)


def _see_model(proof: DataProof, part: PartInModel, steps: list[Step]) -> None:
    if proof.weights_hash != part.weights_hash:
        raise Denied("model", f"{part.model} has other weights by the ledger")
    found = f"{part.model}, accepted in record {part.accepted}, and not taken back"
    steps.append(Step("model", found))
    if tuple(proof.trained) != part.trained:
        raise Denied("lineage", "the ledger has other slots in which the partner trained")
    steps.append(Step("lineage", part.sentence))
