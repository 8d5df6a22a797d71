"""Weights as a value: bytes, a hash, and the hard checks that come before any vote.

Weights are a network's whole state dict: parameters and the running statistics of its batch
normalisation, which travel with the model. They are serialised as safetensors, never as pickles.
"""

from __future__ import annotations

import hashlib
import math
import struct
from functools import cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from cdistrim.errors import IntegrityError, ModelRejectedError
from cdistrim.hardware import exclusive_torch
from cdistrim.model import build_model
from cdistrim.spec import ModelSpec

__all__ = [
    "Weights",
    "check_weights",
    "from_bytes",
    "norm",
    "to_bytes",
    "update_ratio",
    "weights_hash",
]

Weights = dict[str, torch.Tensor]

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def to_bytes(weights: Weights) -> bytes:
    """Safetensors of the weights; equal weights give equal bytes."""
    return save({name: weights[name].detach().cpu().contiguous() for name in sorted(weights)})


def from_bytes(data: bytes) -> Weights:
    """Read safetensors. The tensors own their memory.

    Raises:
        IntegrityError: The bytes are no safetensors file.
    """
    try:
        return dict(load(data))
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise IntegrityError(
            f"{len(data)} bytes are not a readable safetensors file.",
            hint="Nothing was loaded. Fetch the object again; if it fails again, report its owner.",
        ) from error


def weights_hash(weights: Weights) -> bytes:
    """SHA-256 over names, types, shapes and values, 32 bytes.

    Independent of the file format: sorted by name, every part with its length before it, values in
    little-endian C order.
    """
    hasher = hashlib.sha256(b"cdistrim/weights/v1\0")
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        head = f"{name}\0{value.dtype}\0{tuple(value.shape)}".encode()
        body = value.reshape(-1).view(torch.uint8).numpy().data
        hasher.update(struct.pack("<QQ", len(head), body.nbytes) + head)
        hasher.update(body)
    return hasher.digest()


def check_weights(weights: Weights, spec: ModelSpec) -> None:
    """The hard checks on a model of unknown origin.

    Raises:
        ModelRejectedError: Names, shapes or types other than the architecture's, a value that is
            not finite, or a negative running variance.
    """
    expected = _layout(spec)
    if set(weights) != set(expected):
        missing, extra = len(set(expected) - set(weights)), len(set(weights) - set(expected))
        raise _rejected(
            f"{missing} tensors of {spec.architecture} are missing and {extra} are not its own"
        )
    for name in sorted(expected):
        value, (dtype, shape) = weights[name], expected[name]
        if tuple(value.shape) != shape or value.dtype != dtype:
            raise _rejected(
                f"tensor {name} is {value.dtype} {tuple(value.shape)}, the architecture has "
                f"{dtype} {shape}"
            )
        if count := _not_finite(value):
            raise _rejected(f"tensor {name} holds {count} values that are not finite")
        if name.endswith("running_var") and bool((value < 0).any()):
            raise _rejected(f"tensor {name} holds a negative variance")


def _not_finite(value: torch.Tensor) -> int:
    """How many values are not finite. Such values show in the norm, which is quicker to have."""
    if not value.is_floating_point() or math.isfinite(float(value.norm())):
        return 0
    return int((~torch.isfinite(value)).sum())  # None where the norm itself overflowed.


@cache
def _layout(spec: ModelSpec) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Types and shapes of an architecture's tensors, by name.

    Built for real: torch's "meta" device takes over a second to load in each new process.
    """
    with exclusive_torch(), torch.random.fork_rng(devices=[]):
        state = build_model(spec).state_dict()
    return {name: (value.dtype, tuple(value.shape)) for name, value in state.items()}


def update_ratio(head: Weights, candidate: Weights) -> float:
    """Norm of the update over the norm of the head, both Euclidean over all parameters.

    Running statistics of batch normalisation do not count. Infinite where the head is all zero.
    """
    change = norm({name: candidate[name] - head[name] for name in _parameters(head)})
    before = norm(head)
    return change / before if before > 0 else math.inf


def norm(weights: Weights) -> float:
    """Euclidean norm over all parameters, without the running statistics."""
    return math.hypot(*(float(weights[name].norm()) for name in _parameters(weights)))


def _parameters(weights: Weights) -> list[str]:
    return [name for name in sorted(weights) if not name.endswith(_BUFFERS)]


def _rejected(reason: str) -> ModelRejectedError:
    return ModelRejectedError(
        f"The model was refused: {reason}.", hint="Vote no; the head stays as it is."
    )
