"""The holder of the bucket reads no model; alters, swaps, rolls back, truncates none unnoticed.

Whoever uses an object says by name which one is wrong, and uses nothing of it. What the holder may
do is withhold objects: slots then run into their deadlines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdistrim import custody, grants
from cdistrim.capsule import Capsule
from cdistrim.devnet import Devnet
from cdistrim.errors import CDistriMError, IntegrityError, NotReleasedError, UnopenableHeadError
from cdistrim.grants import checked_shares, granted_key, grants_prefix, publish_shares
from cdistrim.iteration import IterationSession
from cdistrim.opening import gather, request_key
from cdistrim.protocol import SkipReason, SlotState
from cdistrim.releasing import release_share
from cdistrim.sealing import SealingKey
from cdistrim.site import Site
from cdistrim.voting import answer_ballot
from cdistrim.weights import to_bytes
from tests.attacks.burglars import Burglar
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]
Damage = Callable[[Path], bytes | None]
"""What lies there instead of an object; None for nothing."""


# --- what the holder does -------------------------------------------------------------------------


def truncated(path: Path) -> bytes:
    """The last byte is gone."""
    return path.read_bytes()[:-1]


def altered(path: Path) -> bytes:
    """One bit in the middle is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


def swapped(path: Path) -> bytes:
    """Another object of the same kind, right in itself: an earlier one, or another partner's."""
    kind = next(part for part in path.parts if part in KINDS)
    store = next(folder for folder in path.parents if folder.name == "store")
    alike = sorted(store.glob(f"**/{kind}/**/*"))
    others = [each for each in alike if each.is_file() and each != path]
    assert others, f"there is one object of {kind} only"
    return others[0].read_bytes()


def emptied(path: Path) -> bytes:  # noqa: ARG001
    """A name with nothing behind it."""
    return b""


def removed(path: Path) -> None:
    """Not even a name."""


DAMAGES: tuple[Damage, ...] = (truncated, altered, swapped, emptied, removed)


@contextmanager
def damaged(paths: list[Path], damage: Damage) -> Iterator[None]:
    """Do it to some objects; they are whole again afterwards."""
    whole = {path: path.read_bytes() for path in paths}
    assert whole
    try:
        for path, content in {path: damage(path) for path in paths}.items():
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        yield
    finally:
        for path, right in whole.items():
            path.write_bytes(right)


# --- who uses the objects -------------------------------------------------------------------------


class Midway:
    """The second slot's candidate waits for votes: objects of every kind are in the store."""

    def __init__(self, steps: Stepper, session: IterationSession) -> None:
        self.steps, self.session = steps, session
        self.owner, self.evaluator = session.site, steps.sites["hospital-3"]
        self.head = steps.any.ledger.model(1, 1)
        found = session.slot().candidate
        assert found is not None
        self.candidate = found

    def objects(self, *where: str) -> list[Path]:
        """All objects of a kind in the campaign, or under a prefix of it, whoever is the author."""
        kind = "/".join(where)
        store = self.steps.simulated.consortium.store
        return [path for path in store.glob(f"*/*/campaign-1/{kind}/**/*") if path.is_file()]

    def log(self, site: Site) -> str:
        """A site's own log."""
        path = site.directory / "log" / "site.log"
        return path.read_text() if path.exists() else ""


def use_model(midway: Midway) -> None:
    """An evaluator reads the candidate."""
    custody.ciphertext(midway.evaluator, 1, midway.candidate)


def use_head(midway: Midway) -> None:
    """The next owner reads the head."""
    custody.ciphertext(midway.evaluator, 1, midway.head)


def use_capsule(midway: Midway) -> None:
    """An evaluator checks the candidate's dealing."""
    slot, record = midway.session.slot(), midway.candidate
    context = custody.record_context(midway.evaluator, 1, record)
    envelope = custody.ciphertext(midway.evaluator, 1, record)
    key = granted_key(midway.evaluator, slot, context, envelope)
    checked_shares(midway.evaluator, midway.steps.view(), record, key)


def use_request_key(midway: Midway) -> None:
    """A holder seals its share to the requester's one-time key."""
    slot = midway.session.slot()
    at = f"{slot.number}-{slot.attempt}"
    where = custody.prefix(midway.evaluator, slot.owner, 1, "requests", at)
    midway.evaluator.store.get(where, slot.request_key_digest)


def use_release(midway: Midway) -> None:
    """The requester gathers shares."""
    slot = midway.session.slot()
    at = {"slot": slot.number, "attempt": slot.attempt}
    if not gather(midway.owner, 1, midway.head, **at)[0].enough:
        raise NotReleasedError("too few shares")


def use_offer(midway: Midway) -> None:
    """A trainer grants to whoever offered."""
    session, slot = midway.session, midway.session.slot()
    assert session._granting is not None
    granting = grants.Granting(midway.owner, session._granting._key, None)
    if granting.answer(midway.steps.view(), slot) != 2:
        raise NotReleasedError("an offer can't be read")


def use_grant(midway: Midway) -> None:
    """An evaluator opens the candidate."""
    use_capsule(midway)


def use_shares(midway: Midway) -> None:
    """A holder to whom the dealer sealed junk looks for what an evaluator has published."""
    (capsule,) = custody.capsules(midway.evaluator, 1, midway.head)
    custody.own_share(midway.evaluator, 1, midway.head, _spoiled(capsule, midway.evaluator))


def use_spec(midway: Midway) -> None:
    """Every site, before it does anything."""
    midway.evaluator.spec(midway.steps.view())


def _spoiled(capsule: Capsule, victim: Site) -> Capsule:
    holders = dict(capsule.holders)
    mine = holders[victim.account.lower()]
    holders[victim.account.lower()] = mine.model_copy(update={"sealed": bytes(len(mine.sealed))})
    return capsule.model_copy(update={"holders": holders})


Use = Callable[[Midway], None]
KINDS = ("models", "capsules", "requests", "releases", "offers", "grants", "shares", "specs")
USES: tuple[tuple[str, str, Use, str], ...] = (
    ("the candidate", "models/hospital-2-2", use_model, ""),
    ("the head", "models/hospital-1-1", use_head, ""),
    ("a capsule", "capsules/hospital-2-2", use_capsule, ""),
    ("a request key", "requests/2-1", use_request_key, ""),
    ("releases", "releases/2-1", use_release, "owner"),
    ("an offer", "offers/2-1", use_offer, "owner"),
    ("grants", "grants/2-1", use_grant, "evaluator"),
    ("published shares", "shares/hospital-1-1", use_shares, "evaluator"),
)


@pytest.fixture(scope="module")
def midway(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Midway]:
    """To be damaged and put right again."""
    steps = Stepper(SimulatedConsortium(tmp_path_factory.mktemp("midway"), devnet.url, size=3))
    steps.accept()
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    found = Midway(steps, session)
    # As evaluators would, had the first dealer sealed junk to them; and another model's beside it.
    (capsule,) = custody.capsules(found.evaluator, 1, found.head)
    shares = {
        site.account.lower(): custody.own_share(site, 1, found.head, capsule)
        for site in steps.sites.values()
    }
    publish_shares(found.owner, 1, found.head, _spoiled(capsule, found.evaluator), shares)
    for site in steps.sites.values():
        request_key(site, 1, 1, 7)  # Others' one-time keys, to be swapped with.
    yield found
    session.close()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(
    ("where", "use", "logged_at"),
    [pytest.param(*rest, id=name) for name, *rest in USES],
)
def test_a_damaged_object_is_named_by_whoever_uses_it_and_not_used(
    midway: Midway, where: str, use: Use, logged_at: str, damage: Damage
) -> None:
    use(midway)  # The control: as long as it is whole, it is used.
    paths = midway.objects(*where.split("/"))
    user = {"owner": midway.owner, "evaluator": midway.evaluator}.get(logged_at)
    before = midway.log(user) if user else ""

    with damaged(paths, damage), pytest.raises(CDistriMError) as noticed:
        use(midway)

    named = noticed.value.what
    if user is not None:
        named += midway.log(user)[len(before) :]
        assert not isinstance(noticed.value, IntegrityError)
    else:
        assert isinstance(noticed.value, IntegrityError)
    # Of a message that is gone nobody knows that it ever was there: its author puts it again.
    if not (user and damage is removed):
        assert any(f"{path.parent.name}/{path.name}" in named for path in paths)
    use(midway)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_spec_is_named_and_not_followed(midway: Midway, damage: Damage) -> None:
    store = midway.steps.simulated.consortium.store
    (path,) = (store / "specs").iterdir()
    other = path.with_name("0" * 64)
    other.write_bytes(midway.steps.simulated.spec.model_copy(update={"cycles": 9}).canonical())
    use_spec(midway)
    with damaged([path], damage), pytest.raises(IntegrityError, match=path.name):
        use_spec(midway)
    other.unlink()
    use_spec(midway)


def test_the_store_alone_opens_nothing_and_shows_no_weights(midway: Midway) -> None:
    store, own = midway.steps.simulated.consortium.store, SealingKey.generate()
    for record in (midway.head, midway.candidate):
        assert not Burglar(store, [], [own]).opens(midway.owner, record)
    weights = Burglar(store, midway.steps.sites.values()).open(midway.owner, midway.candidate)
    assert weights is not None
    plain = to_bytes(weights)
    stored = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    pieces = [plain[at : at + 32] for at in range(0, len(plain) - 32, 4096)]
    assert not [piece for piece in pieces if piece.strip(b"\0") and piece in stored]


# --- what comes of it -----------------------------------------------------------------------------


def model_path(steps: Stepper, name: str) -> Path:
    """Where a model lies."""
    (path,) = steps.simulated.consortium.store.glob(f"*/*/campaign-1/models/{name}/*")
    return path


def test_the_fetch_of_a_damaged_head_is_refused(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.session()
    session.request_token()
    path = model_path(steps, "hospital-1-1")
    path.write_bytes(altered(path))
    steps.vote()
    assert session.slot().skip_reason is SkipReason.FETCH_REFUSED
    session.close()


def test_a_head_that_is_rolled_back_after_the_grant_is_not_opened(after_slots: AfterSlots) -> None:
    steps = after_slots(2)
    session = steps.grant_fetch()
    first, second = (model_path(steps, f"hospital-{n}-{n}") for n in (1, 2))
    whole = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(UnopenableHeadError, match=second.name):
        session.fetch()
    assert session.slot().state is SlotState.FETCH_GRANTED
    assert session.head is None

    second.write_bytes(whole)
    session.fetch()
    session.lock()
    session.decrypt()
    assert session.head is not None
    session.close()


def test_a_candidate_that_is_damaged_before_the_vote_is_not_accepted(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    path = model_path(steps, "hospital-1-1")
    path.write_bytes(altered(path))
    answers = steps.vote()
    assert [answer.approve for answer in answers] == [False, False]
    assert all("IntegrityError" in answer.sentence for answer in answers)
    assert steps.view().head == 0
    session.close()


def test_a_share_is_not_sealed_to_a_key_that_was_put_in_the_requesters_place(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    where = custody.prefix(session.site, session.site.account, 1, "requests", "2-1")
    (path,) = (steps.simulated.consortium.store / where).iterdir()
    whole, thief = path.read_bytes(), SealingKey.generate()
    path.write_bytes(thief.public_bytes)
    holder = steps.sites["hospital-1"]
    with pytest.raises(IntegrityError, match=path.name):
        release_share(holder, steps.view())
    assert not list(steps.simulated.consortium.store.rglob("releases"))

    path.write_bytes(whole)
    assert release_share(holder, steps.view())
    session.close()


def test_an_evaluator_whose_grant_is_withheld_waits_and_votes_once_it_is_back(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    evaluator = steps.sites["hospital-2"]
    where = grants_prefix(evaluator, session.slot(), evaluator.account)
    paths = list((steps.simulated.consortium.store / where).iterdir())
    with damaged(paths, removed), pytest.raises(NotReleasedError):
        answer_ballot(evaluator, steps.view())
    assert session.slot().state is SlotState.UPLOAD_REQUESTED
    answer = answer_ballot(evaluator, steps.view())
    assert answer is not None
    assert answer.approve
    session.close()
