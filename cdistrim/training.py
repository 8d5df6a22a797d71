"""Local training: Lightning, deterministic, nothing on disk in the clear.

The same weights, cases, spec and slot give bit-identical weights, in any process on the same
machine with the same number of threads: order, augmentation and zoomed copies are drawn from
generators seeded with the spec's seed, the slot and the epoch. (On a graphics card the order of
sums is not fixed, and the last bits differ.) Optimiser state does not travel: each slot starts its
optimiser anew, as in the paper, where only the model is passed on. Nothing is written but the
encrypted checkpoint of :mod:`cdistrim.checkpoints`, where the caller asks for it; a training that
goes on from it arrives at the same bits.
"""

from __future__ import annotations

import hashlib
import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from cdistrim import __version__
from cdistrim.accelerator import Accelerator
from cdistrim.checkpoints import CheckpointFile, Checkpoints, Saving
from cdistrim.classifier import Classifier, TrainingProgress, Turn
from cdistrim.data.balance import zoom_copies
from cdistrim.data.cases import CaseSet
from cdistrim.envelope import canonical_json
from cdistrim.errors import TrainingError
from cdistrim.hardware import device_of, pinned
from cdistrim.sampling import loader_of, stream_seed
from cdistrim.spec import ModelSpec, TrainingSpec
from cdistrim.weights import Weights, weights_hash

__all__ = ["TrainingProgress", "TrainingResult", "Turn", "train"]

CLIP_NORM = 1.0
"""Gradients are clipped to this Euclidean norm: one odd batch must not spoil everybody's model."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Trained weights, mean loss of each epoch (binary cross-entropy, nats), wall time.

    The time is this process's, without what was trained before a checkpoint.
    """

    weights: Weights
    loss_per_epoch: tuple[float, ...]
    seconds: float


def train(
    weights: Weights,
    cases: CaseSet,
    model: ModelSpec,
    training: TrainingSpec,
    *,
    turn: Turn,
    progress: Callable[[TrainingProgress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    accelerator: Accelerator = Accelerator.CPU,
) -> TrainingResult:
    """Train on one hospital's cases, from the given weights.

    AdamW with gradient clipping; the minority class is supplemented and the majority class
    augmented as ``training.balance`` says. Central training is the same on pooled cases.

    Args:
        weights: The head's; left as they are.
        cases: Training set with all classes.
        model: The architecture.
        training: Hyperparameters; ``threads`` is pinned meanwhile. One thread is as fast for small
            volumes, and does not stall where other processes share the cores.
        turn: Which slot, in which cycle; seeds the randomness together with ``training.seed``.
        progress: Called after each batch.
        checkpoints: Where to leave off and go on if the process is lost; None to leave nothing.
        accelerator: What to compute on; anything but the processor is not bit-identical.

    Raises:
        DataError: Fewer than two cases of a class, labels of no class, or cases of another shape.
        ConfigurationError: A graphics card is asked for, and there is none.
        TrainingError: The loss or a weight is not finite.
    """
    began = time.monotonic()
    cases.require_shape(model.shape)
    cases.require_classes(2, classes=model.classes)
    device = device_of(accelerator)
    seed = stream_seed(training.seed, turn.slot, -1)
    with pinned(training.threads, seed), _quiet():
        balanced = zoom_copies(cases, training.balance, seed=seed)
        loader = loader_of(cases, training, turn.slot, balanced=balanced)
        module = Classifier(weights, model, training, turn, loader.batches, progress)
        file = None
        if checkpoints is not None:
            file = checkpoints.bound_to(_digest(weights, cases, model, training, turn))
        begun = file.place.path if file is not None and file.read() else None
        with _interruptible():
            _trainer(training, device, file).fit(module, loader, ckpt_path=begun)
    trained = {
        name: value.detach().cpu().contiguous()
        for name, value in module.network.state_dict().items()
    }
    broken = sum(not bool(torch.isfinite(value).all()) for value in trained.values())
    if broken:
        raise TrainingError(
            f"{broken} of {len(trained)} trained tensors hold values that are not finite.",
            hint="Lower the learning rate, or look for extreme values in the volumes.",
        )
    return TrainingResult(trained, tuple(module.epoch_losses), time.monotonic() - began)


def _digest(
    weights: Weights, cases: CaseSet, model: ModelSpec, training: TrainingSpec, turn: Turn
) -> bytes:
    """SHA-256 of all that the result depends on, the packages' releases included; 32 bytes."""
    rest = {
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "turn": [turn.slot, turn.cycle, turn.cycles],
        "releases": [__version__, torch.__version__, version("pytorch-lightning"), np.__version__],
    }
    hasher = hashlib.sha256(b"cdistrim/training/v2\0")
    hasher.update(weights_hash(weights) + cases.digest() + canonical_json(rest))
    return hasher.digest()


def _trainer(
    training: TrainingSpec, device: torch.device, file: CheckpointFile | None
) -> pl.Trainer:
    return pl.Trainer(
        accelerator=device.type,
        devices=1,
        max_epochs=training.epochs,
        # Some layers have no deterministic form on a card.
        deterministic=device.type == "cpu",
        gradient_clip_val=CLIP_NORM,
        logger=False,
        enable_checkpointing=False,  # Lightning's own: on disk in the clear.
        enable_progress_bar=False,
        enable_model_summary=False,
        # Named, or Lightning looks for clusters; under SLURM it writes checkpoints unasked.
        plugins=[LightningEnvironment(), *([file] if file is not None else [])],
        callbacks=[Saving(file.place)] if file is not None else [],
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl+C stays a KeyboardInterrupt; Lightning makes it an exit and ignores the next one."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's remarks on hardware, missing workers and its products."""
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            # Lightning calls what torch has deprecated.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            yield
    finally:
        logger.setLevel(level)
