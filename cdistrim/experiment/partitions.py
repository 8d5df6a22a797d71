"""Partners that differ: who gets which patients when hospitals are not alike.

The paper deals patients out so that all partners have the same mix. Real hospitals differ in size,
in how many of their cases are ill, in how severe these are, and in their scanners. Each kind below
makes four partners out of the same patients, so that central training sees the same cases:

``equal``
    The paper's scenario 3: about as many patients each, the same mix.
``sizes``
    The paper's scenario 6: 10, 63, 20 and 7 % of the patients.
``sizes-reversed``
    The same partners in the opposite order of turns: the smallest first.
``classes``
    As many patients each, but 15, 35, 65 and 85 % of class 1, as far as there are such cases.
``severity``
    As many patients each, sorted by the volume that the network sees filled: small nodules at the
    first partner, large ones at the last.
``scanners``
    The same mix, but other images: the partners' volumes are blurred, dimmed, shifted or as they
    are. Test patients come from all four scanners in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cdistrim.data.cases import CaseSet, SiteData, Volumes, pool
from cdistrim.data.split import Split, proportional
from cdistrim.errors import UsageError
from cdistrim.experiment.scenarios import LUNG_SCENARIOS, Scenario, deal

__all__ = ["PARTITIONS", "partition"]

_EQUAL, _SIZES = LUNG_SCENARIOS[2], LUNG_SCENARIOS[5]
_SHARES_OF_CLASS_1 = (0.15, 0.35, 0.65, 0.85)


def partition(cases: CaseSet, kind: str, *, test: int, seed: int) -> Split:
    """Four partners of one kind.

    Args:
        cases: One case a patient, two classes.
        kind: A key of :data:`PARTITIONS`.
        test: Patients of the common test set.
        seed: The same seed has the same patients in training, hold-outs and test for all kinds.

    Raises:
        UsageError: There is no such kind.
        DataError: There are too few cases.
    """
    try:
        scenario, change = PARTITIONS[kind]
    except KeyError:
        raise UsageError(
            f"There is no partition {kind!r}.", hint=f"There are {', '.join(PARTITIONS)}."
        ) from None
    return change(deal(cases, scenario, test=test, seed=seed))


def _unchanged(split: Split) -> Split:
    return split


def _by_class(split: Split) -> Split:
    """Deal class 1 out by :data:`_SHARES_OF_CLASS_1`, and fill up with class 0."""

    def assign(cases: CaseSet, sizes: tuple[int, ...]) -> list[NDArray[np.intp]]:
        ones, zeros = (np.flatnonzero(cases.labels == label) for label in (1, 0))
        weights = [
            round(1000 * share * size)
            for share, size in zip(_SHARES_OF_CLASS_1, sizes, strict=True)
        ]
        wanted = proportional(weights, len(ones))
        parts, used = [], [0, 0]
        for size, positive in zip(sizes, wanted, strict=True):
            own = min(positive, size)
            rest = size - own
            parts.append(
                np.concatenate([ones[used[0] : used[0] + own], zeros[used[1] : used[1] + rest]])
            )
            used = [used[0] + own, used[1] + rest]
        return parts

    return _redealt(split, assign)


def _by_severity(split: Split) -> Split:
    def assign(cases: CaseSet, sizes: tuple[int, ...]) -> list[NDArray[np.intp]]:
        filled = cases.volumes.sum(axis=(1, 2, 3, 4), dtype=np.float64)
        return np.split(np.argsort(filled, kind="stable"), np.cumsum(sizes)[:-1])

    return _redealt(split, assign)


def _redealt(
    split: Split, assign: Callable[[CaseSet, tuple[int, ...]], list[NDArray[np.intp]]]
) -> Split:
    """Pool the partners' patients, training and hold-outs apart, and give them out anew."""
    dealt = []
    for part in ("train", "holdout"):
        sets: list[CaseSet] = [getattr(site, part) for site in split.sites]
        pooled = pool(sets)
        parts = assign(pooled, tuple(len(one) for one in sets))
        dealt.append([pooled.subset(np.sort(one)) for one in parts])
    sites = tuple(SiteData(train, held) for train, held in zip(*dealt, strict=True))
    return replace(split, sites=sites)


def _by_scanner(split: Split) -> Split:
    def seen(cases: CaseSet, scanner: int) -> CaseSet:
        return CaseSet(_SCANNERS[scanner](cases.volumes), cases.labels, cases.ids)

    sites = tuple(
        SiteData(seen(site.train, number), seen(site.holdout, number))
        for number, site in enumerate(split.sites)
    )
    volumes = split.test.volumes.copy()
    for number, scanner in enumerate(_SCANNERS):
        volumes[number :: len(_SCANNERS)] = scanner(volumes[number :: len(_SCANNERS)])
    test = CaseSet(volumes, split.test.labels, split.test.ids)
    return replace(split, sites=sites, test=test)


def _blurred(volumes: Volumes) -> Volumes:
    smooth = gaussian_filter(volumes.astype(np.float32), (0, 0, 1.0, 1.0, 1.0))
    return smooth.astype(np.float16)


_SCANNERS: tuple[Callable[[Volumes], Volumes], ...] = (
    lambda volumes: volumes,
    _blurred,
    lambda volumes: (volumes * np.float16(0.6)).astype(np.float16),
    lambda volumes: (volumes * np.float16(0.8) + np.float16(0.2)).astype(np.float16),
)
"""As it is, one voxel's blur, dimmed, and with a background that is not 0."""

PARTITIONS: Mapping[str, tuple[Scenario, Callable[[Split], Split]]] = {
    "equal": (_EQUAL, _unchanged),
    "sizes": (_SIZES, _unchanged),
    "sizes-reversed": (replace(_SIZES, partners=_SIZES.partners[::-1]), _unchanged),
    "classes": (_EQUAL, _by_class),
    "severity": (_EQUAL, _by_severity),
    "scanners": (_EQUAL, _by_scanner),
}
"""By name: the sizes, and what is changed afterwards."""
