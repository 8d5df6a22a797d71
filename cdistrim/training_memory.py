"""How much memory a training takes, before anybody trains.

Computed, not measured: what autograd keeps for the backward pass is counted on torch's ``meta``
device, which has shapes and no values; the libraries are loaded once by themselves and looked at;
the rest is arithmetic. ``tests/cdistrim/test_training_memory.py`` holds it against the measured
peak of a process that trains.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from math import prod

import torch

from cdistrim.model import build_model
from cdistrim.spec import ModelSpec

__all__ = ["MemoryEstimate", "estimate_memory"]

_COMPILED_BYTES = 70_000_000
"""What oneDNN compiles in a training: 60 to 80 MB (measured, x86-64, one thread)."""

_LOADED = """
import cdistrim.training
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
_LOADED_BYTES = 905_000_000
"""Of PyTorch for graphics cards with Lightning, where it can't be looked at: no ``/proc``."""

_FLOAT, _HALF = 4, 2
_COPIES_OF_WEIGHTS = 5
"""The head's, the network's, gradients, and two moments of AdamW."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the peak of a training on the processor.

    Args:
        process: Interpreter and libraries.
        activations: What the backward pass needs of one batch, and room for its largest gradient.
        weights: Weights, gradients, and the optimiser's state.
        cases: Both sets, and the training set with its copies.
    """

    process: int
    activations: int
    weights: int
    cases: int

    @property
    def total(self) -> int:
        return self.process + self.activations + self.weights + self.cases


@cache
def process_bytes() -> int:
    """Resident memory of a process that has loaded all that trains, and trained a small model.

    It is looked at, in a process of its own (seconds), since builds of PyTorch differ: 555 MB with
    the one for processors only, 925 MB with the one for CUDA 13 (2.13, x86-64).
    """
    ended = subprocess.run(  # noqa: S603  our own words, no shell
        [sys.executable, "-c", _LOADED], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        return _LOADED_BYTES + _COMPILED_BYTES
    return int(ended.stdout.split()[-1]) * 1024 + _COMPILED_BYTES


def estimate_memory(
    model: ModelSpec, *, batch_size: int, train: int, holdout: int, balanced: int
) -> MemoryEstimate:
    """What training one slot takes; the first call takes some seconds.

    Args:
        model: The network.
        batch_size: Cases a step.
        train: Cases of the training set.
        holdout: Cases of the hold-out.
        balanced: Cases of the training set with zoomed copies.
    """
    with torch.device("meta"):
        network = build_model(model).train()
        batch = torch.empty(batch_size, 1, *model.shape)
    parameters = [*network.parameters(), *network.buffers()]
    # By storage: what several steps keep is there once. They are held, or a place would be reused.
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(batch).sum()
    own = {tensor.untyped_storage()._cdata for tensor in parameters}
    sizes = [storage.nbytes() for place, storage in kept.items() if place not in own]
    del loss
    weights = sum(tensor.numel() for tensor in parameters) * _FLOAT * _COPIES_OF_WEIGHTS
    # While copies are made, they are there once by themselves and once with all others.
    stored = train + holdout + balanced + (balanced - train)
    return MemoryEstimate(
        process_bytes(),
        sum(sizes) + max(sizes, default=0),
        weights,
        stored * prod(model.shape) * _HALF,
    )
