"""Which segments are deleted, whatever lies there."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runtime.retention.choice import StoredSegment, choose

DRIVES = ("a", "b", "c")
OWN = "b"
BEGAN_NS = st.fixed_dictionaries({name: st.integers(0, 3) for name in DRIVES})
SEGMENTS = st.dictionaries(
    st.tuples(st.sampled_from(DRIVES), st.integers(0, 6)),
    st.tuples(st.integers(0, 50), st.booleans(), st.booleans()),
    max_size=18,
)


def stored(began_ns: dict[str, int], segments: dict[tuple[str, int], tuple[int, bool, bool]]) -> list[StoredSegment]:
    """A listing of drives, each with the moment when it began."""
    return [
        StoredSegment(Path(drive), began_ns[drive], index, size, pinned, in_use, is_own=drive == OWN)
        for (drive, index), (size, pinned, in_use) in segments.items()
    ]


def age(one: StoredSegment) -> tuple[bool, int, str, int]:
    """What is written is the newest."""
    return (one.drive.name == OWN, one.drive_began_ns, one.drive.name, one.index)


@given(BEGAN_NS, SEGMENTS, st.integers(-50, 300), st.integers(0, 300))
def test_what_is_pinned_or_in_use_is_never_chosen_and_the_oldest_goes_first(
    began_ns: dict[str, int], segments: dict[tuple[str, int], tuple[int, bool, bool]], room: int, wanted: int
) -> None:
    there = stored(began_ns, segments)
    chosen = choose(there, room, wanted)
    assert not any(one.pinned or one.in_use for one in chosen)
    ages = [age(one) for one in chosen]
    assert ages == sorted(set(ages))
    spared = [one for one in there if one.may_go and one not in chosen]
    assert all(age(one) > max(ages) for one in spared if ages)


@given(BEGAN_NS, SEGMENTS, st.integers(-50, 300), st.integers(0, 300))
def test_no_more_is_chosen_than_makes_room_and_no_less_than_can_go(
    began_ns: dict[str, int], segments: dict[tuple[str, int], tuple[int, bool, bool]], room: int, wanted: int
) -> None:
    there = stored(began_ns, segments)
    chosen = choose(there, room, wanted)
    if chosen:
        assert room + sum(one.size_bytes for one in chosen[:-1]) < wanted, "without the last there was too little"
    if room + sum(one.size_bytes for one in chosen) < wanted:
        assert set(chosen) == {one for one in there if one.may_go}


def test_where_there_is_room_nothing_is_chosen() -> None:
    assert choose([StoredSegment(Path("a"), 0, 0, 10)], 5, 5) == ()
    assert [one.index for one in choose([StoredSegment(Path("a"), 0, 0, 10)], 4, 5)] == [0]
