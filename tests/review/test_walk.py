"""Frames hang together: each is made on what the one before it left, as the ledger says."""

from __future__ import annotations

import math

from review.compare import Difference
from review.frame_check import FrameCheck
from review.walk import Passed, Walk

START = (("hidden state h", b"0"),)


def frame(sequence: int, before: bytes, after: bytes, difference: Difference | None = None) -> FrameCheck:
    return FrameCheck(
        sequence,
        "identical" if difference is None else "diverged",
        0.0 if difference is None else difference.distance,
        difference,
        (("hidden state h", before),),
        (("hidden state h", after),),
        START,
    )


def walked(*steps: FrameCheck | Passed) -> Walk:
    walk = Walk(START)
    for step in steps:
        walk.take(step)
    return walk


def test_a_memory_handed_on_is_whole() -> None:
    walk = walked(frame(0, b"0", b"1"), frame(1, b"1", b"2"))
    assert (walk.frames, walk.counts["identical"], walk.first_difference) == (2, 2, None)


def test_a_memory_that_nobody_left_is_a_divergence_of_that_frame() -> None:
    walk = walked(frame(0, b"0", b"1"), frame(1, b"x", b"2"), frame(2, b"2", b"3"))
    assert (walk.counts["identical"], walk.counts["diverged"]) == (2, 1)
    assert walk.first_difference is not None
    assert (walk.first_difference.frame, walk.first_difference.field) == (1, "hidden state h")


def test_a_drive_begins_with_the_initial_memory() -> None:
    assert walked(frame(0, b"1", b"2")).counts["diverged"] == 1


def test_a_dropped_frame_resets_and_must_be_in_the_ledger() -> None:
    reset = frame(2, b"0", b"1")
    assert walked(frame(0, b"0", b"1"), Passed(1), reset).counts["diverged"] == 0
    assert walked(frame(0, b"0", b"1"), frame(1, b"0", b"1")).counts["diverged"] == 1


def test_where_the_record_has_a_hole_nothing_is_claimed_of_the_memory() -> None:
    assert walked(frame(0, b"0", b"1"), frame(5, b"7", b"8"), frame(6, b"8", b"9")).counts["diverged"] == 0
    gone = Passed(1, "the record holds no model input")
    walk = walked(frame(0, b"0", b"1"), gone, frame(2, b"7", b"8"))
    assert (walk.frames, walk.counts["diverged"]) == (3, 0)
    assert walk.not_replayable == {gone.reason: 1}


def test_the_first_difference_and_the_largest_are_kept() -> None:
    walk = walked(
        frame(0, b"0", b"1"),
        frame(1, b"1", b"2", Difference("output steering[0]", 0.25, "1", "2")),
        frame(2, b"2", b"3", Difference("output steering[0]", math.inf, "1", "nan")),
    )
    assert walk.first_difference is not None
    assert (walk.first_difference.frame, walk.first_difference.distance) == (1, 0.25)
    assert walk.max_abs_diff == math.inf
