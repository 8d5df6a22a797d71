"""Campaigns whose partners have committed to real cases: real sites, contract, salts; no training.

Models are hashes, as in :mod:`tests.chain`; the data commitments are what sites enrol with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cdistrim import __version__
from cdistrim.audit import export, write_export
from cdistrim.data.cases import CaseSet, SiteData
from cdistrim.data.commitment import commit_cases
from cdistrim.protocol import BallotKind, Mode, RestoreReason
from cdistrim.site import PASSPHRASE_FILE, Site, write_atomically
from cdistrim.site_keys import create_site_keys
from cdistrim.spec import DeadlineSpec
from tests.chain import GENESIS_HASH, SPEC_HASH, Consortium, agree, digest, run_slot
from tests.factories import make_cases, make_site_data
from tests.reorganising import bare_chain
from tests.simulated import SimulatedConsortium

__all__ = ["Committed", "changed_cases", "committed", "two_campaigns"]


@dataclass
class Committed:
    """Hospitals on a chain of their own; ``names`` grows when one is admitted."""

    simulated: SimulatedConsortium
    url: str
    names: list[str] = field(default_factory=list)

    def site(self, name: str) -> Site:
        """A hospital, opened anew."""
        return Site(self.simulated.directory / name)

    def data(self, name: str) -> Path:
        """A hospital's data directory."""
        return self.site(name).directory / "data"

    @property
    def hospitals(self) -> Consortium:
        """Their ledgers, opened anew, in order of admission."""
        return Consortium.of_sites(self.url, [self.site(name) for name in self.names])

    def open(self, *, cycles: int = 1) -> int:
        """Open a campaign of all hospitals, who enrol with the cases that they have; its number."""
        hospitals = self.hospitals
        number, _ = hospitals.ledgers[0].open_campaign(
            spec_hash=digest(SPEC_HASH, cycles),
            genesis_hash=GENESIS_HASH,
            order=hospitals.accounts,
            cycles=cycles,
            quorum=None,
            mode=Mode.HOLDOUT,
            deadlines=DeadlineSpec(),
        )
        for name, ledger in zip(self.names, hospitals.ledgers, strict=True):
            cases = self.site(name).data.train
            root = commit_cases(cases, self.data(name))
            ledger.enrol(campaign=number, cases=len(cases), data_commitment=root, evaluator=True)
        return number

    def slot(self, campaign: int, number: int, *, approve: bool = True) -> None:
        """Play the open slot."""
        run_slot(self.hospitals, campaign, number, approve=approve)

    def restore(self, campaign: int, target: int) -> None:
        """A majority takes the head back to an ancestor."""
        hospitals = self.hospitals
        slot = hospitals.ledgers[0].campaign(campaign).slot
        assert slot is not None
        owner = hospitals.of(slot.owner)
        owner.request_restore(
            campaign=campaign,
            slot=slot.number,
            attempt=slot.attempt,
            target=target,
            reason=RestoreReason.UNOPENABLE,
        )
        (request,) = owner.campaign(campaign).requests
        agree(hospitals, request.id)

    def admit_and_join(self, name: str, campaign: int) -> None:
        """A new hospital becomes a member and a partner of the running campaign."""
        first, directory = self.site(self.names[0]), self.simulated.directory / name
        passphrase = "quick"  # noqa: S105  of a throwaway key
        directory.mkdir(mode=0o700)
        write_atomically(directory / PASSPHRASE_FILE, passphrase.encode())
        keys = create_site_keys(directory / "keys", passphrase, quick=True)
        make_site_data(seed=40, train=14).save(directory / "data")
        site = Site.create(directory, first.settings.model_copy(update={"name": name}))
        first.ledger.propose_admission(account=keys.account, name=name)
        (proposal,) = first.ledger.proposals()
        agree(self.hospitals, proposal.ballot.id)
        site.ledger.publish_key(sealing_key=keys.sealing_key.public_bytes)
        cases = site.data.train
        site.ledger.request_join(
            campaign=campaign,
            cases=len(cases),
            data_commitment=commit_cases(cases, directory / "data"),
            evaluator=True,
        )
        (request,) = first.ledger.campaign(campaign).requests
        assert request.kind is BallotKind.JOIN
        voters = self.hospitals
        self.names.append(name)
        agree(
            Consortium(
                voters.url, voters.address, voters.members[:-1], voters.ledgers, voters.keys
            ),
            request.id,
        )

    def export(self, file: Path) -> Path:
        """The chain as it is now, in a new file."""
        header, events = export(self.site(self.names[0]).readable_ledger, __version__)
        write_export(header, events, file)
        return file


@contextmanager
def committed(directory: Path, *, size: int = 2) -> Iterator[Committed]:
    """Hospitals that have founded a consortium; no campaign is open."""
    with bare_chain() as url:
        simulated = SimulatedConsortium(directory / "consortium", url, size=size)
        for index, name in enumerate(simulated.names):
            simulated.data[name] = make_site_data(seed=index + 1, train=10 + 2 * index)
        simulated.found()
        yield Committed(simulated, url, list(simulated.names))


@contextmanager
def two_campaigns(directory: Path) -> Iterator[Committed]:
    """What proofs can be about, and what not.

    Campaign 1, two cycles: 1 accepted, 2 accepted and taken back, 3 accepted from 1, 4 voted down,
    5 and 6 accepted, 7 accepted, by hospital-4, which joined while slot 5 was open. Then hospital-1
    changes its cases, see :func:`changed_cases`, and campaign 2 has its first slot accepted.
    """
    with committed(directory, size=3) as hospitals:
        hospitals.open(cycles=2)
        hospitals.slot(1, 1)
        hospitals.slot(1, 2)
        hospitals.restore(1, 1)
        hospitals.slot(1, 3)
        hospitals.slot(1, 4, approve=False)
        hospitals.admit_and_join("hospital-4", 1)
        for number in (5, 6, 7):
            hospitals.slot(1, number)
        data = hospitals.site("hospital-1").data
        changed_cases(data).save(hospitals.data("hospital-1"))
        assert hospitals.open() == 2
        hospitals.slot(2, 1)
        yield hospitals


def changed_cases(data: SiteData) -> SiteData:
    """The first case has another label, the second another scan, the third is gone, one is new."""
    train = data.train
    volumes, labels = train.volumes.copy(), train.labels.copy()
    labels[0] = 1 - labels[0]
    volumes[1, 0, 0, 0, 0] += 1
    new = make_cases(1, 1, seed=77, prefix="new").subset([0])
    kept = [0, 1, *range(3, len(train))]
    return SiteData(
        CaseSet(
            np.concatenate([volumes[kept], new.volumes]),
            np.concatenate([labels[kept], new.labels]),
            (*(train.ids[number] for number in kept), *new.ids),
        ),
        data.holdout,
        data.validation,
    )
