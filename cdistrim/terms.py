"""Terms: that a campaign on the ledger is the one whose spec an operator has read.

The ledger has the spec's hash beside the terms that the contract itself enforces. Whoever opens a
campaign with a program of its own may put other terms there under an approved hash: seconds instead
of hours for a step, so that all others are skipped, or votes on reported AUCs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdistrim.errors import SpecMismatchError
from cdistrim.names import Names
from cdistrim.protocol import CampaignView, Clock, Mode
from cdistrim.spec import CampaignSpec, VotingMode

__all__ = ["mode_of", "require_order", "require_terms"]


def mode_of(spec: CampaignSpec) -> Mode:
    """How the contract lets partners vote, by the spec."""
    return Mode.HOLDOUT if spec.voting.mode is VotingMode.HOLDOUT else Mode.REPORTED


def require_terms(spec: CampaignSpec, view: CampaignView) -> None:
    """See that the ledger's terms of a campaign are its spec's.

    But for who takes part, see :func:`require_order`, and the first head, which is made to see
    that (:mod:`cdistrim.genesis`).

    Raises:
        SpecMismatchError: They are not.
    """
    _refuse_if(_other_terms(spec, view), view)


def require_order(spec: CampaignSpec, view: CampaignView, names: Names) -> None:
    """See that the partners' order on the ledger begins as the spec says; joiners come after it.

    Args:
        names: Of former members, too: who was removed keeps its place.

    Raises:
        SpecMismatchError: It does not.
    """
    found = [names.of(account) for account in view.order[: len(spec.order)]]
    _refuse_if(_unequal("the order", found, spec.order), view)


def _other_terms(spec: CampaignSpec, view: CampaignView) -> Iterator[str]:
    yield from _unequal("cycles", [view.cycles], [spec.cycles])
    yield from _unequal("the quorum", [view.quorum], [spec.voting.quorum or 0])
    yield from _unequal("the mode", [view.mode.name.lower()], [mode_of(spec).name.lower()])
    for clock in Clock:
        name = clock.name.lower()
        asked = int(getattr(spec.deadlines, name))
        yield from _unequal(f"seconds for {name}", [view.deadlines.get(name)], [asked])


def _unequal(what: str, found: Sequence[object], asked: Sequence[object]) -> Iterator[str]:
    if list(found) != list(asked):
        yield (
            f"{what}: {', '.join(map(str, found))} on the ledger, {', '.join(map(str, asked))} "
            "in the spec"
        )


def _refuse_if(differences: Iterator[str], view: CampaignView) -> None:
    first = next(differences, None)
    if first is not None:
        raise SpecMismatchError(
            f"Campaign {view.number} was opened on other terms than its spec's: {first}.",
            hint="Nothing was run. Refuse it, and ask the partners who opened it; the spec alone "
            "may be in order.",
        )
