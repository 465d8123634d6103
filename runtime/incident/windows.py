"""Windows of source time around triggers. Windows that overlap are one incident. Pure.

Incidents are a tuple in the order of their time, and no two of them overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from runtime.contracts.config import IncidentConfig
from runtime.contracts.incident import Incident, Trigger
from runtime.contracts.units import ns_from_s

KEPT_OF_A_KIND = 25  # an incident that lasts for hours is still written anew whenever it changes
KEPT_MARKS = 100  # beyond it a mark is refused: one that is acknowledged is in the index

Incidents = tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """The times of a segment's first and last message, both included."""

    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Margin:
    """How much is kept before a trigger and after it, in ns."""

    before_ns: int
    after_ns: int

    @staticmethod
    def of(config: IncidentConfig) -> Margin:
        """As the configuration says."""
        return Margin(ns_from_s(config.before_s), ns_from_s(config.after_s))


def with_trigger(incidents: Incidents, trigger: Trigger, margin: Margin) -> Incidents:
    """The incidents with one trigger more: in a new one, in one that grows, or in several that become one by it.

    One that is closed and grows is open again. Of several that become one the lowest number stays.
    """
    alone = Incident(
        number=1 + max((one.number for one in incidents), default=-1),
        t_from_ns=trigger.t_source_ns - margin.before_ns,
        t_to_ns=trigger.t_source_ns + margin.after_ns,
        triggers=(trigger,),
        segments=(),
        open=True,
    )
    met = met_by(incidents, trigger.t_source_ns, margin)
    return _in_place_of(incidents, met, _joined([*met, alone]) if met else alone)


def met_by(incidents: Incidents, t_source_ns: int, margin: Margin) -> Incidents:
    """The incidents that the window of a trigger at a moment would overlap."""
    return _overlapping(incidents, t_source_ns - margin.before_ns, t_source_ns + margin.after_ns)


def with_told(incidents: Incidents, told: Incident) -> Incidents:
    """The incidents with one as the record tells it, where it has more triggers than are known: in the place of what
    it overlaps, whose segments stay.
    """
    met = _overlapping(incidents, told.t_from_ns, told.t_to_ns)
    if met and _count(told) <= sum(_count(one) for one in met):
        return incidents
    segments = {*told.segments, *(index for one in met for index in one.segments)}
    return _in_place_of(incidents, met, replace(told, segments=tuple(sorted(segments))))


def touching(incidents: Incidents, spans: Mapping[int, Span], before: Incidents = (), growing: int = 0) -> Incidents:
    """The incidents with every segment that their windows meet; those that were known before stay.

    `before` are those that were looked at last, when the segment `growing` was the newest: the very same can only meet
    what has come since.
    """
    same = {id(one) for one in before}
    since = {index: span for index, span in spans.items() if index >= growing}
    return tuple(_touching(one, since if id(one) in same else spans) for one in incidents)


def meeting(spans: Mapping[int, Span], t_from_ns: int, t_to_ns: int) -> frozenset[int]:
    """The segments that hold anything between two moments, both included."""
    return frozenset(index for index, span in spans.items() if span.first_ns <= t_to_ns and t_from_ns <= span.last_ns)


def closed(incidents: Incidents, now_ns: int | None, margin: Margin) -> Incidents:
    """The incidents, closed where nothing that comes from `now_ns` on can belong to them any more; None: all."""
    return tuple(
        replace(one, open=False) if one.open and (now_ns is None or now_ns - margin.before_ns > one.t_to_ns) else one
        for one in incidents
    )


def _overlapping(incidents: Incidents, t_from_ns: int, t_to_ns: int) -> Incidents:
    return tuple(one for one in incidents if one.t_from_ns <= t_to_ns and t_from_ns <= one.t_to_ns)


def _in_place_of(incidents: Incidents, several: Incidents, one: Incident) -> Incidents:
    others = [other for other in incidents if other not in several]
    return tuple(sorted((*others, one), key=lambda each: each.t_from_ns))


def _count(incident: Incident) -> int:
    return len(incident.triggers) + incident.triggers_left_out


def _joined(several: list[Incident]) -> Incident:
    each = dict.fromkeys(trigger for one in several for trigger in one.triggers)  # once, in their order
    kept, left_out = _bounded(sorted(each, key=lambda one: one.t_source_ns))
    return Incident(
        number=min(one.number for one in several),
        t_from_ns=min(one.t_from_ns for one in several),
        t_to_ns=max(one.t_to_ns for one in several),
        triggers=kept,
        segments=tuple(sorted({index for one in several for index in one.segments})),
        open=True,
        triggers_left_out=left_out + sum(one.triggers_left_out for one in several),
    )


def _bounded(triggers: list[Trigger]) -> tuple[tuple[Trigger, ...], int]:
    """The first of each kind, and how many more there are."""
    counts: dict[str, int] = {}
    kept = []
    for trigger in triggers:
        counts[trigger.kind] = counts.get(trigger.kind, 0) + 1
        if counts[trigger.kind] <= (KEPT_MARKS if trigger.kind == "mark" else KEPT_OF_A_KIND):
            kept.append(trigger)
    return tuple(kept), len(triggers) - len(kept)


def _touching(incident: Incident, spans: Mapping[int, Span]) -> Incident:
    met = meeting(spans, incident.t_from_ns, incident.t_to_ns)
    segments = tuple(sorted({*incident.segments, *met}))
    return incident if segments == incident.segments else replace(incident, segments=segments)
