"""The Lightning module: loss, optimiser, learning rate, and what a checkpoint has to hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional

from cdistrim.errors import TrainingError
from cdistrim.hardware import mixed
from cdistrim.model import network_of
from cdistrim.sampling import EpochBatches, stream_seed
from cdistrim.spec import CampaignSpec, ModelSpec, Schedule, TrainingSpec
from cdistrim.weights import Weights

__all__ = ["Classifier", "TrainingProgress", "Turn", "learning_rate_factor", "loss_of", "turn_of"]


@dataclass(frozen=True)
class Turn:
    """Where in a campaign a training is.

    Attributes:
        slot: Number of the slot, from 1; 0 for central training. Seeds the randomness.
        cycle: Cycles before this one; counts from 0.
        cycles: Of the campaign; central training has one.
    """

    slot: int
    cycle: int = 0
    cycles: int = 1


def turn_of(spec: CampaignSpec, slot: int, slots: int) -> Turn:
    """Where a slot is in its campaign.

    Args:
        spec: The campaign's.
        slot: Counts from 1.
        slots: Of the campaign on the ledger: more than the spec's where members joined.
    """
    return Turn(slot, (slot - 1) * spec.cycles // slots, spec.cycles)


@dataclass(frozen=True)
class TrainingProgress:
    """After a batch. Epochs and batches count from 1; ``loss`` is the epoch's mean so far."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float


def learning_rate_factor(
    step: int, steps: int, *, schedule: Schedule = Schedule.SLOT, turn: Turn | None = None
) -> float:
    """Part of the spec's learning rate at an optimiser step of a slot, in (0, 1].

    A linear start over the first tenth of a slot, so that a new optimiser does not throw a good
    head off; then part of half a cosine. ``slot``: it falls to 0 in each slot, so that a candidate
    does not depend on its last batches. ``campaign``: it falls to 0 over all cycles, and is the
    same for all partners of a cycle; each slot goes through its cycle's part of the curve.

    Args:
        step: Counts from 0.
        steps: Of the slot.
        schedule: Over what the rate falls.
        turn: Which cycle of how many (``campaign``).
    """
    start = max(1, steps // 10)
    warm = min(1.0, (step + 1) / (start + 1))
    if schedule is Schedule.SLOT or turn is None:
        position = (step - start) / max(1, steps - start)
    else:
        position = (turn.cycle + step / steps) / turn.cycles
    return warm * (0.5 + 0.5 * math.cos(math.pi * max(0.0, position)))


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats: binary for logits (n,), over classes for logits (n, classes)."""
    if logits.ndim == 1:
        return functional.binary_cross_entropy_with_logits(logits.float(), labels.float())
    return functional.cross_entropy(logits.float(), labels)


class Classifier(pl.LightningModule):
    """Trains a network from the given weights, which are left as they are."""

    def __init__(
        self,
        weights: Weights,
        model: ModelSpec,
        training: TrainingSpec,
        turn: Turn,
        batches: EpochBatches,
        progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        super().__init__()
        self.network = network_of(model, weights)
        self.training_spec = training
        self.turn = turn
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
        """Not called where a training goes on in mid-epoch; the loader has its epoch then."""
        self.batches.set_epoch(self.current_epoch)
        torch.manual_seed(stream_seed(self.training_spec.seed, self.turn.slot, self.current_epoch))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        volumes, labels = batch
        with mixed(self.device, self.training_spec.mixed_precision):
            logits = self.network(volumes)
        loss = loss_of(logits, labels)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is {value} in epoch {self.current_epoch + 1}, batch {index + 1}.",
                hint="Lower the learning rate, or look for extreme values in the volumes.",
            )
        self.losses.append(value)
        if self.report is not None:
            self.report(
                TrainingProgress(
                    self.current_epoch + 1,
                    self.training_spec.epochs,
                    index + 1,
                    len(self.batches),
                    float(np.mean(self.losses)),
                )
            )
        return loss

    def on_train_epoch_end(self) -> None:
        self.epoch_losses.append(float(np.mean(self.losses)))
        self.losses.clear()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        spec = self.training_spec
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay
        )
        steps = spec.epochs * len(self.batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: learning_rate_factor(step, steps, schedule=spec.schedule, turn=self.turn),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": LRSchedulerConfigType(scheduler=schedule, interval="step"),
        }
