"""Rules of sealed secrets and sealing keys."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from cdistrim.envelope import Context
from cdistrim.errors import SealError
from cdistrim.sealing import (
    OVERHEAD,
    PUBLIC_KEY_SIZE,
    Purpose,
    SealingKey,
    open_sealed,
    seal,
)

UPLOADER, EVALUATOR, OUTSIDER = ("0x" + digit * 40 for digit in "123")
MODEL = Context(
    chain_id=31337, contract="0x" + "ab" * 20, campaign=1, slot=2, attempt=0, partner=UPLOADER
)
SECRET = bytes(range(32))
KEYS = {account: SealingKey.generate() for account in (UPLOADER, EVALUATOR, OUTSIDER)}


class TestSealedSecrets:
    def test_a_sealed_secret_opens_for_its_recipient(self) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(SECRET, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        assert len(sealed) == len(SECRET) + OVERHEAD == 1168
        assert open_sealed(sealed, key, MODEL, Purpose.CAPSULE, EVALUATOR) == SECRET

    @pytest.mark.parametrize(
        "field", ["chain_id", "contract", "campaign", "slot", "attempt", "partner"]
    )
    def test_a_context_that_differs_in_any_field_does_not_open(self, field: str) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(SECRET, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        value = getattr(MODEL, field)
        changed: dict[str, Any] = {field: value + 1 if isinstance(value, int) else OUTSIDER}
        with pytest.raises(SealError):
            open_sealed(sealed, key, replace(MODEL, **changed), Purpose.CAPSULE, EVALUATOR)

    def test_another_key_purpose_recipient_or_binding_does_not_open(self) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(SECRET, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR, {"slot": 1})
        same = (MODEL, Purpose.CAPSULE, EVALUATOR, {"slot": 1})
        assert open_sealed(sealed, key, *same) == SECRET
        with pytest.raises(SealError):
            open_sealed(sealed, KEYS[OUTSIDER], *same)
        with pytest.raises(SealError):
            open_sealed(sealed, key, MODEL, Purpose.RELEASE, EVALUATOR, {"slot": 1})
        with pytest.raises(SealError):
            open_sealed(sealed, key, MODEL, Purpose.CAPSULE, OUTSIDER, {"slot": 1})
        with pytest.raises(SealError):
            open_sealed(sealed, key, MODEL, Purpose.CAPSULE, EVALUATOR, {"slot": 2})

    def test_an_altered_or_truncated_sealed_secret_does_not_open(self) -> None:
        key = KEYS[EVALUATOR]
        sealed = seal(SECRET, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
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
            seal(SECRET, public, MODEL, Purpose.CAPSULE, EVALUATOR)

    def test_a_private_key_survives_serialisation(self) -> None:
        key = KEYS[EVALUATOR]
        again = SealingKey.from_private_bytes(key.private_bytes())
        sealed = seal(SECRET, key.public_bytes, MODEL, Purpose.CAPSULE, EVALUATOR)
        assert open_sealed(sealed, again, MODEL, Purpose.CAPSULE, EVALUATOR) == SECRET
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
