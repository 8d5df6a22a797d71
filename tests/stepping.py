"""Going through a slot step by step, without flows: the library's calls in the protocol's order."""

from __future__ import annotations

import json
from collections.abc import Iterable

from cdistrim import custody
from cdistrim.capsule import Capsule
from cdistrim.data.cases import SiteData
from cdistrim.enrolment import enrol
from cdistrim.envelope import new_data_key
from cdistrim.grants import offer_key
from cdistrim.iteration import IterationRef, IterationSession
from cdistrim.membership import answer_proposal
from cdistrim.messages import Release, Shares
from cdistrim.protocol import CampaignView, SlotView
from cdistrim.releasing import release_share
from cdistrim.requests import answer_requests
from cdistrim.site import PASSPHRASE_FILE, Site, write_atomically
from cdistrim.site_keys import create_site_keys
from cdistrim.voting import Answer, answer_ballot
from cdistrim.watch import observe
from tests.simulated import SimulatedConsortium

__all__ = ["Stepper", "false_capsule", "junk_release"]


def junk_release(holder: Site, capsule: Capsule, slot: SlotView) -> Release:
    """A release, signed by its holder, whose share is none."""
    return Release(
        model=capsule.context,
        capsule=capsule.digest(),
        holder=holder.account,
        requester=slot.owner,
        slot=slot.number,
        attempt=slot.attempt,
        sealed=bytes(1200),
    ).signed(holder.keys)


class Stepper:
    """A founded consortium whose campaign is open and whose partners have enrolled."""

    def __init__(self, simulated: SimulatedConsortium) -> None:
        self.simulated = simulated
        simulated.found()
        self.campaign = simulated.open_campaign()
        self.sites = {name: simulated.site(name) for name in simulated.names}
        for site in self.sites.values():
            enrol(site, self.campaign)

    def view(self) -> CampaignView:
        """The campaign now."""
        return observe(self.any.ledger, self.campaign)

    @property
    def any(self) -> Site:
        """Some site."""
        return next(iter(self.sites.values()))

    def place(self, author: str, *parts: object) -> str:
        """Where a hospital's objects of one kind lie in the store."""
        site = self.sites[author]
        return custody.prefix(site, site.account, self.campaign, *parts)

    def published_shares(self, model: str) -> list[Shares]:
        """A model's shares as evaluators have published them again."""
        places = [self.place(name, "shares", model) for name in self.sites]
        found = [custody.read_messages(self.any, place, Shares) for place in places]
        return [document for documents in found for document in documents]

    def behind(self, name: str) -> Site:
        """A hospital for which a block counts once another one is on top of it."""
        directory = self.sites[name].directory
        document = json.loads((directory / "site.json").read_bytes())
        write_atomically(
            directory / "site.json", json.dumps(document | {"confirmations": 1}).encode()
        )
        return Site(directory)

    def owner(self) -> Site:
        """Whose slot is open."""
        slot = self.view().slot
        assert slot is not None
        return next(site for site in self.sites.values() if site.account == slot.owner)

    def session(self) -> IterationSession:
        """A new session of the open slot at its owner, as a process has it after its start."""
        slot = self.view().slot
        assert slot is not None
        return IterationSession(
            self.owner(), IterationRef(self.campaign, slot.number, slot.attempt)
        )

    def vote(self) -> list[Answer]:
        """Every site answers the open ballot, as long as it waits for it."""
        answers = [answer_ballot(site, self.view()) for site in self.sites.values()]
        return [answer for answer in answers if answer is not None]

    def release(self) -> list[str]:
        """Every site releases its share of the head's key if it may; who did."""
        return [name for name, site in self.sites.items() if release_share(site, self.view())]

    def offer(self) -> list[str]:
        """Every evaluator offers the one-time key for its evaluation; who did."""
        return [name for name, site in self.sites.items() if offer_key(site, self.view())]

    def ask_fetch(self) -> IterationSession:
        """To the state "fetch granted"; nobody has released or offered anything yet."""
        session = self.session()
        session.request_token()
        self.vote()
        return session

    def grant_fetch(self) -> IterationSession:
        """To the state "fetch granted", with shares released and evaluators' keys offered."""
        session = self.ask_fetch()
        self.release()
        self.offer()
        return session

    def open_head(self) -> IterationSession:
        """To the state "training"."""
        session = self.grant_fetch()
        session.fetch()
        session.lock()
        session.decrypt()
        session.reshare()
        return session

    def ask_upload(self, session: IterationSession) -> None:
        """From a candidate in memory to the state "upload requested" (holdout)."""
        session.evaluate()
        session.encrypt()
        session.deposit()
        session.request_upload()
        session.release_weights()

    def admit(self, name: str, data: SiteData) -> Site:
        """A new hospital: admitted by a majority, its key published, the spec approved there."""
        directory = self.simulated.directory / name
        passphrase = "quick"  # noqa: S105  of a throwaway key
        directory.mkdir(mode=0o700)
        write_atomically(directory / PASSPHRASE_FILE, passphrase.encode())
        keys = create_site_keys(directory / "keys", passphrase, quick=True)
        data.save(directory / "data")
        site = Site.create(directory, self.any.settings.model_copy(update={"name": name}))
        self.any.ledger.propose_admission(account=keys.account, name=name)
        self.decide(name)
        site.ledger.publish_key(sealing_key=keys.sealing_key.public_bytes)
        site.approve_spec(self.simulated.spec.digest())
        self.simulated.joined[site.account] = directory
        return site

    def decide(self, name: str) -> None:
        """All members approve the open admission or removal of somebody, until it passes."""
        for site in self.sites.values():
            proposals = [each for each in site.ledger.proposals() if each.name == name]
            if proposals and proposals[0].ballot.waits_for(site.account):
                answer_proposal(site, proposals[0], approve=True)

    def answer_requests(self) -> None:
        """Every site answers requests that are no slot's."""
        for site in self.sites.values():
            list(answer_requests(site, self.view()))

    def accept(self) -> None:
        """One honest slot from its beginning to its end."""
        session = self.open_head()
        session.train()
        self.ask_upload(session)
        self.vote()
        session.confirm()
        session.close()


def false_capsule(mallory: Site, holders: Iterable[Site], threshold: int) -> Capsule:
    """Shares of a key that is no model's, on the ledger as if the first model's were shared anew.

    Any partner may add a capsule; it needs no key for it, and the shares fit their digests.
    """
    head = mallory.ledger.model(1, 1)
    keys = {site.account: site.keys.sealing_key.public_bytes for site in holders}
    context = custody.record_context(mallory, 1, head)
    capsule = Capsule.seal(new_data_key(), keys, threshold, context)
    where = custody.prefix(mallory, mallory.account, 1, "capsules", head.name)
    put = mallory.store.put(where, capsule.to_bytes())
    mallory.ledger.add_capsule(campaign=1, slot=1, capsule_hash=put.digest)
    return capsule
