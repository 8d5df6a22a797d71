"""Who wants to know how work goes: one listener a process, told by the steps. No I/O here.

Slots count from 1; 0 stands for what belongs to none.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Listener", "Silent", "listen_with", "listener"]


class Listener(Protocol):
    """What a display, or nobody, does with progress. Called from several threads."""

    def slot_started(self, slot: int, hospital: str) -> None:
        """The slot's owner is at its turn, for the first time or again; slots count from 1."""

    def step(self, slot: int, hospital: str, name: str) -> None:
        """A protocol step begins, of the slot's owner or of a partner that owes it something."""

    def waiting(self, slot: int, hospital: str, text: str) -> None:
        """A site waits for others; ``text`` says for what, for whom and until when."""

    def training(
        self, slot: int, epoch: int, epochs: int, batch: int, batches: int, loss: float
    ) -> None:
        """A training batch ended; counts start at 1."""

    def vote(self, slot: int, voter: str, approve: bool, sentence: str) -> None:
        """A partner voted; ``sentence`` has figures, no case."""

    def slot_ended(
        self,
        slot: int,
        hospital: str,
        accepted: bool,
        sentence: str,
        auc_before: float | None,
        auc_after: float | None,
    ) -> None:
        """A slot was accepted or skipped; ``sentence`` says why, AUCs are the voters' mean."""

    def note(self, text: str) -> None:
        """Anything else worth a line."""


class Silent:
    """Listens to nothing."""

    def slot_started(self, slot: int, hospital: str) -> None:
        """Ignore."""

    def step(self, slot: int, hospital: str, name: str) -> None:
        """Ignore."""

    def waiting(self, slot: int, hospital: str, text: str) -> None:
        """Ignore."""

    def training(
        self, slot: int, epoch: int, epochs: int, batch: int, batches: int, loss: float
    ) -> None:
        """Ignore."""

    def vote(self, slot: int, voter: str, approve: bool, sentence: str) -> None:
        """Ignore."""

    def slot_ended(
        self,
        slot: int,
        hospital: str,
        accepted: bool,
        sentence: str,
        auc_before: float | None,
        auc_after: float | None,
    ) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


_listener: Listener = Silent()


def listen_with(new: Listener) -> None:
    """Make ``new`` this process's listener."""
    global _listener
    _listener = new


def listener() -> Listener:
    """This process's listener."""
    return _listener
