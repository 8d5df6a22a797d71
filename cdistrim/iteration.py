"""One partner iteration in one process: the session that its steps share.

The session takes the site's lease before weights come into memory and gives it back when they are
gone. Steps get an :class:`IterationRef`, ids only, and look the session up; where the process was
lost, the session is rebuilt from ledger and store, and training, being deterministic, arrives at
the same weights. Each step first asks the ledger whether its effect is there already.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cdistrim import custody, leftovers, opening, progress
from cdistrim.envelope import encrypt, new_data_key
from cdistrim.errors import (
    CDistriMError,
    ConfigurationError,
    IntegrityError,
    OutOfOrderError,
    UntrustedDataError,
)
from cdistrim.grants import Granting
from cdistrim.head import HeadFetch
from cdistrim.lease import Lease
from cdistrim.ledger import Candidate
from cdistrim.measurements import Measurer
from cdistrim.policy import measure
from cdistrim.protocol import (
    CampaignView,
    Evidence,
    Mode,
    ModelRecord,
    SlotState,
    SlotView,
    model_name,
)
from cdistrim.restore import skip_sentence
from cdistrim.sealing import public_digest

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec
    from cdistrim.training import TrainingProgress
    from cdistrim.weights import Weights

__all__ = ["IterationRef", "IterationSession", "Trained", "session_of"]


@dataclass(frozen=True)
class IterationRef:
    """Which iteration: what tasks hand to each other."""

    campaign: int
    slot: int
    attempt: int


class Trained:
    """Trained weights with their hash, which takes a while to compute and is needed thrice."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    @cached_property
    def digest(self) -> bytes:
        """The weights' hash, as it goes on the ledger; computed when first asked for."""
        from cdistrim.weights import weights_hash

        return weights_hash(self.weights)


class IterationSession:
    """The owner's side of one slot. Methods are the protocol's steps, in their order."""

    def __init__(self, site: Site, ref: IterationRef) -> None:
        self.site = site
        self.ref = ref
        self.lease: Lease | None = None
        self._turn = Lease(
            site.turn, campaign=ref.campaign, slot=ref.slot, purpose="partner iteration"
        )
        self.head: Weights | None = None
        self.candidate: Trained | None = None
        self.evidence: Evidence | None = None
        self._fetch = HeadFetch(site, ref)
        self._sealed: custody.SealedModel | None = None
        self._granting: Granting | None = None
        self._requested = b""

    # --- what the ledger says ---

    def view(self) -> CampaignView:
        """The campaign now."""
        return self.site.ledger.campaign(self.ref.campaign)

    def slot(self) -> SlotView:
        """This slot now.

        Raises:
            ConfigurationError: The slot is not this site's.
        """
        slot = self.site.ledger.slot(self.ref.campaign, self.ref.slot)
        if slot.owner != self.site.account:
            raise ConfigurationError(
                f"Slot {self.ref.slot} of campaign {self.ref.campaign} is not {self.site.name}'s.",
                hint="Nothing was done. Partner iterations are run by the slot's owner.",
            )
        return slot

    def spec(self) -> CampaignSpec:
        """The campaign's spec, checked against the ledger, approved here.

        Raises:
            ConfigurationError: The local operator has not approved it.
        """
        view = self.view()
        spec = self.site.spec(view)
        if not self.site.has_approved(view.spec_hash):
            raise ConfigurationError(
                f"{self.site.name} has not approved spec {view.spec_hash.hex()}.",
                hint=f"Look at it with `cdistrim campaign review {self.site.directory} "
                f"{self.ref.campaign}`, then `cdistrim campaign approve`.",
            )
        return spec

    def reported(self) -> bool:
        """Whether this campaign votes on reported AUCs (the paper's way)."""
        return self.view().mode is Mode.REPORTED

    # --- fetch ---

    def begin(self) -> None:
        """See that no other process of this site is at its turn, e.g. called twice.

        Raises:
            LeaseHeldError: Another one is; it goes on undisturbed.
        """
        if not self._turn.held:
            self._turn.acquire()
            progress.listener().slot_started(self.ref.slot, self.site.name)
            leftovers.clear_ended_slots(self.site)

    def request_token(self) -> None:
        """Ask for the fetch with a fresh one-time key; the request is this site's own yes.

        Raises:
            ConfigurationError: The slot is not open, or in another attempt. No key is made then:
                whoever calls flows could else fill disk and store with keys of slots to come.
        """
        self.spec()
        if self.slot().state is not SlotState.WAITING:
            return
        ref, view = self.ref, self.view()
        open_slot = view.slot
        if open_slot is None or (open_slot.number, open_slot.attempt) != (ref.slot, ref.attempt):
            raise ConfigurationError(
                f"Slot {ref.slot} of campaign {ref.campaign} is not open in attempt {ref.attempt}.",
                hint="Nothing was done. Read the campaign again.",
            )
        self._fetch.see_whole(view)
        key = opening.request_key(self.site, ref.campaign, ref.slot, ref.attempt)
        self.site.ledger.request_fetch(
            campaign=ref.campaign,
            slot=ref.slot,
            attempt=ref.attempt,
            request_key_digest=public_digest(key.public_bytes),
        )

    def fetch(self) -> str:
        """Bring the head's ciphertext here, checked against the ledger; its hash.

        Raises:
            UnopenableHeadError: It is missing, truncated or altered in the store.
        """
        return self._fetch.fetch(self.view())

    def while_waiting(self, slot: SlotView) -> None:
        """What an owner does while its ballot is open.

        It brings the head's ciphertext here, which anybody may read and which opens only after the
        grant; or it grants the candidate to evaluators who come late.
        """
        if slot.state is SlotState.UPLOAD_REQUESTED:
            self.answer_offers(slot)
        elif not self._fetch.fetched:
            with suppress(UntrustedDataError):  # The fetch itself will say so.
                self.fetch()

    def await_shares(self) -> None:
        """Wait until enough holders have released good shares of the head's key.

        Raises:
            UnopenableHeadError: Half of the time is over, and there are too few; or no capsule can
                be read.
        """
        self._fetch.await_shares(self.view())

    def lock(self) -> None:
        """Take the site's lease: from here to :meth:`close` weights may be in memory.

        Raises:
            LeaseHeldError: Somebody else has it.
        """
        if self.lease is not None:
            return
        lease = Lease(
            self.site.work,
            campaign=self.ref.campaign,
            slot=self.ref.slot,
            purpose="partner iteration",
        )
        lease.acquire()
        self.lease = lease

    def decrypt(self) -> None:
        """Open the head into memory and report it on the ledger.

        Raises:
            NotReleasedError: Too few holders have released a good share yet.
            UnopenableHeadError: The shares don't open it, or it is not what its record says.
        """
        self._need_lease()
        self.head = self._fetch.open(self.view(), self.slot())

    def reshare(self) -> list[str]:
        """Share the keys of head and ancestors anew if members came, went or replaced their keys.

        Returns:
            Names of the models whose keys were shared anew.
        """
        return self._fetch.reshare(self.view(), self.slot())

    # --- train ---

    def train(self) -> float:
        """Train the head on this site's cases, or go on where a lost process left off.

        Returns the last epoch's mean loss.

        Raises:
            TrainingError: The loss was not finite.
        """
        # Imported by who trains only: it takes longer than all else that a process of a vote does.
        from cdistrim.checkpoints import Checkpoints
        from cdistrim.classifier import turn_of
        from cdistrim.training import train

        self._need_lease()
        head = self._in_memory(self.head, "train", needs="decrypt")
        spec = self.spec()

        def tell(state: TrainingProgress) -> None:
            progress.listener().training(
                self.ref.slot, state.epoch, state.epochs, state.batch, state.batches, state.loss
            )

        result = train(
            head,
            self.site.data.train,
            spec.model,
            spec.training,
            turn=turn_of(spec, self.ref.slot, self.view().slots),
            accelerator=self.site.settings.accelerator,
            progress=tell,
            checkpoints=Checkpoints.of(
                self.site,
                self.ref.campaign,
                self.ref.slot,
                self.ref.attempt,
                fetch_attempt=self.slot().fetch_attempt,
            ),
        )
        self.candidate = Trained(result.weights)
        return result.loss_per_epoch[-1]

    def evaluate(self) -> Evidence:
        """AUC of head and candidate on this site's own cases, for the record."""
        head = self._in_memory(self.head, "evaluate", needs="decrypt")
        candidate = self._trained("evaluate")
        view, spec = self.view(), self.spec()
        cases = self.site.data.evaluation(reported=self.reported())
        measurer = Measurer(self.site, spec, self.slot())
        before = measurer.measure(cases, custody.head_hash(self.site, view), lambda: head)
        after = measurer.measure(cases, candidate.digest, lambda: candidate.weights)
        self.evidence = measure(cases.labels, before.scores, after.scores)
        return self.evidence

    # --- upload ---

    def encrypt(self) -> str:
        """Encrypt the candidate under a fresh key, and share the key; its ciphertext's hash."""
        from cdistrim.weights import to_bytes

        self._need_lease()
        candidate = self._trained("encrypt")
        ref = self.ref
        context = custody.context_of(
            self.site, ref.campaign, ref.slot, ref.attempt, self.site.account
        )
        key, view = new_data_key(), self.view()
        envelope = encrypt(to_bytes(candidate.weights), key, context)
        capsule = custody.share_key(self.site, view, key, context)
        self._sealed = custody.SealedModel(envelope, capsule.to_bytes())
        if view.mode is Mode.HOLDOUT:
            self._granting = Granting(self.site, key, self._fetch.context_and_key(view))
            self._granting.keep(self.slot())
        return self._sealed.ciphertext_hash.hex()

    def deposit(self) -> None:
        """Put candidate and capsule into the store, where they are in quarantine; grant them.

        Evaluators who offered a one-time key get the candidate's key, sealed to that.
        """
        if self._sealed is None:
            raise OutOfOrderError(f"deposit was called before encrypt in slot {self.ref.slot}.")
        name = model_name(self.site.name, self.ref.slot)
        custody.deposit(self.site, self.ref.campaign, name, self._sealed)
        self._sealed.forget_bytes()
        self.answer_offers(self.slot())

    def answer_offers(self, slot: SlotView) -> None:
        """Grant the candidate to evaluators who have offered a key since the last call."""
        if slot.attempt != self.ref.attempt or slot.owner != self.site.account:
            return
        view = self.view()
        if self._granting is None:
            self._granting = Granting.kept(self.site, slot, self._fetch.context(view))
        if self._granting is not None:
            self._granting.answer(view, slot)

    def request_upload(self) -> None:
        """Fix the full record on the ledger and ask the partners for their votes."""
        if self.slot().state is not SlotState.TRAINING:
            return
        candidate = self._candidate()
        self.site.ledger.request_upload(
            campaign=self.ref.campaign,
            slot=self.ref.slot,
            attempt=self.ref.attempt,
            candidate=candidate,
        )
        self._requested = candidate.weights_hash
        # `reported`: the weights are still to be deposited, maybe by a process that has to train.
        if self._sealed is not None:
            self._remove_checkpoint()
        self.warn_of_few_holders()

    def warn_of_few_holders(self) -> None:
        """Say so if the head's holders that can be counted on are few."""
        self._fetch.warn_of_few_holders(self.view())

    def confirm(self) -> ModelRecord:
        """See the accepted record on the ledger; in ``reported`` mode, confirm it first.

        Raises:
            IntegrityError: The ledger accepted another record than this session sent.
        """
        if self.slot().state is SlotState.UPLOAD_GRANTED:
            candidate = self._candidate()
            self._requested = candidate.weights_hash
            self.site.ledger.confirm_upload(
                campaign=self.ref.campaign,
                slot=self.ref.slot,
                attempt=self.ref.attempt,
                candidate=candidate,
            )
        accepted = self.site.ledger.model(self.ref.campaign, self.ref.slot)
        if self._requested and accepted.weights_hash != self._requested:
            raise IntegrityError(
                f"The ledger accepted weights {accepted.weights_hash.hex()} as {accepted.name}, "
                "which is not what was trained here.",
                hint="Keep this site's log and tell the partners: the ledger's node may lie.",
            )
        self._remove_checkpoint()
        return accepted

    def tell_outcome(self) -> None:
        """Tell this process's listener how the slot ended, with what the voters measured."""
        slot = self.slot()
        evidence = [
            vote.evidence
            for vote in (slot.ballot.votes if slot.ballot else ())
            if vote.evidence is not None and vote.evidence.positives
        ]
        count = len(evidence)
        progress.listener().slot_ended(
            self.ref.slot,
            self.site.name,
            slot.state is SlotState.ACCEPTED,
            skip_sentence(slot),
            sum(e.auc_head for e in evidence) / count if count else None,
            sum(e.auc_candidate for e in evidence) / count if count else None,
        )

    def release_weights(self) -> None:
        """The candidate is deposited: weights and ciphertext leave memory, the lease is free.

        The candidate's key stays until :meth:`close`, for evaluators who come late.
        """
        self.head = None
        self.candidate = None
        self._fetch.forget()
        self._sealed = None
        if self.lease is not None:
            self.lease.release()
            self.lease = None

    def close(self) -> None:
        """The slot is over, or the process gives up: nothing stays behind but the ledger.

        The one-time key is erased only if the slot is over; a rerun needs it otherwise.
        """
        self.release_weights()
        self._granting = None
        _sessions.pop((str(self.site.directory), self.ref), None)
        try:
            leftovers.clear_slot(self.site, self.slot())
        except CDistriMError as error:
            # The next turn clears it: this one may end because of the very same trouble.
            self.site.logger.warning("Slot %d is not cleared yet: %s", self.ref.slot, error)
        finally:
            self._turn.release()

    # --- inside ---

    def _remove_checkpoint(self) -> None:
        ref = self.ref
        leftovers.remove_checkpoint(self.site, ref.campaign, ref.slot, ref.attempt)

    def _need_lease(self) -> None:
        if self.lease is None:
            raise OutOfOrderError("Weights were asked for before the site's lease was taken.")

    def _in_memory(self, weights: Weights | None, step: str, *, needs: str) -> Weights:
        if weights is None:
            raise OutOfOrderError(f"{step} was called before {needs} in slot {self.ref.slot}.")
        return weights

    def _trained(self, step: str) -> Trained:
        if self.candidate is None:
            raise OutOfOrderError(f"{step} was called before train in slot {self.ref.slot}.")
        return self.candidate

    def _candidate(self) -> Candidate:
        candidate = self._trained("request_upload")
        if self.evidence is None:
            raise OutOfOrderError(f"The candidate of slot {self.ref.slot} was not evaluated.")
        # `reported`: nothing is sealed before the upload is granted.
        sealed = self._sealed
        return Candidate(
            parent=self.view().head,
            weights_hash=candidate.digest,
            evidence=self.evidence,
            ciphertext_hash=sealed.ciphertext_hash if sealed else bytes(32),
            capsule_hash=sealed.capsule_hash if sealed else bytes(32),
        )


_sessions: dict[tuple[str, IterationRef], IterationSession] = {}


def session_of(site: Site, ref: IterationRef) -> IterationSession:
    """This process's session of an iteration; made when first asked for."""
    key = (str(site.directory), ref)
    if key not in _sessions:
        _sessions[key] = IterationSession(site, ref)
    return _sessions[key]
