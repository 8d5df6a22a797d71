"""The simulated consortium: real sites, contract, chain, store and flows; tiny model and data.

Scenarios mutate it before it is founded (:attr:`SimulatedConsortium.data`, ``spec``) or while it
runs (``silent``, ``sites``); nothing in it is patched. What is not real: one process plays all
sites, with the dispatcher that the demo uses, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cdistrim.consortium import Consortium, found_consortium
from cdistrim.convening import open_campaign
from cdistrim.coordinator import Coordinator, coordinator_bound_to
from cdistrim.data.cases import CaseSet, SiteData
from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.iteration import IterationRef
from cdistrim.model import initial_weights
from cdistrim.places import SPECS
from cdistrim.protocol import CampaignView, Deed, Duty, Mode, SlotState, SlotView
from cdistrim.site import Site
from cdistrim.spec import (
    CampaignSpec,
    DeadlineSpec,
    GenesisSpec,
    ModelSpec,
    Norm,
    TrainingSpec,
    VotingMode,
    VotingSpec,
)
from cdistrim.weights import weights_hash
from tests.factories import SHAPE, make_cases, make_site_data

if TYPE_CHECKING:
    from flows.dispatch import Dispatcher

__all__ = [
    "MODEL",
    "REPORTED",
    "VOTING",
    "SimulatedConsortium",
    "SlotResult",
    "flipped",
    "open_unseen",
    "tiny_spec",
]

MODEL = ModelSpec(shape=SHAPE, width=4, norm=Norm.BATCH)
"""With four channels a group of them is one, and normalising it takes away the brightness by which
these classes differ."""
TRAINING = TrainingSpec(epochs=3, batch_size=8, learning_rate=2e-2, threads=1)
"""Enough that honest turns reach an AUC near 1 on any processor: verdicts must not be luck."""

VOTING = VotingSpec(min_cases_per_class=10)
"""The hold-outs are as small as the models."""

REPORTED = VOTING.model_copy(update={"mode": VotingMode.REPORTED})
"""The paper's way."""


def tiny_spec(order: tuple[str, ...], **changes: object) -> CampaignSpec:
    """A campaign of seconds; ``changes`` replace fields of the spec."""
    genesis = weights_hash(initial_weights(MODEL, 1)).hex()
    fields: dict[str, object] = {
        "name": "simulated",
        "task": "tell large blobs from small ones",
        "order": order,
        "model": MODEL,
        "training": TRAINING,
        "voting": VOTING,
        "genesis": GenesisSpec(seed=1, weights_hash=genesis),
    }
    return CampaignSpec.model_validate(fields | changes)


def flipped(data: SiteData) -> SiteData:
    """A hospital whose training labels are all wrong."""
    train = CaseSet(data.train.volumes, 1 - data.train.labels, data.train.ids)
    return replace(data, train=train)


@dataclass(frozen=True)
class SlotResult:
    """What two runs of a campaign have in common, whoever was killed in between."""

    number: int
    owner: str
    state: str
    reason: str
    name: str
    parent: int
    weights: str


class SimulatedConsortium:
    """Three hospitals (or ``size``) in a directory, on a chain that runs already.

    Args:
        directory: Of the whole consortium; a second object on it continues there.
        ledger_url: The development chain.
        size: Number of hospitals.
        changes: Fields of the campaign's spec, e.g. ``cycles=2``.
    """

    def __init__(
        self, directory: Path, ledger_url: str, *, size: int = 3, **changes: object
    ) -> None:
        self.directory = directory
        self.ledger_url = ledger_url
        self.names = tuple(f"hospital-{number}" for number in range(1, size + 1))
        validation = make_cases(seed=90, prefix="validation")
        self.data = {
            name: replace(make_site_data(seed=index + 1), validation=validation)
            for index, name in enumerate(self.names)
        }
        self.spec = tiny_spec(self.names, **changes)
        self.silent: dict[str, int] = {}
        """Partners that do nothing from a slot on (0: they don't even enrol), by name."""
        self.malice: dict[int, Callable[[Site, IterationRef], None]] = {}
        """What a slot's owner does instead of the partner iteration, by slot."""
        self.joined: dict[str, Path] = {}
        """Directories of sites that were admitted later, by account."""

    # --- setting up ---

    def found(self) -> Consortium:
        """Make the sites and the contract, or find them again; every operator approves the spec."""
        consortium = found_consortium(
            self.directory, self.data, ledger_url=self.ledger_url, chain_id=CHAIN_ID
        )
        for path in consortium.sites.values():
            Site(path).approve_spec(self.spec.digest())
        return consortium

    @property
    def consortium(self) -> Consortium:
        """Where everything lies, once it is founded."""
        return Consortium.open(self.directory)

    def site(self, name: str) -> Site:
        """A hospital, opened anew."""
        return Site(self.consortium.sites[name])

    def open_campaign(self) -> int:
        """The first hospital opens the campaign, unless it is open; its number."""
        first = self.site(self.names[0])
        return first.ledger.campaigns() or open_campaign(first, self.spec)

    # --- running ---

    def run(self) -> CampaignView:
        """Found, open and run to the end, by the real flows; the campaign then.

        Needs a Prefect server: the fixture ``prefect_server``, or the environment's.
        """
        from flows.campaign import campaign
        from flows.dispatch import Embedded, dispatching_with

        self.found()
        number = self.open_campaign()
        accounts = self.consortium.accounts() | self.joined
        dispatcher: Dispatcher = Embedded(accounts)
        if self.malice:
            dispatcher = _WithMalice(dispatcher, accounts, self.malice)
        if self.silent:
            since = {
                account: self.silent[path.name]
                for account, path in accounts.items()
                if path.name in self.silent
            }
            dispatcher = _WithSilentSites(dispatcher, since, self)
        with coordinator_bound_to(self.consortium.coordinator), dispatching_with(dispatcher):
            campaign(number)
        return self.view(number)

    def travel(self, seconds: int) -> None:
        """Move the chain's clock forward, e.g. past a deadline."""
        call(self.ledger_url, "evm_increaseTime", seconds)
        call(self.ledger_url, "evm_mine")

    # --- looking ---

    def view(self, number: int = 1) -> CampaignView:
        """The campaign, by the coordinator's read-only ledger."""
        return Coordinator(self.consortium.coordinator).ledger.campaign(number)

    def slots(self, number: int = 1) -> tuple[SlotView, ...]:
        """All slots of a campaign."""
        ledger = Coordinator(self.consortium.coordinator).ledger
        return tuple(
            ledger.slot(number, slot) for slot in range(1, ledger.campaign(number).slots + 1)
        )

    def lineage(self, number: int = 1) -> tuple[SlotResult, ...]:
        """What came of each slot; equal for two runs that differ in keys and time only."""
        sites = self.consortium.accounts() | self.joined
        names = {account: path.name for account, path in sites.items()}
        return tuple(_result(slot, names) for slot in self.slots(number))


def _result(slot: SlotView, names: Mapping[str, str]) -> SlotResult:
    kept = slot.candidate if slot.state is SlotState.ACCEPTED else None
    return SlotResult(
        number=slot.number,
        owner=names[slot.owner],
        state=slot.state.name,
        reason=slot.skip_reason.name,
        name=kept.name if kept else "",
        parent=kept.parent if kept else -1,
        weights=slot.candidate.weights_hash.hex() if slot.candidate else "",
    )


class _WithMalice:
    """Lets the owners of some slots do what they want; they vote like everybody."""

    def __init__(
        self,
        inner: Dispatcher,
        sites: Mapping[str, Path],
        malice: Mapping[int, Callable[[Site, IterationRef], None]],
    ) -> None:
        self._inner = inner
        self._sites = dict(sites)
        self._malice = dict(malice)
        self._threads: dict[str, threading.Thread] = {}

    def dispatch(self, duty: Duty) -> None:
        deed = self._malice.get(duty.slot) if duty.deed is Deed.ITERATE else None
        if deed is None:
            self._inner.dispatch(duty)
        elif duty.key not in self._threads:
            ref = IterationRef(duty.campaign, duty.slot, duty.attempt)
            thread = threading.Thread(target=deed, args=(Site(self._sites[duty.partner]), ref))
            self._threads[duty.key] = thread
            thread.start()

    def finish(self) -> None:
        for thread in self._threads.values():
            thread.join()
        self._inner.finish()


class _WithSilentSites:
    """Passes on what is asked of sites that answer; time flies while only others are waited for."""

    def __init__(
        self, inner: Dispatcher, since: Mapping[str, int], consortium: SimulatedConsortium
    ) -> None:
        self._inner = inner
        self._since = dict(since)
        self._consortium = consortium
        self._waited: set[str] = set()

    def dispatch(self, duty: Duty) -> None:
        since = self._since.get(duty.partner)
        if since is None or duty.slot < since:
            self._inner.dispatch(duty)
        elif duty.key not in self._waited and self._nobody_else_can_go_on(duty):
            self._waited.add(duty.key)
            self._consortium.travel(DeadlineSpec().training + 1)

    def finish(self) -> None:
        self._inner.finish()

    def _nobody_else_can_go_on(self, duty: Duty) -> bool:
        view = self._consortium.view(duty.campaign)
        if duty.deed is Deed.ENROL:
            missing = {one for one in view.order if view.enrolment(one) is None}
            return missing <= set(self._since)
        return duty.deed is Deed.ITERATE


def open_unseen(
    simulated: SimulatedConsortium,
    spec: CampaignSpec,
    genesis_hash: str,
    terms: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """A member opens a campaign by a program of its own, which looks at nothing.

    Args:
        terms: What it puts on the ledger otherwise than in the spec.
    """
    simulated.spec = spec
    simulated.found()
    opener = simulated.site("hospital-1")
    opener.store.put(SPECS, spec.canonical())
    accounts = {member.name: member.account for member in opener.ledger.members()}
    honest: dict[str, Any] = {
        "order": [accounts[name] for name in spec.order],
        "cycles": spec.cycles,
        "quorum": spec.voting.quorum,
        "mode": Mode.HOLDOUT,
        "deadlines": spec.deadlines,
    }
    number, _ = opener.ledger.open_campaign(
        spec_hash=spec.digest(), genesis_hash=bytes.fromhex(genesis_hash), **{**honest, **terms}
    )
    return number
