"""The report's figures come from the ledger and the measurements, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdistrim.protocol import Evidence, LedgerEvent, Mode
from cdistrim.report.build import build_report
from cdistrim.report.figures import (
    AucBasis,
    CampaignReport,
    Comparison,
    IntervalFigure,
    NonInferiority,
    SlotOutcome,
)
from cdistrim.report.page import render_page
from cdistrim.statistics import combine_evidence
from tests.cdistrim.report.sample import Story, account, measured, report, spec, tell


def rebuilt(story: Story, events: tuple[LedgerEvent, ...]) -> CampaignReport:
    view, _ = tell(story)
    members = dict(zip(story.accounts, story.names, strict=True))
    return build_report(view, events, members, spec(story), measured(story))


def test_a_transaction_with_many_events_counts_its_gas_once() -> None:
    _, events = tell(Story())
    each = {event.transaction: event.gas for event in events}
    made = report()
    assert len(each) < len(events)
    assert made.totals.gas == sum(each.values())
    assert made.totals.transactions == len(each)
    assert sum(event.gas or 0 for event in made.events) == made.totals.gas


def test_gas_by_slot_step_and_partner_adds_up_to_the_total() -> None:
    made = report(Story(late=(6,)))
    inside = sum(slot.gas for slot in made.slots)
    assert inside + sum(made.totals.gas_outside_slots.values()) == made.totals.gas
    assert all(sum(slot.gas_by_step.values()) == slot.gas for slot in made.slots)
    assert sum(partner.gas for partner in made.partners) == made.totals.gas
    assert sum(p.transactions for p in made.partners) == made.totals.transactions


def test_the_vote_that_ends_a_slot_is_paid_by_that_slot_and_not_by_the_next() -> None:
    made = report()
    assert [slot.transactions for slot in made.slots] == [7] * 12
    assert set(made.slots[1].gas_by_step) == {
        "fetch request", "fetch votes", "head opened", "upload request", "upload votes",
    }  # fmt: skip


def test_the_order_in_which_events_arrive_does_not_matter() -> None:
    _, events = tell(Story())
    assert rebuilt(Story(), events[::-1]) == rebuilt(Story(), events)


def test_events_of_other_campaigns_are_left_out() -> None:
    _, events = tell(Story())
    other = [
        replace(e, arguments=e.arguments | {"campaign": 2}, transaction="0xother" + e.transaction)
        for e in events
        if "campaign" in e.arguments
    ]
    assert rebuilt(Story(), (*events, *other)) == rebuilt(Story(), events)


def test_a_refused_slot_names_its_reason_its_votes_and_the_restored_head() -> None:
    slot = report().slots[2]
    assert slot.outcome is SlotOutcome.REFUSED
    assert slot.restored == 2
    assert (slot.yes, slot.no, slot.voters, slot.quorum) == (1, 2, 4, 3)
    assert slot.skip_reason == "its candidate was voted down"
    assert "1 of 4 votes (3 needed)" in slot.verdict
    assert "hospital-3 was skipped and hospital-2-2 restored" in slot.verdict
    assert slot.votes[1].reason == "worse than the head by more than the margin"


def test_a_late_slot_is_skipped_without_a_verdict_on_a_model() -> None:
    made = report(Story(late=(6,)))
    late = made.slots[5]
    assert late.outcome is SlotOutcome.SKIPPED
    assert late.verdict == "hospital-2 was skipped: a deadline passed."
    assert (late.auc_after, late.votes, late.parent) == (None, (), None)
    assert late.gas_by_step == {"closing": late.gas}
    assert made.totals.skipped == 1


def test_the_head_path_leads_from_the_head_to_the_genesis_around_refused_slots() -> None:
    made = report()
    path = [(e.source, e.target) for e in made.lineage if e.on_head_path]
    assert path[0] == (0, 1)
    assert (2, 4) in path
    assert path[-1] == (11, made.head)
    assert all(target not in (3, 7) for _, target in path)
    assert [(e.source, e.target) for e in made.lineage if e.kind == "restored"] == [(3, 2), (7, 6)]


def test_aucs_are_the_evaluators_and_leave_the_trainers_claim_out() -> None:
    slot = report().slots[3]
    others = {
        vote.voter: Evidence(
            vote.auc_head or 0,
            vote.auc_candidate or 0,
            vote.variance or 0,
            vote.positives or 0,
            vote.negatives or 0,
        )
        for vote in slot.votes
        if not vote.trainer
    }
    combined = combine_evidence(others, min_cases_per_class=10)
    assert slot.auc_basis is AucBasis.EVALUATORS
    for figure, found in ((slot.auc_before, combined.head), (slot.auc_after, combined.candidate)):
        assert figure == IntervalFigure(found.value, found.low, found.high)
    assert len(others) >= 2
    assert 0 < combined.candidate.low < combined.candidate.value < combined.candidate.high < 1


def test_a_voter_with_few_cases_votes_but_shows_no_figure() -> None:
    story = Story(sabotaged=None)
    view, events = tell(story)
    members = dict(zip(story.accounts, story.names, strict=True))

    def asking_for(cases: int) -> CampaignReport:
        voting = spec(story).voting.model_copy(update={"min_cases_per_class": cases})
        agreed = spec(story).model_copy(update={"voting": voting})
        return build_report(view, events, members, agreed, measured(story))

    plain, made = asking_for(10), asking_for(15)
    for before, after in zip(plain.slots, made.slots, strict=True):
        assert (after.yes, after.no, after.outcome) == (before.yes, before.no, before.outcome)
        for vote in after.votes:
            assert vote.withheld == (vote.voter == "hospital-3")
            assert (vote.auc_head is None) == (vote.change is None) == vote.withheld
    voters = [{v.voter for v in slot.votes if not v.trainer} for slot in made.slots]
    assert any("hospital-3" in names for names in voters)
    for names, before, after in zip(voters, plain.slots, made.slots, strict=True):
        assert (before.auc_after != after.auc_after) == ("hospital-3" in names)
    assert "too few cases" in render_page(made)
    assert "too few cases" not in render_page(plain)


def test_in_reported_mode_the_trainers_figures_are_shown_as_the_trainers() -> None:
    slot = report(Story(mode=Mode.REPORTED, sabotaged=None)).slots[0]
    assert slot.auc_basis is AucBasis.TRAINER
    assert slot.votes[1].auc_head is None


def test_evidence_reads_the_same_as_tuple_mapping_and_record() -> None:
    _, events = tell(Story())
    names = ("aucHead", "aucCandidate", "variance", "positives", "negatives")

    def as_mapping(event: LedgerEvent) -> LedgerEvent:
        raw = event.arguments.get("evidence")
        if not isinstance(raw, tuple):
            return event
        struct = dict(zip(names, raw, strict=True))
        return replace(event, arguments=event.arguments | {"evidence": struct})

    def as_record(event: LedgerEvent) -> LedgerEvent:
        raw = event.arguments.get("evidence")
        if not isinstance(raw, tuple):
            return event
        record = Evidence(raw[0] * 1e-9, raw[1] * 1e-9, raw[2] * 1e-18, raw[3], raw[4])
        return replace(event, arguments=event.arguments | {"evidence": record})

    plain = rebuilt(Story(), events)
    assert rebuilt(Story(), tuple(map(as_mapping, events))) == plain
    assert rebuilt(Story(), tuple(map(as_record, events))) == plain


def test_a_campaign_that_has_not_ended_can_be_reported() -> None:
    _, events = tell(Story())
    cut = tuple(e for e in events if e.block <= events[90].block)
    made = rebuilt(Story(), cut)
    assert made.slots[-1].outcome is SlotOutcome.OPEN
    assert "had not ended when this report was written" in made.headline[0]


def test_the_headline_says_what_a_board_asks() -> None:
    first, refused, sabotage, tested, difference = report().headline
    assert first == "10 of 12 partner iterations were accepted."
    assert refused.startswith("hospital-3 was refused twice by the vote and skipped")
    assert sabotage == "The training labels of hospital-3 were flipped on purpose, as a test."
    made = report()
    assert made.sequential is not None
    assert f"{made.sequential.auc.value:.3f}" in tested
    assert "not inferior to central training at the margin of 0.05" in difference


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.049, 0.01, NonInferiority.SHOWN),
        (-0.05, 0.01, NonInferiority.NOT_SHOWN),
        (-0.2, -0.051, NonInferiority.INFERIOR),
    ],
)
def test_non_inferiority_is_read_off_the_interval(
    low: float, high: float, verdict: NonInferiority
) -> None:
    middle = (low + high) / 2
    assert Comparison(IntervalFigure(middle, low, high), 0.5, 0.05).verdict is verdict


def test_a_partner_that_never_enrolled_is_named_by_the_membership() -> None:
    story = Story()
    view, events = tell(story)
    view = replace(view, enrolments=view.enrolments[:3])
    members = {account(i).upper().replace("0X", "0x"): n for i, n in enumerate(story.names)}
    made = build_report(view, events, members, spec(story), measured(story))
    assert [p.name for p in made.partners] == list(story.names)
    assert made.partners[3].train_cases == 0


def test_a_verdict_cites_what_the_voters_saw_even_where_test_figures_are_shown() -> None:
    story = Story()
    view, events = tell(story)
    tested = (IntervalFigure(0.5, 0.4, 0.6), IntervalFigure(0.9, 0.8, 1.0))
    given = replace(measured(story), slot_aucs={3: tested})
    members = dict(zip(story.accounts, story.names, strict=True))
    slot = build_report(view, events, members, spec(story), given).slots[2]
    assert (slot.auc_before, slot.auc_after) == tested
    assert slot.auc_basis is AucBasis.TEST_SET
    assert slot.verdict == report().slots[2].verdict
