"""Windows around triggers, for any triggers in any order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.incident import Trigger, TriggerKind
from runtime.incident import windows
from runtime.incident.windows import KEPT_OF_A_KIND, Incidents, Margin, Span

KINDS: tuple[TriggerKind, ...] = ("hard-brake", "envelope", "takeover")
TIMES = st.integers(-1000, 1000)
MARGINS = st.builds(Margin, before_ns=st.integers(0, 120), after_ns=st.integers(0, 120))
TRIGGERS = st.lists(
    st.builds(Trigger, kind=st.sampled_from(KINDS), t_source_ns=TIMES, sequence=st.just(0), reason=st.just("because")),
    max_size=30,
    unique=True,
)
SPANS = st.lists(st.tuples(TIMES, TIMES), max_size=12).map(
    lambda pairs: {index: Span(min(pair), max(pair)) for index, pair in enumerate(pairs)}
)


def of(triggers: list[Trigger], margin: Margin) -> Incidents:
    incidents: Incidents = ()
    for trigger in triggers:
        incidents = windows.with_trigger(incidents, trigger, margin)
    return incidents


@given(TRIGGERS, MARGINS)
def test_no_two_incidents_overlap_and_they_stand_in_the_order_of_their_time(
    triggers: list[Trigger], margin: Margin
) -> None:
    for before, after in pairwise(of(triggers, margin)):
        assert before.t_to_ns < after.t_from_ns


@given(TRIGGERS, MARGINS, st.integers(0, 30))
def test_what_the_record_tells_of_each_change_leads_from_any_earlier_state_to_the_newest(
    triggers: list[Trigger], margin: Margin, known: int
) -> None:
    taken_up = of(triggers[:known], margin)
    before: Incidents = ()
    for trigger in triggers:
        after = windows.with_trigger(before, trigger, margin)
        for told in after:
            if told not in before:
                taken_up = windows.with_told(taken_up, told)
        before = after
    assert taken_up == before


@given(TRIGGERS, MARGINS)
def test_every_trigger_is_in_one_incident_and_the_whole_of_its_window_too(
    triggers: list[Trigger], margin: Margin
) -> None:
    incidents = of(triggers, margin)
    for trigger in triggers:
        (one,) = [one for one in incidents if trigger in one.triggers]
        assert one.t_from_ns <= trigger.t_source_ns - margin.before_ns
        assert one.t_to_ns >= trigger.t_source_ns + margin.after_ns


@given(TRIGGERS, MARGINS)
def test_a_window_ends_where_its_first_and_last_trigger_say_whatever_the_order_they_came_in(
    triggers: list[Trigger], margin: Margin
) -> None:
    incidents = of(triggers, margin)
    for one in incidents:
        times = [trigger.t_source_ns for trigger in one.triggers]
        assert (one.t_from_ns, one.t_to_ns) == (min(times) - margin.before_ns, max(times) + margin.after_ns)
    again = of(sorted(triggers, key=lambda trigger: trigger.t_source_ns), margin)
    assert [(one.t_from_ns, one.t_to_ns) for one in again] == [(one.t_from_ns, one.t_to_ns) for one in incidents]


@given(TRIGGERS, MARGINS)
def test_of_triggers_in_their_order_an_incident_keeps_its_number_and_the_numbers_are_in_order(
    triggers: list[Trigger], margin: Margin
) -> None:
    incidents: Incidents = ()
    for trigger in sorted(triggers, key=lambda trigger: trigger.t_source_ns):
        before = incidents
        incidents = windows.with_trigger(incidents, trigger, margin)
        assert [one.number for one in incidents[: len(before)]] == [one.number for one in before]
    assert [one.number for one in incidents] == list(range(len(incidents)))


@given(TRIGGERS, MARGINS, SPANS)
def test_the_segments_of_an_incident_are_those_that_meet_its_window_and_no_other(
    triggers: list[Trigger], margin: Margin, spans: dict[int, Span]
) -> None:
    for one in windows.touching(of(triggers, margin), spans):
        window = range(one.t_from_ns, one.t_to_ns + 1)
        meeting = [
            index
            for index, span in spans.items()
            if window[0] in range(span.first_ns, span.last_ns + 1) or span.first_ns in window
        ]
        assert list(one.segments) == sorted(meeting)


@given(TRIGGERS, MARGINS, st.integers(1, 40))
def test_looking_again_only_at_what_has_grown_finds_the_segments_that_a_look_at_all_finds(
    triggers: list[Trigger], margin: Margin, length: int
) -> None:
    """Segments of `length` are written one after the other, and an incident changes with each trigger."""
    looked_at: Incidents = ()
    begin_ns, now_ns, growing = -1000, -1000, 0
    for trigger in triggers:
        now_ns = max(now_ns, trigger.t_source_ns)
        newest = (now_ns - begin_ns) // length
        starts = range(begin_ns, now_ns + 1, length)
        spans = {index: Span(first, min(now_ns, first + length - 1)) for index, first in enumerate(starts)}
        changed = windows.closed(windows.with_trigger(looked_at, trigger, margin), now_ns, margin)
        looked_at, growing = windows.touching(changed, spans, looked_at, growing), newest
        assert looked_at == windows.touching(changed, spans)


@given(TRIGGERS, MARGINS, st.integers(0, 300))
def test_what_is_closed_can_be_joined_by_nothing_that_comes_later(
    triggers: list[Trigger], margin: Margin, later_ns: int
) -> None:
    ordered = sorted(triggers, key=lambda trigger: trigger.t_source_ns)
    if not ordered:
        return
    now_ns = ordered[-1].t_source_ns + later_ns
    incidents = windows.closed(of(ordered, margin), now_ns, margin)
    after = windows.with_trigger(incidents, Trigger("mark", now_ns, 0, "now"), margin)
    for one in incidents:
        assert one.open or one in after


def test_a_segment_that_was_pinned_stays_so_when_its_file_is_no_longer_known() -> None:
    margin = Margin(10, 10)
    incidents = windows.touching(of([Trigger("takeover", 100, 0, "")], margin), {4: Span(95, 96)})
    assert windows.touching(incidents, {5: Span(110, 120)})[0].segments == (4, 5)


def test_an_incident_that_flaps_for_hours_keeps_the_first_of_each_kind_and_counts_the_others() -> None:
    margin = Margin(10, 10)
    flapping = [Trigger("envelope", 5 * count, count, "again") for count in range(300)]
    collision = Trigger("collision", 5 * 299, 299, "then it hit something")
    (one,) = of([*flapping, collision], margin)
    assert one.triggers == (*flapping[:KEPT_OF_A_KIND], collision)
    assert one.triggers_left_out == 300 - KEPT_OF_A_KIND
    assert one.t_to_ns == collision.t_source_ns + 10


def test_an_incident_that_was_closed_is_open_again_when_a_late_trigger_joins_it() -> None:
    margin = Margin(10, 10)
    closed = windows.closed(of([Trigger("takeover", 100, 0, "")], margin), None, margin)
    assert [one.open for one in closed] == [False]
    assert [one.open for one in windows.with_trigger(closed, Trigger("mark", 105, 0, ""), margin)] == [True]
