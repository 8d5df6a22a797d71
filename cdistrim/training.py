"""Local training and inference: Lightning, deterministic, nothing on disk in the clear.

The same weights, cases, spec and slot give bit-identical weights, in any process on the same
machine with the same number of threads: order, augmentation and zoomed copies are drawn from
generators seeded with the spec's seed, the slot and the epoch. Optimiser state does not travel:
each slot starts its optimiser anew, as in the paper, where only the model is passed on. Nothing is
written but the encrypted checkpoint of :mod:`cdistrim.checkpoints`, where the caller asks for it; a
training that goes on from it arrives at the same bits.
"""

from __future__ import annotations

import hashlib
import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from cdistrim import __version__
from cdistrim.checkpoints import CheckpointFile, Checkpoints, Saving
from cdistrim.data.balance import augmentation, augmented_labels, zoom_copies
from cdistrim.data.cases import CaseSet
from cdistrim.envelope import canonical_json
from cdistrim.errors import DataError, TrainingError
from cdistrim.model import build_model, exclusive_torch
from cdistrim.spec import ModelSpec, TrainingSpec
from cdistrim.weights import Weights, weights_hash

__all__ = [
    "TrainingProgress",
    "TrainingResult",
    "batch_size_for",
    "learning_rate_factor",
    "predict",
    "train",
]

MIN_BATCHES = 4
"""Fewest optimiser steps an epoch: smaller batches for a hospital with few cases."""

CLIP_NORM = 1.0
"""Gradients are clipped to this Euclidean norm: one odd batch must not spoil everybody's model."""


@dataclass(frozen=True)
class TrainingProgress:
    """After a batch. Epochs and batches count from 1; ``loss`` is the epoch's mean so far."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Trained weights, mean loss of each epoch (binary cross-entropy, nats), wall time.

    The time is this process's, without what was trained before a checkpoint.
    """

    weights: Weights
    loss_per_epoch: tuple[float, ...]
    seconds: float


def batch_size_for(cases: int, training: TrainingSpec) -> int:
    """The batch size, adapted to a centre's number of cases as in the paper.

    The spec's, but small enough for :data:`MIN_BATCHES` batches an epoch; never below 2, which
    batch normalisation needs.
    """
    return max(2, min(training.batch_size, cases // MIN_BATCHES))


def learning_rate_factor(step: int, steps: int) -> float:
    """Part of the spec's learning rate at an optimiser step of a slot, in (0, 1].

    A linear start over the first tenth, so that a new optimiser does not throw a good head off;
    then half a cosine down to 0, so that a candidate does not depend on its last batches.
    """
    start = max(1, steps // 10)
    if step < start:
        return (step + 1) / (start + 1)
    return 0.5 + 0.5 * math.cos(math.pi * (step - start) / max(1, steps - start))


def train(
    weights: Weights,
    cases: CaseSet,
    model: ModelSpec,
    training: TrainingSpec,
    *,
    slot: int,
    progress: Callable[[TrainingProgress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    accelerator: str = "cpu",
) -> TrainingResult:
    """Train on one hospital's cases, from the given weights.

    AdamW with gradient clipping; the minority class is supplemented and the majority class
    augmented as ``training.balance`` says. Central training is the same on pooled cases.

    Args:
        weights: The head's; left as they are.
        cases: Training set with both classes.
        model: The architecture.
        training: Hyperparameters; ``threads`` is pinned meanwhile. One thread is as fast for small
            volumes, and does not stall where other processes share the cores.
        slot: Seeds this slot's randomness together with ``training.seed``.
        progress: Called after each batch.
        checkpoints: Where to leave off and go on if the process is lost; None to leave nothing.
        accelerator: Lightning's name of the hardware; anything but ``cpu`` is not bit-identical.

    Raises:
        DataError: One class only, fewer than four cases, or volumes of another shape.
        TrainingError: The loss or a weight is not finite.
    """
    began = time.monotonic()
    _check_shape(cases, model)
    cases.require_classes(2)
    seed = _seed(training.seed, slot, -1)
    with _reproducible(training.threads, seed), _quiet():
        samples = zoom_copies(cases, training.balance, seed=seed)
        loader = _loader(samples, augmented_labels(cases, training.balance), training, slot)
        module = _Classifier(weights, model, training, slot, len(loader), progress)
        file = None
        if checkpoints is not None:
            file = checkpoints.bound_to(_digest(weights, cases, model, training, slot))
        begun = file.place.path if file is not None and file.read() else None
        with _interruptible():
            _trainer(training, accelerator, file).fit(module, loader, ckpt_path=begun)
    trained = {name: value.detach().cpu() for name, value in module.network.state_dict().items()}
    broken = sum(not bool(torch.isfinite(value).all()) for value in trained.values())
    if broken:
        raise TrainingError(
            f"{broken} of {len(trained)} trained tensors hold values that are not finite.",
            hint="Lower the learning rate, or look for extreme values in the volumes.",
        )
    return TrainingResult(trained, tuple(module.epoch_losses), time.monotonic() - began)


def predict(
    weights: Weights,
    cases: CaseSet,
    model: ModelSpec,
    *,
    batch_size: int = 64,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Probability of label 1 for each case, shape (n,), in [0, 1]; NaN from a broken model.

    Raises:
        DataError: The volumes have another shape than the model's input.
    """
    _check_shape(cases, model)
    with _reproducible(threads, 0), torch.inference_mode():
        network = build_model(model)
        network.load_state_dict(weights, assign=True)
        network.eval()
        logits = [
            network(torch.from_numpy(cases.volumes[i : i + batch_size].astype(np.float32)))
            for i in range(0, len(cases), batch_size)
        ]
        scores: NDArray[np.float64] = torch.cat(logits).double().sigmoid().numpy()
    return scores


def _digest(
    weights: Weights, cases: CaseSet, model: ModelSpec, training: TrainingSpec, slot: int
) -> bytes:
    """SHA-256 of all that the result depends on, the packages' releases included; 32 bytes."""
    rest = {
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "slot": slot,
        "releases": [__version__, torch.__version__, version("pytorch-lightning"), np.__version__],
    }
    hasher = hashlib.sha256(b"cdistrim/training/v1\0")
    hasher.update(weights_hash(weights) + cases.digest() + canonical_json(rest))
    return hasher.digest()


def _trainer(training: TrainingSpec, accelerator: str, file: CheckpointFile | None) -> pl.Trainer:
    return pl.Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=training.epochs,
        deterministic=accelerator == "cpu",
        gradient_clip_val=CLIP_NORM,
        logger=False,
        enable_checkpointing=False,  # Lightning's own: on disk in the clear.
        enable_progress_bar=False,
        enable_model_summary=False,
        # Named, or Lightning looks for clusters; under SLURM it writes checkpoints unasked.
        plugins=[LightningEnvironment(), *([file] if file is not None else [])],
        callbacks=[Saving(file.place)] if file is not None else [],
    )


class _Samples(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, cases: CaseSet, augmented: frozenset[int]) -> None:
        self.cases = cases
        self.augmented = augmented
        self.transform = augmentation()

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        volume = torch.from_numpy(self.cases.volumes[index].astype(np.float32))
        label = int(self.cases.labels[index])
        if label in self.augmented:
            volume = self.transform(volume)
        return volume, torch.tensor(float(label))


class _EpochBatches(Sampler[list[int]]):
    """Shuffled batches, seeded by epoch; a last batch of one joins the batch before it."""

    def __init__(self, cases: int, size: int, seed: int, slot: int) -> None:
        self.cases, self.size, self.seed, self.slot = cases, size, seed, slot
        self.epoch = 0
        self.given = 0
        """Batches of this epoch that were drawn."""
        self.passed_over = 0
        """Batches that the next pass leaves out, because they were trained on before."""

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.cases // self.size + (self.cases % self.size > 1))

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(_seed(self.seed, self.slot, self.epoch))
        order = torch.randperm(self.cases, generator=generator).tolist()
        begin, self.passed_over = self.passed_over, 0
        for number in range(begin, len(self)):
            last = number == len(self) - 1
            self.given = number + 1
            yield order[number * self.size : None if last else (number + 1) * self.size]


class _Loader(DataLoader[tuple[Tensor, Tensor]]):
    """A loader whose position Lightning saves and restores."""

    def __init__(self, samples: _Samples, batches: _EpochBatches) -> None:
        super().__init__(samples, batch_sampler=batches, num_workers=0)
        self.batches = batches

    def state_dict(self) -> dict[str, int]:
        """The position: what was drawn is trained on, for nothing is fetched in advance."""
        return {"epoch": self.batches.epoch, "given": self.batches.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on at a position."""
        self.batches.epoch, self.batches.passed_over = state["epoch"], state["given"]


class _Classifier(pl.LightningModule):
    def __init__(
        self,
        weights: Weights,
        model: ModelSpec,
        training: TrainingSpec,
        slot: int,
        batches: int,
        progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        super().__init__()
        self.network = build_model(model)
        self.network.load_state_dict(weights)
        self.training_spec = training
        self.slot = slot
        self.batches = batches
        self.report = progress
        self.epoch_losses: list[float] = []
        self.losses: list[float] = []
        self.random: Tensor | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of: losses, and torch's generator."""
        checkpoint["cdistrim"] = {
            "epoch_losses": self.epoch_losses,
            "losses": self.losses,
            "random": torch.get_rng_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["cdistrim"]
        self.epoch_losses, self.losses = state["epoch_losses"], state["losses"]
        self.random = state["random"]

    def on_train_start(self) -> None:
        """Last before the first batch: to make the loader's iterator draws a number, too."""
        if self.random is not None:
            torch.set_rng_state(self.random)
            self.random = None

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(_seed(self.training_spec.seed, self.slot, self.current_epoch))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        volumes, labels = batch
        loss = functional.binary_cross_entropy_with_logits(self.network(volumes), labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is {value} in epoch {self.current_epoch + 1}, batch {index + 1}.",
                hint="Lower the learning rate, or look for extreme values in the volumes.",
            )
        self.losses.append(value)
        if self.report is not None:
            epochs = self.training_spec.epochs
            self.report(
                TrainingProgress(
                    self.current_epoch + 1,
                    epochs,
                    index + 1,
                    self.batches,
                    float(np.mean(self.losses)),
                )
            )
        return loss

    def on_train_epoch_end(self) -> None:
        self.epoch_losses.append(float(np.mean(self.losses)))
        self.losses.clear()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.training_spec.learning_rate,
            weight_decay=self.training_spec.weight_decay,
        )
        steps = self.training_spec.epochs * self.batches
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": LRSchedulerConfigType(scheduler=schedule, interval="step"),
        }


def _loader(
    cases: CaseSet, augmented: frozenset[int], training: TrainingSpec, slot: int
) -> _Loader:
    size = batch_size_for(len(cases), training)
    batches = _EpochBatches(len(cases), size, training.seed, slot)
    return _Loader(_Samples(cases, augmented), batches)


def _check_shape(cases: CaseSet, model: ModelSpec) -> None:
    if cases.shape != model.shape:
        raise DataError(
            f"The volumes have shape {cases.shape}, the model's input is {model.shape}.",
            hint="Build the data set again with the shape of the campaign's spec.",
        )


def _seed(seed: int, slot: int, epoch: int) -> int:
    """Independent streams for every (seed, slot, epoch)."""
    text = f"cdistrim/seed/{seed}/{slot}/{epoch}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")


@contextmanager
def _reproducible(threads: int, seed: int) -> Iterator[None]:
    """Pinned threads and seeded generator; the caller's are put back."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with exclusive_torch(), torch.random.fork_rng(devices=[]):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


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
