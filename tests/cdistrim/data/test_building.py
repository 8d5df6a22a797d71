"""Cases are built once each, in processes whose words and deaths say nothing about a patient."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cdistrim.data.building import Kitchen, Made, make_cases
from cdistrim.data.case_cache import CaseCache, cache_key
from cdistrim.data.scan import Exclusion
from cdistrim.data.sources.interface import Plan, Recipe
from cdistrim.errors import DataError
from cdistrim.spec import PreprocessingSpec
from tests.recipes import Ball, Broken, Deadly, Greedy, Talkative

PLAN = Plan((6, 5, 4), PreprocessingSpec())
ROOT = Path(__file__).parents[3]
NEEDLE = "Needle^Nora"


def _made(
    recipes: dict[str, Recipe], cache: Path, *, workers: int = 1, plan: Plan = PLAN
) -> dict[str, Made]:
    found: dict[str, Made] = {}
    kitchen = Kitchen("test", plan, CaseCache(cache))
    make_cases(recipes, kitchen, workers=workers, told=found.__setitem__)
    return found


def _bits(made: Made) -> tuple[bytes, bytes] | None:
    """Volume and region; None of a case that is left out."""
    if made.crop is None:
        return None
    assert made.crop.region is not None
    return made.crop.volume.tobytes(), made.crop.region.tobytes()


def _diary(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_processes_in_parallel_make_the_same_bits_as_one_after_the_other(tmp_path: Path) -> None:
    recipes: dict[str, Recipe] = {f"c{n}": Ball(n / 10) for n in range(8)}
    recipes["broken"] = Broken()
    one = _made(recipes, tmp_path / "one", workers=1)
    three = _made(recipes, tmp_path / "three", workers=3)
    here = _made(recipes, tmp_path / "here", workers=0)
    assert set(one) == set(three) == set(here) == set(recipes)
    for made in (three, here):
        assert {case: _bits(each) for case, each in made.items()} == {
            case: _bits(each) for case, each in one.items()
        }
    entries = [sorted(p.name for p in (tmp_path / d).rglob("*.case")) for d in ("one", "three")]
    assert entries[0] == entries[1]
    for name in entries[0]:
        files = [tmp_path / directory / name[:2] / name for directory in ("one", "three")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_case_is_built_once_and_again_where_the_cache_is_damaged(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    recipes: dict[str, Recipe] = {f"c{n}": Ball(n / 10, str(diary)) for n in range(3)}
    first = _made(recipes, tmp_path / "cache")
    again = _made(recipes, tmp_path / "cache")
    assert sorted(_diary(diary)) == ["0.0", "0.1", "0.2"]
    assert [one.from_cache for one in first.values()] == [False] * 3
    assert [one.from_cache for one in again.values()] == [True] * 3
    entries = sorted((tmp_path / "cache").rglob("*.case"))
    for number, damage in enumerate((b"", b"junk", None)):
        content = entries[number].read_bytes()
        if damage is None:
            damage = content[:-1] + bytes([content[-1] ^ 1])
        entries[number].write_bytes(damage)
    repaired = _made(recipes, tmp_path / "cache")
    assert sorted(_diary(diary)) == sorted(2 * ["0.0", "0.1", "0.2"])
    assert [_bits(repaired[case]) for case in first] == [_bits(one) for one in first.values()]


def test_another_shape_or_preprocessing_is_another_case() -> None:
    plans = [
        PLAN,
        Plan((5, 6, 4), PLAN.preprocessing),
        Plan(PLAN.shape, PreprocessingSpec(margin_mm=6.0)),
        Plan(PLAN.shape, None),
    ]
    assert len({cache_key("test", Ball(0.1), plan) for plan in plans}) == 4
    assert cache_key("test", Ball(0.1), PLAN) != cache_key("other", Ball(0.1), PLAN)
    assert cache_key("test", Ball(0.1), PLAN) != cache_key("test", Ball(0.2), PLAN)
    assert cache_key("test", Ball(0.1), PLAN) == cache_key("test", Ball(0.1, "diary"), PLAN)


def test_only_the_owner_can_read_the_cache(tmp_path: Path) -> None:
    _made({"c": Ball(0.1)}, tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_case_that_is_left_out_keeps_its_reason_on_the_way(tmp_path: Path) -> None:
    for workers in (0, 1):
        excluded = _made({"c": Broken("2 of 9")}, tmp_path, workers=workers)["c"].excluded
        assert excluded is not None
        assert (excluded.reason, excluded.detail) == (Exclusion.MISSING_SLICES, "2 of 9")


def test_what_a_reader_prints_and_raises_is_not_passed_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = _made({"good": Ball(0.5), "c": Talkative(NEEDLE)}, tmp_path)
    said = capfd.readouterr()
    excluded = made["c"].excluded
    assert excluded is not None
    assert (excluded.reason, excluded.detail) == (Exclusion.BROKEN_SCAN, "KeyError")
    assert NEEDLE not in f"{said.out} {said.err} {excluded!r} {made!r}"
    assert made["good"].crop is not None


def test_a_process_that_is_killed_is_told_and_leaves_nobody_out(tmp_path: Path) -> None:
    recipes: dict[str, Recipe] = {"good": Ball(0.5), "deadly": Deadly()}
    found: dict[str, Made] = {}
    kitchen = Kitchen("test", PLAN, CaseCache(tmp_path))
    with pytest.raises(DataError, match="ended from outside") as failed:
        make_cases(recipes, kitchen, workers=1, told=found.__setitem__)
    assert "--workers" in failed.value.hint
    assert "deadly" not in found
    assert "deadly" not in str(failed.value)
    assert not [one for one in found.values() if one.excluded]
    assert _made({"good": Ball(0.5)}, tmp_path)["good"].from_cache, "what was done is kept"


def test_memory_that_runs_out_is_no_reason_to_leave_somebody_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more memory"):
        _made({"c": Greedy()}, tmp_path)


def test_a_cache_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no directory")
    with pytest.raises(DataError, match="can't be written"):
        _made({"c": Ball(0.5)}, tmp_path / "cache")


def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    script = """
import os, time
from pathlib import Path
from cdistrim.data.building import _pool
if __name__ == "__main__":
    pool = _pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""
    (tmp_path / "parent.py").write_text(script)
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(600):
        if not _alive(worker):
            break
        time.sleep(0.05)
    assert not _alive(worker)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
