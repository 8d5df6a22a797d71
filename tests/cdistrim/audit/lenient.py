"""What a contract without some of its guards would write: histories that never can have been.

A guard is a ``raise Refused`` in the reference of the contract. Where one refuses an action it is
taken out of a copy, then the next one that refuses, until the action is done.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

from tests.contracts.reference import Action, Event, Reference, Refused

__all__ = ["Guard", "told_without_guards"]

Guard = tuple[str, str]
"""Method and error of what was taken out."""

_MOST = 6


class _Without(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self._line = line

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if node.lineno == self._line:
            return ast.copy_location(ast.Pass(), node)
        return node


@cache
def _without(function: Callable[..., Any], lines: frozenset[int]) -> Callable[..., Any]:
    """A method without the guards on these lines, counted from its first."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for line in lines:
        tree = ast.fix_missing_locations(_Without(line).visit(tree))
    found: dict[str, Any] = {}
    exec(compile(tree, "<lenient>", "exec"), function.__globals__, found)  # noqa: S102
    return found[function.__name__]  # type: ignore[no-any-return]


def told_without_guards(
    reference: Reference, action: Action, now: int
) -> tuple[list[Event], list[Guard]]:
    """What an action that is refused would tell if nobody minded, and which guards minded.

    Nothing is told where it makes no sense at all.
    """
    dropped: dict[str, tuple[Callable[..., Any], frozenset[int]]] = {}
    guards: list[Guard] = []
    for _ in range(_MOST):
        methods = {name: _without(*of) for name, of in dropped.items()}
        tried = copy.deepcopy(reference)
        tried.__class__ = type("Lenient", (Reference,), methods)
        try:
            return tried.act(action, now), guards
        except Refused as refused:
            where = _raised_at(refused, dropped)
            if where is None:
                return [], guards
            name, function, line = where
            _, lines = dropped.get(name, (function, frozenset()))
            dropped[name] = function, lines | {line}
            guards.append((name, refused.name))
        except Exception:  # noqa: BLE001 - whatever comes of what can't be
            return [], guards
    return [], guards


def _raised_at(
    refused: Refused, dropped: dict[str, tuple[Callable[..., Any], frozenset[int]]]
) -> tuple[str, Callable[..., Any], int] | None:
    """The method that refused, and the line in it from its first; None if it was none."""
    trace = refused.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    name, line = trace.tb_frame.f_code.co_name, trace.tb_lineno
    function = getattr(Reference, name, None)
    if function is None:
        return None
    if name in dropped:  # compiled anew: its lines are counted from its first already
        return name, function, line
    return name, function, line - function.__code__.co_firstlineno + 1
