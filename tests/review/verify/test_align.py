"""What became of each message, told from leaves alone."""

from __future__ import annotations

import random

import pytest

from review.verify.align import ReadPart, deviations
from runtime.seal.leaves_file import SealedMessage
from runtime.seal.sealed_file import ReadMessage


def leaf(number: int) -> bytes:
    return number.to_bytes(32, "big")


def sealed(count: int) -> list[SealedMessage]:
    return [SealedMessage(leaf(n), f"/topic/{n % 3}", n // 3, 1000 + n) for n in range(count)]


def part(number: int, *, leaf_of: int | None = None, damaged: bool = False) -> ReadPart:
    hashed = leaf(number if leaf_of is None else leaf_of)
    return ReadPart(ReadMessage(hashed, f"/topic/{number % 3}", number // 3, 1000 + number, b""), damaged, 8, 99)


HOLE = ReadPart(None, True, 8, 99)


def fates(count: int, read: list[ReadPart]) -> list[tuple[str, int]]:
    return [(one.fate, one.index) for one in deviations(sealed(count), read)]


def test_what_is_as_it_was_deviates_nowhere() -> None:
    assert fates(20, [part(n) for n in range(20)]) == []
    assert fates(0, []) == []


def test_a_changed_a_removed_and_an_inserted_message_are_told_apart() -> None:
    changed = [part(n, leaf_of=999) if n == 4 else part(n) for n in range(10)]
    assert fates(10, changed) == [("changed", 4)]
    assert fates(10, [part(n) for n in range(10) if n != 4]) == [("removed", 4)]
    inserted = [part(n) for n in range(10)]
    inserted.insert(4, part(50))
    assert fates(10, inserted) == [("inserted", 4)]


def test_a_message_whose_time_was_changed_is_changed_and_not_two_others() -> None:
    read = [part(n) for n in range(10)]
    read[4] = ReadPart(ReadMessage(leaf(999), "/topic/1", 1, 5, b""), False, 8, 99)
    assert fates(10, read) == [("changed", 4)]


def test_beside_a_removed_message_the_changed_one_is_named_by_what_it_says_it_is() -> None:
    read = [part(n, leaf_of=999) if n == 6 else part(n) for n in range(10) if n not in (4, 5)]
    assert fates(10, read) == [("removed", 4), ("removed", 5), ("changed", 6)]


@pytest.mark.parametrize(("one", "two"), [(2, 3), (2, 4), (0, 9), (3, 8)])
def test_of_two_that_changed_places_no_third_is_named(one: int, two: int) -> None:
    order = list(range(10))
    order[one], order[two] = order[two], order[one]
    found = fates(10, [part(n) for n in order])
    assert {fate for fate, _ in found} == {"moved"}
    assert {index for _, index in found} <= {one, two}


def test_of_one_that_was_shifted_far_only_that_one_is_named() -> None:
    order = [*range(1, 8), 0, 8, 9]
    assert fates(10, [part(n) for n in order]) == [("moved", 0)]


def test_a_message_that_is_there_twice_is_inserted_once() -> None:
    read = [part(n) for n in range(10)]
    assert fates(10, [*read[:7], part(7), *read[7:]]) == [("inserted", 8)]


def test_in_a_damaged_chunk_nothing_is_said_to_be_removed_or_inserted() -> None:
    read = [*(part(n) for n in range(3)), part(3, damaged=True), part(77, damaged=True), HOLE]
    read += [part(n) for n in range(7, 10)]
    assert fates(10, read) == [("unreadable", 4), ("unreadable", 5), ("unreadable", 6)]
    recognised = [*(part(n) for n in range(3)), part(3, leaf_of=999, damaged=True), HOLE, *(part(4), part(5))]
    assert fates(6, recognised) == [("changed", 3)]


def test_whatever_is_taken_out_of_a_long_segment_is_named_and_nothing_else() -> None:
    draw = random.Random(4)
    for _ in range(50):
        gone = set(draw.sample(range(300), draw.randrange(1, 40)))
        assert fates(300, [part(n) for n in range(300) if n not in gone]) == [("removed", n) for n in sorted(gone)]


def test_of_a_long_segment_whose_times_were_all_changed_every_message_is_named() -> None:
    """Each might be any other of its topic: whoever compares all with all takes an hour over a minute of driving."""
    count = 40_000
    read = [
        ReadPart(ReadMessage(leaf(count + n), f"/topic/{n % 3}", n // 3, 10**9 + n, b""), False, 8, 99)
        for n in range(count)
    ]
    assert fates(count, read) == [("changed", n) for n in range(count)]
