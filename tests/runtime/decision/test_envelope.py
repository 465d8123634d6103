"""No command leaves the envelope, and one inside it is not touched."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.config import EnvelopeConfig, VehicleConfig
from runtime.contracts.messages import EnvelopeState, StepRecord
from runtime.contracts.vehicle import Control, Reading, VehicleState
from runtime.decision.envelope import MAX_STEP_S, WITHIN, step

LIMITS = EnvelopeConfig()
VEHICLE = VehicleConfig()
FINITE = st.floats(allow_nan=False, allow_infinity=False)
CONTROLS = st.builds(Control, FINITE, FINITE)
TIMES = st.integers(-(2**62), 2**62) | st.integers(0, 10**9)
SPEEDS = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0.0, 60.0)
FRAME_NS = 50_000_000


def at(speed_mps: float | None) -> VehicleState:
    return VehicleState(0, speed_mps=None if speed_mps is None else Reading(speed_mps, 0))


def run(
    control: Control,
    *,
    last: Control | None = None,
    elapsed_ns: int = FRAME_NS,
    speed_mps: float | None = 0.0,
    limits: EnvelopeConfig = LIMITS,
) -> StepRecord:
    state = EnvelopeState() if last is None else EnvelopeState(last, 0)
    _, record = step(state, control, elapsed_ns, at(speed_mps), vehicle_config=VEHICLE, limits=limits)
    return record


@given(st.lists(st.tuples(CONTROLS, TIMES, SPEEDS), min_size=1, max_size=8))
def test_whatever_comes_the_output_is_inside_every_limit(frames: list[tuple[Control, int, float | None]]) -> None:
    state = EnvelopeState()
    for control, t_source_ns, speed_mps in frames:
        before = state
        state, record = step(state, control, t_source_ns, at(speed_mps), vehicle_config=VEHICLE, limits=LIMITS)
        out = record.output
        speed = VEHICLE.assumed_speed_mps if speed_mps is None or not math.isfinite(speed_mps) else speed_mps
        lateral = speed**2 * math.tan(out.steering_angle_rad) / VEHICLE.wheelbase_m if abs(speed) < 1e150 else 0.0
        assert abs(out.steering_angle_rad) <= LIMITS.max_steering_angle_rad
        assert abs(lateral) <= LIMITS.max_lateral_acceleration_mps2 * (1 + 1e-9)
        assert -LIMITS.max_deceleration_mps2 <= out.acceleration_mps2 <= LIMITS.max_acceleration_mps2
        if before.last is not None and before.t_source_ns is not None:
            elapsed_s = min(max((t_source_ns - before.t_source_ns) / 1e9, 0.0), MAX_STEP_S)
            jump = abs(out.acceleration_mps2 - before.last.acceleration_mps2)
            assert jump <= LIMITS.max_jerk_mps3 * elapsed_s + 1e-9
            turn = abs(out.steering_angle_rad - before.last.steering_angle_rad)
            at_lateral_limit = abs(lateral) >= LIMITS.max_lateral_acceleration_mps2 * (1 - 1e-9) or abs(speed) > 1e100
            towards_straight = abs(out.steering_angle_rad) < abs(before.last.steering_angle_rad)
            assert turn <= LIMITS.max_steering_rate_radps * elapsed_s + 1e-9 or (at_lateral_limit and towards_straight)
        assert state == EnvelopeState(out, t_source_ns)


@given(st.floats(-0.03, 0.03), st.floats(-1.0, 1.0))
def test_a_control_inside_comes_out_bit_for_bit_and_again_when_repeated(steering: float, acceleration: float) -> None:
    control = Control(steering, acceleration)
    for last in (None, Control(0.0, 0.0), control):
        record = run(control, last=last, speed_mps=15.0)
        assert (record.acted, record.reason) == (False, WITHIN)
        assert record.output.steering_angle_rad.hex() == steering.hex()
        assert record.output.acceleration_mps2.hex() == acceleration.hex()


@given(CONTROLS, SPEEDS)
def test_a_limited_control_is_left_alone_the_second_time(control: Control, speed_mps: float | None) -> None:
    first = run(control, speed_mps=speed_mps)
    second = run(first.output, last=first.output, elapsed_ns=0, speed_mps=speed_mps)
    assert not second.acted
    assert second.output == first.output


def test_the_lateral_limit_is_the_bicycles() -> None:
    record = run(Control(0.3, 0.0), speed_mps=20.0)
    assert 20.0**2 * math.tan(record.output.steering_angle_rad) / 2.7 == pytest.approx(4.0)
    assert "lateral acceleration: 0.3 rad at 20 m/s" in record.reason


def test_an_assumed_speed_counts_where_none_is_told_and_the_reason_says_so() -> None:
    record = run(Control(0.3, 0.0), speed_mps=None)
    assert record.output == run(Control(0.3, 0.0), speed_mps=15.0).output
    assert "assumed 15 m/s" in record.reason


def test_the_steering_rate_follows_the_sources_time() -> None:
    for elapsed_ns in (FRAME_NS, 2 * FRAME_NS):
        record = run(Control(0.5, 0.0), last=Control(0.0, 0.0), elapsed_ns=elapsed_ns)
        assert record.output.steering_angle_rad == pytest.approx(0.8 * elapsed_ns / 1e9)
        assert "steering rate: 0.5 rad" in record.reason


def test_jerk_limits_braking_and_names_it() -> None:
    record = run(Control(0.0, -8.0), last=Control(0.0, 1.0))
    assert record.output.acceleration_mps2 == pytest.approx(1.0 - 30.0 * 0.05)
    assert "jerk: -8 m/s2" in record.reason


@pytest.mark.parametrize("elapsed_ns", [0, -1, -(10**12)])
def test_where_time_stands_still_or_runs_back_the_command_stays(elapsed_ns: int) -> None:
    last = Control(0.1, 1.0)
    assert run(Control(-0.3, -5.0), last=last, elapsed_ns=elapsed_ns).output == last


def test_after_a_long_silence_the_command_moves_no_further_than_after_half_a_second() -> None:
    limits = EnvelopeConfig(max_steering_rate_radps=0.2)
    record = run(Control(0.6, 0.0), last=Control(0.0, 0.0), elapsed_ns=3600 * 10**9, limits=limits)
    assert record.output.steering_angle_rad == pytest.approx(0.2 * MAX_STEP_S)


def test_the_first_command_knows_no_rate() -> None:
    assert run(Control(0.5, -7.0)).output == Control(0.5, -7.0)


def test_every_limit_that_acts_is_named() -> None:
    record = run(Control(2.0, 20.0), last=Control(0.58, 2.4), speed_mps=10.0)
    for limit in ("steering rate", "steering angle", "lateral acceleration", "jerk", "acceleration: 3.9"):
        assert limit in record.reason
