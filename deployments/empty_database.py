"""An empty Prefect database, made once a user and release, and copied into each new server's home.

Prefect makes its tables by all the migrations it ever had, which takes seven seconds of the
processor; every run of a demo or an experiment, and every site, has a server of its own. What is
copied is what the migrations leave, before any server has written into it. A server migrates
whatever it finds, so a copy that is too old does no harm.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from cdistrim.data.public_cache import public_cache

__all__ = ["copy_empty_database", "make_database"]

_DATABASE = "prefect.db"
"""Its name in Prefect's home."""


def copy_empty_database(home: Path) -> bool:
    """Give a home that has no database the kept one; whether it has one now.

    Without one that is whole, nothing is done: the server makes its own.
    """
    database = home / _DATABASE
    if database.exists():
        return True
    part = database.with_suffix(".part")
    with suppress(OSError, RuntimeError, sqlite3.Error):  # RuntimeError: nobody's home
        shutil.copyfile(_kept(), part)
        if _is_whole(part):
            part.replace(database)
            return True
    part.unlink(missing_ok=True)
    return False


def make_database(home: Path) -> None:
    """Make the tables in this process's Prefect home, and keep a copy for the next one."""
    from prefect.server.database import provide_database_interface

    async def migrate() -> None:
        interface = provide_database_interface()
        await interface.create_db()
        await (await interface.engine()).dispose()

    asyncio.run(migrate())
    database = home / _DATABASE
    if database.exists():  # Else the user's settings name a database elsewhere.
        with suppress(OSError, RuntimeError, sqlite3.Error):
            _keep(database)


def _keep(database: Path) -> None:
    kept = _kept()
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}")
    try:
        with closing(sqlite3.connect(database)) as made, closing(sqlite3.connect(part)) as copy:
            made.backup(copy)
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)


def _kept() -> Path:
    return public_cache() / f"prefect-{version('prefect')}.db"


def _is_whole(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as found:
        answer = found.execute("PRAGMA quick_check").fetchone()
        tables = found.execute("SELECT count(*) FROM alembic_version").fetchone()
    return bool(answer == ("ok",) and tables == (1,))
