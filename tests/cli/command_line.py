"""Calls the command line as a user does, and looks at what a user sees."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from cdistrim.cli import main

__all__ = ["Ended", "assert_explained", "call", "start"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def call(*arguments: object) -> Ended:
    """Run a command in this process: imports are paid once."""
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["cdistrim", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            signal.signal(signal.SIGTERM, handler)
    return Ended(code, out.getvalue(), err.getvalue())


def start(*arguments: object, **environment: str) -> Ended:
    """Run a command in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "cdistrim", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def assert_explained(ended: Ended, code: int, *words: str) -> None:
    """The exit code is the documented one; the message names these values and what to do."""
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    message, _, hint = ended.err.rstrip().rpartition("\n  ")
    assert "cdistrim: " in message, ended.err
    assert hint, ended.err
    for word in words:
        assert word in ended.err
