"""Which step of saving room is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.retention.steps import NOTHING, Refusals, RoomSeen, in_words, next_step

FULL = 800


def seen(room: int, *, exhausted: bool = True) -> RoomSeen:
    """What is known where 800 bytes should be free."""
    return RoomSeen(room, FULL, exhausted)


@pytest.mark.parametrize(
    ("room", "step"), [(800, 0), (799, 1), (600, 1), (599, 2), (400, 2), (399, 3), (200, 3), (199, 4), (0, 4), (-9, 4)]
)
def test_each_quarter_that_is_missing_is_a_step(room: int, step: int) -> None:
    assert next_step(0, seen(room)) == step


@pytest.mark.parametrize(
    ("step", "room", "back_to"),
    [
        (4, 224, 4),
        (4, 225, 3),
        (3, 449, 3),
        (3, 450, 2),
        (2, 674, 2),
        (2, 675, 1),
        (1, 899, 1),
        (1, 900, 0),
        (4, 900, 0),
    ],
)
def test_the_way_back_needs_an_eighth_more(step: int, room: int, back_to: int) -> None:
    assert next_step(step, seen(room)) == back_to


@given(st.integers(0, 4), st.integers(0, 1000))
def test_a_step_that_was_taken_holds_where_nothing_changes(step: int, room: int) -> None:
    once = next_step(step, seen(room))
    assert next_step(once, seen(room)) == once


@given(st.integers(0, 4), st.integers(0, 1000), st.integers(0, 1000))
def test_less_room_never_means_more_is_recorded(step: int, room: int, less: int) -> None:
    assert next_step(step, seen(room - less)) >= next_step(step, seen(room))


@given(st.integers(0, 4), st.integers(0, 1000))
def test_as_long_as_something_may_be_deleted_nothing_is_given_up(step: int, room: int) -> None:
    assert next_step(step, seen(room, exhausted=False)) == 0


def test_a_disk_that_refuses_again_and_again_is_asked_less_and_less_often() -> None:
    refusals, now_s = Refusals(), 100.0
    assert refusals.may_try(now_s)
    waits = []
    for _ in range(9):
        refusals = refusals.another(now_s)
        waits.append(refusals.wait_s)
        assert not refusals.may_try(now_s + refusals.wait_s - 0.01)
        now_s += refusals.wait_s
        assert refusals.may_try(now_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert refusals.another(now_s + 1000).wait_s == 1, "after a long time without one it is the first again"


def test_every_step_has_its_words() -> None:
    assert len({in_words(step, 5) for step in range(NOTHING + 1)}) == NOTHING + 1
