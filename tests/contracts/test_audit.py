"""The checks of ``contracts/audit`` notice what they are for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.audit import coverage, deep, gas, halmos, slither
from contracts.audit.forge import AuditFailed, Outcome, fill
from tests.docs.pages import ROOT, between

FINDING: dict[str, Any] = {
    "check": "timestamp",
    "impact": "Low",
    "description": "uses the time",
    "elements": [
        {
            "type": "function",
            "name": "close",
            "type_specific_fields": {
                "parent": {"type": "contract", "name": "Ledger"},
                "signature": "close(uint256)",
            },
        },
        {"type": "node", "name": "now <= deadline"},
    ],
}
ANSWER = """
[[answer]]
check = "timestamp"
where = "Ledger.close(uint256)"
code = ["now <= deadline"]
verdict = "accepted"
reason = "Deadlines are minutes and more."
"""


def _findings(**changes: Any) -> list[slither.Finding]:  # noqa: ANN401  as read from JSON
    result = {"success": True, "results": {"detectors": [FINDING | changes]}}
    return slither.read_findings(result)


def test_an_answered_finding_is_no_problem() -> None:
    assert not slither.problems(_findings(), slither.read_answers(ANSWER))


def test_a_finding_without_an_answer_fails_and_shows_where_to_start() -> None:
    (problem,) = slither.problems(_findings(), [])
    assert 'where = "Ledger.close(uint256)"' in problem
    filled = problem.partition("\n")[2].replace('verdict = ""', 'verdict = "accepted"')
    answers = slither.read_answers(filled.replace('reason = ""', 'reason = "one two three four"'))
    assert not slither.problems(_findings(), answers)


def test_an_answer_is_for_the_code_that_it_saw() -> None:
    changed = [FINDING["elements"][0], {"type": "node", "name": "now < deadline"}]
    problems = slither.problems(_findings(elements=changed), slither.read_answers(ANSWER))
    assert len(problems) == 2  # the new finding has none, the old answer has no finding


@pytest.mark.parametrize("impact", ["High", "Medium"])
def test_a_grave_finding_can_only_be_refuted(impact: str) -> None:
    answers = slither.read_answers(ANSWER)
    assert slither.problems(_findings(impact=impact), answers)
    refuted = slither.read_answers(ANSWER.replace("accepted", "refuted"))
    assert not slither.problems(_findings(impact=impact), refuted)


@pytest.mark.parametrize("part", ["accepted", "Deadlines are minutes and more."])
def test_an_answer_has_a_verdict_and_a_reason(part: str) -> None:
    with pytest.raises(AuditFailed):
        slither.read_answers(ANSWER.replace(part, ""))


def test_gas_may_be_off_by_one_per_cent_either_way() -> None:
    known = {"castVote": 50_000}
    assert not gas.differences(known, {"castVote": 50_500})
    assert gas.differences(known, {"castVote": 50_501})
    assert gas.differences(known, {"castVote": 49_499})
    assert gas.differences(known, {})
    assert gas.differences({}, known)


def test_the_readmes_gas_is_what_is_written_down() -> None:
    known = json.loads(gas.SNAPSHOT.read_text(encoding="utf-8"))
    table = between((ROOT / "README.md").read_text(encoding="utf-8"), "gas")
    assert table.splitlines() == gas.rows(known)


def test_a_log_that_is_no_gas_is_refused() -> None:
    assert gas.figures(["castVote, deciding: 7"]) == {"castVote, deciding": 7}
    with pytest.raises(AuditFailed):
        gas.figures(["hello"])
    with pytest.raises(AuditFailed):
        gas.figures(["castVote: 7", "castVote: 8"])


def test_coverage_counts_sources_and_tells_what_was_missed() -> None:
    report = (
        "SF:src/A.sol\nDA:7,2\nDA:8,0\nBRDA:7,0,0,1\nBRDA:7,0,1,-\n"
        "FNF:1\nFNH:1\nLF:2\nLH:1\nBRF:2\nBRH:1\nend_of_record\n"
        "SF:test/A.t.sol\nDA:1,0\nLF:1\nLH:0\nend_of_record\n"
    )
    sources = coverage.read_lcov(report)
    assert list(sources) == ["src/A.sol"]
    assert [sources["src/A.sol"].share(kind) for kind in coverage.KINDS] == [0.5, 0.5, 1.0]
    assert sources["src/A.sol"].missed == ["line 8", "a branch of line 7"]


def _invariant(calls: int, reverts: int = 0) -> Outcome:
    kind = {"Invariant": {"runs": 10, "calls": calls, "reverts": reverts}}
    return Outcome("T", "invariant_x", True, "", kind, ())


def test_an_invariant_has_to_be_called_often_and_without_reverts() -> None:
    assert not deep.shallow([_invariant(100_000)])
    assert deep.shallow([_invariant(99_999)])
    assert deep.shallow([_invariant(100_000, reverts=1)])


def test_a_proof_that_cut_a_loop_short_is_none() -> None:
    check = {"name": "check_x()", "exitcode": 0, "num_bounded_loops": 0}
    assert not halmos.incomplete({"test_results": {"T": [check]}})
    assert halmos.incomplete({"test_results": {"T": [check | {"num_bounded_loops": 1}]}})
    assert halmos.incomplete({"test_results": {"T": [check | {"exitcode": 1}]}})


def test_a_block_is_filled_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n", encoding="utf-8")
    fill(page, "x", ["new"])
    assert page.read_text(encoding="utf-8") == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(AuditFailed):
        fill(page, "y", [])
