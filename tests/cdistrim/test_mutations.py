"""Whatever is damaged is refused: random mutations of envelopes and of all sealed documents.

``CDISTRIM_MUTATIONS`` says how many of each, some hundred by default; ``make mutations`` runs ten
thousand. A new kind of document is a line in :func:`specimens`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cdistrim.backup import back_up, open_backup
from cdistrim.data.commitment import SALT_FILE, load_salts
from cdistrim.envelope import Context, DataKey, decrypt, decrypt_stream
from cdistrim.errors import IntegrityError, KeyFileError, SealError
from cdistrim.sealing import Capsule, Purpose, Release, SealingKey, open_sealed, seal
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
    "release",
    "one-time key on the disk",
    "backup of a site",
)

UPLOADER, EVALUATOR, REQUESTER = ("0x" + digit * 40 for digit in "1e3")
MODEL = Context(31337, "0x" + "ab" * 20, 1, 2, 0, UPLOADER)
OTHER_MODEL = replace(MODEL, slot=3)
SECRET, OTHER_SECRET = DataKey(bytes(range(32))), DataKey(bytes(range(1, 33)))
CHUNK = 64


@cache
def specimens() -> dict[str, Specimen]:
    """All kinds, by name."""
    envelopes = _envelopes()
    keys = {account: SealingKey.generate() for account in (UPLOADER, EVALUATOR, REQUESTER)}
    public = {account: keys[account].public_bytes for account in (UPLOADER, EVALUATOR)}
    capsules = [
        Capsule.seal(key, public, model)
        for key, model in ((SECRET, MODEL), (OTHER_SECRET, MODEL), (SECRET, OTHER_MODEL))
    ]
    capsule, *other_capsules = (each.to_bytes() for each in capsules)
    digest = capsules[0].digest()
    release, *other_releases = _releases(keys[REQUESTER])
    sealed, *other_sealed = (
        seal(key, public[EVALUATOR], model, Purpose.CAPSULE, EVALUATOR)
        for key, model in ((SECRET, MODEL), (OTHER_SECRET, MODEL), (SECRET, OTHER_MODEL))
    )
    site = SiteKeys(UPLOADER, bytes(32), keys[UPLOADER])
    at_rest, *others_at_rest = (
        each.protect_one_time_key(one)
        for each, one in (
            (site, keys[REQUESTER]),
            (site, keys[EVALUATOR]),
            (replace(site, sealing_key=keys[EVALUATOR]), keys[REQUESTER]),
        )
    )

    def model_by(key: DataKey) -> bytes:
        # A key is bound to the model's place, not to its bytes: those say whether it is the key.
        return decrypt(envelopes[0].original, key, MODEL)

    def by_the_ledger(document: bytes) -> bytes:
        read = Capsule.parse(document, digest)
        return model_by(read.open(EVALUATOR, keys[EVALUATOR], MODEL))

    def by_all(document: bytes) -> list[bytes]:
        # As if the ledger had the digest of what lies there now.
        read = Capsule.parse(document, hashlib.sha256(document).digest())
        if set(read.sealed) != {UPLOADER, EVALUATOR}:
            raise SealError("It is sealed to others.")
        return [model_by(read.open(each, keys[each], MODEL)) for each in (UPLOADER, EVALUATOR)]

    def by_the_requester(document: bytes) -> bytes:
        read = Release.parse(document)
        key = read.open(keys[REQUESTER], model=MODEL, requester=REQUESTER, slot=5, attempt=1)
        # Nothing rests on what else a release says of itself, so opening does not look at it.
        if (read.model, read.requester, read.slot, read.attempt) != (MODEL, REQUESTER, 5, 1):
            raise IntegrityError("It says that it is another one.")
        return model_by(key)

    kinds = (
        *envelopes,
        Specimen(
            "sealed key",
            sealed,
            lambda data: open_sealed(
                data, keys[EVALUATOR], MODEL, Purpose.CAPSULE, EVALUATOR
            ).reveal(),
            tuple(other_sealed),
            (1088, 1120, 1152),
        ),
        Specimen("capsule on the ledger", capsule, by_the_ledger, tuple(other_capsules)),
        Specimen("capsule, by all whom it names", capsule, by_all, tuple(other_capsules)),
        Specimen("release", release, by_the_requester, tuple(other_releases)),
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


def _releases(one_time: SealingKey) -> list[bytes]:
    return [
        Release.seal(
            key,
            one_time.public_bytes,
            model=model,
            holder=holder,
            requester=REQUESTER,
            slot=slot,
            attempt=1,
        ).to_bytes()
        for key, model, holder, slot in (
            (SECRET, MODEL, UPLOADER, 5),
            (OTHER_SECRET, MODEL, UPLOADER, 5),
            (SECRET, OTHER_MODEL, UPLOADER, 5),
            (SECRET, MODEL, EVALUATOR, 5),
            (SECRET, MODEL, UPLOADER, 6),
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
