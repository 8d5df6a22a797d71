"""A short campaign on a chain of its own: real sites, contract and store, no training.

Models are a few bytes that have the hashes of :mod:`tests.chain`; votes, ballots, signatures and
blocks are real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cdistrim import __version__
from cdistrim.audit import (
    Header,
    Held,
    Origin,
    Source,
    checkpoints_at,
    export,
    keep_checkpoint,
    read_export,
    write_export,
)
from cdistrim.audit.export import numbered
from cdistrim.ledger import LoggedEvent
from cdistrim.places import campaign_place
from cdistrim.protocol import model_name
from cdistrim.site import Site
from tests.chain import Consortium, run_slot
from tests.reorganising import bare_chain
from tests.simulated import SimulatedConsortium

__all__ = ["Played", "forged", "played"]


@dataclass(frozen=True)
class Played:
    """Hospitals on a bare chain, which can be rewritten."""

    simulated: SimulatedConsortium
    url: str

    def site(self, name: str) -> Site:
        """A hospital, opened anew: nothing that it has read is kept."""
        return self.simulated.site(name)

    @property
    def names(self) -> Sequence[str]:
        """The hospitals' names."""
        return self.simulated.names

    @property
    def hospitals(self) -> Consortium:
        """Their ledgers, opened anew."""
        return Consortium.of_sites(self.url, [self.site(name) for name in self.names])

    def slot(self, number: int, *, approve: bool = True) -> None:
        """Play a slot of the only campaign; its model's bytes go into the store."""
        hospitals = self.hospitals
        run_slot(hospitals, 1, number, approve=approve)
        if approve:
            owner = self.names[number - 1]
            store = self.site(owner).store
            for kind, content in (("models", "ciphertext"), ("capsules", "capsule")):
                place = self.place(kind, number)
                store.put(place, repr((content, number)).encode())

    def place(self, kind: str, slot: int) -> str:
        """Where the store has a slot's model or capsule."""
        owner = self.site(self.names[slot - 1])
        at = (owner.settings.chain_id, owner.contract, owner.account)
        return campaign_place(*at, 1, kind, model_name(owner.name, slot))

    def sign(self, *names: str) -> None:
        """Some hospitals sign what they see."""
        for name in names:
            keep_checkpoint(self.site(name))

    def checkpoints(self, *names: str) -> list[Held]:
        """What some hospitals have signed, all of them by default."""
        folders = [self.site(name).directory / "checkpoints" for name in names or self.names]
        return list(checkpoints_at(folders))

    def export(self, file: Path) -> Path:
        """The chain as it is now, in a new file."""
        header, events = export(self.site(self.names[0]).readable_ledger, __version__)
        write_export(header, events, file)
        return file

    @property
    def chain(self) -> Source:
        """The chain as it is now."""
        return Source.of_ledger(self.site(self.names[0]).readable_ledger)


@contextmanager
def played(directory: Path, *, size: int = 3) -> Iterator[Played]:
    """Hospitals that have opened a campaign and enrolled; the first slot waits."""
    with bare_chain() as url:
        simulated = SimulatedConsortium(directory / "consortium", url, size=size)
        simulated.found()
        hospitals = Played(simulated, url)
        hospitals.hospitals.open()
        yield hospitals


def forged(
    file: Path, target: Path, change: Callable[[list[LoggedEvent]], list[LoggedEvent]]
) -> Path:
    """An export whose records were changed, with the running hash computed anew."""
    header, records = read_export(file)
    events = change([record.event for record in records])
    write_export(header, events, target)
    return target


def first_difference(
    origin: Origin, real: Sequence[LoggedEvent], other: Sequence[LoggedEvent]
) -> int:
    """Number of the first record in which two histories differ, or that only one has; 0: none."""
    both = zip(numbered(origin, real), numbered(origin, other), strict=False)
    for one, two in both:
        if one.digest != two.digest:
            return one.number
    return 0 if len(real) == len(other) else min(len(real), len(other)) + 1


def altered(event: LoggedEvent, **arguments: object) -> LoggedEvent:
    """The same event with other arguments."""
    return replace(event, arguments=event.arguments | arguments)


def header_of(file: Path) -> Header:
    """An export's first line."""
    return read_export(file)[0]
