"""How a hop is counted: what is measured must not be what was left out twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.hop import hops_of


def _log(site: Path, *steps: tuple[str, int, float, float]) -> Path:
    """A site with a log of (step, slot, begin, end)."""
    (site / "log").mkdir(parents=True)
    lines = (
        json.dumps({"step": name, "slot": slot, "seconds": end - begin, "ended": end})
        for name, slot, begin, end in steps
    )
    (site / "log" / "steps.jsonl").write_text("\n".join(lines))
    return site


def test_inference_of_several_sites_at_the_same_time_is_left_out_once(tmp_path: Path) -> None:
    sites = [
        _log(tmp_path / "a", ("train", 1, 0, 10), ("inference", 1, 11, 13)),
        _log(tmp_path / "b", ("inference", 1, 12, 15), ("train", 2, 20, 30)),
        _log(tmp_path / "c", ("inference", 1, 12, 14)),
    ]

    assert hops_of(sites) == [pytest.approx(10 - 4)]


def test_inference_counts_only_as_far_as_it_lies_in_the_hop(tmp_path: Path) -> None:
    sites = [
        _log(tmp_path / "a", ("inference", 1, 5, 11), ("train", 1, 0, 10)),
        _log(tmp_path / "b", ("train", 2, 20, 30), ("inference", 1, 19, 25)),
    ]

    assert hops_of(sites) == [pytest.approx(10 - 2)]


def test_a_slot_without_a_training_after_it_has_no_hop(tmp_path: Path) -> None:
    assert hops_of([_log(tmp_path / "a", ("train", 1, 0, 10), ("train", 3, 30, 40))]) == []
