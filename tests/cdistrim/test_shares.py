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

    Done by linearity: shifting all indices is not possible in the library, but two shares of one
    index that differ by d change the key by a multiple of d, and over a field there is one d.
    """
    index = next(i for i in range(1, MAX_HOLDERS) if i not in {share.index for share in few})
    halves = []
    for at in (0, 16):
        # The key is an affine function of the last share's bits over GF(2): solve for them.
        base = _half(few, threshold, index, 0, at)
        target = int.from_bytes(wanted.reveal()[at : at + 16]) ^ base
        rows = [(_half(few, threshold, index, 1 << bit, at) ^ base, 1 << bit) for bit in range(128)]
        halves.append(_solve(rows, target).to_bytes(16))
    return Share(index, b"".join(halves), bytes(32))


def _half(few: list[Share], threshold: int, index: int, value: int, at: int) -> int:
    content = bytearray(32)
    content[at : at + 16] = value.to_bytes(16)
    made = recover([*few, Share(index, bytes(content), bytes(32))], threshold)
    return int.from_bytes(made.reveal()[at : at + 16])


def _solve(rows: list[tuple[int, int]], target: int) -> int:
    """Which of the rows add up (in GF(2)) to the target."""
    pivots: dict[int, tuple[int, int]] = {}
    for row, made_of in rows:
        while row and row.bit_length() in pivots:
            other, parts = pivots[row.bit_length()]
            row, made_of = row ^ other, made_of ^ parts
        if row:
            pivots[row.bit_length()] = (row, made_of)
    chosen = 0
    while target:
        other, parts = pivots[target.bit_length()]
        target, chosen = target ^ other, chosen ^ parts
    return chosen


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
