"""What ``cdistrim up`` trains: a campaign of seconds a slot on a few real cases.

The sizes show the machinery, not a good model; for that there is ``cdistrim demo``.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdistrim.data.cases import SiteData
from cdistrim.data.lidc import load_lidc
from cdistrim.data.public_cache import public_cache
from cdistrim.data.split import SplitPlan, split_cases
from cdistrim.model import initial_weights
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import CampaignSpec, GenesisSpec, TrainingSpec, VotingSpec
from cdistrim.weights import weights_hash

__all__ = ["sample_data", "sample_spec"]

SEED = 2020
TRAIN_CASES = (60, 80, 100)
HOLDOUT_CASES = 50
TEST_CASES = 30
CASES = 720
"""What there is for all; where the hospitals are many, each gets less."""

MODEL = PRESETS[PresetName.SMALL].model


def sample_data(names: tuple[str, ...]) -> Mapping[str, SiteData]:
    """A few LIDC-IDRI nodules for each of up to eight hospitals; built once, then cached."""
    count = len(names)
    share = (CASES - TEST_CASES) // count
    holdout = min(HOLDOUT_CASES, 2 * share // 5)
    train = (min(TRAIN_CASES[n % len(TRAIN_CASES)], share - holdout) for n in range(count))
    plan = SplitPlan(train=tuple(train), holdout=(holdout,) * count, test=TEST_CASES)
    split = split_cases(load_lidc(MODEL.shape, cache=public_cache()), plan, seed=SEED)
    return dict(zip(names, split.sites, strict=True))


def sample_spec(names: tuple[str, ...]) -> CampaignSpec:
    """One turn of each hospital, two epochs a turn."""
    return CampaignSpec(
        name="up",
        task="malignancy of lung nodules, LIDC-IDRI, as rated by radiologists",
        order=names,
        model=MODEL,
        training=TrainingSpec(epochs=2, learning_rate=2e-3, seed=SEED, threads=1),
        # Of eight hospitals each gets 34 cases to vote with: too few, but there are no more.
        voting=VotingSpec(min_cases_per_class=10),
        genesis=GenesisSpec(
            seed=SEED, weights_hash=weights_hash(initial_weights(MODEL, SEED)).hex()
        ),
    )
