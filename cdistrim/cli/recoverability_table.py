"""Who could open which model, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cdistrim.recoverability import Outlook
from cdistrim.report.wording import plural

if TYPE_CHECKING:
    from cdistrim.recoverability import Recoverability

__all__ = ["recoverability_lines"]


def recoverability_lines(
    models: Sequence[Recoverability],
    names: Mapping[str, str],
    damage: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """A line for each model of a campaign, newest first, and one for each doubt.

    Args:
        names: Names of members, and of former ones, by account, in lower case.
        damage: What is wrong with a model's objects, by the model's name.
    """
    if models:
        yield f"campaign {models[0].campaign}" + (", completed" if models[0].completed else "")
    width = max((len(each.model) for each in models), default=0)
    for each in models:
        yield f"  {each.model:<{width}}  {_holders(each)}: {_verdict(each)}"
        details = [
            *damage.get(each.model, ()),
            *_unchecked(each),
            *(
                f"{names.get(account, account)}: {doubt.value}"
                for account, doubt in sorted(each.doubts.items())
            ),
        ]
        for detail in details:
            yield f"  {'':<{width}}    {detail}"
    if any(each.completed and each.outlook is not Outlook.SPARE for each in models):
        # Of a running campaign the next slot's owner does it, unasked.
        yield f"  To share keys anew: cdistrim campaign reshare SITE {models[0].campaign}"


def _holders(model: Recoverability) -> str:
    if model.threshold is None:
        return "no capsule that counts can be read"
    return f"{plural(len(model.able), 'sure holder')}, {model.threshold} needed"


def _verdict(model: Recoverability) -> str:
    outlook = model.outlook
    if outlook is Outlook.SPARE:
        return f"{model.spare} may fail"
    if outlook is Outlook.NONE_TO_SPARE:
        return "WARNING: all of them have to answer"
    if outlook is Outlook.UNSURE:
        return "WARNING: NOT SURE that it can be opened"
    return "CAN'T BE OPENED by who is a partner now"


def _unchecked(model: Recoverability) -> Iterator[str]:
    if model.unchecked is None:
        return
    who = "who else shares keys anew" if model.completed else "the next slot's owner"
    yield (
        f"Its key was shared anew; {model.unchecked.by} of the {model.unchecked.needed} partners "
        f"that it takes vouch for that; {who} checks it."
    )
