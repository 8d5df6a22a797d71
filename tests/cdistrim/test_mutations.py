"""Whatever is damaged is refused: random mutations of envelopes and of all sealed documents.

``CDISTRIM_MUTATIONS`` says how many of each, some hundred by default; ``make mutations`` runs ten
thousand. A new kind of document is a line in :func:`specimens`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cdistrim.backup import back_up, open_backup
from cdistrim.capsule import Capsule
from cdistrim.data.commitment import SALT_FILE, load_salts
from cdistrim.envelope import Context, DataKey, decrypt, decrypt_stream
from cdistrim.errors import BadDealingError, IntegrityError, KeyFileError, SealError
from cdistrim.messages import Grant, OfferedKey, OpeningReport, Release, Shares
from cdistrim.sealing import Purpose, SealingKey, open_sealed, public_digest, seal
from cdistrim.site import Site, SiteSettings
from cdistrim.site_keys import SiteKeys, create_site_keys
from tests.cdistrim.envelope_by_the_page import close_envelope, plaintext_of
from tests.mutations import NotRefused, Specimen, attack, mutant

RUNS = int(os.environ.get("CDISTRIM_MUTATIONS", "300"))
NAMES = (
    "envelope",
    "envelope, as a stream",
    "sealed key",
    "capsule on the ledger",
    "capsule, by all whom it names",
    "offer",
    "grant",
    "shares",
    "release",
    "opening",
    "one-time key on the disk",
    "backup of a site",
)


@cache
def _people() -> dict[str, SiteKeys]:
    """Keys of three members, by account."""
    with TemporaryDirectory() as name:
        return {
            keys.account.lower(): keys
            for keys in (
                create_site_keys(Path(name) / str(number), "quick", quick=True)
                for number in range(3)
            )
        }


UPLOADER, EVALUATOR, REQUESTER = _people()
MODEL = Context(31337, "0x" + "ab" * 20, 1, 2, 0, UPLOADER)
OTHER_MODEL = replace(MODEL, slot=3)
SECRET, OTHER_SECRET = DataKey(bytes(range(32))), DataKey(bytes(range(1, 33)))
CHUNK = 64


@cache
def specimens() -> dict[str, Specimen]:
    """All kinds, by name."""
    people = _people()
    site, requester = people[UPLOADER], people[REQUESTER]
    at_rest, *others_at_rest = (
        each.protect_one_time_key(one)
        for each, one in (
            (site, requester.sealing_key),
            (site, people[EVALUATOR].sealing_key),
            (people[EVALUATOR], requester.sealing_key),
        )
    )
    public = people[EVALUATOR].sealing_key.public_bytes
    sealed, *other_sealed = (
        seal(secret.reveal(), public, model, Purpose.GRANT, EVALUATOR)
        for secret, model in ((SECRET, MODEL), (OTHER_SECRET, MODEL), (SECRET, OTHER_MODEL))
    )
    kinds = (
        *_envelopes(),
        Specimen(
            "sealed key",
            sealed,
            lambda data: open_sealed(
                data, people[EVALUATOR].sealing_key, MODEL, Purpose.GRANT, EVALUATOR
            ),
            tuple(other_sealed),
            (1088, 1120, 1152),
        ),
        *_documents(people),
        Specimen(
            "one-time key on the disk",
            at_rest,
            lambda data: site.open_one_time_key(data).private_bytes(),
            tuple(others_at_rest),
            (12, 12 + 64, 12 + 96),
            (KeyFileError,),
        ),
        _backup(),
    )
    assert tuple(kind.name for kind in kinds) == NAMES
    return {kind.name: kind for kind in kinds}


def _documents(people: dict[str, SiteKeys]) -> list[Specimen]:
    """Capsule and messages, each opened as whoever uses it does, besides the ledger's digest."""
    public = {each: people[each].sealing_key.public_bytes for each in (UPLOADER, EVALUATOR)}
    made = [
        Capsule.seal(key, public, 2, model)
        for key, model in ((SECRET, MODEL), (OTHER_SECRET, MODEL), (SECRET, OTHER_MODEL))
    ]
    capsule, *others = made
    one_time = SealingKey.generate()
    uploader, evaluator = people[UPLOADER], people[EVALUATOR]

    def offers() -> Iterator[OfferedKey]:
        for key, model, head, by in (
            (one_time, MODEL, False, evaluator),
            (evaluator.sealing_key, MODEL, False, evaluator),
            (one_time, OTHER_MODEL, False, evaluator),
            (one_time, MODEL, True, evaluator),
            (one_time, MODEL, False, uploader),
        ):
            yield OfferedKey(
                model=model, evaluator=EVALUATOR, public=key.public_bytes, head=head
            ).signed(by)

    def releases() -> Iterator[Release]:
        for of, holder, slot in (
            (capsule, uploader, 5),
            (others[0], uploader, 5),
            (others[1], uploader, 5),
            (capsule, evaluator, 5),
            (capsule, uploader, 6),
        ):
            yield Release.seal(
                of.open_share(holder.account, holder.opening_keys, of.context),
                of,
                one_time.public_bytes,
                holder=holder.account,
                requester=REQUESTER,
                slot=slot,
                attempt=1,
            ).signed(holder)

    def reports() -> Iterator[OpeningReport]:
        for of, bad in ((capsule, ()), (others[0], ()), (capsule, (EVALUATOR,))):
            yield OpeningReport(
                model=of.context,
                capsule=of.digest(),
                requester=UPLOADER,
                slot=5,
                attempt=1,
                opened=True,
                good=(UPLOADER,),
                bad=bad,
                missing=(),
                sound=(of.digest(),),
            ).signed(uploader)

    offer = next(offers())
    grants = [
        Grant.seal(key, offer, model, slot=2, attempt=0)
        for key, model in ((SECRET, MODEL), (OTHER_SECRET, MODEL), (SECRET, OTHER_MODEL))
    ]
    shares = [Shares.seal(of, of.shares(key), public) for of, key in _keyed(made)]

    def by_the_ledger(document: bytes) -> object:
        return Capsule.parse_recorded(document, capsule.digest()).shares(SECRET)

    def by_all(document: bytes) -> object:
        # As if the ledger had the digest of what lies there now.
        read = Capsule.parse(document)
        if set(read.holders) != {UPLOADER, EVALUATOR} or read.threshold != 2:
            raise SealError("It names others.")
        if any(sealed.key != public_digest(public[to]) for to, sealed in read.holders.items()):
            raise SealError("It is sealed to other keys.")
        for each in (UPLOADER, EVALUATOR):
            read.open_share(each, people[each].opening_keys, MODEL)
        return read.shares(SECRET)

    def by_the_trainer(document: bytes) -> object:
        read = OfferedKey.parse(document)
        read.require_author(EVALUATOR)
        return read

    def by_the_evaluator(document: bytes) -> object:
        read = Grant.parse(document)
        if read.evaluator != EVALUATOR or read.model != MODEL:
            raise SealError("It is for somebody else.")
        return decrypt(_envelopes()[0].original, read.open(one_time), MODEL)

    def by_all_holders(document: bytes) -> object:
        read = Shares.parse(document)
        if set(read.sealed) != {UPLOADER, EVALUATOR}:
            raise SealError("It is for others.")
        return [
            read.open_share(capsule, each, people[each].opening_keys)
            for each in (UPLOADER, EVALUATOR)
        ]

    def by_the_requester(document: bytes) -> object:
        read = Release.parse(document)
        read.require_author(UPLOADER)
        return read.open(capsule, one_time, slot=5, attempt=1)

    def by_everybody(document: bytes) -> object:
        read = OpeningReport.parse(document)
        read.require_author(UPLOADER)
        return read

    return [
        Specimen(
            name,
            original.to_bytes(),
            use,
            tuple(each.to_bytes() for each in rest),
            refusals=(SealError, IntegrityError, BadDealingError),
        )
        for name, (original, *rest), use in (
            ("capsule on the ledger", made, by_the_ledger),
            ("capsule, by all whom it names", made, by_all),
            ("offer", list(offers()), by_the_trainer),
            ("grant", grants, by_the_evaluator),
            ("shares", shares, by_all_holders),
            ("release", list(releases()), by_the_requester),
            ("opening", list(reports()), by_everybody),
        )
    ]


def _keyed(made: list[Capsule]) -> list[tuple[Capsule, DataKey]]:
    return list(zip(made, (SECRET, OTHER_SECRET, SECRET), strict=True))


def _envelopes() -> list[Specimen]:
    salts = [bytes([number]) * 32 for number in range(5)]
    envelope, *others = (
        close_envelope(plaintext_of(size), key.reveal(), asdict(model), salt, chunk)
        for salt, (size, key, model, chunk) in zip(
            salts,
            (
                (300, SECRET, MODEL, CHUNK),
                (300, SECRET, MODEL, CHUNK),
                (300, OTHER_SECRET, MODEL, CHUNK),
                (300, SECRET, OTHER_MODEL, CHUNK),
                (320, SECRET, MODEL, CHUNK // 2),
            ),
            strict=True,
        )
    )
    joints = (4, 5, 9, 41, *range(73, len(envelope) + 1, CHUNK + 16))
    return [
        Specimen(name, envelope, opening, tuple(others), joints)
        for name, opening in (
            ("envelope", lambda data: decrypt(data, SECRET, MODEL)),
            (
                "envelope, as a stream",
                lambda data: b"".join(decrypt_stream(io.BytesIO(data), SECRET, MODEL)),
            ),
        )
    ]


def _backup() -> Specimen:
    """The backup of one site, another one of it, and one of another site with its passphrase."""
    passphrase = "of throwaway keys"  # noqa: S105
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDISTRIM_PASSPHRASE", passphrase)
        root, backups = Path(name), []
        for number, of in enumerate((1, 1, 2)):
            directory = root / f"site-{of}"
            if not directory.exists():
                create_site_keys(directory / "keys", passphrase, quick=True)
            settings = SiteSettings(
                name=f"hospital-{of}", ledger_url="http://node", chain_id=1, store_url="file:///x"
            )
            site = Site.create(directory, settings)
            site.approve_spec(bytes([number]) * 32)
            load_salts(directory / "data" / SALT_FILE, ["case"])
            back_up(site, root / f"{number}")
            backups.append((root / f"{number}").read_bytes())
    return Specimen(
        "backup of a site",
        backups[0],
        lambda data: open_backup(data, passphrase).contents.model_dump(),
        tuple(backups[1:]),
        refusals=(IntegrityError, KeyFileError),
    )


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_damaged_is_refused(name: str) -> None:
    tally = attack(specimens()[name], RUNS)
    print(f"{name}: {tally}")  # noqa: T201  shown by `make mutations`
    assert tally.refused == RUNS > tally.opened + tally.others


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_the_same_each_time_and_unlike_the_others(name: str) -> None:
    specimen = specimens()[name]
    mutants = [mutant(specimen, number) for number in range(200)]
    assert mutants == [mutant(specimen, number) for number in range(200)]
    assert len(set(mutants)) > 150


def test_one_that_opens_in_spite_of_damage_is_found() -> None:
    lax = Specimen("lax", b"original", lambda data: data[:4])
    with pytest.raises(NotRefused, match="it was opened"):
        attack(lax, 100)


def test_one_that_breaks_whoever_opens_it_is_found() -> None:
    def fragile(data: bytes) -> str:
        if len(data) < 8:
            raise SealError("Too short.")
        return data.decode("ascii")

    with pytest.raises(NotRefused, match="UnicodeDecodeError"):
        attack(Specimen("fragile", b"original", fragile), 1000)


def test_a_document_that_is_read_too_kindly_is_found() -> None:
    def lenient(data: bytes) -> object:
        return json.loads(data)["a"]

    kind = Specimen("kind", b'{"a":1,"b":[1,2]}', lenient, refusals=(Exception,))
    with pytest.raises(NotRefused, match="it was opened"):
        attack(kind, 100)
