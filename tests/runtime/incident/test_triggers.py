"""What sets an incident off: every kind, its bound, and that a condition which lasts is one."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.config import IncidentConfig
from runtime.contracts.identity import FrameId
from runtime.contracts.incident import Trigger
from runtime.contracts.messages import (
    Decision,
    Disposition,
    DispositionKind,
    EnvelopeState,
    Event,
    GroundTruth,
    Proposal,
    StepRecord,
    Timestamp,
    ValidityState,
    VehicleSample,
)
from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.contracts.vehicle import Control, Reading, VehicleState
from runtime.incident.triggers import REARM_NS, Moment, Watch, watch

CONFIG = IncidentConfig()
PERIOD_NS = 50 * NS_PER_MS


def found_in(*told: tuple[int, msgspec.Struct]) -> list[Trigger]:
    """The triggers of messages, each told at a time in ns; the frame's sequence is its place."""
    state = Watch()
    triggers: list[Trigger] = []
    for sequence, (t_source_ns, message) in enumerate(told):
        state, found = watch(state, message, Moment(t_source_ns, sequence), CONFIG)
        triggers += found
    return triggers


def kinds(triggers: list[Trigger]) -> list[str]:
    return [trigger.kind for trigger in triggers]


def a_decision(
    *,
    acceleration: float = 0.0,
    proposed: Control | None = None,
    enveloped: Control | None = None,
    invalid: bool = False,
) -> Decision:
    asked = proposed or Control(0.0, acceleration)
    given_out = enveloped or asked
    proposal = Proposal(asked.steering_angle_rad, asked.acceleration_mps2)
    steps = (
        StepRecord("validity", ValidityState(), proposal, asked, invalid, "steering is NaN" if invalid else "valid"),
        StepRecord("envelope", EnvelopeState(), proposal, given_out, given_out != asked, "limited"),
    )
    return Decision("drive/0", 0, 0, "closed-loop", proposal, steps, given_out, "")


def a_state(**readings: object) -> VehicleSample:
    return VehicleSample(0, 0, VehicleState(0, **{name: Reading(value, 0) for name, value in readings.items()}))  # type: ignore[arg-type]


def a_line(
    kind: DispositionKind, sequence: int, camera: str = "front", *, reason: str = "", missed: bool | None = None
) -> Disposition:
    return Disposition(FrameId(camera, sequence), 0, kind, reason, missed=missed)


def a_truth(*, collided: bool = False, departed: bool = False) -> GroundTruth:
    return GroundTruth(0, 0, -0.9, 0.0, 0.0, None, 0.0, departed, collided, 10.0)


def an_event(kind: str) -> Event:
    return Event(Timestamp(0, 0), 3, "the map and the decision part ways", "drive", kind)


@pytest.mark.parametrize(
    ("calm", "alarming", "kind", "words"),
    [
        (a_decision(acceleration=-3.99), a_decision(acceleration=-4.01), "hard-brake", "commanded -4.01"),
        (a_state(acceleration_mps2=-3.99), a_state(acceleration_mps2=-4.01), "hard-brake", "measured -4.01"),
        (
            a_decision(proposed=Control(0.3, 0.0), enveloped=Control(0.21, 0.0)),
            a_decision(proposed=Control(0.3, 0.0), enveloped=Control(0.19, 0.0)),
            "envelope",
            "0.11 rad, bound 0.1 rad",
        ),
        (
            a_decision(proposed=Control(0.0, -3.9), enveloped=Control(0.0, -2.0)),
            a_decision(proposed=Control(0.0, -3.9), enveloped=Control(0.0, -1.5)),
            "envelope",
            "2.4 m/s2, bound 2 m/s2",
        ),
        (a_decision(), a_decision(invalid=True), "trust", "steering is NaN"),
        (an_event("link.gap"), an_event("trust.alarm"), "trust", "part ways"),
        (a_state(driver_override=False), a_state(driver_override=True), "takeover", "the driver overrides"),
        (a_state(mode="autonomous"), a_state(mode="manual"), "takeover", "the mode is manual"),
        (a_state(collision=False), a_state(collision=True), "collision", "reports a collision"),
        (a_truth(), a_truth(collided=True), "collision", "hit something"),
        (a_truth(), a_truth(departed=True), "departure", "0.90 m right"),
    ],
)
def test_a_value_beyond_its_bound_sets_off_an_incident_and_one_within_does_not(
    calm: msgspec.Struct, alarming: msgspec.Struct, kind: str, words: str
) -> None:
    told = [(count * PERIOD_NS, calm) for count in range(10)]
    assert found_in(*told) == []
    (trigger,) = found_in(*told, (10 * PERIOD_NS, alarming))
    assert (trigger.kind, trigger.t_source_ns, trigger.sequence) == (kind, 10 * PERIOD_NS, 10)
    assert words in trigger.reason


def test_manual_driving_that_was_never_autonomous_is_no_takeover() -> None:
    assert found_in((0, a_state(mode="manual")), (PERIOD_NS, a_state(mode="manual"))) == []


def test_a_condition_that_lasts_is_one_trigger_and_fires_again_after_it_was_gone_for_a_second() -> None:
    braking, calm = a_decision(acceleration=-6.0), a_decision()
    lasting = [(count * PERIOD_NS, braking) for count in range(100)]
    end_ns = 100 * PERIOD_NS
    assert kinds(found_in(*lasting)) == ["hard-brake"]
    early = (end_ns + REARM_NS - 1, braking)
    late = (end_ns + REARM_NS, braking)
    assert kinds(found_in(*lasting, (end_ns, calm), early)) == ["hard-brake"]
    assert kinds(found_in(*lasting, (end_ns, calm), late)) == ["hard-brake", "hard-brake"]


def test_calm_that_is_told_again_and_again_lasts_from_its_beginning() -> None:
    braking, calm = a_decision(acceleration=-6.0), a_decision()
    told = [(count * PERIOD_NS, braking if count in (0, 30) else calm) for count in range(31)]
    assert kinds(found_in(*told)) == ["hard-brake", "hard-brake"]


def test_a_gap_in_what_is_told_is_not_taken_for_calm() -> None:
    braking = a_decision(acceleration=-6.0)
    assert kinds(found_in((0, braking), (10 * NS_PER_S, braking))) == ["hard-brake"]


def test_what_is_commanded_and_then_measured_is_one_braking() -> None:
    told: list[tuple[int, msgspec.Struct]] = []
    for count in range(60):
        told.append((count * PERIOD_NS, a_state(acceleration_mps2=-5.0 if 12 <= count < 30 else 0.0)))
        told.append((count * PERIOD_NS, a_decision(acceleration=-5.0 if 10 <= count < 28 else 0.0)))
    assert kinds(found_in(*told)) == ["hard-brake"]


def test_an_alarm_that_is_told_again_within_a_second_is_one() -> None:
    alarm, calm = an_event("trust.alarm"), a_decision()
    half_ns = NS_PER_S // 2
    assert kinds(found_in((0, alarm), (half_ns, calm), (half_ns, alarm))) == ["trust"]
    assert kinds(found_in((0, alarm), (half_ns, calm), (2 * NS_PER_S, alarm))) == ["trust", "trust"]
    assert kinds(found_in((0, alarm), (2 * NS_PER_S, alarm))) == ["trust", "trust"], "an alarm is over at once"


def test_late_commands_are_an_incident_once_there_are_several_within_the_window() -> None:
    def drive(*late: int) -> list[Trigger]:
        return found_in(
            *((count * PERIOD_NS, a_line("late" if count in late else "decided", count)) for count in range(60))
        )

    assert drive(3, 20) == []
    assert drive(3, 20, 40) == []  # a second holds 20 frames
    (trigger,) = drive(3, 10, 20)
    assert (trigger.kind, trigger.sequence) == ("deadline", 20)
    assert "3 commands within 0.85 s" in trigger.reason
    assert len(drive(*range(10, 50))) == 1


def test_commands_that_were_late_not_given_or_not_decided_count_together_and_the_reason_names_the_last() -> None:
    (trigger,) = found_in(
        (0, a_line("late", 0, reason="decided 130 ms after capture", missed=True)),
        (PERIOD_NS, a_line("decided", 1, missed=False)),
        (2 * PERIOD_NS, a_line("late", 2, reason="not commanded: the network took none", missed=True)),
        (3 * PERIOD_NS, a_line("dropped", 3, reason="the vehicle's speed is 0.6 s older", missed=True)),
        (4 * PERIOD_NS, a_line("dropped", 4, reason="another", missed=True)),
    )
    assert (trigger.kind, trigger.sequence) == ("deadline", 3)
    assert trigger.reason == (
        "3 commands within 0.15 s were late, not given or not decided, bound 3 in 1 s; "
        "the last: the vehicle's speed is 0.6 s older"
    )


@pytest.mark.parametrize("missed", [False, None])  # None: as an older Sightline recorded it
def test_frames_that_no_command_was_due_for_set_nothing_off(missed: bool | None) -> None:
    assert found_in(*((count * PERIOD_NS, a_line("dropped", count, missed=missed)) for count in range(10))) == []


def test_a_command_behind_the_last_one_is_late_and_not_missed() -> None:
    assert found_in(*((count * PERIOD_NS, a_line("late", count, missed=False)) for count in range(10))) == []


def test_the_pictures_of_several_cameras_have_one_late_command_between_them() -> None:
    state = Watch()
    triggers: list[Trigger] = []
    for sequence in range(2):
        for camera in ("front", "left"):
            moment = Moment(sequence * PERIOD_NS, sequence)
            state, found = watch(state, a_line("late", sequence, camera), moment, CONFIG)
            triggers += found
    assert triggers == []


@given(st.lists(st.tuples(st.integers(0, 2 * NS_PER_S), st.booleans()), max_size=60))
def test_between_two_triggers_of_a_kind_there_was_always_a_second_without(steps: list[tuple[int, bool]]) -> None:
    now_ns, told = 0, []
    for ahead_ns, collided in steps:
        now_ns += ahead_ns
        told.append((now_ns, a_truth(collided=collided)))
    triggers = [trigger for trigger in found_in(*told) if trigger.kind == "collision"]
    assert bool(triggers) == any(collided for _, collided in steps)
    for before, after in pairwise(triggers):
        holding = [at for at, (_, collided) in enumerate(steps[: after.sequence]) if collided]
        calm_from_ns = told[holding[-1] + 1][0]
        assert before.sequence <= holding[-1]
        assert after.t_source_ns - calm_from_ns >= REARM_NS


def test_the_bounds_are_those_of_the_configuration() -> None:
    strict = msgspec.structs.replace(CONFIG, hard_brake_mps2=1.0)
    _, found = watch(Watch(), a_decision(acceleration=-1.5), Moment(0, 0), strict)
    assert [trigger.kind for trigger in found] == ["hard-brake"]


def test_watching_changes_nothing_that_was_remembered_before() -> None:
    before = Watch()
    copy = dataclasses.replace(before, edges=dict(before.edges))
    watch(before, a_decision(acceleration=-9.0), Moment(0, 0), CONFIG)
    assert before == copy
