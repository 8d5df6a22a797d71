"""Links and pictures inside the repository lead somewhere."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, documents, prose

DOCUMENTS = documents()
PICTURE = ROOT / "docs" / "images" / "report.png"
"""Made from a real run's report; has a test of its own."""

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_USED = re.compile(r"(?<!^)\[\^([\w-]+)\]", re.MULTILINE)
_EXPLAINED = re.compile(r"^\[\^([\w-]+)\]: ", re.MULTILINE)


def local_links(document: Path) -> list[str]:
    """Targets of links and pictures that don't leave the repository."""
    links = _LINK.findall(prose(document.read_text(encoding="utf-8")))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def anchors(document: Path) -> set[str]:
    """What headings are called in a link, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_local_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in local_links(document):
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if target == PICTURE:
            continue
        inside = target.exists() and target.is_relative_to(ROOT)
        if not inside or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_footnote_is_used_and_explained_once(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    explained = _EXPLAINED.findall(text)
    assert len(set(explained)) == len(explained)
    assert set(explained) == set(_USED.findall(text))


def test_the_readme_shows_a_picture_of_a_report() -> None:
    assert "docs/images/report.png" in local_links(ROOT / "README.md")
    assert PICTURE.is_file(), f"{PICTURE.relative_to(ROOT)} is missing: make it from a real run"
    head = PICTURE.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert width >= 800
    assert height >= 400


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    records = {path.name for path in folder.glob("0*.md")}
    assert records
    assert set(local_links(folder / "README.md")) == records
