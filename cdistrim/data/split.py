"""Splitting cases by patient: hospitals of different size, and a common test set.

A case is one patient, so disjoint cases are disjoint patients. Copies of cases (see
:mod:`cdistrim.data.balance`) are made after the split and never cross it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.cases import CaseSet, SiteData
from cdistrim.errors import DataError
from cdistrim.report.wording import plural, sentence_list

__all__ = ["Split", "SplitPlan", "deal_out", "proportional", "split_cases"]


@dataclass(frozen=True)
class SplitPlan:
    """Numbers of cases: one training set and one hold-out a hospital, one common test set.

    ``validation`` is the size of the set that all hospitals share in mode ``reported``.

    Raises:
        DataError: No hospital, lists of different length, or a set without cases.
    """

    train: tuple[int, ...]
    holdout: tuple[int, ...]
    test: int
    validation: int = 0

    def __post_init__(self) -> None:
        sizes = (*self.train, *self.holdout, self.test)
        if (
            not self.train
            or len(self.train) != len(self.holdout)
            or min(sizes) < 1
            or self.validation < 0
        ):
            raise DataError(
                f"{len(self.train)} training sets, {len(self.holdout)} hold-outs and {self.test} "
                "test cases make no split.",
                hint="Give each hospital one training set and one hold-out, none of them empty.",
            )

    @property
    def total(self) -> int:
        """Cases that the plan uses."""
        return sum(self.train) + sum(self.holdout) + self.test + self.validation

    @classmethod
    def fractions(
        cls, cases: int, *, train: tuple[float, ...], holdout: tuple[float, ...], test: float
    ) -> SplitPlan:
        """The plan that gives each set this fraction of all cases, rounded down."""
        share = tuple(int(cases * part) for part in (*train, *holdout))
        return cls(share[: len(train)], share[len(train) :], int(cases * test))


@dataclass(frozen=True, eq=False)
class Split:
    """What each hospital keeps, in the plan's order, and the untouched test set.

    ``calibration`` are cases that nobody trained on or voted with, to scale scores with.
    """

    sites: tuple[SiteData, ...]
    test: CaseSet
    calibration: CaseSet | None = None


def split_cases(cases: CaseSet, plan: SplitPlan, *, seed: int) -> Split:
    """Split at random; every part has the same proportion of classes up to one case.

    Args:
        cases: One case a patient.
        plan: Sizes of the parts. Cases that it does not use are left out, stratified too.
        seed: The same seed gives the same split.

    Raises:
        DataError: Fewer cases than the plan needs, or one class only.
    """
    if plan.total > len(cases):
        raise DataError(
            f"The split needs {plural(plan.total, 'case')}; of these, {len(cases)} are there.",
            hint="Choose smaller sets.",
        )
    cases.require_classes()
    sizes = (*plan.train, *plan.holdout, plan.test, plan.validation, len(cases) - plan.total)
    parts = _stratified(cases, sizes, seed=seed)
    count = len(plan.train)
    shared = cases.subset(parts[2 * count + 1]) if plan.validation else None
    sites = tuple(
        SiteData(cases.subset(parts[i]), cases.subset(parts[count + i]), shared)
        for i in range(count)
    )
    return Split(sites, cases.subset(parts[2 * count]))


def deal_out(cases: CaseSet, sizes: Sequence[int], *, seed: int) -> tuple[CaseSet, ...]:
    """All cases in parts of these sizes, drawn at random with the same proportion of classes.

    Raises:
        DataError: The sizes do not add up to the number of cases, one is 0, or there is one class
            only.
    """
    if sum(sizes) != len(cases) or min(sizes) < 1:
        told = sentence_list([str(size) for size in sizes])
        raise DataError(
            f"{plural(len(cases), 'case')} can't be dealt out in parts of {told}.",
            hint="Choose parts that add up to all cases, none of them empty.",
        )
    cases.require_classes()
    return tuple(cases.subset(part) for part in _stratified(cases, sizes, seed=seed))


def proportional(weights: Sequence[int], total: int) -> tuple[int, ...]:
    """Whole numbers that add up to ``total``, in proportion to the weights (largest remainder)."""
    return tuple(_proportional(np.array(weights), total).tolist())


def _stratified(cases: CaseSet, sizes: Sequence[int], *, seed: int) -> list[NDArray[np.intp]]:
    """Positions of the cases in each part; each class is drawn by itself."""
    left = np.array(sizes)
    random = np.random.default_rng(seed)
    drawn: list[list[NDArray[np.intp]]] = [[] for _ in sizes]
    # The positive class first, as the splits of two classes have always been drawn.
    for label in (1, 0, *range(2, len(cases.counts()))):
        own = random.permutation(np.flatnonzero(cases.labels == label))
        shares = _proportional(left, len(own))
        left = left - shares
        for part, some in zip(drawn, np.split(own, np.cumsum(shares)[:-1]), strict=True):
            part.append(some)
    return [np.sort(np.concatenate(part)) for part in drawn]


def _proportional(sizes: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Shares of ``total`` in proportion to ``sizes``, by largest remainder; they add up to it."""
    exact = sizes * total / sizes.sum()
    shares: NDArray[np.intp] = np.floor(exact).astype(np.intp)
    missing = total - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return shares
