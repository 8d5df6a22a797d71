"""A trainer: uploads in its turn, once, what it was granted; and hold-out voters see what it is.

It can't claim a figure that they don't see, poison the model past a majority of honest voters, swap
it after the vote, or name another parent than the head. How it deals its model's key is in
`test_dealer.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from cdistrim import custody, grants
from cdistrim.envelope import encrypt, new_data_key
from cdistrim.errors import LedgerRefusal, NotReleasedError, UnopenableHeadError
from cdistrim.iteration import IterationSession, Trained
from cdistrim.leftovers import clear_when_idle
from cdistrim.messages import Grant, OfferedKey
from cdistrim.protocol import BallotKind, Mode, RestoreReason, SkipReason, SlotState
from cdistrim.restore import ask_restore, close_if_expired
from cdistrim.site import Site
from cdistrim.spec import DeadlineSpec
from cdistrim.voting import answer_ballot
from cdistrim.weights import Weights, to_bytes
from tests.attacks.cheats import ask_with, negated, trained
from tests.chain import BETTER, Consortium, candidate, digest, run_slot
from tests.simulated import REPORTED, SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]
AT = {"campaign": 1, "slot": 1, "attempt": 1}


def refusal(call: Callable[[], object]) -> str:
    """How the contract calls its reason."""
    with pytest.raises(LedgerRefusal) as refused:
        call()
    return refused.value.name


def votes(three: Consortium, kind: BallotKind, *, yes: bool = True) -> None:
    """As many as decide the first slot's ballot."""
    ballot = three.ledgers[0].slot(1, 1).ballot
    assert ballot is not None
    assert ballot.kind is kind
    evidence = BETTER if kind is BallotKind.UPLOAD else None
    for voter in three.ledgers[1 : 2 if yes else 3]:
        voter.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=yes, evidence=evidence)


# --- out of turn, without grant, twice ------------------------------------------------------------


def test_out_of_turn_it_asks_for_nothing(consortium: Callable[[int], Consortium]) -> None:
    three = consortium(3)
    three.open()
    first, second = three.ledgers[:2]
    key = digest("request")
    early = {"campaign": 1, "slot": 2, "attempt": 1}
    assert refusal(lambda: second.request_fetch(**AT, request_key_digest=key)) == "NotYourTurn"
    assert refusal(lambda: second.request_fetch(**early, request_key_digest=key)) == "WrongSlot"
    assert first.slot(1, 1).state is SlotState.WAITING

    run_slot(three, 1, 1)
    second.request_fetch(**early, request_key_digest=key)
    assert first.slot(1, 2).state is SlotState.FETCH_REQUESTED


@pytest.mark.parametrize("mode", Mode)
def test_without_a_grant_it_redeems_and_uploads_nothing(
    consortium: Callable[[int], Consortium], mode: Mode
) -> None:
    three = consortium(3)
    three.open(mode=mode)
    owner = three.ledgers[0]
    asked, whole = candidate(1, 0, mode=mode), candidate(1, 0)

    def tries() -> set[str]:
        return {
            refusal(lambda: owner.report_opened(**AT)),
            refusal(lambda: owner.request_upload(**AT, candidate=asked)),
            refusal(lambda: owner.confirm_upload(**AT, candidate=whole)),
        }

    assert tries() == {"WrongState"}
    owner.request_fetch(**AT, request_key_digest=digest("request"))
    assert tries() == {"WrongState"}
    votes(three, BallotKind.FETCH)
    assert refusal(lambda: owner.request_upload(**AT, candidate=asked)) == "WrongState"
    owner.report_opened(**AT)
    owner.request_upload(**AT, candidate=asked)
    assert refusal(lambda: owner.confirm_upload(**AT, candidate=whole)) == "WrongState"
    assert owner.slot(1, 1).state is SlotState.UPLOAD_REQUESTED

    votes(three, BallotKind.UPLOAD)
    if mode is Mode.REPORTED:
        assert owner.slot(1, 1).state is SlotState.UPLOAD_GRANTED
        owner.confirm_upload(**AT, candidate=whole)
    assert owner.slot(1, 1).state is SlotState.ACCEPTED


def test_an_upload_that_was_refused_is_not_granted_by_asking_again(
    consortium: Callable[[int], Consortium],
) -> None:
    three = consortium(3)
    three.open()
    owner = three.ledgers[0]
    run_slot(three, 1, 1, approve=False)
    assert owner.slot(1, 1).skip_reason is SkipReason.DEGRADED
    other = replace(candidate(1, 0), weights_hash=digest("better this time"))
    assert refusal(lambda: owner.request_upload(**AT, candidate=other)) == "WrongSlot"
    assert owner.campaign(1).head == 0


@pytest.mark.parametrize("mode", Mode)
def test_twice_it_uploads_nothing_and_another_record_than_was_voted_on_neither(
    consortium: Callable[[int], Consortium], mode: Mode
) -> None:
    three = consortium(3)
    three.open(mode=mode)
    owner = three.ledgers[0]
    owner.request_fetch(**AT, request_key_digest=digest("request"))
    votes(three, BallotKind.FETCH)
    owner.report_opened(**AT)
    asked = candidate(1, 0, mode=mode)
    owner.request_upload(**AT, candidate=asked)
    other = replace(asked, weights_hash=digest("model B"))
    assert refusal(lambda: owner.request_upload(**AT, candidate=other)) == "WrongState"
    votes(three, BallotKind.UPLOAD)
    whole = candidate(1, 0)
    if mode is Mode.REPORTED:
        for swapped in (
            replace(whole, weights_hash=digest("model B")),
            replace(whole, parent=1),
            replace(whole, evidence=replace(BETTER, auc_candidate=0.99)),
        ):
            confirm = partial(owner.confirm_upload, **AT, candidate=swapped)
            assert refusal(confirm) == "RecordMismatch"
        owner.confirm_upload(**AT, candidate=whole)
    accepted = owner.model(1, 1)
    assert accepted.weights_hash == asked.weights_hash

    assert refusal(lambda: owner.confirm_upload(**AT, candidate=other)) == "WrongSlot"
    assert refusal(lambda: owner.request_upload(**AT, candidate=other)) == "WrongSlot"
    assert owner.model(1, 1) == accepted


def test_it_names_no_other_parent_than_the_head(consortium: Callable[[int], Consortium]) -> None:
    three = consortium(3)
    three.open()
    run_slot(three, 1, 1)
    run_slot(three, 1, 2)
    owner, at = three.ledgers[2], AT | {"slot": 3}
    owner.request_fetch(**at, request_key_digest=digest("request"))
    ballot = owner.slot(1, 3).ballot
    assert ballot is not None
    three.ledgers[0].cast_vote(ballot=ballot.id, subject=ballot.subject, approve=True)
    owner.report_opened(**at)
    for parent in (0, 1, 3):
        asked = partial(owner.request_upload, **at, candidate=candidate(3, parent))
        assert refusal(asked) == "WrongParent"
    owner.request_upload(**at, candidate=candidate(3, 2))
    found = owner.slot(1, 3).candidate
    assert found is not None
    assert found.parent == 2


# --- what hold-out voters see ---------------------------------------------------------------------


def sentences(steps: Stepper) -> list[str]:
    """What voters said of the first candidate, from their own logs."""
    return [
        line["sentence"]
        for log in steps.simulated.directory.glob("*/log/votes.jsonl")
        for line in map(json.loads, log.read_text().splitlines())
        if line["step"] == "upload"
    ]


def refused(steps: Stepper, session: IterationSession) -> None:
    """The candidate is voted down, and the head stays."""
    steps.vote()
    slot = session.slot()
    assert (slot.state, slot.skip_reason) == (SlotState.SKIPPED, SkipReason.DEGRADED)
    assert steps.view().head == 0
    session.close()


def test_an_honest_model_is_accepted(simulate: Simulate) -> None:
    """The control of all that follow."""
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    assert session.candidate is not None
    ask_with(session, sealed=session.candidate.weights)
    steps.vote()
    assert session.slot().state is SlotState.ACCEPTED
    session.close()


def test_a_figure_that_voters_do_not_see_themselves_counts_for_nothing(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    assert session.candidate is not None
    ask_with(session, sealed=negated(session.candidate.weights), auc=0.999)
    record = session.slot().candidate
    assert record is not None
    assert record.evidence.auc_candidate == 0.999

    refused(steps, session)

    ballot = session.site.ledger.slot(1, 1).ballot
    assert ballot is not None
    seen = [vote.evidence for vote in ballot.votes if vote.evidence is not None]
    assert len(seen) == 2
    assert all(evidence.auc_candidate < 0.5 for evidence in seen)


def with_nan(weights: Weights) -> Weights:
    """Poison that no AUC shows."""
    (name, *_) = weights
    return weights | {name: torch.full_like(weights[name], torch.nan)}


def blown_up(weights: Weights) -> Weights:
    """Other weights than the head's by far, whatever they were trained from."""
    return {name: value * 1000 if value.dim() > 1 else value for name, value in weights.items()}


def smaller(weights: Weights) -> Weights:
    """Not the architecture that was agreed on."""
    return dict(list(weights.items())[1:])


def constant(weights: Weights) -> Weights:
    """The same score for every case: "not worse than a coin"."""
    return {
        name: torch.zeros_like(value) if value.dim() == 2 else value
        for name, value in weights.items()
    }


@pytest.mark.parametrize(
    ("poison", "why"),
    [
        (with_nan, "not finite"),
        (blown_up, "times as large as the head"),
        (smaller, "are missing"),
        (negated, "worse|floor"),
        (constant, "worse|floor"),
    ],
)
def test_poison_is_voted_down(
    simulate: Simulate, poison: Callable[[Weights], Weights], why: str
) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    assert session.candidate is not None
    honest = session.candidate.weights
    # The record names what is sealed; its figure is that of the honest model.
    session.evaluate()
    measured = session.evidence
    assert measured is not None
    session.candidate = Trained(poison(honest))
    session.encrypt()
    session.deposit()
    session.request_upload()
    session.release_weights()

    refused(steps, session)

    said = sentences(steps)
    assert said
    assert all(any(word in one for word in why.split("|")) for one in said)


def test_poison_does_not_pass_honest_voters_though_a_minority_says_yes(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=5))
    session = trained(steps)
    assert session.candidate is not None
    ask_with(session, sealed=negated(session.candidate.weights), auc=0.999)
    accomplice = steps.sites.pop("hospital-5")
    ballot = session.slot().ballot
    assert ballot is not None
    accomplice.ledger.cast_vote(
        ballot=ballot.id, subject=ballot.subject, approve=True, evidence=BETTER
    )
    assert session.slot().state is SlotState.UPLOAD_REQUESTED
    refused(steps, session)


# --- model A to one, model B to another -----------------------------------------------------------


def test_a_record_of_model_a_with_model_b_in_the_envelope_is_refused(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    assert session.candidate is not None
    good = session.candidate.weights
    ask_with(session, sealed=negated(good), recorded=good)
    refused(steps, session)
    assert all("IntegrityError" in one for one in sentences(steps))


def served(site: Site, name: str, digest: bytes, content: bytes) -> None:
    """The trainer controls the store, too: from now on these bytes lie under that name."""
    where = custody.prefix(site, site.account, 1, "models", name)
    path = site.settings.store_url.removeprefix("file://")
    with open(f"{path}/{where}/{digest.hex()}", "wb") as stream:  # noqa: PTH123
        stream.write(content)


def test_other_bytes_for_one_evaluator_than_for_another_are_noticed(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    assert session.candidate is not None
    good = session.candidate.weights
    site = session.site
    context = custody.context_of(site, 1, 1, 1, site.account)
    ask_with(session, sealed=good)
    record = session.slot().candidate
    assert record is not None
    whole = custody.ciphertext(site, 1, record)

    served(
        site, record.name, record.ciphertext_hash, encrypt(to_bytes(good), new_data_key(), context)
    )
    answer = answer_ballot(steps.sites["hospital-2"], steps.view())
    assert answer is not None
    assert not answer.approve
    assert "IntegrityError" in answer.sentence

    served(site, record.name, record.ciphertext_hash, whole)
    answer = answer_ballot(steps.sites["hospital-3"], steps.view())
    assert answer is not None
    assert answer.approve
    assert session.slot().state is SlotState.ACCEPTED
    session.close()


def test_another_key_for_one_evaluator_opens_nothing_else(simulate: Simulate) -> None:
    """An envelope opens under one key: who is sealed another one does not see another model."""
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    victim = steps.sites["hospital-2"]
    slot = session.slot()
    at = grants.offers_prefix(victim, victim.account, 1, 1, 1)
    (offer,) = custody.read_messages(victim, at, OfferedKey)
    session.evaluate()
    session.encrypt()
    session._granting = None  # It does not grant what it should …
    grants.granting_path(session.site, 1, 1, 1).unlink()
    session.deposit()
    other = Grant.seal(new_data_key(), offer, offer.model, slot=slot.number, attempt=slot.attempt)
    victim.store.put(grants.grants_prefix(victim, slot, victim.account), other.to_bytes())
    session.request_upload()  # … but seals another key to each of them.
    session.release_weights()

    with pytest.raises(NotReleasedError):
        answer_ballot(victim, steps.view())

    assert session.slot().state is SlotState.UPLOAD_REQUESTED
    steps.simulated.travel(DeadlineSpec().upload_ballot + 1)
    assert close_if_expired(victim, session.ref)
    assert steps.view().head == 0
    session.close()


def test_in_reported_mode_model_b_under_the_record_of_model_a_is_found_and_left(
    simulate: Simulate,
) -> None:
    """Nobody looks before it is the head; whoever fails to open it remembers, and they go back."""
    steps = Stepper(simulate(size=3, voting=REPORTED))
    session = trained(steps)
    assert session.candidate is not None
    good = session.candidate
    session.evaluate()
    session.request_upload()
    steps.vote()
    assert session.slot().state is SlotState.UPLOAD_GRANTED
    session.candidate = Trained(negated(good.weights))
    session.encrypt()
    session.deposit()
    session.candidate = good
    session.confirm()
    session.close()
    assert steps.view().head == 1
    cheat = steps.sites.pop("hospital-1")

    for turn, name in enumerate(("hospital-2", "hospital-3")):
        victim = steps.sites[name]
        session = steps.session()
        assert session.site is victim
        session.request_token()
        steps.vote()
        steps.release()
        session.fetch()
        session.lock()
        with pytest.raises(UnopenableHeadError, match="hospital-1-1 have the hash"):
            session.decrypt()
        assert session.head is None
        assert ask_restore(victim, session.ref)
        steps.answer_requests()
        if turn == 0:
            # The other one has seen nothing yet and goes by what it sees itself.
            assert steps.view().head == 1
            steps.simulated.travel(DeadlineSpec().opening + 1)
            assert close_if_expired(victim, session.ref)
        session.close()

    view = steps.view()
    assert view.head == 0
    assert view.slot is not None
    assert (view.slot.number, view.slot.attempt) == (3, 2)
    restored = [event for event in cheat.ledger.history(1) if event.name == "HeadRestored"]
    assert [event.arguments["reason"] for event in restored] == [RestoreReason.IRREPRODUCIBLE]
    clear_when_idle(cheat)
