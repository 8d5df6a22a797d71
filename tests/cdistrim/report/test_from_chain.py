"""The report is built from what a real contract on a real chain says."""

from __future__ import annotations

from collections.abc import Callable

from cdistrim.protocol import Mode
from cdistrim.report.build import build_report
from cdistrim.report.figures import AucBasis, SlotOutcome
from cdistrim.report.page import render_page
from tests.cdistrim.report.sample import Story, measured, spec
from tests.chain import BETTER, Consortium, run_slot


def test_a_campaign_on_the_chain_gives_its_report(
    consortium: Callable[[int], Consortium],
) -> None:
    hospitals = consortium(4)
    number = hospitals.open(mode=Mode.HOLDOUT)
    paid = 0
    for slot, approve in ((1, True), (2, False), (3, True), (4, True)):
        paid += sum(r.gas for r in run_slot(hospitals, number, slot, approve=approve))
    story, ledger = Story(cycles=1), hospitals.ledgers[0]
    members = {member.account: member.name for member in ledger.members()}
    made = build_report(
        ledger.campaign(number), ledger.history(number), members, spec(story), measured(story)
    )
    assert [slot.outcome for slot in made.slots] == [
        SlotOutcome.ACCEPTED, SlotOutcome.REFUSED, SlotOutcome.ACCEPTED, SlotOutcome.ACCEPTED,
    ]  # fmt: skip
    assert [slot.parent for slot in made.slots] == [0, 1, 1, 3]
    assert made.slots[1].restored == 1
    assert made.slots[1].partner == "hospital-2"
    assert sum(slot.gas for slot in made.slots) == paid
    assert sum(partner.gas for partner in made.partners) == made.totals.gas
    first = made.slots[0]
    assert first.auc_basis is AucBasis.EVALUATORS
    assert first.auc_after is not None
    assert abs(first.auc_after.value - BETTER.auc_candidate) < 1e-9
    assert first.weights_hash.startswith("0x")
    assert first.ciphertext_hash.startswith("0x")
    assert made.state == "completed"
    assert "hospital-2 was skipped and hospital-1-1 restored" in render_page(made)
