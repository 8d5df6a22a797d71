"""One partner iteration in one process: the session that its steps share.

The session takes the site's lease before weights come into memory and gives it back when they are
gone. Steps get an :class:`IterationRef`, ids only, and look the session up; where the process was
lost, the session is rebuilt from ledger and store, and training, being deterministic, arrives at
the same weights. Each step first asks the ledger whether its effect is there already.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim import custody, leftovers, progress
from cdistrim.errors import CDistriMError, ConfigurationError, IntegrityError, OutOfOrderError
from cdistrim.lease import Lease
from cdistrim.ledger import Candidate
from cdistrim.protocol import (
    GENESIS,
    CampaignView,
    Evidence,
    Mode,
    ModelRecord,
    SlotState,
    SlotView,
    model_name,
)
from cdistrim.restore import skip_sentence
from cdistrim.sealing import Capsule, encrypt, new_data_key, public_digest
from cdistrim.site import write_atomically
from cdistrim.statistics import delong_test
from cdistrim.weights import Weights, to_bytes, weights_hash

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec
    from cdistrim.training import TrainingProgress

__all__ = ["IterationRef", "IterationSession", "session_of"]


@dataclass(frozen=True)
class IterationRef:
    """Which iteration: what tasks hand to each other."""

    campaign: int
    slot: int
    attempt: int


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
        self.candidate: Weights | None = None
        self.evidence: Evidence | None = None
        self.ciphertext_hash = bytes(32)
        self.capsule_hash = bytes(32)
        self._capsule = b""

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
            leftovers.clear_ended_slots(self.site)

    def request_token(self) -> None:
        """Ask for the fetch with a fresh one-time key; the request is this site's own yes."""
        self.spec()
        if self.slot().state is not SlotState.WAITING:
            return
        ref = self.ref
        key = custody.request_key(self.site, ref.campaign, ref.slot, ref.attempt)
        self.site.ledger.request_fetch(
            campaign=ref.campaign,
            slot=ref.slot,
            attempt=ref.attempt,
            request_key_digest=public_digest(key.public_bytes),
        )

    def fetch(self) -> str:
        """Bring the head's ciphertext onto this disk, checked against the ledger; its hash."""
        view = self.view()
        if view.head == GENESIS:
            return "genesis"
        record = self.site.ledger.model(view.number, view.head)
        envelope = self.site.store.get(
            custody.prefix(self.site, view.number, "models", record.name),
            record.ciphertext_hash,
            limit=custody.MODEL_LIMIT,
        )
        write_atomically(self._head_file, envelope, durable=False)
        return record.ciphertext_hash.hex()

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
            SealError: No custodian has released a good key yet.
        """
        self._need_lease()
        view, slot = self.view(), self.slot()
        envelope = b"" if view.head == GENESIS else self._head_file.read_bytes()
        opened = custody.open_granted_head(self.site, view, slot, envelope)
        if slot.state is SlotState.FETCH_GRANTED:
            self.site.ledger.report_opened(
                campaign=self.ref.campaign,
                slot=self.ref.slot,
                attempt=self.ref.attempt,
                good=opened.good,
                bad=opened.bad,
                missing=opened.missing,
            )
        self.head = opened.weights

    # --- train ---

    def train(self) -> float:
        """Train the head on this site's cases; the last epoch's loss.

        Raises:
            TrainingError: The loss was not finite.
        """
        # Imported by who trains only: it takes longer than all else that a process of a vote does.
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
            slot=self.ref.slot,
            progress=tell,
        )
        self.candidate = result.weights
        return result.loss_per_epoch[-1]

    def evaluate(self) -> Evidence:
        """AUC of head and candidate on this site's own cases, for the record."""
        from cdistrim.training import predict

        head = self._in_memory(self.head, "evaluate", needs="decrypt")
        candidate = self._in_memory(self.candidate, "evaluate", needs="train")
        spec = self.spec()
        cases = self.site.data.evaluation(reported=self.reported())
        before = predict(head, cases, spec.model, threads=spec.training.threads)
        after = predict(candidate, cases, spec.model, threads=spec.training.threads)
        test = delong_test(cases.labels, after, before)
        positives = int(cases.labels.sum())
        self.evidence = Evidence(
            auc_head=test.auc_b,
            auc_candidate=test.auc_a,
            variance=test.variance,
            positives=positives,
            negatives=len(cases.labels) - positives,
        )
        return self.evidence

    # --- upload ---

    def encrypt(self) -> str:
        """Seal the candidate under a fresh key; only ciphertext goes to the disk. Its hash."""
        self._need_lease()
        candidate = self._in_memory(self.candidate, "encrypt", needs="train")
        ref = self.ref
        context = custody.context_of(
            self.site, ref.campaign, ref.slot, ref.attempt, self.site.account
        )
        key = new_data_key()
        envelope = encrypt(to_bytes(candidate), key, context)
        members = {member.account: member.sealing_key for member in self.site.ledger.members()}
        recipients = {account: members[account] for account in self._custodians()}
        self._capsule = Capsule.seal(key, recipients, context).to_bytes()
        write_atomically(self._candidate_file, envelope, durable=False)
        self.ciphertext_hash = hashlib.sha256(envelope).digest()
        self.capsule_hash = hashlib.sha256(self._capsule).digest()
        return self.ciphertext_hash.hex()

    def deposit(self) -> None:
        """Put the candidate and its capsule into the store, where they are in quarantine."""
        name = model_name(self.site.name, self.ref.slot)
        where = custody.prefix(self.site, self.ref.campaign, "models", name)
        self.site.store.put(where, self._candidate_file.read_bytes())
        where = custody.prefix(self.site, self.ref.campaign, "capsules", name)
        self.site.store.put(where, self._capsule)
        self._candidate_file.unlink()

    def request_upload(self) -> None:
        """Fix the full record on the ledger and ask the partners for their votes."""
        if self.slot().state is not SlotState.TRAINING:
            return
        self.site.ledger.request_upload(
            campaign=self.ref.campaign,
            slot=self.ref.slot,
            attempt=self.ref.attempt,
            candidate=self._candidate(),
        )

    def confirm(self) -> ModelRecord:
        """See the accepted record on the ledger; in ``reported`` mode, confirm it first.

        Raises:
            IntegrityError: The ledger accepted another record than this session sent.
        """
        if self.slot().state is SlotState.UPLOAD_GRANTED:
            self.site.ledger.confirm_upload(
                campaign=self.ref.campaign,
                slot=self.ref.slot,
                attempt=self.ref.attempt,
                candidate=self._candidate(),
            )
        accepted = self.site.ledger.model(self.ref.campaign, self.ref.slot)
        if self.candidate is not None and accepted.weights_hash != weights_hash(self.candidate):
            raise IntegrityError(
                f"The ledger accepted weights {accepted.weights_hash.hex()} as {accepted.name}, "
                "which is not what was trained here.",
                hint="Keep this site's log and tell the partners: the ledger's node may lie.",
            )
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
        """The candidate is deposited: weights leave memory, local copies go, the lease is free."""
        self.head = None
        self.candidate = None
        for path in (self._head_file, self._candidate_file):
            path.unlink(missing_ok=True)
        if self.lease is not None:
            self.lease.release()
            self.lease = None

    def close(self) -> None:
        """The slot is over, or the process gives up: nothing stays behind but the ledger.

        The one-time key is erased only if the slot is over; a rerun needs it otherwise.
        """
        self.release_weights()
        _sessions.pop((str(self.site.directory), self.ref), None)
        try:
            leftovers.clear_slot(self.site, self.slot())
        except CDistriMError as error:
            # The next turn clears it: this one may end because of the very same trouble.
            self.site.logger.warning("Slot %d is not cleared yet: %s", self.ref.slot, error)
        finally:
            self._turn.release()

    # --- inside ---

    @property
    def _head_file(self) -> Path:
        return leftovers.head_file(self.site, self.ref.campaign, self.ref.slot)

    @property
    def _candidate_file(self) -> Path:
        return leftovers.candidate_file(self.site, self.ref.campaign, self.ref.slot)

    def _need_lease(self) -> None:
        if self.lease is None:
            raise OutOfOrderError("Weights were asked for before the site's lease was taken.")

    def _in_memory(self, weights: Weights | None, step: str, *, needs: str) -> Weights:
        if weights is None:
            raise OutOfOrderError(f"{step} was called before {needs} in slot {self.ref.slot}.")
        return weights

    def _custodians(self) -> tuple[str, ...]:
        view, slot = self.view(), self.slot()
        if not self.reported():
            chosen = {e.partner for e in view.enrolments if e.evaluator}
        else:
            votes = slot.ballot.votes if slot.ballot else ()
            chosen = {vote.partner for vote in votes if vote.approve}
        return tuple(sorted(chosen | {self.site.account}))

    def _candidate(self) -> Candidate:
        candidate = self._in_memory(self.candidate, "request_upload", needs="train")
        if self.evidence is None:
            raise OutOfOrderError(f"The candidate of slot {self.ref.slot} was not evaluated.")
        return Candidate(
            parent=self.view().head,
            weights_hash=weights_hash(candidate),
            evidence=self.evidence,
            ciphertext_hash=self.ciphertext_hash,
            capsule_hash=self.capsule_hash,
        )


_sessions: dict[tuple[str, IterationRef], IterationSession] = {}


def session_of(site: Site, ref: IterationRef) -> IterationSession:
    """This process's session of an iteration; made when first asked for."""
    key = (str(site.directory), ref)
    if key not in _sessions:
        _sessions[key] = IterationSession(site, ref)
    return _sessions[key]
