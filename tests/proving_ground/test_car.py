"""The car is a bicycle: closed forms, signs, lags and limits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from proving_ground.car import CarModel, CarState, body_corners, step_car, wheel_edges, yaw_rate_radps
from runtime.contracts.vehicle import Control

MODEL = CarModel()


def _drive(state: CarState, control: Control, seconds: float, model: CarModel = MODEL) -> CarState:
    for _ in range(round(seconds * 20)):
        state = step_car(state, control, 0.05, model)
    return state


def test_constant_steering_drives_the_closed_form_circle() -> None:
    steering, speed = 0.1, 8.0
    state = CarState(0.0, 0.0, 0.0, speed, steering_angle_rad=steering)
    radius = MODEL.wheelbase_m / math.tan(steering)
    for seconds in (1.0, 5.0, 20.0):
        after = _drive(state, Control(steering, 0.0), seconds)
        turned = speed * seconds / radius
        assert after.yaw_rad == pytest.approx(turned, rel=1e-9)
        assert after.x_m == pytest.approx(radius * math.sin(turned), abs=2e-3)
        assert after.y_m == pytest.approx(radius * (1 - math.cos(turned)), abs=2e-3)


def test_positive_steering_turns_left() -> None:
    after = _drive(CarState(0.0, 0.0, 0.0, 10.0), Control(0.2, 0.0), 1.0)
    assert after.yaw_rad > 0
    assert after.y_m > 0
    assert yaw_rate_radps(after, MODEL) > 0


def test_actuators_follow_a_step_with_their_time_constants() -> None:
    slow_rate = replace(MODEL, max_steering_rate_radps=100.0)
    after = step_car(CarState(0.0, 0.0, 0.0, 10.0), Control(0.2, 1.0), MODEL.steering_lag_s, slow_rate)
    assert after.steering_angle_rad == pytest.approx(0.2 * (1 - math.exp(-1)), rel=1e-9)
    after = step_car(CarState(0.0, 0.0, 0.0, 10.0), Control(0.0, 1.0), MODEL.acceleration_lag_s, MODEL)
    assert after.acceleration_mps2 == pytest.approx(1 - math.exp(-1), rel=1e-9)


def test_steering_and_acceleration_never_pass_their_limits() -> None:
    for sign in (1.0, -1.0):
        after = _drive(CarState(0.0, 0.0, 0.0, 5.0), Control(9.0 * sign, 99.0), 3.0)
        assert after.steering_angle_rad == pytest.approx(sign * MODEL.max_steering_angle_rad, rel=1e-4)
        assert abs(after.steering_angle_rad) <= MODEL.max_steering_angle_rad
        assert after.acceleration_mps2 <= MODEL.max_acceleration_mps2


def test_the_wheels_turn_no_faster_than_their_motor() -> None:
    after = step_car(CarState(0.0, 0.0, 0.0, 5.0), Control(0.5, 0.0), 0.05, MODEL)
    assert after.steering_angle_rad == pytest.approx(0.05 * MODEL.max_steering_rate_radps, rel=1e-9)


def test_braking_ends_at_a_standstill_and_never_reverses() -> None:
    stopped = _drive(CarState(0.0, 0.0, 0.0, 6.0), Control(0.0, -5.0), 4.0)
    assert stopped.speed_mps == 0.0
    assert stopped.acceleration_mps2 == 0.0
    later = _drive(stopped, Control(0.3, -5.0), 2.0)
    assert (later.x_m, later.y_m, later.yaw_rad) == (stopped.x_m, stopped.y_m, stopped.yaw_rad)
    assert _drive(later, Control(0.0, 1.0), 2.0).speed_mps > 1.0


def test_one_long_step_equals_many_short_ones() -> None:
    state, control = CarState(1.0, 2.0, 0.3, 9.0), Control(0.1, 0.5)
    long, short = step_car(state, control, 0.2, MODEL), state
    for _ in range(4):
        short = step_car(short, control, 0.05, MODEL)
    assert long.x_m == pytest.approx(short.x_m, abs=1e-12)
    assert long.yaw_rad == pytest.approx(short.yaw_rad, abs=1e-12)


def test_corners_go_round_the_body_from_the_front_left() -> None:
    state = CarState(10.0, 5.0, math.pi / 2, 0.0)
    front_left, front_right, rear_right, rear_left = body_corners(state, MODEL)
    ahead = MODEL.wheelbase_m + MODEL.front_overhang_m
    assert front_left == pytest.approx((10.0 - 0.9, 5.0 + ahead))
    assert front_right == pytest.approx((10.0 + 0.9, 5.0 + ahead))
    assert rear_right == pytest.approx((10.0 + 0.9, 5.0 - 0.9))
    assert rear_left == pytest.approx((10.0 - 0.9, 5.0 - 0.9))
    assert wheel_edges(state, MODEL)[0] == pytest.approx((10.0 - 0.9, 5.0 + MODEL.wheelbase_m))
