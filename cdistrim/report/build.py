"""Builds a campaign's report from the ledger and from what was measured. Pure: no I/O, no clock.

Every figure comes from the arguments. Gas belongs to transactions: one that carries several events
counts once, for the slot and step that it was sent for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cdistrim.protocol import (
    GENESIS,
    BallotKind,
    CampaignView,
    LedgerEvent,
    RestoreReason,
    SkipReason,
    model_name,
)
from cdistrim.report import wording
from cdistrim.report.chronicle import (
    Chronicle,
    LedgerStep,
    Transaction,
    evidence_of,
    field_values,
    hexadecimal,
    number,
)
from cdistrim.report.figures import (
    CampaignReport,
    EventFigure,
    LineageEdge,
    PartnerFigure,
    SlotFigure,
    SlotOutcome,
    Totals,
    VoteFigure,
)
from cdistrim.report.measured import HoldoutCounts, Measured
from cdistrim.report.sentences import SKIP_WORDS, Sentences
from cdistrim.report.verdicts import headline, slot_aucs, slot_verdict
from cdistrim.spec import CampaignSpec

__all__ = ["build_report"]

_CANDIDATE = ("parent", "ciphertextHash", "weightsHash", "capsuleHash", "evidence")


def build_report(
    view: CampaignView,
    events: Sequence[LedgerEvent],
    members: Mapping[str, str],
    spec: CampaignSpec,
    measured: Measured,
) -> CampaignReport:
    """The report of a campaign as it stands at ``view``; the campaign need not have ended.

    Args:
        view: The campaign.
        events: All events of the contract, in any order.
        members: Names by account, whichever way the accounts are capitalised.
        spec: The spec whose hash is on the ledger.
        measured: What the ledger does not know.
    """
    names = {account.lower(): name for account, name in members.items()}
    names |= {e.partner.lower(): e.name for e in view.enrolments}
    order = tuple(account.lower() for account in view.order)
    chronicle = Chronicle(events, view.number, names, order)
    opened = sorted({number(e, "slot") for e in chronicle.events if e.name == "SlotOpened"})
    slots = tuple(
        _slot(view, chronicle, measured, spec.voting.min_cases_per_class, n) for n in opened
    )
    partners = tuple(_partner(view, chronicle, measured, slots, account) for account in order)
    comparison = measured.comparison
    totals = _totals(view, chronicle, slots, measured.wall_seconds)
    return CampaignReport(
        run_id=measured.run_id,
        created=measured.created.astimezone(UTC),
        versions=dict(measured.versions),
        chain_id=measured.chain_id,
        contract=measured.contract,
        campaign=view.number,
        state=view.state.name.lower(),
        task=spec.task,
        spec=spec.model_dump(mode="json"),
        spec_hash=view.spec_hash.hex(),
        mode=view.mode.name.lower(),
        policy=spec.voting.policy.value,
        head=view.head,
        headline=headline(totals, slots, measured),
        partners=partners,
        slots=slots,
        lineage=_lineage(slots, view.head),
        sequential=measured.sequential,
        central=measured.central,
        comparison=comparison,
        noninferiority=comparison.verdict if comparison else None,
        totals=totals,
        events=_events(chronicle),
        notes=measured.notes,
        sabotaged=measured.sabotaged,
        classes=spec.model.classes,
        verify_command=measured.verify_command,
        chain_command=measured.chain_command,
    )


def _slot(
    view: CampaignView, chronicle: Chronicle, measured: Measured, least: int, slot: int
) -> SlotFigure:
    owner = chronicle.owner_name(slot)
    submitted = next(iter(chronicle.of_slot(slot, "CandidateSubmitted")), None)
    candidate = (
        field_values(submitted.arguments.get("candidate"), _CANDIDATE) if submitted else None
    )
    accepted = next(iter(chronicle.of_slot(slot, "ModelAccepted")), None)
    restored = next(
        (
            event
            for event in chronicle.of_slot(slot, "HeadRestored")
            if number(event, "reason") == RestoreReason.DEGRADED
        ),
        None,
    )
    ballot = next(iter(chronicle.of_slot(slot, "BallotOpened", BallotKind.UPLOAD)), None)
    votes = _votes(chronicle, measured, slot, candidate, least)
    outcome, reason = _outcome(chronicle, slot)
    before, after, basis = slot_aucs(votes, measured.slot_aucs.get(slot))
    yes = sum(vote.approve for vote in votes)
    voters = number(ballot, "electorate").bit_count() if ballot else 0
    quorum = number(ballot, "quorum") if ballot else 0
    sent = [t for t in chronicle.transactions if t.slot == slot]
    ciphertext = accepted.arguments.get("ciphertextHash") if accepted else None
    parent = candidate[0] if candidate else None
    head = number(restored, "to") if restored else None
    return SlotFigure(
        number=slot,
        cycle=(slot - 1) // len(view.order) + 1,
        partner=owner,
        model=wording.printable(model_name(owner, slot)),
        outcome=outcome,
        skip_reason=SKIP_WORDS[reason] if reason is not SkipReason.NONE else "",
        cases=number(submitted, "cases") if submitted else 0,
        parent=parent if isinstance(parent, int) else None,
        restored=head,
        auc_before=before,
        auc_after=after,
        auc_basis=basis,
        votes=votes,
        yes=yes,
        no=len(votes) - yes,
        voters=voters,
        quorum=quorum,
        verdict=slot_verdict(
            outcome,
            reason,
            tally=f"{yes} of {voters} votes ({quorum} needed)",
            seen=slot_aucs(votes, None),
            owner=owner,
            head=chronicle.head_name(head) if head is not None else "the head",
        ),
        gas=sum(t.gas for t in sent),
        gas_by_step=_gas_by_step(sent),
        seconds_by_step=dict(measured.seconds.get(slot, {})),
        transactions=len(sent),
        ciphertext_hash=hexadecimal(ciphertext or (candidate[1] if candidate else None)),
        weights_hash=hexadecimal(candidate[2] if candidate else None),
    )


def _outcome(chronicle: Chronicle, slot: int) -> tuple[SlotOutcome, SkipReason]:
    skipped = next(iter(chronicle.of_slot(slot, "SlotSkipped")), None)
    if skipped is not None:
        reason = SkipReason(number(skipped, "reason"))
        refused = reason is SkipReason.DEGRADED
        return (SlotOutcome.REFUSED if refused else SlotOutcome.SKIPPED), reason
    accepted = bool(chronicle.of_slot(slot, "ModelAccepted"))
    return (SlotOutcome.ACCEPTED if accepted else SlotOutcome.OPEN), SkipReason.NONE


def _votes(
    chronicle: Chronicle,
    measured: Measured,
    slot: int,
    candidate: Sequence[object] | None,
    least: int,
) -> tuple[VoteFigure, ...]:
    """The trainer's own vote, which is its request, then the others' in the ledger's order."""
    if candidate is None:
        return ()
    owner = chronicle.owner_name(slot)
    cast = [
        (chronicle.name_of(e.arguments.get("account")), bool(e.arguments.get("approve")), e)
        for e in chronicle.of_slot(slot, "VoteCast", BallotKind.UPLOAD)
    ]
    own = _vote(
        owner, True, candidate[4], measured.reasons.get((slot, owner), ""), least, trainer=True
    )
    return (
        own,
        *(
            _vote(
                voter,
                approve,
                event.arguments.get("evidence"),
                measured.reasons.get((slot, voter), ""),
                least,
                trainer=False,
            )
            for voter, approve, event in cast
        ),
    )


def _vote(
    voter: str, approve: bool, raw: object, reason: str, least: int, *, trainer: bool
) -> VoteFigure:
    """A vote; figures on fewer than ``least`` cases of a class are withheld, the vote is not."""
    evidence = evidence_of(raw)
    if evidence is None:
        return VoteFigure(voter, approve, trainer, reason=reason)
    if min(evidence.positives, evidence.negatives) < least:
        return VoteFigure(voter, approve, trainer, reason=reason, withheld=True)
    return VoteFigure(
        voter=voter,
        approve=approve,
        trainer=trainer,
        auc_head=evidence.auc_head,
        auc_candidate=evidence.auc_candidate,
        variance=evidence.variance,
        positives=evidence.positives,
        negatives=evidence.negatives,
        reason=reason,
    )


def _partner(
    view: CampaignView,
    chronicle: Chronicle,
    measured: Measured,
    slots: Sequence[SlotFigure],
    account: str,
) -> PartnerFigure:
    name = chronicle.name_of(account)
    enrolment = next((e for e in view.enrolments if e.partner.lower() == account), None)
    own = [slot for slot in slots if slot.partner == name]
    gains = [
        slot.auc_after.value - slot.auc_before.value
        for slot in own
        if slot.outcome is SlotOutcome.ACCEPTED and slot.auc_after and slot.auc_before
    ]
    votes = [v for slot in slots for v in slot.votes if v.voter == name and not v.trainer]
    holdout = measured.holdouts.get(name) or _holdout_seen(slots, name)
    sent = [t for t in chronicle.transactions if t.sender == account]
    seconds = [slot.seconds for slot in own if slot.seconds is not None]
    return PartnerFigure(
        name=name,
        account=account,
        train_cases=enrolment.cases if enrolment else 0,
        holdout_positives=holdout.positives,
        holdout_negatives=holdout.negatives,
        evaluator=bool(enrolment and enrolment.evaluator),
        slots=view.cycles,
        accepted=sum(slot.outcome is SlotOutcome.ACCEPTED for slot in own),
        refused=sum(slot.outcome is SlotOutcome.REFUSED for slot in own),
        auc_gained=sum(gains) if gains else None,
        votes_yes=sum(vote.approve for vote in votes),
        votes_no=sum(not vote.approve for vote in votes),
        gas=sum(t.gas for t in sent),
        transactions=len(sent),
        seconds=sum(seconds) if seconds else None,
    )


def _holdout_seen(slots: Sequence[SlotFigure], name: str) -> HoldoutCounts:
    """The hold-out that a voter's evidence speaks of, the largest if it changed."""
    seen = [
        HoldoutCounts(vote.positives, vote.negatives)
        for slot in slots
        for vote in slot.votes
        if vote.voter == name and vote.positives and vote.negatives
    ]
    return max(seen, key=lambda h: h.positives + h.negatives, default=HoldoutCounts(0, 0))


def _lineage(slots: Sequence[SlotFigure], head: int) -> tuple[LineageEdge, ...]:
    parents = {slot.number: slot.parent for slot in slots if slot.parent is not None}
    on_path = set()
    at = head
    while at != GENESIS and at in parents and at not in on_path:
        on_path.add(at)
        at = parents[at]
    trained = [
        LineageEdge(parent, slot, "trained", slot in on_path) for slot, parent in parents.items()
    ]
    restored = [
        LineageEdge(slot.number, slot.restored, "restored")
        for slot in slots
        if slot.restored is not None
    ]
    return (*trained, *restored)


def _totals(
    view: CampaignView, chronicle: Chronicle, slots: Sequence[SlotFigure], seconds: float
) -> Totals:
    outcomes = Counter(slot.outcome for slot in slots)
    return Totals(
        planned=view.slots,
        accepted=outcomes[SlotOutcome.ACCEPTED],
        refused=outcomes[SlotOutcome.REFUSED],
        skipped=outcomes[SlotOutcome.SKIPPED],
        gas=sum(t.gas for t in chronicle.transactions),
        gas_outside_slots=_gas_by_step([t for t in chronicle.transactions if t.slot is None]),
        transactions=len(chronicle.transactions),
        events=len(chronicle.events),
        seconds=seconds,
    )


def _events(chronicle: Chronicle) -> tuple[EventFigure, ...]:
    say = Sentences(chronicle)
    counted: set[str] = set()
    figures = []
    for event in chronicle.events:
        first = event.transaction not in counted
        counted.add(event.transaction)
        figures.append(
            EventFigure(
                time=datetime.fromtimestamp(event.timestamp, UTC),
                block=event.block,
                name=event.name,
                slot=number(event, "slot") or None,
                sentence=say.of(event),
                sender=event.sender.lower(),
                transaction=event.transaction,
                gas=event.gas if first else None,
            )
        )
    return tuple(figures)


def _gas_by_step(transactions: Sequence[Transaction]) -> dict[str, int]:
    gas: Counter[LedgerStep] = Counter()
    for transaction in transactions:
        gas[transaction.step] += transaction.gas
    return {step.value: gas[step] for step in LedgerStep if step in gas}
