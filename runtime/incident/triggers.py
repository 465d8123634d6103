"""What sets an incident off. Pure: messages of the record in, triggers out.

A condition that lasts is one trigger: it fires when it begins to hold, and again only after it has not held for
`REARM_NS` of the source's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from runtime.contracts.config import IncidentConfig
from runtime.contracts.incident import Trigger, TriggerKind
from runtime.contracts.messages import Decision, Disposition, Event, GroundTruth, VehicleSample
from runtime.contracts.topics import DECISION, EVENT, LEDGER, TRUTH, VEHICLE, Topic
from runtime.contracts.units import NS_PER_S, ns_from_s, s_from_ns
from runtime.decision import envelope, validity

REARM_NS = NS_PER_S
WATCHED: tuple[Topic, ...] = (DECISION, VEHICLE, LEDGER, TRUTH, EVENT)
ALARM_KIND = "trust.alarm"  # of an event
_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was told: the source's time, and the frame's sequence (-1: of no frame)."""

    t_source_ns: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Sign:
    """One look at one condition: whether it holds, and why (in words with the value and its bound; "" where not).

    `passing` says that it is over at once: what is told by an event and by nothing else.
    """

    kind: TriggerKind
    reason: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """What is remembered of a condition: whether it may fire, and since when it has not held (None: it holds)."""

    armed: bool = True
    false_since_ns: int | None = None


@dataclass(frozen=True)
class Watch:
    """What is remembered from message to message."""

    edges: Mapping[TriggerKind, Edge] = field(default_factory=dict)
    missed: tuple[Moment, ...] = ()  # the newest commands that were missed, at most as many as make a trigger
    was_autonomous: bool = False


def watch(
    before: Watch, message: msgspec.Struct, moment: Moment, config: IncidentConfig
) -> tuple[Watch, tuple[Trigger, ...]]:
    """Look at one message.

    Args:
        before: what is remembered.
        message: of one of the `WATCHED` topics; others say nothing.
        moment: when it was told.
        config: the bounds.

    Returns:
        What to remember, and the triggers that this message sets off.
    """
    after = _remembered(before, message, moment, config)
    triggers = []
    edges = dict(after.edges)
    for sign in _signs(after, message, moment, config):
        edge, fires = _step(edges.get(sign.kind, Edge()), sign, moment.t_source_ns)
        edges[sign.kind] = edge
        if fires:
            triggers.append(Trigger(sign.kind, moment.t_source_ns, moment.sequence, sign.reason[:_REASON_LENGTH]))
    return replace(after, edges=edges), tuple(triggers)


def _step(edge: Edge, sign: Sign, now_ns: int) -> tuple[Edge, bool]:
    since_ns = edge.false_since_ns
    armed = edge.armed or (since_ns is not None and now_ns - since_ns >= REARM_NS)
    if sign.reason:
        return Edge(armed=False, false_since_ns=now_ns if sign.passing else None), armed
    return Edge(armed, now_ns if since_ns is None else since_ns), False


def _remembered(before: Watch, message: msgspec.Struct, moment: Moment, config: IncidentConfig) -> Watch:
    if isinstance(message, VehicleSample) and message.state.mode is not None:
        return replace(before, was_autonomous=before.was_autonomous or message.state.mode.value == "autonomous")
    if isinstance(message, Disposition):
        missed = before.missed
        # Several cameras' pictures of one moment have one command.
        if _is_missed(message) and (not missed or missed[-1].sequence != moment.sequence):
            missed = (*missed, moment)
        oldest_ns = moment.t_source_ns - ns_from_s(config.deadline_window_s)
        missed = tuple(one for one in missed if one.t_source_ns >= oldest_ns)[-config.deadline_misses :]
        return replace(before, missed=missed)
    return before


def _is_missed(line: Disposition) -> bool:
    return line.disposition == "late" if line.missed is None else line.missed


def _signs(now: Watch, message: msgspec.Struct, moment: Moment, config: IncidentConfig) -> Iterator[Sign]:
    if isinstance(message, VehicleSample):
        yield from _of_vehicle(now, message, config)
    elif isinstance(message, Decision):
        yield from _of_decision(message, config)
    elif isinstance(message, Disposition):
        yield _deadline(now, message, config)
    elif isinstance(message, GroundTruth):
        yield Sign("collision", "the simulated car hit something" if message.collided else "")
        offset = f"{abs(message.lateral_offset_m):.2f} m {'left' if message.lateral_offset_m > 0 else 'right'}"
        yield Sign("departure", f"a wheel left the lane, {offset} of its centre" if message.departed else "")
    elif isinstance(message, Event) and message.kind == ALARM_KIND:
        yield Sign("trust", message.message or ALARM_KIND, passing=True)


def _of_vehicle(now: Watch, sample: VehicleSample, config: IncidentConfig) -> Iterator[Sign]:
    state, bound = sample.state, config.hard_brake_mps2
    if state.acceleration_mps2 is not None:
        measured = state.acceleration_mps2.value
        hard = measured <= -bound
        yield Sign("hard-brake", f"measured {measured:.2f} m/s2, bound -{bound:g} m/s2" if hard else "")
    if state.collision is not None:
        yield Sign("collision", "the vehicle reports a collision" if state.collision.value else "")
    taken = []
    if state.driver_override is not None and state.driver_override.value:
        taken.append("the driver overrides")
    if state.mode is not None and state.mode.value != "autonomous" and now.was_autonomous:
        taken.append(f"autonomous driving ended: the mode is {state.mode.value}")
    if state.driver_override is not None or state.mode is not None:
        yield Sign("takeover", "; ".join(taken))


def _of_decision(decision: Decision, config: IncidentConfig) -> Iterator[Sign]:
    asked, bound = decision.control.acceleration_mps2, config.hard_brake_mps2
    yield Sign("hard-brake", f"commanded {asked:.2f} m/s2, bound -{bound:g} m/s2" if asked <= -bound else "")
    for step in decision.steps:
        if step.step == validity.NAME:
            yield Sign("trust", f"the network's word was not taken: {step.reason}" if step.acted else "")
        elif step.step == envelope.NAME:
            turned = abs(step.output.steering_angle_rad - float(step.input.steering_angle_rad))
            pushed = abs(step.output.acceleration_mps2 - float(step.input.acceleration_mps2))
            taken = [
                f"{amount:.3g} {unit}, bound {most:g} {unit}"
                for amount, most, unit in (
                    (turned, config.envelope_steering_rad, "rad"),
                    (pushed, config.envelope_acceleration_mps2, "m/s2"),
                )
                if amount > most
            ]
            words = f"the envelope took away {' and '.join(taken)} ({step.reason})" if step.acted and taken else ""
            yield Sign("envelope", words)


def _deadline(now: Watch, newest: Disposition, config: IncidentConfig) -> Sign:
    count = len(now.missed)
    if count < config.deadline_misses:
        return Sign("deadline", "")
    within_s = s_from_ns(now.missed[-1].t_source_ns - now.missed[0].t_source_ns)
    bound = f"bound {config.deadline_misses} in {config.deadline_window_s:g} s"
    what = f"{count} commands within {within_s:.2f} s were late, not given or not decided, {bound}"
    return Sign("deadline", f"{what}; the last: {newest.reason}")  # it fires with the newest of them only
