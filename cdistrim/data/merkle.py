"""Merkle trees of RFC 6962, section 2.1, and proofs that something is in one. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["audit_path", "is_included", "longest_path", "merkle_root"]

_HASH_BYTES = 32


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root of a tree: leaves and nodes are hashed apart, 32 bytes (RFC 6962, section 2.1)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return _leaf(leaves[0])
    half = _split(len(leaves))
    return _node(merkle_root(leaves[:half]), merkle_root(leaves[half:]))


def audit_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """What it takes to show that a leaf is in the tree (RFC 6962, section 2.1.1).

    Args:
        leaves: All of them, in order.
        index: The leaf's place, from 0.

    Returns:
        Roots of the subtrees beside the way from the leaf to the root, the leaf's neighbour first;
        none where the tree has one leaf only.

    Raises:
        IndexError: There is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    if len(leaves) == 1:
        return ()
    half = _split(len(leaves))
    left, right = leaves[:half], leaves[half:]
    if index < half:
        return (*audit_path(left, index), merkle_root(right))
    return (*audit_path(right, index - half), merkle_root(left))


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a path shows that a tree with this root has this leaf (RFC 9162, section 2.1.3.2).

    Args:
        leaf: What the leaf holds, not its hash.
        index: Its place, from 0.
        size: How many leaves the tree has. The root does not tell: it has to come from elsewhere.
        path: As of :func:`audit_path`; nobody has vouched for it.
        root: Of the tree.
    """
    if not 0 <= index < size or any(len(each) != _HASH_BYTES for each in path):
        return False
    at, last = index, size - 1
    found = _leaf(leaf)
    for each in path:
        if last == 0:
            return False  # It is at the root already.
        if at & 1 or at == last:
            found = _node(each, found)
            # Where the tree has no right half on a level, nothing is beside the way there.
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = _node(found, each)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def longest_path(size: int) -> int:
    """How many nodes a path has at most in a tree of ``size`` leaves."""
    return max(size - 1, 0).bit_length()


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
