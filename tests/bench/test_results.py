"""How figures become the README's table: what belongs together stays together."""

from __future__ import annotations

from typing import Any

from bench.__main__ import PARTS, _when
from bench.envelope import EnvelopeSpeed

TODAY = {"cores": 2, "date": "2026-11-28", "python": "3.11.7"}


def test_each_turn_is_compared_with_the_yardstick_of_its_own_time() -> None:
    turns: dict[str, Any] = {
        "cold": [1e9, 1e9, 1e9],
        "ours": [1e9, 4e9, 9e9],
        "openssl": [2e9, 16e9, 10e9],
        "peak": 1.0,
    }
    figures = {"size": 133_000_000, "block": 16384, "encrypt": turns, "decrypt": turns}
    encrypting, decrypting = EnvelopeSpeed.rows(figures)
    assert encrypting.endswith("| 0.50; 4.0 GB/s; 1.00 |")
    assert decrypting == encrypting.replace("encrypting", "decrypting")


def test_parts_of_one_day_are_told_together_and_others_apart() -> None:
    assert _when(dict.fromkeys(PARTS, TODAY)) == "Measured by `make bench` on 2 cores, 2026-11-28."
    later = dict.fromkeys(PARTS, TODAY) | {"envelope": TODAY | {"date": "2026-12-01"}}
    assert _when(later) == (
        "Measured by `make bench`: demo and hop on 2 cores, 2026-11-28; "
        "envelope on 2 cores, 2026-12-01."
    )
