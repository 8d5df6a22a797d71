"""Whether model a is shown to be not much worse than model b, from any interval of a - b."""

from __future__ import annotations

from dataclasses import dataclass

from cdistrim.errors import DataError, UsageError
from cdistrim.statistics.delong import DifferenceInterval

__all__ = ["NonInferiorityVerdict", "judge_difference"]


@dataclass(frozen=True)
class NonInferiorityVerdict:
    """What an interval of a - b says about two margins that were fixed before anybody looked.

    ``margin`` is the loss that is accepted, ``aim`` the smaller one that is hoped for. An interval
    without width says nothing: on so few cases there was no variance to be had.
    """

    interval: DifferenceInterval
    margin: float
    aim: float

    @property
    def shown(self) -> bool:
        """The whole interval lies above -margin: a is not inferior by that much."""
        return self._has_width and self.interval.low > -self.margin

    @property
    def aim_shown(self) -> bool:
        """The whole interval lies above -aim."""
        return self._has_width and self.interval.low > -self.aim

    @property
    def inferior(self) -> bool:
        """The whole interval lies below -margin. Neither this nor :attr:`shown`: undecided."""
        return self._has_width and self.interval.high < -self.margin

    @property
    def _has_width(self) -> bool:
        return self.interval.low < self.interval.high


def judge_difference(
    interval: DifferenceInterval, *, margin: float = 0.05, aim: float = 0.02
) -> NonInferiorityVerdict:
    """Judge an interval of a - b, wherever it is from: DeLong, bootstrap, combined sites.

    A two-sided 95 % interval makes this a one-sided test at 2.5 %, as is customary.

    Args:
        interval: Of the difference a - b.
        margin: Non-inferiority margin, in AUC.
        aim: The margin aimed at, not larger.

    Raises:
        DataError: The interval is not finite, or does not hold its own estimate.
        UsageError: Not 0 <= aim <= margin <= 1.
    """
    if not 0 <= margin <= 1:
        raise UsageError(
            f"A margin of {margin} can't be used.",
            hint="It is the loss in AUC that is accepted, from 0 to 1.",
        )
    if not 0 <= aim <= margin:
        raise UsageError(
            f"An aim of {aim} with a margin of {margin} can't be used.",
            hint="Take an aim from 0 to the margin.",
        )
    if not -1 <= interval.low <= interval.difference <= interval.high <= 1:
        raise DataError(
            f"{interval.difference:g} ({interval.low:g} to {interval.high:g}) is no interval of a"
            " difference.",
            hint="Look at what it was computed from.",
        )
    return NonInferiorityVerdict(interval, margin, aim)
