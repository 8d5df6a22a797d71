"""What a cheating trainer does in the place of an honest one, step by step, with the real parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cdistrim import custody
from cdistrim.capsule import Capsule
from cdistrim.envelope import Context, DataKey, encrypt, new_data_key
from cdistrim.grants import Granting
from cdistrim.iteration import IterationSession, Trained
from cdistrim.protocol import Mode
from cdistrim.weights import Weights, to_bytes
from tests.stepping import Stepper

__all__ = ["Dealing", "ask_with", "dealt_honestly", "deposit_dealt", "negated", "trained"]

Dealing = Callable[[IterationSession, DataKey, Context], Capsule]
"""How a trainer shares a model's key."""


def trained(steps: Stepper) -> IterationSession:
    """The open slot's candidate is in memory, honestly trained."""
    session = steps.open_head()
    session.train()
    return session


def negated(weights: Weights) -> Weights:
    """Turn every score round: an AUC of 1 becomes 0."""
    turned = {name: value.clone() for name, value in weights.items()}
    (last,) = (value for value in turned.values() if value.dim() == 2)
    last.neg_()
    return turned


def ask_with(
    session: IterationSession,
    *,
    sealed: Weights,
    recorded: Weights | None = None,
    auc: float | None = None,
) -> None:
    """Ask for the upload of something else than was trained (holdout).

    Args:
        sealed: What the envelope holds.
        recorded: What the record on the ledger says; ``sealed`` if it does not lie.
        auc: What the record says of the candidate; measured if it does not lie.
    """
    claimed = Trained(sealed if recorded is None else recorded)
    session.candidate = claimed
    evidence = session.evaluate()
    if auc is not None:
        session.evidence = replace(evidence, auc_candidate=auc)
    session.candidate = Trained(sealed)
    session.encrypt()
    session.deposit()
    session.candidate = claimed
    session.request_upload()
    session.release_weights()


def dealt_honestly(session: IterationSession, key: DataKey, context: Context) -> Capsule:
    """As the protocol asks."""
    return custody.share_key(session.site, session.view(), key, context)


def deposit_dealt(session: IterationSession, deal: Dealing) -> None:
    """Deposit the candidate with its key shared as the trainer likes, and grant it honestly."""
    assert session.candidate is not None
    site, ref, key = session.site, session.ref, new_data_key()
    context = custody.context_of(site, ref.campaign, ref.slot, ref.attempt, site.account)
    envelope = encrypt(to_bytes(session.candidate.weights), key, context)
    capsule = deal(session, key, context)
    session._sealed = custody.SealedModel(envelope, capsule.to_bytes())
    if session.view().mode is Mode.HOLDOUT:
        session._granting = Granting(site, key, session._fetch.context_and_key(session.view()))
    session.deposit()
