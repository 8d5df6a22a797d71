"""Checkpoints: what a killed training goes on from, encrypted, on its own site's disk only.

What Lightning would save in the clear goes through an envelope (:mod:`cdistrim.envelope`) while it
is written; plaintext is in memory only. One file a slot's attempt, replaced in one step.

The envelope's key is derived from the slot's one-time key and from a digest of all that the
training depends on. So the checkpoint of another head, spec or data set does not open, and none
does once the one-time key is erased: store and stolen disk together open no old slot. Its context
is the slot's, attempt and partner included, as in the envelope of the candidate.

A checkpoint saves time and decides nothing: one that does not open is passed over and written down
in the site's log, and so is one that can't be written.
"""

from __future__ import annotations

import io
import time
from logging import Logger
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import CheckpointIO

from cdistrim import custody
from cdistrim.envelope import Context, DataKey, EnvelopeWriter, decrypt_stream
from cdistrim.errors import SealError
from cdistrim.opening import request_key
from cdistrim.sealing import SealingKey
from cdistrim.site import writing_atomically

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["CheckpointFile", "Checkpoints", "Saving"]


class Checkpoints:
    """Where the training of one slot's attempt may keep its checkpoint, and how often.

    Args:
        path: The file.
        one_time: The one-time key of that attempt.
        context: Bound into the file.
        seconds: From one checkpoint to the next at least, and to the first.
        logger: Told what is used, and what is not.
    """

    def __init__(
        self, path: Path, one_time: SealingKey, context: Context, *, seconds: float, logger: Logger
    ) -> None:
        self.path, self.context = path, context
        self.seconds = seconds
        self.logger = logger
        self._one_time = one_time

    @classmethod
    def of(
        cls, site: Site, campaign: int, slot: int, attempt: int, *, fetch_attempt: int = 0
    ) -> Checkpoints:
        """Those of a site's own slot.

        Args:
            fetch_attempt: The attempt whose one-time key is meant, if the head was asked for in a
                former one.

        Raises:
            KeyFileError: The slot's one-time key is damaged.
            StoreUnavailableError: The store can't be reached.
        """
        return cls(
            site.checkpoint(campaign, slot, attempt),
            request_key(site, campaign, slot, fetch_attempt or attempt),
            custody.context_of(site, campaign, slot, attempt, site.account),
            seconds=site.settings.checkpoint_seconds,
            logger=site.logger,
        )

    def bound_to(self, training: bytes) -> CheckpointFile:
        """The file of one training.

        Args:
            training: Digest of everything that its result depends on.
        """
        return CheckpointFile(self, self._one_time.local_key(b"checkpoint\x00" + training))


class CheckpointFile(CheckpointIO):
    """Writes and reads a trainer's checkpoints, whatever path Lightning names, in one file."""

    def __init__(self, place: Checkpoints, key: DataKey) -> None:
        self.place = place
        self._key = key
        self._state: dict[str, Any] | None = None

    def read(self) -> bool:
        """Bring the checkpoint into memory, for :meth:`load_checkpoint`; whether there is one.

        It has to be whole before anything of it is looked at.
        """
        plain = io.BytesIO()
        try:
            with self.place.path.open("rb") as stream:
                for piece in decrypt_stream(stream, self._key, self.place.context):
                    plain.write(piece)
        except FileNotFoundError:
            return False
        except (OSError, SealError) as error:
            self._pass_over("not used, and the training begins anew", error)
            return False
        plain.seek(0)
        self._state = torch.load(plain, map_location="cpu", weights_only=True)
        return True

    def load_checkpoint(self, *_place: object, **_options: object) -> dict[str, Any]:
        """What :meth:`read` found; it is handed over, not kept."""
        state, self._state = self._state, None
        if state is None:
            raise FileNotFoundError(self.place.path)
        self.place.logger.info(
            "Training goes on from %s, after %d batches.",
            self.place.path.name,
            state["global_step"],
        )
        return state

    def save_checkpoint(
        self, checkpoint: dict[str, Any], *_place: object, **_options: object
    ) -> None:
        """Replace the file; a disk that is full or broken does not end the training."""
        vain = "not written, and the training goes on without"
        try:
            with writing_atomically(self.place.path) as stream:
                envelope = EnvelopeWriter(stream, self._key, self.place.context)
                torch.save(checkpoint, cast(IO[bytes], envelope))
                envelope.finish()
        except OSError as error:
            self._pass_over(vain, error)
        except RuntimeError as error:
            # torch ends its archive whatever happened, and complains of what the disk refused.
            if not isinstance(error.__context__, OSError):
                raise
            self._pass_over(vain, error.__context__)

    def remove_checkpoint(self, *_place: object) -> None:
        """Nothing: the file goes with its slot."""

    def _pass_over(self, what: str, error: OSError | SealError) -> None:
        why = error.what if isinstance(error, SealError) else error.strerror
        self.place.logger.warning("Checkpoint %s is %s: %s", self.place.path.name, what, why)


class Saving(pl.Callback):
    """Saves now and then, between two batches of an epoch.

    Not after an epoch's last batch: Lightning, restarted there, leaves out what is to be done at
    the end of an epoch and at the beginning of the next.
    """

    def __init__(self, place: Checkpoints) -> None:
        self._place = place
        self._last = 0.0

    def on_train_start(self, *_arguments: object) -> None:
        """Lightning's: the first batch is about to be drawn."""
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_arguments: object) -> None:
        """Lightning's: weights, optimiser and schedule have taken their step."""
        if trainer.is_last_batch or time.monotonic() - self._last < self._place.seconds:
            return
        trainer.save_checkpoint(self._place.path, weights_only=False)
        # From its end on, or a slow disk would be written to all the time.
        self._last = time.monotonic()
