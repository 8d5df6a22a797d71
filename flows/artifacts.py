"""What the Prefect UI shows of a campaign: facts of the ledger, which everybody may know."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from cdistrim.iteration import IterationRef
from cdistrim.protocol import CampaignView, SlotState, SlotView
from cdistrim.restore import skip_sentence
from cdistrim.site import bound_site

__all__ = ["publish_campaign", "publish_iteration"]


def publish_iteration(ref: IterationRef) -> None:
    """A table of the slot's votes."""
    ledger = bound_site().ledger
    slot = ledger.slot(ref.campaign, ref.slot)
    names = {member.account: member.name for member in ledger.members()}
    create_table_artifact(
        key=f"campaign-{ref.campaign}-slot-{ref.slot}",
        table=_vote_rows(slot, names),
        description=f"Slot {ref.slot}, {names[slot.owner]}: {_verdict(slot)}",
    )


def publish_campaign(view: CampaignView, slots: list[SlotView]) -> None:
    """The campaign's outcome: one line a slot."""
    lines = [
        f"# Campaign {view.number}: {view.state.name.lower()}",
        "",
        f"{view.accepted} of {view.slots} accepted; the head is model {view.head}.",
        "",
        "| slot | hospital | AUC before | AUC after | votes | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for slot in slots:
        evidence = slot.candidate.evidence if slot.candidate else None
        before = f"{evidence.auc_head:.3f}" if evidence else ""
        after = f"{evidence.auc_candidate:.3f}" if evidence else ""
        votes = f"{slot.ballot.yes} yes, {slot.ballot.no} no" if slot.ballot else ""
        owner = view.name_of(slot.owner)
        lines.append(
            f"| {slot.number} | {owner} | {before} | {after} | {votes} | {_verdict(slot)} |"
        )
    create_markdown_artifact(key=f"campaign-{view.number}-report", markdown="\n".join(lines))


def _vote_rows(slot: SlotView, names: dict[str, str]) -> list[dict[str, str]]:
    rows = []
    for vote in slot.ballot.votes if slot.ballot else ():
        measured = vote.evidence if vote.evidence and vote.evidence.positives else None
        rows.append(
            {
                "voter": names.get(vote.partner, vote.partner),
                "vote": "yes" if vote.approve else "no",
                "AUC head": f"{measured.auc_head:.3f}" if measured else "",
                "AUC candidate": f"{measured.auc_candidate:.3f}" if measured else "",
                "cases": str(measured.positives + measured.negatives) if measured else "",
            }
        )
    return rows


def _verdict(slot: SlotView) -> str:
    if slot.state is SlotState.ACCEPTED:
        return "accepted"
    return f"skipped: {skip_sentence(slot)}" if slot.state is SlotState.SKIPPED else "open"
