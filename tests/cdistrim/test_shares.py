"""Rules of Shamir shares: any t give the key, fewer tell nothing, and bad ones show."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdistrim.envelope import Context, DataKey, new_data_key
from cdistrim.errors import BadDealingError, SealError, UsageError
from cdistrim.shares import MAX_HOLDERS, Share, check_dealing, deal, recover

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
MODEL = Context(31337, "0x" + "cd" * 20, 1, 2, 1, ALICE)
KEYS = st.binary(min_size=32, max_size=32).map(DataKey)


@st.composite
def dealings(draw: st.DrawFn) -> tuple[DataKey, int, tuple[Share, ...]]:
    """A key, a threshold, and the shares of up to nine holders."""
    key = draw(KEYS)
    holders = draw(st.integers(2, 9))
    threshold = draw(st.integers(2, holders))
    return key, threshold, deal(key, holders, threshold)


@given(dealings(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_any_t_shares_give_the_key_in_any_order(
    dealing: tuple[DataKey, int, tuple[Share, ...]], random: object
) -> None:
    key, threshold, shares = dealing
    chosen = list(shares)
    random.shuffle(chosen)  # type: ignore[attr-defined]
    assert recover(chosen, threshold) == key
    check_dealing(key, shares, threshold)


@given(dealings())
@settings(max_examples=60, deadline=None)
def test_fewer_than_t_shares_are_refused_and_fit_any_other_key(
    dealing: tuple[DataKey, int, tuple[Share, ...]],
) -> None:
    _, threshold, shares = dealing
    few = list(shares[: threshold - 1])
    with pytest.raises(SealError, match="not enough"):
        recover(few, threshold)
    with pytest.raises(SealError, match="not enough"):
        recover([*few, *few], threshold)  # The same shares twice are no more shares.
    # Whatever key one would like it to be: there is a last share that makes it so. With t-1 points
    # of a polynomial of degree below t, all values at 0 are equally possible.
    wanted = new_data_key()
    completing = _share_that_makes(wanted, few, threshold)
    assert recover([*few, completing], threshold) == wanted


def _share_that_makes(wanted: DataKey, few: list[Share], threshold: int) -> Share:
    """Interpolation, with the key as the point at a free index instead of at 0.

    A half of the key is what a last share of 0 makes it, plus the last share's half times a factor
    of the indices alone: what a last share of 1 adds. Over a field one half makes it any value.
    """
    index = next(i for i in range(1, MAX_HOLDERS) if i not in {share.index for share in few})

    def halves(value: int) -> list[int]:
        last = Share(index, value.to_bytes(16) * 2, bytes(32))
        return _halves(recover([*few, last], threshold))

    base, ones = halves(0), halves(1)
    value = b"".join(
        _times(_inverse(one ^ zero), want ^ zero).to_bytes(16)
        for want, zero, one in zip(_halves(wanted), base, ones, strict=True)
    )
    return Share(index, value, bytes(32))


def _halves(key: DataKey) -> list[int]:
    return [int.from_bytes(key.reveal()[at : at + 16]) for at in (0, 16)]


def _times(one: int, other: int) -> int:
    """In GF(2^128) with the polynomial x^128 + x^7 + x^2 + x + 1."""
    product = 0
    for bit in reversed(range(128)):
        product = product << 1 ^ (product >> 127) * (1 << 128 | 0x87)
        product ^= one * (other >> bit & 1)
    return product


def _inverse(value: int) -> int:
    """The power 2^128 - 2, as of every group of 2^128 - 1 elements."""
    inverse = 1
    for _ in range(127):
        value = _times(value, value)
        inverse = _times(inverse, value)
    return inverse


@given(dealings(), st.integers(0, 8), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_one_bit_of_one_share_makes_it_a_bad_dealing(
    dealing: tuple[DataKey, int, tuple[Share, ...]], which: int, bit: int
) -> None:
    key, threshold, dealt = dealing
    shares = list(dealt)
    which %= len(shares)
    value = int.from_bytes(shares[which].value) ^ (1 << bit)
    shares[which] = Share(shares[which].index, value.to_bytes(32), shares[which].salt)
    with pytest.raises(BadDealingError):
        check_dealing(key, shares, threshold)


def test_shares_of_a_lower_or_higher_threshold_are_a_bad_dealing() -> None:
    key = new_data_key()
    with pytest.raises(BadDealingError, match="Fewer than 3"):
        check_dealing(key, deal(key, 5, 2), 3)  # On a line: any three give the key as well.
    same = [Share(index, key.reveal(), bytes(32)) for index in (1, 2, 3)]
    with pytest.raises(BadDealingError, match="Fewer than 2"):
        check_dealing(key, same, 2)
    with pytest.raises(BadDealingError):
        check_dealing(key, deal(key, 5, 4), 3)
    with pytest.raises(BadDealingError):
        check_dealing(new_data_key(), deal(key, 5, 3), 3)
    for threshold in (0, 1, 6):
        with pytest.raises(BadDealingError):
            check_dealing(key, deal(key, 5, 3), threshold)


@pytest.mark.parametrize(("holders", "threshold"), [(3, 1), (3, 0), (3, 4), (1, 1), (129, 65)])
def test_an_impossible_threshold_is_refused(holders: int, threshold: int) -> None:
    with pytest.raises(UsageError, match="not possible"):
        deal(new_data_key(), holders, threshold)


def test_fifty_holders_can_share_a_key() -> None:
    key = new_data_key()
    shares = deal(key, 50, 26)
    assert recover(shares[24:], 26) == key
    assert recover(shares[:26], 26) == key


def test_the_halves_of_a_key_are_shared_independently() -> None:
    key = DataKey(bytes(16) + bytes(range(16)))
    shares = deal(key, 3, 2)
    assert all(share.value[:16] != share.value[16:] for share in shares)
    swapped = [Share(s.index, s.value[16:] + s.value[:16], s.salt) for s in shares]
    assert recover(swapped, 2) == DataKey(bytes(range(16)) + bytes(16))


def test_a_digest_tells_model_holder_index_salt_and_value_apart() -> None:
    share = deal(new_data_key(), 2, 2)[0]
    other = Context(31337, "0x" + "cd" * 20, 1, 3, 1, ALICE)
    flipped = bytes([share.value[0] ^ 1]) + share.value[1:]
    digests = {
        share.digest(MODEL, ALICE),
        share.digest(MODEL, BOB),
        share.digest(other, ALICE),
        Share(2, share.value, share.salt).digest(MODEL, ALICE),
        Share(1, flipped, share.salt).digest(MODEL, ALICE),
        Share(1, share.value, bytes(32)).digest(MODEL, ALICE),
        Share(1, share.salt, share.value).digest(MODEL, ALICE),
    }
    assert len(digests) == 7
    assert share.digest(MODEL, ALICE.upper().replace("X", "x")) == share.digest(MODEL, ALICE)


def test_a_share_shows_nothing_and_is_neither_pickled_nor_copied() -> None:
    share = deal(new_data_key(), 2, 2)[0]
    for secret in (share.value, share.salt):
        assert secret.hex() not in repr(share)
        assert repr(secret)[2:10] not in repr(share)
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(share)


def test_dealing_the_same_key_twice_gives_unrelated_shares() -> None:
    key = new_data_key()
    first, second = deal(key, 3, 2), deal(key, 3, 2)
    for one, other in itertools.product(first, second):
        assert one.value != other.value
        assert one.salt != other.salt
    assert recover([first[0], second[1]], 2) != key
