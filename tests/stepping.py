"""Going through a slot step by step, without flows: the library's calls in the protocol's order."""

from __future__ import annotations

from cdistrim.enrolment import enrol
from cdistrim.grants import offer_key
from cdistrim.iteration import IterationRef, IterationSession
from cdistrim.protocol import CampaignView
from cdistrim.releasing import release_share
from cdistrim.site import Site
from cdistrim.voting import Answer, answer_ballot
from cdistrim.watch import observe
from tests.simulated import SimulatedConsortium

__all__ = ["Stepper"]


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

    def grant_fetch(self) -> IterationSession:
        """To the state "fetch granted", with shares released and evaluators' keys offered."""
        session = self.session()
        session.request_token()
        self.vote()
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

    def accept(self) -> None:
        """One honest slot from its beginning to its end."""
        session = self.open_head()
        session.train()
        self.ask_upload(session)
        self.vote()
        session.confirm()
        session.close()
