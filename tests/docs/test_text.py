"""No file of the repository tells where it was made: no machine's paths, no registry's hosts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, repository_files

# Put together here, or this file would find itself.
_HOSTS = ("py" + "pi.org", "pythonhosted" + ".org", "npm" + "js.org", "yarnpkg" + ".com")
_WORDS = ("artifact" + "ory", "nexus" + "/repository", "index" + "-url http")
_PATHS = (r"(?<![\w.])/work" + r"/\w", r"(?<![\w.])/root" + r"/\w", r"(?<![\w.])/home" + r"/\w")
FORBIDDEN = re.compile("|".join([*map(re.escape, (*_HOSTS, *_WORDS)), *_PATHS]), re.IGNORECASE)


def text_of(path: Path) -> str:
    """A file's text; empty for a binary one."""
    content = path.read_bytes()
    return "" if b"\0" in content[:8192] else content.decode("utf-8")


def test_no_file_names_a_registry_or_a_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in repository_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["https://" + "python" + "hosted.org/x", "cd /work" + "/main", "~ = /home" + "/ann"]
)
def test_what_must_not_be_there_would_be_found(line: str) -> None:
    assert FORBIDDEN.search(line)


def test_text_ends_with_one_line_break_and_has_no_trailing_blanks() -> None:
    pages = [path for path in repository_files() if path.suffix in (".md", ".py", ".sol", ".toml")]
    untidy = [
        str(path.relative_to(ROOT))
        for path in pages
        if (text := path.read_text(encoding="utf-8"))
        and (not text.endswith("\n") or text.endswith("\n\n") or re.search(r"[ \t]$", text, re.M))
    ]
    assert not untidy
