"""Who could open which model, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdistrim.resharing import Custody

__all__ = ["custody_lines"]


def custody_lines(models: Sequence[Custody], names: Mapping[str, str]) -> Iterator[str]:
    """A line for each model of a campaign, newest first, and one for each doubt.

    Args:
        names: Names of members by account, in lower case.
    """
    if models:
        yield f"campaign {models[0].campaign}"
    width = max((len(each.model) for each in models), default=0)
    for each in models:
        yield (f"  {each.model:<{width}}  {_sure(each)}, {each.threshold} needed: {_verdict(each)}")
        for accounts, told in (
            (each.doubtful, "has replaced its key, sent junk last time, or was not there"),
            (each.gone, "is no partner any more"),
        ):
            for account in sorted(accounts):
                yield f"  {'':<{width}}    {names.get(account, account)}: {told}"


def _sure(custody: Custody) -> str:
    count = len(custody.able)
    return f"{count} sure holder{'' if count == 1 else 's'}"


def _verdict(custody: Custody) -> str:
    if custody.spare < 0:
        return "CAN'T BE OPENED by these alone"
    if custody.spare == 0:
        return "WARNING: all of them have to answer"
    return f"{custody.spare} may fail"
