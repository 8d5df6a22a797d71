"""Small synthetic things that tests of several parts need."""

from __future__ import annotations

import numpy as np

from cdistrim.data.cases import CaseSet, SiteData

__all__ = ["SHAPE", "make_cases", "make_rows", "make_site_data"]

SHAPE = (8, 8, 8)
"""Input of the tests' models: the smallest volume that all strides can halve."""


def make_cases(
    positives: int = 12,
    negatives: int = 12,
    *,
    seed: int = 0,
    shape: tuple[int, int, int] = SHAPE,
    prefix: str = "case",
) -> CaseSet:
    """Blobs with noise; those with label 1 are larger, so that a network can learn the label."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat([1, 0], [positives, negatives])).astype(np.int8)
    radius = np.where(labels == 1, 0.75, 0.4) + random.normal(0, 0.08, len(labels))
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    distance = np.sqrt(sum(axis**2 for axis in axes))
    volumes = 1 / (1 + np.exp(12 * (distance - radius[:, None, None, None])))
    volumes = np.clip(volumes + random.normal(0, 0.02, volumes.shape), 0, 1)
    ids = tuple(f"{prefix}-{seed}-{number}" for number in range(len(labels)))
    return CaseSet(volumes[:, None].astype(np.float16), labels, ids)


def make_rows(counts: tuple[int, ...] = (12, 9, 9), *, seed: int = 0, features: int = 4) -> CaseSet:
    """Rows of a table: one normal cloud a class, far enough apart to be told from each other."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int8)
    values = random.normal(0, 0.5, (len(labels), features))
    values[np.arange(len(labels)), labels % features] += 2
    ids = tuple(f"row-{seed}-{number}" for number in range(len(labels)))
    return CaseSet(values[:, None, :, None, None].astype(np.float16), labels, ids)


def make_site_data(
    seed: int = 0, *, train: int = 48, holdout: int = 24, shape: tuple[int, int, int] = SHAPE
) -> SiteData:
    """A hospital with as many cases of either class."""
    return SiteData(
        make_cases(train // 2, train // 2, seed=seed, shape=shape, prefix="train"),
        make_cases(holdout // 2, holdout // 2, seed=seed, shape=shape, prefix="holdout"),
    )
