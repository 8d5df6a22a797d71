"""How long a training step of networks of volumes takes, and what layout and bfloat16 change.

A step is forward, loss and backward of a batch of two, on one thread; its seconds are the
processor's. In each round every way has its turn, so that all see the same machine; what is told
are ratios within a round.

    python -m bench.training_steps --write docs/training.md
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.training_choices import write_table
from cdistrim.classifier import loss_of
from cdistrim.model import build_model, parameter_count
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import ModelSpec

BEGIN, END = "<!-- training-steps:begin -->", "<!-- training-steps:end -->"
ROUNDS = 5
CASES = 2
_LARGER = PRESETS[PresetName.SMALL].model.model_copy(update={"shape": (48, 64, 16)})
NETWORKS = {
    "`paper`": PRESETS[PresetName.PAPER].model,
    "`fast`": PRESETS[PresetName.FAST].model,
    "`resnet18-3d`, 48 x 64 x 16, width 32": _LARGER.model_copy(update={"width": 32}),
    "`resnet18-3d`, 48 x 64 x 16, width 16": _LARGER.model_copy(update={"width": 16}),
    "`small`": PRESETS[PresetName.SMALL].model,
}
FAST = "`fast`"
WAYS = ("as torch lays out", "channels last", "channels last, bfloat16")


@dataclass(frozen=True)
class Steps:
    """Seconds of a network's steps, by way, round after round."""

    network: str
    seconds: dict[str, list[float]]

    def ratio(self, way: str, to: str) -> float:
        """Median over the rounds of a way's time over another's."""
        pairs = zip(self.seconds[way], self.seconds[to], strict=True)
        return statistics.median(one / other for one, other in pairs)


def measure(networks: Sequence[str], rounds: int) -> list[Steps]:
    """All ways of all networks in turns; a round before the first is not counted."""
    torch.set_num_threads(1)
    steps = {network: _steps(NETWORKS[network]) for network in networks}
    found = {network: Steps(network, {way: [] for way in WAYS}) for network in networks}
    for number in range(rounds + 1):
        for network, ways in steps.items():
            for way, step in ways.items():
                began = time.process_time()
                step()
                seconds = time.process_time() - began
                if number:
                    found[network].seconds[way].append(seconds)
                said = f"round {number} of {rounds}: {network}, {way}: {seconds:.3f} s"
                sys.stdout.write(f"{said}\n")
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
    """A row a network: parameters, seconds a case, and ratios."""
    rounds = len(found[0].seconds[WAYS[0]])
    lines = [
        f"Median of {rounds} rounds, one thread; seconds of the processor in torch's own layout;",
        "channels last is over that layout, bfloat16 over float32 (both channels last).",
        "",
        "| network | M parameters | seconds a case | over `fast` | channels last | bfloat16 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    fast = next((one for one in found if one.network == FAST), None)
    for one in found:
        own = one.seconds[WAYS[0]]
        over = [a / b for a, b in zip(own, fast.seconds[WAYS[0]], strict=True)] if fast else []
        cells = (
            one.network,
            f"{parameter_count(NETWORKS[one.network]) / 1e6:.1f}",
            f"{statistics.median(own) / CASES:.3f}",
            f"{statistics.median(over):.3f}" if over else "",
            f"{one.ratio(WAYS[1], WAYS[0]):.2f}",
            f"{one.ratio(WAYS[2], WAYS[1]):.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", type=Path, help="put the table into this page")
    options = parser.parse_args()
    found = measure(options.networks, options.rounds)
    write_table(table(found), options.write, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
