"""Who could open which model, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cdistrim.recoverability import Doubt, Outlook
from cdistrim.report.wording import plural

if TYPE_CHECKING:
    from cdistrim.opening_reports import Vouched
    from cdistrim.recoverability import Recoverability

__all__ = ["recoverability_lines"]


def recoverability_lines(
    models: Sequence[Recoverability],
    names: Mapping[str, str],
    faults: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """A line for each model of a campaign, newest first, and one for each doubt.

    Args:
        names: Names of members, and of former ones, by account, in lower case.
        faults: What is wrong with a model's objects, by the model's name.
    """
    if models:
        yield f"campaign {models[0].campaign}" + (", completed" if models[0].completed else "")
    width = max((len(each.model) for each in models), default=0)
    for each in models:
        yield f"  {each.model:<{width}}  {_holders(each)}: {_verdict(each)}"
        details = [
            *faults.get(each.model, ()),
            *_unchecked(each),
            *_uncounted_elsewhere(each),
            *(
                f"{names.get(account, account)}: {doubt.value}"
                for account, doubt in sorted(each.doubts.items())
            ),
        ]
        for detail in details:
            yield f"  {'':<{width}}    {detail}"
    if any(each.completed and _helped_by_sharing_anew(each) for each in models):
        # Of a running campaign the next slot's owner does it, unasked.
        yield f"  To share keys anew: cdistrim campaign reshare SITE {models[0].campaign}"


def _helped_by_sharing_anew(model: Recoverability) -> bool:
    """Whether there are holders whose share that would mend; junk and silence it does not."""
    mended = {Doubt.GONE, Doubt.LOST, Doubt.FORMER_KEY}
    return (
        model.outlook is not Outlook.SPARE
        and model.unchecked is None
        and not mended.isdisjoint(model.doubts.values())
    )


def _holders(model: Recoverability) -> str:
    if model.threshold is None:
        return "no capsule that counts can be read"
    return f"{plural(len(model.able), 'sure holder')}, {model.threshold} needed"


def _verdict(model: Recoverability) -> str:
    outlook = model.outlook
    if outlook is Outlook.SPARE:
        return f"{model.spare} may fail"
    if outlook is Outlook.NONE_TO_SPARE:
        return "WARNING: all of them have to answer" + (
            "" if model.doubts else "; another partner would give one to spare"
        )
    if outlook is Outlook.UNSURE:
        return "WARNING: NOT SURE that it can be opened"
    return "CAN'T BE OPENED by who is a partner now"


def _unchecked(model: Recoverability) -> Iterator[str]:
    if model.unchecked is not None:
        yield (
            f"Its key was shared anew, for which {model.unchecked.by} of the "
            f"{plural(model.unchecked.needed, 'partner')} that it takes vouch; "
            f"{_who_checks(model, model.unchecked)}."
        )


def _uncounted_elsewhere(model: Recoverability) -> Iterator[str]:
    """At who shared it anew nothing is lacking, but others can't know that."""
    if model.unchecked is None and model.vouched is not None and model.vouched.lacking:
        yield (
            "Its key was shared anew, as this site knows; for the others to count that, "
            f"{_who_checks(model, model.vouched)}."
        )


def _who_checks(model: Recoverability, capsule: Vouched) -> str:
    if not model.completed:
        return "the next slot's owner checks it"
    return (
        f"{plural(capsule.lacking, 'more partner')} {'has' if capsule.lacking == 1 else 'have'} to "
        f"say `cdistrim campaign reshare SITE {model.campaign}`"
    )
