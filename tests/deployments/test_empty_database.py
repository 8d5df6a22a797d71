"""The database that new Prefect servers begin with: empty, whole, and made once."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from deployments.empty_database import copy_empty_database

MAKE = """
import sys
from pathlib import Path
from deployments.empty_database import copy_empty_database, make_database
home = Path(sys.argv[1])
assert not copy_empty_database(home)
make_database(home)
"""


def tables(database: Path) -> dict[str, int]:
    """Rows of each table."""
    with closing(sqlite3.connect(database)) as found:
        names = found.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {n: found.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for (n,) in names}  # noqa: S608


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache after the first server of the user has started; its home is beside it."""
    directory = tmp_path_factory.mktemp("user")
    (directory / "home").mkdir()
    environment = {"PREFECT_HOME": str(directory / "home"), "XDG_CACHE_HOME": str(directory / "c")}
    subprocess.run(
        [sys.executable, "-P", "-c", MAKE, str(directory / "home")],
        env=os.environ | environment,
        check=True,
        timeout=240,
    )
    return directory / "c"


@pytest.fixture
def home(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new server's home, of the same user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return tmp_path


def kept_in(cache: Path) -> Path:
    """The only file that was kept."""
    (kept,) = (cache / "cdistrim").iterdir()
    return kept


def test_the_next_server_begins_with_the_same_tables_and_nobodys_rows(
    home: Path, cache: Path
) -> None:
    assert copy_empty_database(home)

    made = tables(cache.parent / "home" / "prefect.db")
    assert tables(home / "prefect.db") == made
    assert made["alembic_version"] == 1
    assert {"flow_run", "task_run", "deployment", "artifact"} <= set(made)
    assert not any(made[name] for name in ("flow_run", "task_run", "deployment", "artifact"))
    assert stat.S_IMODE((cache / "cdistrim").stat().st_mode) == 0o700
    assert [path.name for path in home.iterdir()] == ["prefect.db"]


def test_a_server_that_has_a_database_keeps_it(home: Path) -> None:
    (home / "prefect.db").write_bytes(b"mine")

    assert copy_empty_database(home)

    assert (home / "prefect.db").read_bytes() == b"mine"


@pytest.mark.parametrize("damage", ["missing", "empty", "no database", "truncated"])
def test_what_is_not_whole_is_not_copied(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    kept = kept_in(cache)
    other = tmp_path / "cdistrim" / kept.name
    other.parent.mkdir()
    content = kept.read_bytes()
    damaged = {"empty": b"", "no database": b"x" * 5000, "truncated": content[: len(content) // 2]}
    if damage in damaged:
        other.write_bytes(damaged[damage])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    home = tmp_path / "home"
    home.mkdir()

    assert not copy_empty_database(home)

    assert list(home.iterdir()) == []
