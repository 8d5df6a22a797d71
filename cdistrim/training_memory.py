"""How much memory a training takes, before anybody trains.

Computed, not measured: what autograd keeps for the backward pass is counted on torch's ``meta``
device, which has shapes and no values; the rest is arithmetic. ``tests/cdistrim/
test_training_memory.py`` holds it against the measured peak of a process that trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch

from cdistrim.model import build_model
from cdistrim.spec import ModelSpec

__all__ = ["MemoryEstimate", "estimate_memory"]

PROCESS_BYTES = 625_000_000
"""Of a process that has loaded PyTorch and Lightning and trained one small model: 554 MB before,
60 to 80 MB more for what oneDNN compiles (measured, x86-64, one thread)."""

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


def estimate_memory(
    model: ModelSpec, *, batch_size: int, train: int, holdout: int, balanced: int
) -> MemoryEstimate:
    """What training one slot takes.

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
        PROCESS_BYTES,
        sum(sizes) + max(sizes, default=0),
        weights,
        stored * prod(model.shape) * _HALF,
    )
