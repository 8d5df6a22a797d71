"""How far an experiment is: each arm's process writes it down, whoever shows it reads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cdistrim.experiment.plan import Arm, Experiment
from cdistrim.progress import Silent
from cdistrim.site import write_atomically

__all__ = ["ArmProgress", "ArmWriter"]


class ArmProgress(BaseModel):
    """How far an arm is.

    ``done`` of ``planned``: slots of a campaign, epochs of central training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: int = 0
    planned: int = 0
    accepted: int = 0
    text: str = ""

    @classmethod
    def of(cls, experiment: Experiment, arm: Arm) -> Self | None:
        """What the arm's process wrote last; None if it has not begun."""
        try:
            return cls.model_validate_json(_file(experiment, arm).read_bytes())
        except (OSError, ValidationError):
            return None


class ArmWriter(Silent):
    """Listens to one arm, and writes down how far it is.

    Args:
        experiment: The run.
        arm: Which.
        planned: Slots, or epochs.
        done: Slots that were over before.
        accepted: Of these.
    """

    def __init__(
        self, experiment: Experiment, arm: Arm, planned: int, *, done: int = 0, accepted: int = 0
    ) -> None:
        self._file = _file(experiment, arm)
        self._now = ArmProgress(planned=planned, done=done, accepted=accepted)
        self._write()

    def training(
        self, slot: int, epoch: int, epochs: int, batch: int, batches: int, loss: float
    ) -> None:
        """As :class:`~cdistrim.progress.Listener`; counts the epochs of central training."""
        if batch == batches and slot == 0:
            self._change(done=epoch, planned=epochs, text=f"loss {loss:.3f}")

    def slot_ended(
        self,
        slot: int,
        hospital: str,
        accepted: bool,
        sentence: str,
        auc_before: float | None,
        auc_after: float | None,
    ) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        verdict = "accepted" if accepted else "skipped"
        auc = f", AUC {_shown(auc_before)} to {_shown(auc_after)} at the voters"
        why = "" if accepted else f": {sentence}"
        self._change(
            done=slot,
            accepted=self._now.accepted + accepted,
            text=f"{hospital} {verdict}{auc if auc_after is not None else ''}{why}",
        )

    def note(self, text: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        self._change(text=text)

    def _change(self, **fields: object) -> None:
        self._now = self._now.model_copy(update=fields)
        self._write()

    def _write(self) -> None:
        with suppress(OSError):  # Nothing hangs on it.
            write_atomically(self._file, self._now.model_dump_json().encode(), durable=False)


def _shown(auc: float | None) -> str:
    return "?" if auc is None else f"{auc:.3f}"


def _file(experiment: Experiment, arm: Arm) -> Path:
    return experiment.place(arm).with_suffix(".progress")
