"""How long each step took, and what each voter said: read from the sites' own logs.

Only where one machine plays all sites, as in the demo and in a reproduction of the paper; no site
shows its log to others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.measurements import INFERENCE

if TYPE_CHECKING:
    from cdistrim.ledger import EthereumLedger

__all__ = ["TRAINING", "owners_steps", "vote_reasons", "wall_seconds"]

TRAINING = "train"
"""Name of the step that trains."""


def owners_steps(
    sites: Mapping[str, Path], ledger: EthereumLedger, campaign: int
) -> dict[int, dict[str, float]]:
    """Seconds of the owner's steps by slot: one after the other, so they add up to its time.

    The others vote while the owner waits for a ballot; inference is part of the steps.
    """
    names = {member.account: member.name for member in ledger.members()}
    slots = range(1, ledger.campaign(campaign).slots + 1)
    owners = {slot: names[ledger.slot(campaign, slot).owner] for slot in slots}
    seconds: dict[int, dict[str, float]] = {}
    for name, line in _lines(sites, "steps.jsonl"):
        slot, step = int(str(line["slot"])), str(line["step"])
        if name == owners.get(slot) and step != INFERENCE:
            steps = seconds.setdefault(slot, {})
            steps[step] = steps.get(step, 0.0) + float(str(line["seconds"]))
    return dict(sorted(seconds.items()))


def wall_seconds(sites: Mapping[str, Path]) -> float:
    """From the first step's beginning to the last one's end, by the sites' clocks."""
    ends = [(float(str(line["ended"])), line) for _, line in _lines(sites, "steps.jsonl")]
    if not ends:
        return 0.0
    first = min(end - float(str(line["seconds"])) for end, line in ends)
    return max(end for end, _ in ends) - first


def vote_reasons(sites: Mapping[str, Path]) -> dict[tuple[int, str], str]:
    """What each voter said of each candidate, by slot and name."""
    return {
        (int(str(line["slot"])), name): str(line["sentence"])
        for name, line in _lines(sites, "votes.jsonl")
        if line["step"] == "upload"
    }


def _lines(sites: Mapping[str, Path], log: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Lines of all sites' own logs, with the site's name."""
    for name, path in sites.items():
        file = path / "log" / log
        for line in file.read_text().splitlines() if file.exists() else ():
            try:
                yield name, json.loads(line)
            except json.JSONDecodeError:
                continue  # Half a line, where a process was killed.
