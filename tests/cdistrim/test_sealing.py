"""Rules of sealed keys, capsules and releases."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from cdistrim.envelope import Context, new_data_key
from cdistrim.errors import IntegrityError, SealError, UsageError
from cdistrim.sealing import (
    MAX_DOCUMENT,
    PUBLIC_KEY_SIZE,
    Capsule,
    Purpose,
    Release,
    SealingKey,
    decrypt,
    encrypt,
    open_sealed,
    seal,
)

UPLOADER, EVALUATOR, OUTSIDER = ("0x" + digit * 40 for digit in "123")
MODEL = Context(
    chain_id=31337, contract="0x" + "ab" * 20, campaign=1, slot=2, attempt=0, partner=UPLOADER
)
DATA_KEY = new_data_key()
KEYS = {account: SealingKey.generate() for account in (UPLOADER, EVALUATOR, OUTSIDER)}


def _capsule() -> Capsule:
    public = {account: KEYS[account].public_bytes for account in (UPLOADER, EVALUATOR)}
    return Capsule.seal(DATA_KEY, public, MODEL)


def _release(one_time: SealingKey) -> Release:
    return Release.seal(
        DATA_KEY,
        one_time.public_bytes,
        model=MODEL,
        holder=UPLOADER,
        requester=OUTSIDER,
        slot=3,
        attempt=1,
    )


class TestSealedKeys:
    def test_a_sealed_key_opens_for_its_recipient(self) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(DATA_KEY, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        assert len(sealed) == 1168
        assert open_sealed(sealed, key, MODEL, Purpose.CAPSULE, EVALUATOR) == DATA_KEY

    @pytest.mark.parametrize(
        "field", ["chain_id", "contract", "campaign", "slot", "attempt", "partner"]
    )
    def test_a_context_that_differs_in_any_field_does_not_open(self, field: str) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(DATA_KEY, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        value = getattr(MODEL, field)
        changed: dict[str, Any] = {field: value + 1 if isinstance(value, int) else OUTSIDER}
        with pytest.raises(SealError):
            open_sealed(sealed, key, replace(MODEL, **changed), Purpose.CAPSULE, EVALUATOR)

    def test_another_key_purpose_recipient_or_binding_does_not_open(self) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(DATA_KEY, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR, {"slot": 1})
        same = (MODEL, Purpose.CAPSULE, EVALUATOR, {"slot": 1})
        assert open_sealed(sealed, key, *same) == DATA_KEY
        with pytest.raises(SealError):
            open_sealed(sealed, KEYS[OUTSIDER], *same)
        with pytest.raises(SealError):
            open_sealed(sealed, key, MODEL, Purpose.RELEASE, EVALUATOR, {"slot": 1})
        with pytest.raises(SealError):
            open_sealed(sealed, key, MODEL, Purpose.CAPSULE, OUTSIDER, {"slot": 1})
        with pytest.raises(SealError):
            open_sealed(sealed, key, MODEL, Purpose.CAPSULE, EVALUATOR, {"slot": 2})

    def test_an_altered_or_truncated_sealed_key_does_not_open(self) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(DATA_KEY, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        flipped = [
            sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
            for at in range(0, len(sealed), 61)
        ]
        for wrong in (b"", sealed[:-1], sealed + b"\0", bytes(len(sealed)), *flipped):
            with pytest.raises(SealError):
                open_sealed(wrong, key, MODEL, Purpose.CAPSULE, EVALUATOR)

    @pytest.mark.parametrize(
        "public",
        [b"", bytes(PUBLIC_KEY_SIZE), b"\xff" * PUBLIC_KEY_SIZE, bytes(PUBLIC_KEY_SIZE + 1)],
        ids=["empty", "zeros", "ones", "long"],
    )
    def test_a_malformed_public_key_is_refused(self, public: bytes) -> None:
        with pytest.raises(SealError):
            seal(DATA_KEY, public, MODEL, Purpose.CAPSULE, EVALUATOR)

    def test_a_private_key_survives_serialisation(self) -> None:
        key = KEYS[EVALUATOR]
        again = SealingKey.from_private_bytes(key.private_bytes())
        sealed = seal(DATA_KEY, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        assert open_sealed(sealed, again, MODEL, Purpose.CAPSULE, EVALUATOR) == DATA_KEY
        with pytest.raises(SealError):
            SealingKey.from_private_bytes(key.private_bytes()[:-1])

    def test_a_sealing_key_shows_nothing_private_and_is_not_pickled(self) -> None:
        key = SealingKey.generate()
        private = key.private_bytes()
        assert private[:8].hex() not in repr(key)
        assert private[64:72].hex() not in repr(key)
        with pytest.raises(TypeError):
            pickle.dumps(key)

    def test_local_keys_differ_by_site_and_purpose(self) -> None:
        one, other = KEYS[UPLOADER], KEYS[EVALUATOR]
        assert one.local_key(b"a") == one.local_key(b"a")
        assert one.local_key(b"a") != one.local_key(b"b")
        assert one.local_key(b"a") != other.local_key(b"a")


class TestCapsule:
    def test_uploader_and_evaluators_open_the_model_with_it(self) -> None:
        capsule = _capsule()
        read = Capsule.parse(capsule.to_bytes(), capsule.digest())
        envelope = encrypt(b"weights", DATA_KEY, MODEL)
        for account in (UPLOADER, EVALUATOR):
            key = read.open(account, KEYS[account], MODEL)
            assert decrypt(envelope, key, MODEL) == b"weights"

    def test_nobody_else_opens_it(self) -> None:
        capsule = _capsule()
        with pytest.raises(SealError, match="not sealed to"):
            capsule.open(OUTSIDER, KEYS[OUTSIDER], MODEL)
        with pytest.raises(SealError):
            capsule.open(EVALUATOR, KEYS[OUTSIDER], MODEL)

    def test_another_models_capsule_is_refused(self) -> None:
        with pytest.raises(SealError, match="belongs to"):
            _capsule().open(EVALUATOR, KEYS[EVALUATOR], replace(MODEL, slot=9))

    def test_sealed_keys_moved_into_another_models_capsule_do_not_open(self) -> None:
        other = replace(MODEL, slot=9)
        forged = Capsule(other, _capsule().sealed)
        with pytest.raises(SealError):
            forged.open(EVALUATOR, KEYS[EVALUATOR], other)

    def test_sealed_keys_swapped_between_accounts_do_not_open(self) -> None:
        sealed = _capsule().sealed
        forged = Capsule(MODEL, {UPLOADER: sealed[EVALUATOR], EVALUATOR: sealed[UPLOADER]})
        with pytest.raises(SealError):
            forged.open(EVALUATOR, KEYS[UPLOADER], MODEL)

    def test_one_that_is_not_on_the_ledger_is_refused(self) -> None:
        first, second = _capsule(), _capsule()
        with pytest.raises(IntegrityError, match=second.digest().hex()):
            Capsule.parse(first.to_bytes(), second.digest())

    def test_accounts_are_the_same_in_any_spelling(self) -> None:
        uploader, key = "0x" + "Ab" * 20, KEYS[UPLOADER]
        model = replace(MODEL, partner=uploader)
        capsule = Capsule.seal(DATA_KEY, {uploader: key.public_bytes}, model)
        assert capsule.open(uploader.lower(), key, model) == DATA_KEY

    def test_the_uploader_must_be_able_to_open_it(self) -> None:
        with pytest.raises(UsageError, match=UPLOADER):
            Capsule.seal(DATA_KEY, {EVALUATOR: KEYS[EVALUATOR].public_bytes}, MODEL)

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 2},
            {"version": True},
            {"kind": "release"},
            {"more": 1},
            {"context": None},
            {"sealed": {EVALUATOR: "AAAA"}},
            {"sealed": {EVALUATOR: "%%%%"}},
            {"sealed": {"hospital-1": base64.b64encode(bytes(1168)).decode()}},
            {"sealed": [1]},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_a_malformed_document_is_refused(self, change: dict[str, object]) -> None:
        document = json.loads(_capsule().to_bytes()) | change
        self._refused(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

    def test_a_document_that_is_not_canonical_is_refused(self) -> None:
        canonical = _capsule().to_bytes()
        parsed = json.loads(canonical)
        self._refused(json.dumps(parsed, sort_keys=True).encode())
        self._refused(canonical.replace(b'"version":1', b'"version":1,"version":1'))
        self._refused(canonical + b"\n")
        parsed["context"]["contract"] = parsed["context"]["contract"].upper().replace("X", "x")
        self._refused(json.dumps(parsed, sort_keys=True, separators=(",", ":")).encode())

    @pytest.mark.parametrize(
        "document",
        [b"", b"null", b"[" * 100_000, b"\xff", b"{}", b" " * (MAX_DOCUMENT + 1)],
        ids=["empty", "null", "deep", "binary", "bare", "large"],
    )
    def test_garbage_is_refused(self, document: bytes) -> None:
        self._refused(document)

    @staticmethod
    def _refused(document: bytes) -> None:
        with pytest.raises(IntegrityError):
            Capsule.parse(document, hashlib.sha256(document).digest())


class TestRelease:
    def test_the_requester_opens_it_with_its_one_time_key(self) -> None:
        one_time = SealingKey.generate()
        release = Release.parse(_release(one_time).to_bytes())
        key = release.open(one_time, model=MODEL, requester=OUTSIDER, slot=3, attempt=1)
        assert key == DATA_KEY

    def test_it_opens_for_one_grant_of_one_model_only(self) -> None:
        one_time = SealingKey.generate()
        release = _release(one_time)
        with pytest.raises(SealError):
            release.open(one_time, model=MODEL, requester=OUTSIDER, slot=4, attempt=1)
        with pytest.raises(SealError):
            release.open(one_time, model=MODEL, requester=OUTSIDER, slot=3, attempt=2)
        with pytest.raises(SealError):
            release.open(one_time, model=MODEL, requester=EVALUATOR, slot=3, attempt=1)
        other = replace(MODEL, slot=1)
        with pytest.raises(SealError):
            release.open(one_time, model=other, requester=OUTSIDER, slot=3, attempt=1)

    def test_a_standing_key_or_another_one_time_key_does_not_open_it(self) -> None:
        release = _release(SealingKey.generate())
        for key in (KEYS[OUTSIDER], SealingKey.generate()):
            with pytest.raises(SealError):
                release.open(key, model=MODEL, requester=OUTSIDER, slot=3, attempt=1)

    def test_nobody_can_pass_it_off_as_anothers(self) -> None:
        one_time = SealingKey.generate()
        forged = replace(_release(one_time), holder=EVALUATOR)
        with pytest.raises(SealError):
            forged.open(one_time, model=MODEL, requester=OUTSIDER, slot=3, attempt=1)

    @pytest.mark.parametrize(
        "change", [{"sealed": "AAAA"}, {"holder": "x"}, {"slot": "3"}, {"a": 1}]
    )
    def test_a_malformed_document_is_refused(self, change: dict[str, object]) -> None:
        document = json.loads(_release(SealingKey.generate()).to_bytes()) | change
        with pytest.raises(IntegrityError):
            Release.parse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
