"""Consortia that have a past: slots gone through once, in earnest, for many tests to go on from.

Most of what a test about the fifth step of a second slot takes is the first slot. Here that is gone
through once in a test session, by the library's own calls; then directory and chain are copied.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cdistrim.devnet import Devnet
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

__all__ = ["AfterSlots", "Past"]

AfterSlots = Callable[..., Stepper]
"""What the fixture ``after_slots`` is: ``after_slots(2, size=4)``, by default one slot of three."""


class Past:
    """Copies of consortia after some accepted slots.

    Args:
        directory: Where they are kept; nobody else writes there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def resumed(
        self, directory: Path, accepted: int, *, size: int = 3, **changes: object
    ) -> Iterator[Stepper]:
        """A consortium of its own, on a chain of its own, that has gone so far.

        Args:
            directory: Gets the directories ``consortium`` and ``chain``.
            accepted: Number of slots that were accepted, the first ones; at least 1.
            size: Number of hospitals.
            changes: Fields of the campaign's spec.
        """
        shutil.copytree(self._after(accepted, size, changes), directory, dirs_exist_ok=True)
        with _chain(directory) as chain:
            simulated = SimulatedConsortium(
                directory / "consortium", chain.url, size=size, **changes
            )
            _move_store(simulated.directory)
            yield Stepper(simulated)

    def _after(self, accepted: int, size: int, changes: dict[str, object]) -> Path:
        """Where it lies, gone through now if it was not before."""
        terms = hashlib.sha256(repr((size, sorted(changes.items()))).encode()).hexdigest()[:16]
        kept = self._directory / f"{terms}-{accepted}"
        if kept.exists():
            return kept
        making = self._directory / f"{kept.name}.new"
        shutil.rmtree(making, ignore_errors=True)  # of a test that failed here
        if accepted > 1:
            with self.resumed(making, accepted - 1, size=size, **changes) as steps:
                steps.accept()
        else:
            making.mkdir()
            with _chain(making) as chain:
                where = making / "consortium"
                Stepper(SimulatedConsortium(where, chain.url, size=size, **changes)).accept()
        return making.rename(kept)


def _chain(directory: Path) -> Devnet:
    return Devnet(directory / "chain", dump_share=0.001)  # the dump at its end is enough


def _move_store(consortium: Path) -> None:
    """Have the sites of a consortium that was copied use the copy of the store."""
    for path in consortium.glob("*/site.json"):
        document = json.loads(path.read_bytes())
        document["store_url"] = f"file://{(consortium / 'store').resolve()}"
        path.write_text(json.dumps(document))
