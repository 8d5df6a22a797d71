"""docs/keys.md says what a backup holds and where the passphrase comes from, as the code has it."""

from __future__ import annotations

import re

from cdistrim.backup import _Backup, _Contents
from cdistrim.data.assignment import ASSIGNMENT_FILE
from cdistrim.data.case_names import CASE_SECRET_FILE
from cdistrim.data.commitment import COMMITMENTS, SALT_FILE
from cdistrim.passphrase import CREDENTIAL, ENVIRONMENT_VARIABLE
from cdistrim.site import PASSPHRASE_FILE
from cdistrim.site_keys import _MIN_PASSPHRASE, KEY_FILES
from tests.docs.pages import ROOT, table_rows

PAGE = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
NUMBERS = {12: "Twelve"}


def section(title: str) -> str:
    """A section's text, up to the next heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_key_files_are_those_of_the_code() -> None:
    files = [row[0].strip("`") for row in table_rows(section("What there is"))]
    assert files == [f"keys/{name}" for name in KEY_FILES]


def test_the_sources_of_the_passphrase_are_named_in_their_order() -> None:
    text = section("Where the passphrase comes from")
    sources = [row[0] for row in table_rows(text)]
    for source, name in zip(
        sources, (PASSPHRASE_FILE, CREDENTIAL, ENVIRONMENT_VARIABLE), strict=True
    ):
        assert f"`{name}`" in source
    assert f"{NUMBERS[_MIN_PASSPHRASE]} characters at least" in text


def test_a_backup_holds_what_the_page_says() -> None:
    rows = dict(table_rows(section("Backup")))
    kept = {
        "settings": "`site.json`",
        "approved": "`approved/`",
        "salts": f"`data/{SALT_FILE}`",
        "commitments": f"`data/{COMMITMENTS}/`",
    }
    kept |= {"case_secret": f"`data/{CASE_SECRET_FILE}`", "assignment": f"`data/{ASSIGNMENT_FILE}`"}
    assert set(kept) == set(_Contents.model_fields)
    for name in kept.values():
        assert any(row.startswith(name) and "sealed" in how for row, how in rows.items()), name
    assert any(row.startswith("`keys/`") for row in rows)
    assert len(rows) == len(kept) + 1
    assert "keys" in _Backup.model_fields
