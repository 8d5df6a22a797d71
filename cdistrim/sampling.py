"""In which order a training sees its cases, seeded by epoch, and how it goes on in mid-epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cdistrim.data.balance import augmentation, augmented_labels
from cdistrim.data.cases import CaseSet
from cdistrim.spec import TrainingSpec

__all__ = ["EpochBatches", "Loader", "Samples", "batch_size_for", "loader_of", "stream_seed"]

MIN_BATCHES = 4
"""Fewest optimiser steps an epoch: smaller batches for a hospital with few cases."""


def batch_size_for(cases: int, training: TrainingSpec) -> int:
    """The batch size, adapted to a centre's number of cases as in the paper.

    The spec's, but small enough for :data:`MIN_BATCHES` batches an epoch; never below 2, which
    batch normalisation needs.
    """
    return max(2, min(training.batch_size, cases // MIN_BATCHES))


def stream_seed(seed: int, slot: int, epoch: int) -> int:
    """Independent streams for every (seed, slot, epoch)."""
    text = f"cdistrim/seed/{seed}/{slot}/{epoch}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Volumes as float32 and labels as int64; some classes augmented anew each time."""

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
        return volume, torch.tensor(label)


class EpochBatches(Sampler[list[int]]):
    """Shuffled batches, seeded by epoch; a last batch of one joins the batch before it.

    A batch of one has no variance, so batch normalisation can't take it; to drop it would leave
    out another case in each epoch.
    """

    def __init__(self, cases: int, size: int, seed: int, slot: int) -> None:
        self.cases, self.size, self.seed, self.slot = cases, size, seed, slot
        self.epoch = 0
        self.given = 0
        """Batches of this epoch that were drawn."""
        self.passed_over = 0
        """Batches that the next pass leaves out, because they were trained on before."""

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; before its first batch is drawn.

        Lightning looks for this method in a loader's ``sampler`` only, and this is a batch sampler:
        whoever trains calls it.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.cases // self.size + (self.cases % self.size > 1))

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(stream_seed(self.seed, self.slot, self.epoch))
        order = torch.randperm(self.cases, generator=generator).tolist()
        begin, self.passed_over = self.passed_over, 0
        for number in range(begin, len(self)):
            last = number == len(self) - 1
            self.given = number + 1
            yield order[number * self.size : None if last else (number + 1) * self.size]


class Loader(DataLoader[tuple[Tensor, Tensor]]):
    """A loader whose position Lightning saves and restores."""

    def __init__(self, samples: Samples, batches: EpochBatches) -> None:
        super().__init__(samples, batch_sampler=batches, num_workers=0)
        self.batches = batches

    def state_dict(self) -> dict[str, int]:
        """The position: what was drawn is trained on, for nothing is fetched in advance."""
        return {"epoch": self.batches.epoch, "given": self.batches.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on at a position."""
        self.batches.epoch, self.batches.passed_over = state["epoch"], state["given"]


def loader_of(cases: CaseSet, training: TrainingSpec, slot: int, *, balanced: CaseSet) -> Loader:
    """The loader of a slot's training.

    Args:
        cases: The site's own, which say what class is the larger one.
        training: Batch size, seed, and which classes are augmented.
        slot: Seeds the order together with ``training.seed``.
        balanced: The same with copies: what is trained on.
    """
    size = batch_size_for(len(balanced), training)
    batches = EpochBatches(len(balanced), size, training.seed, slot)
    return Loader(Samples(balanced, augmented_labels(cases, training.balance)), batches)
