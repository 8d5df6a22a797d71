"""The memory that a training is said to take is about what it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdistrim.spec import ModelSpec
from cdistrim.training_memory import estimate_memory

ROOT = Path(__file__).parents[2]

TRAINING = """
import sys
import numpy as np
from cdistrim.data.cases import CaseSet
from cdistrim.model import initial_weights
from cdistrim.spec import ModelSpec, TrainingSpec
from cdistrim.training import Turn, train

class Enough(Exception):
    pass

def stop(progress):
    if progress.batch >= 2:
        raise Enough

model = ModelSpec.model_validate_json(sys.argv[1])
count, size = int(sys.argv[2]), int(sys.argv[3])
volumes = np.zeros((count, 1, *model.shape), dtype=np.float16)
volumes[:] = np.linspace(0, 1, count)[:, None, None, None, None]
labels = np.arange(count) % 2
cases = CaseSet(volumes, labels, tuple(map(str, range(count))))
try:
    train(initial_weights(model, 1), cases, model, TrainingSpec(batch_size=size), turn=Turn(1),
          progress=stop)
except Enough:
    pass
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "cases", "batch"),
    [
        (ModelSpec(shape=(24, 32, 16), width=8), 64, 16),
        (ModelSpec(shape=(64, 64, 16), width=16), 64, 16),
        (ModelSpec(architecture="paper-3d", shape=(64, 64, 16), width=16), 64, 16),
        (ModelSpec(architecture="mlp", shape=(4, 1, 1), width=16), 64, 16),
    ],
)
def test_the_estimate_is_near_the_peak_of_a_process_that_trains(
    model: ModelSpec, cases: int, batch: int
) -> None:
    arguments = [model.model_dump_json(), str(cases), str(batch)]
    ended = subprocess.run(
        [sys.executable, "-c", TRAINING, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    measured = int(ended.stdout.split()[-1]) * 1024
    estimate = estimate_memory(model, batch_size=batch, train=cases, holdout=0, balanced=cases)
    ratio = estimate.total / measured
    print(f"{model.architecture} {model.shape}: {estimate.total / 1e6:.0f} MB, ratio {ratio:.2f}")  # noqa: T201
    assert 0.8 < ratio < 1.35


def test_what_grows_makes_the_estimate_grow() -> None:
    model = ModelSpec(shape=(24, 32, 16), width=8)
    small = estimate_memory(model, batch_size=8, train=50, holdout=10, balanced=60)
    larger = estimate_memory(model, batch_size=16, train=50, holdout=10, balanced=60)
    assert larger.activations > 1.9 * small.activations
    assert (larger.cases, larger.weights) == (small.cases, small.weights)
    wide = ModelSpec(shape=(24, 32, 16), width=16)
    wider = estimate_memory(wide, batch_size=8, train=50, holdout=10, balanced=60)
    assert wider.weights > 3.5 * small.weights
    assert small.cases == (50 + 10 + 60 + 10) * 24 * 32 * 16 * 2
