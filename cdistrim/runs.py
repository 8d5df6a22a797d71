"""Runs of the demo and of an experiment: their ids, and the options they keep to be continued."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.site import write_atomically

__all__ = ["load_options", "new_run_id", "run_directory", "save_options"]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Options = TypeVar("Options", bound=BaseModel)


def new_run_id() -> str:
    """Date and time, and enough of the process to keep two runs of one second apart."""
    return f"{datetime.now(tz=UTC):%Y%m%d-%H%M%S}-{os.getpid() % 1000:03d}"


def run_directory(runs: Path, run_id: str) -> Path:
    """Where a run lies.

    Raises:
        UsageError: The id could name something outside of ``runs``, or a hidden file in it.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"{run_id[:100]!r} can't be the id of a run.",
            hint="Use letters, digits, '-', '_' and '.', not a path; it starts with a letter or "
            "digit. --runs says where runs are kept.",
        )
    return runs / run_id


def save_options(options: BaseModel, path: Path) -> None:
    """Write down what a run was asked to do.

    Raises:
        ConfigurationError: Nothing can be written there.
    """
    try:
        write_atomically(path, options.model_dump_json(indent=2).encode())
    except OSError as error:
        raise ConfigurationError(
            f"Can't write into {path.parent}: {error.strerror}.",
            hint="Give a directory that can be written to with --runs.",
        ) from error


def load_options(kind: type[Options], path: Path) -> Options:
    """What an earlier run was asked to do.

    Args:
        kind: Of the options.
        path: A file in the run's directory, of the same name in all runs of this kind.

    Raises:
        ConfigurationError: There is no such run, or its options are damaged.
    """
    run = path.parent
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        known = sorted(one.parent.name for one in run.parent.glob(f"*/{path.name}"))
        raise ConfigurationError(
            f"There is no run {run.name} in {run.parent}.",
            hint=f"Known runs: {', '.join(known) or 'none'}.",
        ) from None
    except ValidationError:
        raise ConfigurationError(
            f"{path} is damaged, or holds the options of a run of another release.",
            hint="Continue it with the release that started it, or start a new run.",
        ) from None
