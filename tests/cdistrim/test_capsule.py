"""Rules of capsules: who holds a share, what opens for whom, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from cdistrim.capsule import Capsule, SealedShare
from cdistrim.documents import MAX_DOCUMENT
from cdistrim.envelope import Context, encrypt, new_data_key
from cdistrim.errors import BadDealingError, IntegrityError, SealError, UsageError
from cdistrim.messages import Shares
from cdistrim.sealing import Purpose, SealingKey, public_digest, seal
from cdistrim.shares import deal, recover

UPLOADER, HOLDER, THIRD, OUTSIDER = ("0x" + digit * 40 for digit in "1234")
MODEL = Context(31337, "0x" + "ab" * 20, campaign=1, slot=2, attempt=1, partner=UPLOADER)
DATA_KEY = new_data_key()
KEYS = {account: SealingKey.generate() for account in (UPLOADER, HOLDER, THIRD, OUTSIDER)}
PUBLIC = {account: KEYS[account].public_bytes for account in (UPLOADER, HOLDER, THIRD)}


def capsule() -> Capsule:
    """Two of three open it."""
    return Capsule.seal(DATA_KEY, PUBLIC, 2, MODEL)


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_each_holder_opens_its_share_and_two_of_three_give_the_key() -> None:
    made = capsule()
    read = Capsule.parse_recorded(made.to_bytes(), made.digest())
    assert read == made
    shares = [read.open_share(each, [KEYS[each]], MODEL) for each in PUBLIC]
    assert recover(shares[:2], 2) == recover(shares[1:], 2) == DATA_KEY
    assert [share.index for share in shares] == [1, 2, 3]


def test_a_holder_with_a_key_that_is_none_keeps_nobody_from_sealing() -> None:
    for malformed in (b"", b"key", bytes(1216), b"\xff" * 1216):
        made = Capsule.seal(DATA_KEY, PUBLIC | {THIRD: malformed}, 2, MODEL)
        shares = [made.open_share(each, [KEYS[each]], MODEL) for each in (UPLOADER, HOLDER)]
        assert recover(shares, 2) == DATA_KEY
        assert set(made.shares(DATA_KEY)) == set(PUBLIC)
        with pytest.raises(SealError):
            made.open_share(THIRD, [KEYS[THIRD]], MODEL)
        published = Shares.seal(made, made.shares(DATA_KEY), PUBLIC | {THIRD: malformed})
        assert set(published.sealed) == {UPLOADER, HOLDER}


def test_nobody_else_opens_a_share() -> None:
    with pytest.raises(SealError, match="holds no share"):
        capsule().open_share(OUTSIDER, [KEYS[OUTSIDER]], MODEL)
    with pytest.raises(SealError):
        capsule().open_share(HOLDER, [KEYS[OUTSIDER]], MODEL)
    with pytest.raises(SealError):
        capsule().open_share(HOLDER, [KEYS[THIRD]], MODEL)


def test_a_former_sealing_key_opens_what_was_sealed_to_it() -> None:
    share = capsule().open_share(HOLDER, [SealingKey.generate(), KEYS[HOLDER]], MODEL)
    assert share.index == 2


def test_a_capsule_says_to_which_key_each_share_is_sealed() -> None:
    for account, sealed in capsule().holders.items():
        assert sealed.key == public_digest(PUBLIC[account])


def test_who_has_the_key_gets_all_shares_and_sees_that_they_fit() -> None:
    made = capsule()
    shares = made.shares(DATA_KEY)
    assert shares == {each: made.open_share(each, [KEYS[each]], MODEL) for each in PUBLIC}
    with pytest.raises(BadDealingError):
        made.shares(new_data_key())


def test_a_dealing_that_does_not_fit_is_noticed_by_who_has_the_key() -> None:
    other = Capsule.seal(new_data_key(), PUBLIC, 2, MODEL)
    made = capsule()
    with pytest.raises(BadDealingError):
        made.model_copy(update={"dealing": other.dealing}).shares(DATA_KEY)
    with pytest.raises(BadDealingError, match="not what its capsule says"):
        made.model_copy(update={"holders": other.holders}).shares(DATA_KEY)
    with pytest.raises(BadDealingError):
        made.model_copy(update={"threshold": 3}).model_copy(
            update={"dealing": _dealing_of_line_and_parabola()}
        ).shares(DATA_KEY)


def _dealing_of_line_and_parabola() -> bytes:
    """Shares of a lower threshold than the capsule says, and digests of others."""
    from cdistrim.capsule import _dealing_key

    plain = b"".join(share.to_bytes() for share in deal(DATA_KEY, 3, 2))
    return encrypt(plain, _dealing_key(DATA_KEY), MODEL)


def test_shares_with_right_digests_that_are_not_of_the_key_are_a_bad_dealing() -> None:
    from cdistrim.capsule import _dealing_key

    wrong = deal(new_data_key(), 3, 2)
    accounts = sorted(PUBLIC)
    sealed = {
        account: SealedShare(
            digest=share.digest(MODEL, account),
            key=public_digest(PUBLIC[account]),
            sealed=seal(share.to_bytes(), PUBLIC[account], MODEL, Purpose.CAPSULE, account),
        )
        for account, share in zip(accounts, wrong, strict=True)
    }
    plain = b"".join(share.to_bytes() for share in wrong)
    made = Capsule(
        context=MODEL,
        threshold=2,
        holders=sealed,
        dealing=encrypt(plain, _dealing_key(DATA_KEY), MODEL),
    )
    with pytest.raises(BadDealingError, match="do not all give"):
        made.shares(DATA_KEY)


def test_junk_in_a_holders_name_is_told_by_its_digest() -> None:
    made = capsule()
    good = made.open_share(HOLDER, [KEYS[HOLDER]], MODEL).to_bytes()
    assert made.accept(HOLDER, good).index == 2
    for junk in (bytes(64), good[:-1], good[32:] + good[:32], good[:63] + bytes([good[63] ^ 1])):
        with pytest.raises(SealError):
            made.accept(HOLDER, junk)
    with pytest.raises(SealError, match="not the one"):
        made.accept(THIRD, good)


def test_another_models_capsule_is_refused() -> None:
    with pytest.raises(SealError, match="belongs to"):
        capsule().open_share(HOLDER, [KEYS[HOLDER]], replace(MODEL, slot=9))


def test_shares_moved_into_another_models_capsule_or_to_another_holder_do_not_open() -> None:
    made, other = capsule(), replace(MODEL, slot=9)
    with pytest.raises(SealError):
        made.model_copy(update={"context": other}).open_share(HOLDER, [KEYS[HOLDER]], other)
    swapped = dict(made.holders)
    swapped[HOLDER], swapped[THIRD] = swapped[THIRD], swapped[HOLDER]
    with pytest.raises(SealError):
        made.model_copy(update={"holders": swapped}).open_share(HOLDER, [KEYS[THIRD]], MODEL)


def test_one_that_is_not_on_the_ledger_is_refused() -> None:
    first, second = capsule(), capsule()
    with pytest.raises(IntegrityError, match=second.digest().hex()):
        Capsule.parse_recorded(first.to_bytes(), second.digest())


def test_accounts_are_the_same_in_any_spelling() -> None:
    holder, key = "0x" + "Ab" * 20, KEYS[HOLDER]
    made = Capsule.seal(DATA_KEY, PUBLIC | {holder: key.public_bytes}, 2, MODEL)
    assert made.open_share(holder.lower(), [key], MODEL) == made.open_share(holder, [key], MODEL)


@pytest.mark.parametrize("threshold", [0, 1, 4])
def test_a_threshold_that_one_or_nobody_reaches_is_refused(threshold: int) -> None:
    with pytest.raises(UsageError):
        Capsule.seal(DATA_KEY, PUBLIC, threshold, MODEL)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"version": True},
        {"kind": "release"},
        {"more": 1},
        {"context": None},
        {"threshold": 1},
        {"threshold": 4},
        {"threshold": "2"},
        {"threshold": 2.0},
        {"holders": {HOLDER: "AAAA"}},
        {"holders": {"hospital-1": {}}},
        {"holders": [1]},
        {"dealing": 7},
        {"dealing": "%%%%"},
    ],
    ids=lambda change: "-".join(f"{key}" for key in change),
)
def test_a_malformed_document_is_refused(change: dict[str, Any]) -> None:
    refused(canonical(json.loads(capsule().to_bytes()) | change))


@pytest.mark.parametrize("field", ["digest", "key", "sealed"])
@pytest.mark.parametrize("value", ["", "AAAA", "%%%%", None, 1, base64.b64encode(bytes(33))])
def test_a_malformed_share_is_refused(field: str, value: object) -> None:
    document = json.loads(capsule().to_bytes())
    document["holders"][HOLDER][field] = value.decode() if isinstance(value, bytes) else value
    refused(canonical(document))


def test_a_document_that_is_not_canonical_is_refused() -> None:
    written = capsule().to_bytes()
    parsed = json.loads(written)
    refused(json.dumps(parsed, sort_keys=True).encode())
    refused(written.replace(b'"version":2', b'"version":2,"version":2'))
    refused(written + b"\n")
    parsed["context"]["contract"] = parsed["context"]["contract"].upper().replace("X", "x")
    refused(canonical(parsed))
    del parsed["kind"]
    refused(canonical(parsed))


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[" * 100_000, b"\xff", b"{}", b" " * (MAX_DOCUMENT + 1)],
    ids=["empty", "null", "deep", "binary", "bare", "large"],
)
def test_garbage_is_refused(document: bytes) -> None:
    refused(document)


def refused(document: bytes) -> None:
    """Although the ledger names it."""
    with pytest.raises(IntegrityError):
        Capsule.parse_recorded(document, hashlib.sha256(document).digest())


def test_fifty_holders_fit_into_a_document() -> None:
    public = {f"0x{number:040x}": KEYS[HOLDER].public_bytes for number in range(50)}
    assert len(Capsule.seal(DATA_KEY, public, 26, MODEL).to_bytes()) < MAX_DOCUMENT / 2
