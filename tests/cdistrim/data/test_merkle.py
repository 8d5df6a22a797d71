"""Rules of Merkle trees and inclusion proofs, RFC 6962 and RFC 9162."""

from __future__ import annotations

from hashlib import sha256

import pytest

from cdistrim.data.merkle import audit_path, is_included, longest_path, merkle_root

SIZES = range(1, 71)
PUBLISHED = [
    bytes.fromhex(leaf)
    for leaf in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""Leaves of the test vectors of Certificate Transparency."""
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def leaves(size: int) -> list[bytes]:
    return [sha256(bytes([number])).digest() for number in range(size)]


def by_levels(content: list[bytes], index: int) -> tuple[bytes, list[bytes]]:
    """Root and path once more, from the bottom up: an odd one out moves up as it is."""
    level, path, at = [leaf(each) for each in content], [], index
    while len(level) > 1:
        if at ^ 1 < len(level):
            path.append(level[at ^ 1])
        pairs = [node(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) // 2 * 2 :]
        at //= 2
    return level[0], path


def test_the_tree_is_that_of_rfc_6962() -> None:
    a, b, c = (leaf(letter) for letter in (b"a", b"b", b"c"))
    assert merkle_root([]) == sha256(b"").digest()
    assert merkle_root([b"a"]) == a
    assert merkle_root([b"a", b"b", b"c"]) == node(node(a, b), c)
    assert merkle_root([b"a", b"b", b"c", b"a", b"b"]) == node(node(node(a, b), node(c, a)), b)


@pytest.mark.parametrize("size", ROOTS)
def test_the_published_vectors_have_their_roots(size: int) -> None:
    assert merkle_root(PUBLISHED[:size]).hex() == ROOTS[size]


def test_the_example_of_rfc_6962_has_its_paths() -> None:
    """Section 2.1.3: a tree of seven leaves, d0 to d6."""
    seven = [bytes([number]) for number in range(7)]
    a, b, c, d, e, f, j = map(leaf, seven)
    g, h, i = node(a, b), node(c, d), node(e, f)
    k, last = node(g, h), node(i, j)
    assert audit_path(seven, 0) == (b, h, last)
    assert audit_path(seven, 3) == (c, g, last)
    assert audit_path(seven, 4) == (f, j, k)
    assert audit_path(seven, 6) == (i, k)


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_every_tree_is_proven_by_its_path(size: int) -> None:
    content = leaves(size)
    root = merkle_root(content)
    for index in range(size):
        path = audit_path(content, index)
        assert (root, list(path)) == by_levels(content, index)
        assert len(path) <= longest_path(size)
        assert is_included(content[index], index, size, path, root)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 64, 65])
def test_a_path_proves_its_leaf_at_its_place_only(size: int) -> None:
    content = leaves(size)
    root = merkle_root(content)
    for index in range(size):
        path = audit_path(content, index)
        for other in range(-1, size + 1):
            wanted = other == index
            assert is_included(content[index], other, size, path, root) is wanted
            if 0 <= other < size:
                assert is_included(content[other], index, size, path, root) is wanted


@pytest.mark.parametrize("size", [1, 2, 5, 8, 21])
def test_any_single_change_of_a_proof_is_refused(size: int) -> None:
    content = leaves(size)
    root = merkle_root(content)
    for index in range(size):
        path = audit_path(content, index)
        for at in range(len(path)):
            for bit in range(256):
                changed = bytearray(path[at])
                changed[bit // 8] ^= 1 << bit % 8
                bad = (*path[:at], bytes(changed), *path[at + 1 :])
                assert not is_included(content[index], index, size, bad, root)
            assert not is_included(content[index], index, size, path[:at] + path[at + 1 :], root)
            assert not is_included(content[index], index, size, (*path, path[at]), root)
            cut = (*path[:at], path[at][:31], *path[at + 1 :])
            assert not is_included(content[index], index, size, cut, root)
        assert not is_included(content[index], index, size, (*path, root), root)
        assert not is_included(content[index], index, size, (root, *path), root)
        assert not is_included(content[index], index, size, tuple(reversed(path)), root) or (
            len(set(path)) < 2
        )
        assert not is_included(content[index] + b"\0", index, size, path, root)
        assert not is_included(content[index], index, size, path, bytes(32))


def test_the_root_itself_is_no_leaf() -> None:
    content = leaves(2)
    root = merkle_root(content)
    inner = b"".join(leaf(each) for each in content)
    assert not is_included(inner, 0, 1, (), root), "leaves and nodes are hashed apart"


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_path_to_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError, match=f"leaf {index} of 3"):
        audit_path(leaves(3), index)
