"""Gas of each call, as the gas tests measure it, against what is written down.

``--check`` (part of ``make contracts-test``) fails where a figure is off by more than one per cent,
either way: a rise is a regression, a fall has to be written down or the next rise goes unseen.
``--write`` (``make gas-snapshot``) writes ``contracts/gas.json`` and the README's tables.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from contracts.audit.forge import CONTRACTS, AuditFailed, fill, outcomes_of, say, table

SNAPSHOT = CONTRACTS / "gas.json"
README = CONTRACTS.parent / "README.md"
TOLERANCE = 0.01

_SUM = re.compile(r"(?P<what>a slot|a cycle), (?P<partners>\d+) partners, (?P<way>.+)")


def figures(logs: Iterable[str]) -> dict[str, int]:
    """What the gas tests logged, ``name: gas``, in their order."""
    found: dict[str, int] = {}
    for line in logs:
        name, _, gas = line.rpartition(": ")
        if not name or not gas.isdecimal():
            raise AuditFailed(f"a gas test logs `name: gas`, not: {line}")
        if name in found:
            raise AuditFailed(f"two gas tests log {name!r}: which is meant?")
        found[name] = int(gas)
    return found


def differences(known: Mapping[str, int], measured: Mapping[str, int]) -> list[str]:
    """What is not as written down."""
    wrong = [f"{name}: not measured any more" for name in known if name not in measured]
    for name, gas in measured.items():
        if name not in known:
            wrong.append(f"{name}: {gas:,} is not written down")
        elif abs(gas - known[name]) > TOLERANCE * known[name]:
            change = gas / known[name] - 1
            wrong.append(f"{name}: {gas:,} instead of {known[name]:,} ({change:+.1%})")
    return wrong


def rows(measured: Mapping[str, int]) -> list[str]:
    """The README's tables: sums by number of partners and way of voting, then each call."""
    sums = {name: match for name in measured if (match := _SUM.fullmatch(name))}
    sizes = sorted({int(match["partners"]) for match in sums.values()})
    ways = list(dict.fromkeys((match["what"], match["way"]) for match in sums.values()))
    by_size = [
        (
            f"{what}, {way}",
            *(f"{measured.get(f'{what}, {size} partners, {way}', 0):,}" for size in sizes),
        )
        for what, way in ways
    ]
    calls = [(name, f"{gas:,}") for name, gas in measured.items() if name not in sums]
    head = ("partners", *map(str, sizes))
    return [*table(head, by_size), "", *table(("call, 4 partners", "gas"), calls)]


def main() -> int:
    """Measure; compare or write."""
    parser = argparse.ArgumentParser(prog="python -m contracts.audit.gas", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare with contracts/gas.json")
    what.add_argument("--write", action="store_true", help="write contracts/gas.json and README")
    arguments = parser.parse_args()
    try:
        outcomes = outcomes_of("--match-contract", "GasTest")
        measured = figures(line for outcome in outcomes for line in outcome.logs)
        if arguments.write:
            SNAPSHOT.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
            fill(README, "gas", rows(measured))
            say(*rows(measured))
            return 0
        wrong = differences(_read(SNAPSHOT), measured)
        if wrong:
            raise AuditFailed("\n".join([*wrong, "Meant so? Run `make gas-snapshot`."]))
    except AuditFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    say(f"Gas: {len(measured)} figures are within {TOLERANCE:.0%} of contracts/gas.json.")
    return 0


def _read(snapshot: Path) -> dict[str, int]:
    if not snapshot.exists():
        raise AuditFailed(f"{snapshot} is missing. Run `make gas-snapshot`.")
    known: dict[str, int] = json.loads(snapshot.read_text(encoding="utf-8"))
    return known


if __name__ == "__main__":
    sys.exit(main())
