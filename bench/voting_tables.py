"""The tables of ``docs/voting.md``, from what the bench has counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.paired_scores import HoldOut
from bench.voting_ballots import (
    ABSTAINING,
    ASKED_MORE,
    BALANCED,
    CANDIDATES,
    CHOSEN,
    UNBALANCED,
    WHOLE,
    BallotResult,
    Cast,
    Group,
    Rate,
)
from bench.voting_campaigns import CampaignResult
from bench.voting_small import SmallResult
from cdistrim.protocol import quorum_of
from cdistrim.spec import PolicyName, VotingSpec

__all__ = ["fill_in", "rate_of"]

MIDDLE = HoldOut(25, 25)
NONE = "\N{EN DASH}"
EQUAL, WORSE = ASKED_MORE
FOUR = (
    (EQUAL, Cast.HONEST, "equal"),
    (EQUAL, Cast.VETOER, "equal, one always no"),
    (WORSE, Cast.HONEST, "-0.10"),
    (WORSE, Cast.LIAR, "-0.10, one always yes"),
)
"""What decides: two kinds of candidates, without and with a false vote against the truth."""

_Find = Callable[..., Rate | None]


def fill_in(
    page: Path,
    ballots: Iterable[BallotResult],
    small: Iterable[SmallResult],
    campaigns: Iterable[CampaignResult],
) -> None:
    """Write the tables between the page's comments ``voting-…:begin`` and ``voting-…:end``."""
    find = rate_of(ballots)
    ran = list(campaigns)
    tables = {
        "alpha": _alpha(find),
        "ballots": _ballots(find),
        "quorum": _quorum(find),
        "least": _least(small),
        "abstaining": _abstaining(find),
        "unbalanced": _unbalanced(find),
        "margin": _margin(ran),
        "campaigns": _campaigns(ran),
    }
    text = page.read_text()
    for name, lines in tables.items():
        begin, end = f"<!-- voting-{name}:begin -->\n", f"<!-- voting-{name}:end -->"
        body = "\n".join(lines)
        text = re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _, new=f"{begin}{body}\n{end}": new,  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    page.write_text(text)


def rate_of(ballots: Iterable[BallotResult]) -> _Find:
    """A function that finds a rate by what was counted; None if that was not."""
    rates = {
        (one.holdout, one.candidate, one.policy, one.alpha, one.group, one.cast, one.quorum): (
            one.rate
        )
        for one in ballots
    }

    def find(
        group: Group,
        holdout: HoldOut,
        candidate: str,
        cast: Cast,
        *,
        alpha: float = CHOSEN,
        policy: PolicyName = PolicyName.DELONG,
        quorum: int | None = None,
    ) -> Rate | None:
        votes = quorum_of(group.electorate) if quorum is None else quorum
        level = VotingSpec().alpha if policy is PolicyName.STRICT else alpha
        return rates.get((holdout, candidate, policy, level, group, cast, votes))

    return find


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def _cell(rate: Rate | None) -> str:
    if rate is None:
        return NONE
    low, high = rate.interval
    return f"{100 * rate.value:.1f} ± {50 * (high - low):.1f}"


def _four(find: _Find, group: Group, holdout: HoldOut, **how: object) -> list[str]:
    return [_cell(find(group, holdout, one, cast, **how)) for one, cast, _ in FOUR]


def _alpha(find: _Find) -> list[str]:
    rules: list[tuple[str, dict[str, object]]] = [("`strict`", {"policy": PolicyName.STRICT})]
    rules += [(f"alpha {alpha:.2f}", {"alpha": alpha}) for alpha in (0.05, 0.10, 0.20)]
    rows = [
        [group.partners, name, *_four(find, group, MIDDLE, **how)]
        for group in WHOLE
        for name, how in rules
    ]
    return _table(["partners", "rule", *(name for *_, name in FOUR)], rows)


def _ballots(find: _Find) -> list[str]:
    rows = [
        [
            group.partners,
            holdout.cases,
            cast.value,
            *(_cell(find(group, holdout, one, cast)) for one in CANDIDATES),
        ]
        for group in WHOLE
        for holdout in BALANCED
        for cast in Cast
    ]
    return _table(["partners", "cases", "evaluators", *CANDIDATES], rows)


def _quorum(find: _Find) -> list[str]:
    rows = []
    for group in WHOLE:
        for holdout in BALANCED[1:]:
            for votes in (quorum_of(group.partners), quorum_of(group.partners) + 1):
                four = _four(find, group, holdout, quorum=votes)
                rows.append([group.partners, holdout.cases, votes, *four])
    return _table(["partners", "cases", "quorum", *(name for *_, name in FOUR)], rows)


def _abstaining(find: _Find) -> list[str]:
    rows = []
    for group in ABSTAINING:
        turn = "evaluates" if group.trainer_evaluates else "does not"
        counted = f"{quorum_of(group.electorate)} of {group.electorate}"
        rows.append(
            [
                group.partners,
                group.evaluators,
                turn,
                counted,
                *_four(find, group, MIDDLE),
            ]
        )
    heads = ["partners", "evaluators", "the trainer", "quorum", *(name for *_, name in FOUR)]
    return _table(heads, rows)


def _unbalanced(find: _Find) -> list[str]:
    rows = [
        [
            group.partners,
            f"{holdout.positives} + {holdout.negatives}",
            *_four(find, group, holdout),
        ]
        for group in WHOLE
        for pair in zip(BALANCED[1:], UNBALANCED, strict=True)
        for holdout in pair
    ]
    return _table(["partners", "positive + negative", *(name for *_, name in FOUR)], rows)


def _least(small: Iterable[SmallResult]) -> list[str]:
    rows = [
        [
            f"{one.small.positives} + {one.small.negatives}",
            f"{one.large.positives} + {one.large.negatives}",
            f"{100 * one.better:.0f} of 100 groups",
            f"{100 * one.change:+.1f}",
        ]
        for one in small
    ]
    return _table(["they have", "the others have", "better with them", "wrong votes, change"], rows)


def _margin(campaigns: Sequence[CampaignResult]) -> list[str]:
    swept = [
        one
        for one in campaigns
        if one.holdout == MIDDLE
        and one.policy is PolicyName.DELONG
        and one.partners in (4, 7)
        and not one.liar
        and one.floor
    ]
    found = {(one.story, one.partners, one.alpha, one.margin): one for one in swept}
    rows = []
    for partners in (4, 7):
        for alpha in (0.05, 0.10, 0.20):
            for margin in (0.02, 0.05, 0.10, None):
                creep = found.get(("creep", partners, alpha, margin))
                equal = found.get(("equal", partners, alpha, margin))
                if creep is None or equal is None:
                    continue
                told = "no creep test" if margin is None else f"{margin:.2f}"
                rows.append([partners, f"{alpha:.2f}", told, _end(creep), _lost(equal)])
    heads = ["partners", "alpha", "margin", "creep ends at", "equal candidates refused, %"]
    return _table(heads, rows)


def _campaigns(campaigns: Sequence[CampaignResult]) -> list[str]:
    default = VotingSpec()

    def usual(one: CampaignResult) -> bool:
        return (one.alpha, one.margin, one.floor, one.liar) == (
            CHOSEN,
            default.margin,
            default.auc_floor,
            False,
        )

    kinds: tuple[tuple[str, Callable[[CampaignResult], bool]], ...] = (
        ("default", usual),
        ("default, one always yes", lambda one: one.liar),
        ("neither creep test nor floor", lambda one: not one.floor),
        ("`strict`", lambda one: one.policy is PolicyName.STRICT),
    )
    rows = []
    for group in WHOLE:
        for holdout in BALANCED:
            for name, belongs in kinds:
                found = {
                    one.story: one
                    for one in campaigns
                    if (one.partners, one.holdout) == (group.partners, holdout) and belongs(one)
                }
                if not found:
                    continue
                creep, equal, better = (found.get(it) for it in ("creep", "equal", "improving"))
                rows.append(
                    [
                        group.partners,
                        holdout.cases,
                        name,
                        _end(creep),
                        _lost(equal),
                        _lost(better),
                        _end(better),
                    ]
                )
    heads = ["partners", "cases", "rule", "creep ends at", "equal refused, %"]
    return _table([*heads, "improving refused, %", "improving ends at"], rows)


def _end(result: CampaignResult | None) -> str:
    return NONE if result is None else f"{result.auc:.3f} ± {result.auc_reach:.3f}"


def _lost(result: CampaignResult | None) -> str:
    if result is None:
        return NONE
    return f"{100 * result.refused:.1f} ± {100 * result.refused_reach:.1f}"
