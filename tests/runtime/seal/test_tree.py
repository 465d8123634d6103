"""Merkle trees, against the vectors of Certificate Transparency and against their definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.seal.tree import EMPTY_ROOT, TreeHasher, inclusion_proof, is_included, node_hash, tree_root

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
# The reference roots of certificate-transparency's merkle_tree_test, for the first n of those inputs.
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaves(count: int) -> list[bytes]:
    """The leaf hashes of the first inputs, or of as many numbers."""
    inputs = [bytes.fromhex(one) for one in INPUTS] if count <= len(INPUTS) else [str(n).encode() for n in range(count)]
    return [hashlib.sha256(b"\x00" + one).digest() for one in inputs[:count]]


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(hashes[:split]) + by_definition(hashes[split:])).digest()


@pytest.mark.parametrize("count", ROOTS)
def test_the_roots_are_those_of_certificate_transparency(count: int) -> None:
    assert tree_root(leaves(count)).hex() == ROOTS[count]


@given(count=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_a_root_that_is_streamed_is_the_one_of_the_definition(count: int) -> None:
    hasher = TreeHasher()
    for leaf in leaves(count):
        hasher.add(leaf)
    assert (hasher.count, hasher.root()) == (count, by_definition(leaves(count)))
    assert len(hasher._peaks) == count.bit_count()


@given(count=st.integers(1, 120), data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_leaf_is_proven_in_its_place_and_nowhere_else(count: int, data: st.DataObject) -> None:
    all_leaves, index = leaves(count), data.draw(st.integers(0, count - 1))
    root, proof = tree_root(all_leaves), inclusion_proof(all_leaves, index)
    assert is_included(all_leaves[index], index, count, proof, root)
    assert not is_included(hashlib.sha256(b"other").digest(), index, count, proof, root)
    assert not is_included(all_leaves[index], index, count, proof, hashlib.sha256(b"other").digest())
    assert not is_included(all_leaves[index], index, count, (*proof, root), root)
    if proof:
        assert not is_included(all_leaves[index], index, count, proof[:-1], root)
        assert not any(is_included(all_leaves[index], other, count, proof, root) for other in {0, count - 1} - {index})
    assert not is_included(all_leaves[index], count, count, proof, root)


def test_a_node_is_never_taken_for_a_leaf() -> None:
    one, two = leaves(2)
    assert node_hash(one, two) != hashlib.sha256(b"\x00" + one + two).digest()
    assert tree_root([]) == EMPTY_ROOT
    with pytest.raises(IndexError, match="no leaf 2 among 2"):
        inclusion_proof([one, two], 2)
