"""The documents of the repository, and what is written in them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


def repository_files() -> list[Path]:
    """All files that are tracked, or would be: what a clone or an archive holds."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return sorted(path for name in names if name and (path := ROOT / name).is_file())


def documents() -> list[Path]:
    """All Markdown files of the repository."""
    return [path for path in repository_files() if path.suffix == ".md"]


def prose(text: str) -> str:
    """A document without its code blocks and inline code."""
    return _INLINE.sub("", _FENCE.sub("", text))


def code(text: str) -> list[str]:
    """Lines of shell blocks, and inline code: whatever a reader might paste into a terminal."""
    blocks = [body for language, body in _FENCE.findall(text) if language in ("sh", "bash")]
    lines = [line for body in blocks for line in body.splitlines()]
    joined = re.sub(r"\s*\n\s*", " ", _FENCE.sub("", text))
    return [*lines, *_INLINE.findall(joined)]


def between(text: str, name: str) -> str:
    """What stands between the comments ``name:begin`` and ``name:end``."""
    found = re.search(rf"<!-- {name}:begin.*?-->\n(.*?)<!-- {name}:end -->", text, re.DOTALL)
    assert found is not None, f"the comments {name}:begin and {name}:end are missing"
    return found.group(1)


def table_rows(text: str) -> list[list[str]]:
    """Cells of all table rows but heads and rules."""
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {i - 1 for i, row in enumerate(rows) if all(set(cell) <= set("-: ") for cell in row)}
    return [row for i, row in enumerate(rows) if i not in heads and i - 1 not in heads]
