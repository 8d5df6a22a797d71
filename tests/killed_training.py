"""A small training at a site, and a process that kills itself in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cdistrim.checkpoints import Checkpoints
from cdistrim.model import initial_weights
from cdistrim.site import Site
from cdistrim.spec import ModelSpec, TrainingSpec
from cdistrim.training import TrainingProgress, TrainingResult, Turn, train
from tests.factories import SHAPE, make_cases

__all__ = ["BATCHES", "CASES", "HEAD", "MODEL", "TRAINING", "kill_after", "train_at"]

MODEL = ModelSpec(shape=SHAPE, width=4)
TRAINING = TrainingSpec(epochs=3, batch_size=8, threads=1)
CASES = make_cases(14, 9)
"""Classes of unequal size: there are zoomed copies, and random flips in each epoch."""
HEAD = initial_weights(MODEL, 1)
BATCHES = 12
"""Four an epoch."""


def train_at(
    site: Site, *, slot: int = 2, attempt: int = 1, progress: Callable[[TrainingProgress], None]
) -> TrainingResult:
    """Train in a slot of campaign 1, with checkpoints as the site's settings say."""
    checkpoints = Checkpoints.of(site, 1, slot, attempt)
    return train(
        HEAD, CASES, MODEL, TRAINING, turn=Turn(2), progress=progress, checkpoints=checkpoints
    )


def kill_after(batches: int, directory: Path) -> int:
    """Train in a process of its own that kills itself within a batch; its exit status.

    Args:
        batches: How many batches it ends before.
        directory: The site's.
    """
    command = [sys.executable, "-m", "tests.killed_training", str(directory), str(batches)]
    return subprocess.run(command, cwd=Path(__file__).parent.parent, check=False).returncode


def _main() -> None:
    left = int(sys.argv[2])

    def told(_progress: TrainingProgress) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    train_at(Site(Path(sys.argv[1])), progress=told)


if __name__ == "__main__":
    _main()
