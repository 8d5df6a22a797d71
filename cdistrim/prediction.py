"""Inference: what a model says of cases. Who votes needs no more, and no Lightning."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cdistrim.accelerator import Accelerator
from cdistrim.data.cases import CaseSet
from cdistrim.hardware import device_of, pinned
from cdistrim.model import network_of
from cdistrim.spec import ModelSpec
from cdistrim.weights import Weights

__all__ = ["predict"]


def predict(
    weights: Weights,
    cases: CaseSet,
    model: ModelSpec,
    *,
    batch_size: int = 64,
    threads: int = 1,
    accelerator: Accelerator = Accelerator.CPU,
) -> NDArray[np.float64]:
    """Probabilities, in [0, 1]; NaN from a broken model.

    Returns:
        Of label 1 for two classes, shape (n,); else of each class, shape (n, classes).

    Raises:
        DataError: The cases have another shape than the model's input.
        ConfigurationError: A graphics card is asked for, and there is none.
    """
    cases.require_shape(model.shape)
    device = device_of(accelerator)
    with pinned(threads, 0), torch.inference_mode():
        network = network_of(model, weights).to(device).eval()
        logits = [
            network(
                torch.from_numpy(cases.volumes[i : i + batch_size].astype(np.float32)).to(device)
            )
            for i in range(0, len(cases), batch_size)
        ]
        joined = torch.cat(logits).double()
        chances = joined.sigmoid() if joined.ndim == 1 else joined.softmax(1)
        scores: NDArray[np.float64] = chances.cpu().numpy()
    return scores
