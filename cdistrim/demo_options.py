"""What a run of the demo was asked to do. Imports nothing heavy: a typo is answered at once."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from cdistrim.errors import UsageError
from cdistrim.runs import load_options, save_options
from cdistrim.spec import PolicyName, VotingMode
from cdistrim.store import STORE_URL, STORE_URL_RULE, ObjectStore
from cdistrim.urls import without_secrets

__all__ = [
    "CHAIN",
    "CYCLES",
    "EXPORT",
    "HOSPITALS",
    "SEED",
    "DemoOptions",
    "chain_start",
    "continuation",
    "verification",
]

HOSPITALS = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")
CYCLES = 3
"""Turns of each hospital; chosen by ``bench/demo_sizes.py``, see docs/demo.md."""

SEED = 2029
"""One with which no honest vote was close where it was tried; see docs/demo.md."""

CHAIN, EXPORT = "devnet", "ledger.jsonl"
"""Where a run has its chain, and the export of the chain's history."""
_OPTIONS = "demo.json"


def continuation(directory: Path) -> str:
    """The command that goes on with a run, as it can be typed here."""
    command = [_program(), "demo"]
    if directory.parent != Path("runs"):
        command += ["--runs", str(directory.parent)]
    return shlex.join([*command, "--resume", directory.name])


def verification(directory: Path, store_url: str) -> str:
    """The command that checks a run's history, its signatures and its models, from anywhere."""
    command = [_program(absolute=True), "verify", "--export", str(directory.resolve() / EXPORT)]
    return shlex.join([*command, "--store", store_url])


def chain_start(directory: Path, ledger_url: str) -> str:
    """The command that starts a run's chain again, where its hospitals look for it."""
    command = [_program(absolute=True), "devnet", "start", str(directory.resolve() / CHAIN)]
    return shlex.join([*command, "--port", str(urlsplit(ledger_url).port)])


def _program(*, absolute: bool = False) -> str:
    """This program, as it can be typed here, or anywhere."""
    program = Path(sys.argv[0])
    if program.name != "cdistrim":
        return "cdistrim"
    return str(program.absolute() if absolute else program)


class DemoOptions(BaseModel):
    """What a run was asked to do; kept with the run, so that a rerun does the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sabotage: str = ""
    mode: VotingMode = VotingMode.HOLDOUT
    policy: PolicyName = PolicyName.DELONG
    cycles: Annotated[int, Field(ge=1, le=20)] = CYCLES
    seed: int = SEED
    central: bool = True
    store: str = ""

    def check(self) -> None:
        """Refuse what can't be run.

        Raises:
            UsageError: The hospital to sabotage does not exist, or the store is no URL.
        """
        if self.sabotage and self.sabotage not in HOSPITALS:
            raise UsageError(
                f"--sabotage {self.sabotage!r} is no hospital of the demo.",
                hint=f"Choose one of {', '.join(HOSPITALS)}.",
            )
        if self.store and not re.fullmatch(STORE_URL, self.store):
            raise UsageError(
                f"--store {without_secrets(self.store)!r} is no store URL: {STORE_URL_RULE}.",
                hint="Write it like gs://bucket/path or file:///path.",
            )
        if self.store:
            # Before the run remembers it: a run goes on with the store that it began with.
            ObjectStore(self.store)
            kind, _, place = self.store.partition("://")
            if kind == "file" and not Path(place).is_dir():
                raise UsageError(
                    f"There is no directory {place} for --store.",
                    hint="Make it first, or leave the option out.",
                )

    def save(self, directory: Path) -> None:
        """Write the options into the run's directory.

        Raises:
            ConfigurationError: Nothing can be written there.
        """
        save_options(self, directory / _OPTIONS)

    @classmethod
    def load(cls, directory: Path) -> DemoOptions:
        """The options of an earlier run.

        Raises:
            ConfigurationError: There is no such run, or its options are damaged.
        """
        return load_options(cls, directory / _OPTIONS)
