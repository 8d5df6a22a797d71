"""docs/voting.md has the figures that were counted, and speaks of the defaults that there are."""

from __future__ import annotations

from pathlib import Path

from bench.voting_ballots import BallotResult
from bench.voting_campaigns import CampaignResult
from bench.voting_counts import load
from bench.voting_small import SmallResult
from bench.voting_tables import fill_in
from cdistrim import odds
from cdistrim.spec import VotingSpec
from tests.docs.pages import ROOT, table_rows

PAGE = ROOT / "docs" / "voting.md"
BENCH = ROOT / "bench"


def test_the_tables_are_those_of_the_counts(tmp_path: Path) -> None:
    copy = tmp_path / "voting.md"
    copy.write_text(PAGE.read_text())
    fill_in(
        copy,
        load(BENCH / "voting_ballots.csv", BallotResult),
        load(BENCH / "voting_small.csv", SmallResult),
        load(BENCH / "voting_campaigns.csv", CampaignResult),
    )
    assert copy.read_text() == PAGE.read_text()


def test_the_defaults_are_those_that_the_page_argues_for() -> None:
    text = PAGE.read_text()
    default = VotingSpec()
    assert f"**`alpha` {default.alpha:.2f}, not 0.05**, is the default" in text
    assert f"**{default.min_cases_per_class} cases of each class** is the least with which" in text
    assert f"**`margin` {default.margin:.2f}** stays the default" in text


def test_good_odds_are_those_of_the_code() -> None:
    part = PAGE.read_text().split("## What a campaign's operators are told")[1]
    limits = [row[1] for row in table_rows(part)]
    assert limits == [
        f"{100 * odds.GOOD_EQUAL:.0f} % or more",
        f"{100 * odds.GOOD_EQUAL_VETOED:.0f} % or more",
        f"{100 * odds.GOOD_WORSE:.0f} % or less",
        f"{100 * odds.GOOD_WORSE_HELPED:.0f} % or less",
    ]
    assert f"lower by {odds.WORSE_BY:.2f}" in part
