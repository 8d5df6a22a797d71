"""The bench of the voting policy: what it counts, and how its page is filled."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.paired_scores import CORRELATION, HoldOut, Site
from bench.voting_ballots import (
    WHOLE,
    BallotResult,
    Cast,
    Group,
    form_opinions,
    measure_ballots,
)
from bench.voting_campaigns import SLOTS, CampaignResult, measure_campaign
from bench.voting_counts import load, save
from bench.voting_policy import main
from bench.voting_small import SmallResult, compare_small
from cdistrim.spec import PolicyName, VotingSpec
from cdistrim.statistics import auc
from tests.docs.pages import ROOT, between, table_rows

SMALL = HoldOut(12, 12)
RULE = VotingSpec(min_cases_per_class=2)


def test_scores_have_the_auc_and_the_correlation_that_were_asked_for() -> None:
    site = Site(HoldOut(20_000, 20_000), np.random.default_rng(1))
    one, two = site.scores(0.8), site.scores(0.7)
    assert auc(site.labels, one) == pytest.approx(0.8, abs=0.01)
    assert auc(site.labels, two) == pytest.approx(0.7, abs=0.01)
    for label in (0, 1):
        found = np.corrcoef(one[site.labels == label], two[site.labels == label])[0, 1]
        assert found == pytest.approx(CORRELATION, abs=0.01)


def test_votes_are_counted_as_the_contract_counts_them() -> None:
    yes = form_opinions(SMALL, "-0.10", votes=600, seed=3)[RULE]
    found = {
        (one.group, one.cast, one.quorum): one.rate
        for one in measure_ballots(SMALL, ["-0.10"], votes=600, seed=3)
        if one.policy is PolicyName.DELONG and one.alpha == RULE.alpha
    }
    three, four = (Group(partners, partners) for partners in (3, 4))
    pairs, triples = yes.reshape(-1, 2).sum(axis=1), yes.reshape(-1, 3).sum(axis=1)
    # The trainer is one yes: of three it takes one more, of four two more.
    assert found[three, Cast.HONEST, 2].value == np.mean(pairs >= 1)
    assert found[four, Cast.HONEST, 3].value == np.mean(triples >= 2)
    assert found[four, Cast.HONEST, 4].value == np.mean(triples == 3)
    assert found[three, Cast.LIAR, 2].value == 1.0
    assert found[four, Cast.LIAR, 3].value == np.mean(pairs >= 1)
    assert found[four, Cast.VETOER, 3].value == np.mean(pairs == 2)
    # Of two evaluators one is left to judge the other's candidate, and both are needed.
    assert found[Group(4, 2, True), Cast.HONEST, 2].value == yes.mean()
    assert found[Group(4, 2, False), Cast.HONEST, 2].value == np.mean(pairs >= 1)
    assert found[Group(4, 2, True), Cast.VETOER, 2].value == 0.0


def test_a_lasting_liar_gets_worse_models_through_and_the_creep_test_ends_them() -> None:

    def creep(*, creep_test: bool = True, liar: bool = False) -> CampaignResult:
        return measure_campaign(
            "creep",
            4,
            HoldOut(25, 25),
            RULE,
            creep_test=creep_test,
            liar=liar,
            campaigns=3,
            seed=5,
        )

    free, held, helped = creep(creep_test=False), creep(), creep(liar=True)
    assert free.auc < held.auc
    assert helped.auc < held.auc
    assert (free.margin, held.margin) == (None, RULE.margin)
    # Each accepted slot lost 0.02.
    assert held.auc == pytest.approx(0.90 - 0.02 * SLOTS * (1 - held.refused))


def test_evaluators_who_can_judge_help_and_those_who_guess_harm() -> None:
    rng = np.random.default_rng(0)
    judges = rng.random(4000) < 0.95, rng.random(4000) < 0.05
    guesses = rng.random(4000) < 0.9, rng.random(4000) < 0.9
    pools = {HoldOut(5, 5): guesses, HoldOut(25, 25): judges, HoldOut(50, 50): judges}
    by_size = {
        one.small: one
        for one in compare_small(pools, ballots=2000, seed=1)
        if one.large == HoldOut(50, 50)
    }
    assert by_size[HoldOut(5, 5)].change > 0
    assert by_size[HoldOut(25, 25)].change < 0
    assert by_size[HoldOut(25, 25)].better > by_size[HoldOut(5, 5)].better


def test_what_was_counted_is_read_as_it_was_written(tmp_path: Path) -> None:
    ballots = list(measure_ballots(SMALL, ["0"], votes=60, seed=1))
    campaign = measure_campaign("equal", 3, SMALL, RULE, creep_test=False, campaigns=2, seed=1)
    small = SmallResult(SMALL, HoldOut(25, 25), 3, 0.5, -0.25)
    save(tmp_path / "ballots.csv", ballots)
    save(tmp_path / "others.csv", [small])
    assert load(tmp_path / "ballots.csv", BallotResult) == ballots
    assert load(tmp_path / "others.csv", SmallResult) == [small]
    save(tmp_path / "campaigns.csv", [campaign])
    (again,) = load(tmp_path / "campaigns.csv", CampaignResult)
    assert again.auc == pytest.approx(campaign.auc, abs=1e-6)
    assert (again.margin, again.holdout) == (None, SMALL)


@pytest.mark.slow
def test_the_quick_bench_fills_every_table_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "voting.md"
    text = (ROOT / "docs" / "voting.md").read_text()
    names = re.findall(r"<!-- (voting-[a-z]+):begin -->", text)
    page.write_text("\n\n".join(f"<!-- {one}:begin -->\n<!-- {one}:end -->" for one in names))

    assert main(["--quick", "--files", str(tmp_path), "--page", str(page)]) == 0

    filled = page.read_text()
    assert len(names) == 8
    for name in names:
        assert table_rows(between(filled, name)), name
    default = table_rows(between(filled, "voting-ballots"))
    assert {row[0] for row in default} == {str(group.partners) for group in WHOLE}
    assert not [cell for row in default for cell in row if not cell]
