"""The slot diagram of ARCHITECTURE.md, drawn from the transition table.

``python -m cdistrim.diagram`` says whether the file is up to date, ``--write`` brings it there. The
section lies between two HTML comments; everything else in the file is left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cdistrim.errors import CDistriMError, UsageError
from cdistrim.protocol import TRANSITIONS, SkipReason, SlotEvent, SlotState, Transition

__all__ = ["BEGIN", "END", "main", "mermaid", "section", "table", "updated"]

BEGIN = "<!-- slot-diagram:begin (python -m cdistrim.diagram --write) -->"
END = "<!-- slot-diagram:end -->"

_DEFAULT_FILE = Path("ARCHITECTURE.md")
_USAGE = "Call it as: python -m cdistrim.diagram [--write] [FILE]"


def mermaid(rows: Sequence[Transition] = TRANSITIONS) -> str:
    """A Mermaid state diagram; what holds in every open state is one note, not six arrows."""
    lines = ["stateDiagram-v2", f"    [*] --> {SlotState.WAITING.name}"]
    everywhere = _events_of_all_open_states(rows)
    lines.extend(
        f"    {row.source.name} --> {row.target.name} : {_arrow_label(row)}"
        for row in rows
        if row.event not in everywhere
    )
    lines.extend(f"    {state.name} --> [*]" for state in SlotState if state.ended)
    for event in everywhere:
        lines.append(f"    note right of {_target(rows, event).name}")
        again = _restart(next(row for row in rows if row.event is event))
        lines.append(f"        from any open state, {_plain(event.value)}{again}")
        lines.append("    end note")
    return "\n".join(lines)


def table(rows: Sequence[Transition] = TRANSITIONS) -> str:
    """The same as a Markdown table, one line a row of the transition table."""
    lines = ["| state | event | next | mode | reason |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        mode = "both" if row.mode is None else row.mode.name.lower()
        reason = "" if row.reason is SkipReason.NONE else f"`{row.reason.name}`"
        lines.append(
            f"| `{row.source.name}` | {row.event.value} | `{row.target.name}`{_restart(row)} "
            f"| {mode} | {reason} |"
        )
    return "\n".join(lines)


def section(rows: Sequence[Transition] = TRANSITIONS) -> str:
    """What stands between the two comments, with them."""
    return f"{BEGIN}\n\n```mermaid\n{mermaid(rows)}\n```\n\n{table(rows)}\n\n{END}"


def updated(text: str) -> str:
    """``text`` with the section replaced by the present one.

    Raises:
        UsageError: The two comments are not in it, once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise UsageError(
            "The text has no section for the slot diagram, or more than one.",
            hint=f"Put {BEGIN!r} and {END!r} where it belongs, once each.",
        )
    return before + section() + after


def main(arguments: Sequence[str]) -> int:
    """Compare, or write; the exit code is 1 where the file is stale and was not written.

    Raises:
        UsageError: The file can't be read, or has no place for the section.
    """
    options = [argument for argument in arguments if argument.startswith("-")]
    files = [argument for argument in arguments if not argument.startswith("-")]
    if len(files) > 1 or options not in ([], ["--write"]):
        raise UsageError(f"{' '.join(arguments)!r} is not understood.", hint=_USAGE)
    path = Path(files[0]) if files else _DEFAULT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Can't read {path}: {error.strerror}.", hint=_USAGE) from None
    fresh = updated(text)
    if options and fresh != text:
        path.write_text(fresh, encoding="utf-8")
    stale = fresh != text and not options
    sys.stdout.write(f"{path}: {'stale; write it with --write' if stale else 'up to date'}\n")
    return int(stale)


def _restart(row: Transition) -> str:
    return ", attempt + 1" if row.restarts else ""


def _events_of_all_open_states(rows: Sequence[Transition]) -> tuple[SlotEvent, ...]:
    """Events that lead from every open state to one and the same state."""
    open_states = {state for state in SlotState if not state.ended}

    def everywhere(event: SlotEvent) -> bool:
        own = [row for row in rows if row.event is event]
        return {row.source for row in own} == open_states and len({row.target for row in own}) == 1

    return tuple(event for event in SlotEvent if everywhere(event))


def _target(rows: Sequence[Transition], event: SlotEvent) -> SlotState:
    return next(row.target for row in rows if row.event is event)


def _arrow_label(row: Transition) -> str:
    mode = "" if row.mode is None else f" ({row.mode.name.lower()})"
    return f"{_plain(row.event.value)}{mode}"


def _plain(label: str) -> str:
    """Without the characters that mean something to Mermaid."""
    return label.replace(">=", "≥").translate(str.maketrans(":;<>", ",,()"))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CDistriMError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(failure.exit_code)
