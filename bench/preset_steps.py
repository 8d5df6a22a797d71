"""How long a training step of each preset of volumes takes, and what layout and bfloat16 change.

A step is forward, loss and backward of a batch of two, on one thread. In each round every way has
its turn, so that all see the same machine; what is told are ratios within a round.

    python -m bench.preset_steps --write docs/training.md
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.training_choices import write_table
from cdistrim.classifier import loss_of
from cdistrim.model import build_model, parameter_count
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import ModelSpec

BEGIN, END = "<!-- preset-steps:begin -->", "<!-- preset-steps:end -->"
ROUNDS = 5
CASES = 2
VOLUMES = (PresetName.PAPER, PresetName.FAST, PresetName.SMALL)
WAYS = ("as torch lays out", "channels last", "channels last, bfloat16")


@dataclass(frozen=True)
class Steps:
    """Seconds of the steps of a preset's network, by way, round after round."""

    preset: PresetName
    seconds: dict[str, list[float]]

    def ratio(self, way: str, to: str) -> float:
        """Median over the rounds of a way's time over another's."""
        pairs = zip(self.seconds[way], self.seconds[to], strict=True)
        return statistics.median(one / other for one, other in pairs)


def measure(presets: tuple[PresetName, ...], rounds: int) -> list[Steps]:
    """All ways of all presets in turns; a round before the first is not counted."""
    torch.set_num_threads(1)
    steps = {preset: _steps(PRESETS[preset].model) for preset in presets}
    found = {preset: Steps(preset, {way: [] for way in WAYS}) for preset in presets}
    for number in range(rounds + 1):
        for preset, ways in steps.items():
            for way, step in ways.items():
                began = time.perf_counter()
                step()
                seconds = time.perf_counter() - began
                if number:
                    found[preset].seconds[way].append(seconds)
                sys.stdout.write(f"round {number} of {rounds}: {preset}, {way}: {seconds:.2f} s\n")
                sys.stdout.flush()
    return list(found.values())


def _steps(model: ModelSpec) -> dict[str, Callable[[], None]]:
    plain = build_model(model).train()
    last = build_model(model).train()
    last.load_state_dict(plain.state_dict())
    last = last.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    volumes = torch.rand(CASES, 1, *model.shape)
    labels = torch.arange(CASES) % 2

    def step(network: torch.nn.Module, batch: Tensor, *, half: bool) -> None:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = network(batch)
        loss_of(logits, labels).backward()  # type: ignore[no-untyped-call]

    ordered = volumes.to(memory_format=torch.channels_last_3d)
    return {
        WAYS[0]: lambda: step(plain, volumes, half=False),
        WAYS[1]: lambda: step(last, ordered, half=False),
        WAYS[2]: lambda: step(last, ordered, half=True),
    }


def table(found: list[Steps]) -> list[str]:
    """A row a preset: parameters, seconds a case, and ratios."""
    rounds = len(found[0].seconds[WAYS[0]])
    lines = [
        f"Median of {rounds} rounds, one thread. Channels last is over torch's own layout,",
        "bfloat16 over float32 (both channels last).",
        "",
        "| preset | million parameters | seconds a case | over `fast` | channels last | bfloat16 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    fast = next((one for one in found if one.preset is PresetName.FAST), None)
    for one in found:
        own = one.seconds[WAYS[1]]
        over = [a / b for a, b in zip(own, fast.seconds[WAYS[1]], strict=True)] if fast else []
        cells = (
            f"`{one.preset}`",
            f"{parameter_count(PRESETS[one.preset].model) / 1e6:.1f}",
            f"{statistics.median(own) / CASES:.3f}",
            f"{statistics.median(over):.2f}" if over else "",
            f"{one.ratio(WAYS[1], WAYS[0]):.2f}",
            f"{one.ratio(WAYS[2], WAYS[1]):.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--presets", nargs="+", choices=VOLUMES, default=VOLUMES, type=PresetName)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", type=Path, help="put the table into this page")
    options = parser.parse_args()
    found = measure(tuple(options.presets), options.rounds)
    write_table(table(found), options.write, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
