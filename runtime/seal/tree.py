"""Merkle trees as RFC 6962, section 2.1, has them, over leaf hashes: root, inclusion proof, and checking one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

NODE_PREFIX = b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two others."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


class TreeHasher:
    """Takes leaf hashes one by one; holds one hash for each set bit of their count."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[bytes] = []  # roots of whole subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        """The next leaf's hash."""
        self._peaks.append(leaf)
        self.count += 1
        position = self.count
        while position & 1 == 0:
            right = self._peaks.pop()
            self._peaks[-1] = node_hash(self._peaks[-1], right)
            position >>= 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The root over all leaf hashes."""
    hasher = TreeHasher()
    for leaf in leaves:
        hasher.add(leaf)
    return hasher.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of leaf `index`, from the leaf upwards. Raises IndexError where there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    path: list[bytes] = []
    first, end = 0, len(leaves)
    while end - first > 1:
        split = first + split_at(end - first)
        if index < split:
            path.append(tree_root(leaves[split:end]))
            end = split
        else:
            path.append(tree_root(leaves[first:split]))
            first = split
    return tuple(reversed(path))


def is_included(leaf: bytes, index: int, count: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the audit path leads from leaf `index` of `count` to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < count:
        return False
    node, last, found = index, count - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(step, found)
            while node & 1 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, step)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def split_at(count: int) -> int:
    """How many leaves the left subtree of `count` (at least 2) has: the largest power of two that is smaller."""
    return 1 << ((count - 1).bit_length() - 1)
