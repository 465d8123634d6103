"""Counting connections that came to nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.access.attempts import Attempts

SETTLED_NS = 1000


def test_a_connection_that_ends_without_a_success_was_refused() -> None:
    attempts = Attempts(SETTLED_NS)
    attempts.accepted(5, 0)
    assert attempts.refused(1) == 0
    attempts.ended(5)
    assert attempts.refused(1) == 1


def test_one_that_got_in_and_left_was_not() -> None:
    attempts = Attempts(SETTLED_NS)
    attempts.accepted(5, 0)
    attempts.succeeded()
    attempts.ended(5)
    assert attempts.refused(10 * SETTLED_NS) == 0


def test_a_refused_one_beside_one_that_got_in_is_counted_at_the_latest_when_handshakes_are_over() -> None:
    attempts = Attempts(SETTLED_NS)
    attempts.accepted(5, 0)
    attempts.accepted(6, 0)
    attempts.succeeded()
    attempts.ended(5)
    assert attempts.refused(0) == 0, "either of them may be the one that got in"
    assert attempts.refused(SETTLED_NS + 1) == 1


def test_a_refused_one_is_counted_at_once_where_nobody_got_in_meanwhile() -> None:
    attempts = Attempts(SETTLED_NS)
    attempts.accepted(5, 0)
    attempts.succeeded()
    attempts.accepted(6, 1)
    attempts.ended(6)
    assert attempts.refused(1) == 1, "5 is as fresh, but nothing succeeded while 6 was there"


def test_a_descriptor_that_comes_again_ended_before() -> None:
    attempts = Attempts(SETTLED_NS)
    attempts.accepted(5, 0)
    attempts.accepted(5, 1)
    assert attempts.refused(1) == 1


@given(st.lists(st.tuples(st.sampled_from(("begin", "succeed", "end")), st.integers(0, 5)), max_size=60))
def test_the_count_is_never_too_high_and_right_once_everything_is_settled(steps: list[tuple[str, int]]) -> None:
    attempts = Attempts(SETTLED_NS)
    under_way: set[int] = set()
    inside: set[int] = set()
    refused = 0
    for now_ns, (what, descriptor) in enumerate(steps):
        if what == "begin" and descriptor not in under_way | inside:
            under_way.add(descriptor)
            attempts.accepted(descriptor, now_ns)
        elif what == "succeed" and descriptor in under_way:
            under_way.remove(descriptor)
            inside.add(descriptor)
            attempts.succeeded()
        elif what == "end" and descriptor in under_way | inside:
            refused += descriptor in under_way
            under_way.discard(descriptor)
            inside.discard(descriptor)
            attempts.ended(descriptor)
        assert attempts.refused(now_ns) <= refused
    for descriptor in sorted(under_way):
        refused += 1
        attempts.ended(descriptor)
    assert attempts.refused(len(steps) + SETTLED_NS + 1) == refused
