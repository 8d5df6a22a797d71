"""How far a nodule's size alone gets: what any network on the demo's data has to be held to.

python -m bench.size_alone
"""

from __future__ import annotations

import sys

import numpy as np

from cdistrim.data.lidc import FIELD_OF_VIEW_MM, load_lidc
from cdistrim.data.public_cache import public_cache
from cdistrim.data.split import split_cases
from cdistrim.demo_options import DemoOptions
from cdistrim.demonstration import PLAN
from cdistrim.presets import PRESETS, PresetName
from cdistrim.statistics import auc_interval


def main() -> int:
    """Rank all patients, and the demo's test set, by the diameter of a ball of equal volume."""
    shape = PRESETS[PresetName.SMALL].model.shape
    cases = load_lidc(shape, cache=public_cache())
    test = split_cases(cases, PLAN, seed=DemoOptions().seed).test
    voxel = float(np.prod(FIELD_OF_VIEW_MM)) / float(np.prod(shape))
    for name, part in (("all patients", cases), ("test set", test)):
        volumes = part.volumes.astype(np.float64).sum(axis=(1, 2, 3, 4)) * voxel
        found = auc_interval(part.labels, np.cbrt(6 * volumes / np.pi))
        sys.stdout.write(
            f"{name}: {len(part)} cases, AUC of the diameter alone {found.auc:.3f} "
            f"({found.low:.2f} to {found.high:.2f})\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
