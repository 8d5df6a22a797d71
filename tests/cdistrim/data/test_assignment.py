"""Who was dealt out once keeps the set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdistrim.data.assignment import (
    Part,
    assign,
    assignment_document,
    calibration_sizes,
    holdout_sizes,
    read_assignment,
)
from cdistrim.data.case_names import CaseNamer
from cdistrim.errors import DataError

NAMER = CaseNamer(bytes(32))


def _labels(count: int, start: int = 0) -> dict[str, int]:
    return {f"case-{number}": int(number % 3 == 0) for number in range(start, start + count)}


def _assign(
    labels: dict[str, int],
    former: dict[str, Part] | None = None,
    holdout: float = 0.2,
    calibration: float = 0.0,
) -> dict[str, Part]:
    rank = {case: NAMER.rank(case, 1) for case in labels}
    return assign(labels, former or {}, holdout=holdout, rank=rank, calibration=calibration)


@given(st.integers(2, 40), st.integers(0, 40), st.floats(0.05, 0.9))
def test_patients_who_come_later_move_nobody(first: int, more: int, holdout: float) -> None:
    early = _assign(_labels(first), holdout=holdout)
    late = _assign(_labels(first + more), early, holdout)
    assert set(late) == set(_labels(first + more))
    assert {case: late[case] for case in early} == early


def test_the_share_is_kept_in_each_class_while_patients_come() -> None:
    parts: dict[str, Part] = {}
    for count in (30, 31, 60, 61, 150):
        labels = _labels(count)
        parts = _assign(labels, parts)
        held = Counter(labels[case] for case in labels if parts[case] is Part.HOLDOUT)
        wanted = holdout_sizes([count - sum(labels.values()), sum(labels.values())], 0.2)
        assert (held[0], held[1]) == wanted


@given(st.integers(6, 60), st.integers(0, 60), st.floats(0.05, 0.45), st.floats(0.05, 0.45))
def test_cases_to_calibrate_on_are_a_third_set(
    first: int, more: int, holdout: float, calibration: float
) -> None:
    labels = _labels(first)
    early = _assign(labels, holdout=holdout, calibration=calibration)
    counts = [len(labels) - sum(labels.values()), sum(labels.values())]
    held = holdout_sizes(counts, holdout)
    wanted = calibration_sizes(counts, held, calibration)
    found = Counter((labels[case], part) for case, part in early.items())
    for label in (0, 1):
        assert found[label, Part.TRAIN] >= 1
        assert found[label, Part.CALIBRATION] == wanted[label]
        assert found[label, Part.HOLDOUT] == held[label]
    late = _assign(_labels(first + more), early, holdout, calibration)
    assert {case: late[case] for case in early} == early


def test_a_share_for_calibration_that_is_wanted_later_takes_new_patients_only() -> None:
    early = _assign(_labels(30))
    assert Part.CALIBRATION not in early.values()
    assert _assign(_labels(30), early, calibration=0.3) == early
    late = _assign(_labels(60), early, calibration=0.3)
    assert Counter(late.values())[Part.CALIBRATION] == 18
    assert {case: late[case] for case in early} == early


def test_each_class_is_in_both_sets_if_it_can_be() -> None:
    labels = {"a": 0, "b": 0, "c": 1, "d": 1, "alone": 2}
    parts = _assign(labels, holdout=0.05)
    assert Counter((labels[case], part) for case, part in parts.items()) == {
        (0, Part.TRAIN): 1,
        (0, Part.HOLDOUT): 1,
        (1, Part.TRAIN): 1,
        (1, Part.HOLDOUT): 1,
        (2, Part.TRAIN): 1,
    }


def test_other_settings_move_nobody_either() -> None:
    labels = _labels(50)
    before = _assign(labels)
    assert _assign(labels, before, holdout=0.5) == before


def test_a_patient_who_is_away_for_a_while_comes_back_to_the_same_set() -> None:
    labels = _labels(20)
    former = _assign(labels)
    fewer = {case: label for case, label in labels.items() if case != "case-3"}
    assert "case-3" not in _assign(fewer, former)
    assert _assign(labels, former | _assign(fewer, former)) == former


def test_the_order_follows_the_sites_secret_and_seed() -> None:
    ranks = {CaseNamer(bytes([n]) * 32).rank("patient", seed) for n in (1, 2) for seed in (1, 2)}
    assert len(ranks) == 4


def test_the_file_is_read_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "assignment.json"
    assert read_assignment(path) == {}
    parts = _assign(_labels(5))
    path.write_bytes(assignment_document(parts))
    assert read_assignment(path) == parts
    for damage in (path.read_text()[:-5], json.dumps({"a": "both"}), "[]", ""):
        path.write_text(damage)
        with pytest.raises(DataError, match="damaged"):
            read_assignment(path)
