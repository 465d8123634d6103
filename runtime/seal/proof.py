"""A proof for many leaves of one RFC 6962 tree at once: the fewest subtree hashes that, with the shown leaves, give the
root.

The tree's shape follows from its number of leaves, and so does every shown leaf's place. That number is signed beside
the root, as it must be: the hash of a subtree does not tell how many leaves are in it. A proof has one spelling: the
roots of the largest subtrees without a shown leaf, from left to right.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from runtime.seal.tree import node_hash, split_at, tree_root

LARGEST_COUNT = 1 << 40  # leaves; far beyond a segment, and a bound on the proof's depth


class ProofError(ValueError):
    """A proof that cannot be one, whatever the root is."""


def multi_proof(leaves: Sequence[bytes], shown: Sequence[int]) -> tuple[bytes, ...]:
    """The subtree hashes that prove the leaves with the indices `shown` (ascending, each once).

    Raises ProofError where an index is none of the tree's, or out of its order.
    """
    _hold_order(shown, len(leaves))
    return tuple(tree_root(leaves[first:end]) for first, end in _hidden(0, len(leaves), shown, 0, len(shown)))


def proven_root(count: int, shown: Sequence[int], leaves: Sequence[bytes], hashes: Sequence[bytes]) -> bytes:
    """The root that shown leaves and subtree hashes lead to. They are proven where it is the signed one.

    Args:
        count: how many leaves the tree has, by its seal.
        shown: the indices of the shown leaves, ascending, each once.
        leaves: their hashes, 32 bytes each.
        hashes: the proof.

    Raises:
        ProofError: an index is out of range or order, or there are more or fewer hashes than such a tree needs.
    """
    _hold_order(shown, count)
    if len(leaves) != len(shown):
        raise ProofError(f"it names {len(shown)} places and has {len(leaves)} leaves")
    if any(len(one) != 32 for one in (*leaves, *hashes)):
        raise ProofError("it has a hash that is not 32 bytes long")
    if count == 0:
        if hashes:
            raise ProofError(f"it has {len(hashes)} hashes, and an empty tree has none")
        return tree_root(())
    climb = _Climb(shown, leaves, hashes)
    root = climb.root(0, count, 0, len(shown))
    if next(climb.rest, None) is not None:
        raise ProofError(f"it has {len(hashes)} hashes, more than its tree needs")
    return root


class _Climb:
    """From leaves and hashes to the root; takes the hashes in their order."""

    def __init__(self, shown: Sequence[int], leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        self._shown, self._leaves = shown, leaves
        self.rest = iter(hashes)

    def root(self, first: int, end: int, low: int, high: int) -> bytes:
        """The root over the leaves [first, end), of which `shown[low:high]` are shown."""
        if low == high:
            found = next(self.rest, None)
            if found is None:
                raise ProofError("it has fewer hashes than its tree needs")
            return found
        if high - low == end - first:
            return tree_root(self._leaves[low:high])
        split = first + split_at(end - first)
        middle = bisect_left(self._shown, split, low, high)
        left = self.root(first, split, low, middle)
        return node_hash(left, self.root(split, end, middle, high))


def _hold_order(shown: Sequence[int], count: int) -> None:
    if not 0 <= count <= LARGEST_COUNT:
        raise ProofError(f"it speaks of {count} leaves")
    before = -1
    for index in shown:
        if index <= before:
            raise ProofError(f"its place {index} comes after {before}: each comes once, in order")
        before = index
    if before >= count:
        raise ProofError(f"its place {before} is not among {count}")


def _hidden(first: int, end: int, shown: Sequence[int], low: int, high: int) -> Iterator[tuple[int, int]]:
    """The largest subtrees of [first, end) without a shown leaf; those shown in it are `shown[low:high]`."""
    if low == high:
        if end > first:
            yield first, end
    elif high - low < end - first:  # where all are shown there is nothing to hide
        split = first + split_at(end - first)
        middle = bisect_left(shown, split, low, high)
        yield from _hidden(first, split, shown, low, middle)
        yield from _hidden(split, end, shown, middle, high)
