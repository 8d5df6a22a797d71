"""The coordinator's directory: a read-only view of the ledger, and nothing it could misuse."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cdistrim.errors import ConfigurationError
from cdistrim.ledger.interface import Confirmations
from cdistrim.protocol import Deed, Duty
from cdistrim.settings import ContractAddress, LedgerUrl, Settings
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from cdistrim.ledger import EthereumLedger

__all__ = [
    "COORDINATOR_VARIABLE",
    "Coordinator",
    "CoordinatorSettings",
    "bound_coordinator",
    "coordinator_bound_to",
]

COORDINATOR_VARIABLE = "CDISTRIM_COORDINATOR"
"""Environment variable that binds a process to one coordinator directory."""

_bound: ContextVar[Path | None] = ContextVar("cdistrim_coordinator", default=None)


class CoordinatorSettings(Settings):
    """``coordinator.json``. ``convener`` is the member that opens campaigns when asked.

    ``confirmations`` and ``first_block`` are as in ``site.json``.
    """

    ledger_url: LedgerUrl
    chain_id: Annotated[int, Field(gt=0)]
    contract: ContractAddress
    convener: str = ""
    confirmations: Confirmations = 0
    first_block: Annotated[int, Field(ge=0)] = 0


class Coordinator:
    """Reads the ledger and says which campaign is open.

    Raises:
        ConfigurationError: ``coordinator.json`` is missing or invalid.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.settings = CoordinatorSettings.read(
            self.directory / "coordinator.json",
            missing=ConfigurationError(
                f"There is no coordinator at {self.directory}: coordinator.json is missing.",
                hint="Give the coordinator's directory.",
            ),
        )

    @classmethod
    def create(cls, directory: Path, settings: CoordinatorSettings) -> Coordinator:
        """Write ``coordinator.json``."""
        document = settings.model_dump_json(indent=2)
        write_atomically(directory / "coordinator.json", document.encode() + b"\n")
        return cls(directory)

    @cached_property
    def ledger(self) -> EthereumLedger:
        """The ledger, read-only.

        Raises:
            LedgerUnavailableError: The chain does not answer or has another id.
            ForeignContractError: The address does not hold the contract of this release.
        """
        from cdistrim.ledger import EthereumLedger

        return EthereumLedger.connect(
            self.settings.ledger_url,
            self.settings.contract,
            chain_id=self.settings.chain_id,
            confirmations=self.settings.confirmations,
            first_block=self.settings.first_block,
        )

    def open_campaign(self) -> int | None:
        """Number of the newest campaign, if it has not ended; else None."""
        number, is_open = self._newest_or_next()
        return number if is_open else None

    def open_or_convening(self) -> int | Duty:
        """Number of the open campaign; if none is, what the convener is asked: to open the next.

        One look at the ledger decides both. With two, a campaign opened in between would make the
        convener open a second one.

        Raises:
            ConfigurationError: The settings name no convener who is a member.
        """
        number, is_open = self._newest_or_next()
        if is_open:
            return number
        for member in self.ledger.members():
            if member.name == self.settings.convener:
                return Duty(Deed.CONVENE, member.account, number, 0, 0)
        raise ConfigurationError(
            "No campaign is open, and the coordinator's settings name no member as convener.",
            hint="Open one with `cdistrim campaign open`, or set `convener` in coordinator.json.",
        )

    def driven_by(self, run: UUID) -> int:
        """The campaign that a flow run drove before it was interrupted or ended; 0 if it is new.

        Pressed "Retry" after its campaign's end, it would otherwise open the next one.
        """
        try:
            return int(self._note_of(run).read_text())
        except (OSError, ValueError):
            return 0

    def note_driven(self, run: UUID, campaign: int) -> None:
        """Remember which campaign a flow run drives.

        Raises:
            OSError: The coordinator's directory can't be written to.
        """
        write_atomically(self._note_of(run), f"{campaign}\n".encode())

    def _note_of(self, run: UUID) -> Path:
        return self.directory / "runs" / str(run)

    def _newest_or_next(self) -> tuple[int, bool]:
        """Number of the newest campaign and True; where that has ended, of the next and False."""
        newest = self.ledger.campaigns()
        if newest == 0 or self.ledger.campaign(newest).state.ended:
            return newest + 1, False
        return newest, True


@contextmanager
def coordinator_bound_to(directory: Path) -> Iterator[None]:
    """Bind the current context (thread or task) to a coordinator's directory."""
    token = _bound.set(directory)
    try:
        yield
    finally:
        _bound.reset(token)


def bound_coordinator() -> Coordinator:
    """The coordinator that this context or process is bound to.

    Raises:
        ConfigurationError: It is bound to none.
    """
    variable = os.environ.get(COORDINATOR_VARIABLE)
    directory = _bound.get() or (Path(variable) if variable else None)
    if directory is None:
        raise ConfigurationError(
            "This process is bound to no coordinator.",
            hint=f"Start it with `cdistrim coordinator serve DIRECTORY`, or set "
            f"{COORDINATOR_VARIABLE}.",
        )
    return Coordinator(directory)
