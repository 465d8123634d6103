"""Many leaves proven at once, against the tree's definition, written here once more and otherwise."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.seal.proof import LARGEST_COUNT, ProofError, multi_proof, proven_root


def leaf(number: int) -> bytes:
    return hashlib.sha256(b"\x00" + str(number).encode()).digest()


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(hashes[:k]) + by_definition(hashes[k:])).digest()


def fewest(first: int, end: int, shown: set[int]) -> int:
    """How many subtrees it takes to cover what is not shown."""
    inside = {index for index in shown if first <= index < end}
    if not inside:
        return 1
    if end - first == 1:
        return 0
    k = 1
    while k * 2 < end - first:
        k *= 2
    return fewest(first, first + k, shown) + fewest(first + k, end, shown)


@given(count=st.integers(0, 90), data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_shown_leads_to_the_root_of_all_with_the_fewest_hashes(count: int, data: st.DataObject) -> None:
    leaves = [leaf(number) for number in range(count)]
    shown = sorted(data.draw(st.sets(st.integers(0, count - 1)))) if count else []
    proof = multi_proof(leaves, shown)
    assert proven_root(count, shown, [leaves[index] for index in shown], proof) == by_definition(leaves)
    assert len(proof) == (fewest(0, count, set(shown)) if count else 0)


@given(count=st.integers(2, 60), data=st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_else_leads_to_that_root(count: int, data: st.DataObject) -> None:
    leaves = [leaf(number) for number in range(count)]
    shown = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=count - 1)))
    kept, proof, root = [leaves[index] for index in shown], multi_proof(leaves, shown), by_definition(leaves)
    position = data.draw(st.integers(0, len(kept) - 1))
    another = [*kept[:position], leaf(1000), *kept[position + 1 :]]
    assert proven_root(count, shown, another, proof) != root
    elsewhere = data.draw(st.integers(0, count - 1).filter(lambda index: index not in shown))
    places = sorted([*shown[:position], elsewhere, *shown[position + 1 :]])
    assert led_to(count, places, kept, proof) != root
    assert led_to(count, shown[1:], kept[1:], proof) != root
    assert led_to(count, shown, kept, (*proof, root)) != root
    assert led_to(count, shown, kept, proof[:-1]) != root
    assert led_to(count, shown, kept, (proof[0][::-1], *proof[1:])) != root


def led_to(count: int, shown: list[int], kept: list[bytes], proof: tuple[bytes, ...]) -> bytes | None:
    """The root, None where it cannot be a proof."""
    try:
        return proven_root(count, shown, kept, proof)
    except ProofError:
        return None


@pytest.mark.parametrize(
    ("count", "shown", "kept", "hashes", "words"),
    [
        (4, [1, 1], 2, 1, "each comes once"),
        (4, [2, 1], 2, 1, "each comes once"),
        (4, [-1], 1, 2, "each comes once"),
        (4, [4], 1, 2, "not among 4"),
        (4, [1], 2, 2, "1 places and has 2 leaves"),
        (4, [1], 1, 1, "fewer hashes"),
        (4, [1], 1, 3, "more than its tree needs"),
        (0, [], 0, 1, "an empty tree has none"),
        (-1, [], 0, 0, "speaks of -1"),
        (LARGEST_COUNT + 1, [1], 1, 1, "speaks of"),
        (10**4000, [10**3999], 1, 1, "speaks of"),
    ],
)
def test_what_cannot_be_a_proof_is_refused_with_the_reason(
    count: int, shown: list[int], kept: int, hashes: int, words: str
) -> None:
    with pytest.raises(ProofError, match=words):
        proven_root(count, shown, [leaf(n) for n in range(kept)], [leaf(n) for n in range(hashes)])


def test_a_hash_of_another_length_could_hide_its_neighbour() -> None:
    leaves = [leaf(number) for number in range(4)]
    proof = multi_proof(leaves, [1])
    with pytest.raises(ProofError, match="32 bytes"):
        proven_root(4, [1], [leaves[1]], [proof[0] + b"\x00", *proof[1:]])
    with pytest.raises(ProofError, match="32 bytes"):
        proven_root(4, [1], [leaves[1][:-1]], proof)


def test_a_huge_tree_is_gone_through_along_the_shown_leaves_only() -> None:
    with pytest.raises(ProofError, match="fewer"):
        proven_root(LARGEST_COUNT, [0, 7, LARGEST_COUNT - 1], [leaf(0)] * 3, [leaf(1)] * 20)


def test_a_place_that_does_not_exist_cannot_be_proven() -> None:
    with pytest.raises(ProofError, match="not among 3"):
        multi_proof([leaf(0), leaf(1), leaf(2)], [3])
