"""The car: a kinematic bicycle with first-order actuators, referred to the middle of the rear axle.

Rajamani, Vehicle Dynamics and Control (2012), section 2.2. Valid while the tyres do not slip, which the envelope of
an ordinary drive (lateral acceleration well below 5 m/s2) keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.contracts.vehicle import Control

SUB_STEP_S = 0.005


@dataclass(frozen=True)
class CarModel:
    """Dimensions and actuators. Times are those of a first-order lag."""

    wheelbase_m: float = 2.7
    width_m: float = 1.8
    front_overhang_m: float = 0.9
    rear_overhang_m: float = 0.9
    steering_lag_s: float = 0.12
    acceleration_lag_s: float = 0.25
    max_steering_angle_rad: float = 0.55
    max_steering_rate_radps: float = 0.8
    max_acceleration_mps2: float = 3.0
    max_braking_mps2: float = 8.0


@dataclass(frozen=True)
class CarState:
    """Pose of the rear axle's middle in the world, and what the actuators really do."""

    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float
    steering_angle_rad: float = 0.0
    acceleration_mps2: float = 0.0


def yaw_rate_radps(state: CarState, model: CarModel) -> float:
    """Yaw rate of the bicycle, left positive."""
    return state.speed_mps * math.tan(state.steering_angle_rad) / model.wheelbase_m


def step_car(state: CarState, control: Control, duration_s: float, model: CarModel) -> CarState:
    """The state after `duration_s` of a held control, in fixed sub-steps of at most 5 ms; speed never below 0."""
    steering_target = _clip(control.steering_angle_rad, -model.max_steering_angle_rad, model.max_steering_angle_rad)
    acceleration_target = _clip(control.acceleration_mps2, -model.max_braking_mps2, model.max_acceleration_mps2)
    steps = max(1, math.ceil(duration_s / SUB_STEP_S - 1e-9))
    dt = duration_s / steps
    steering_gain = -math.expm1(-dt / model.steering_lag_s)
    acceleration_gain = -math.expm1(-dt / model.acceleration_lag_s)
    max_turn = model.max_steering_rate_radps * dt
    x, y, yaw, speed = state.x_m, state.y_m, state.yaw_rad, state.speed_mps
    steering, acceleration = state.steering_angle_rad, state.acceleration_mps2
    for _ in range(steps):
        steering += _clip(steering_gain * (steering_target - steering), -max_turn, max_turn)
        acceleration += acceleration_gain * (acceleration_target - acceleration)
        new_speed = max(0.0, speed + acceleration * dt)
        mean_speed = (speed + new_speed) / 2
        turn = mean_speed * math.tan(steering) / model.wheelbase_m * dt
        x += mean_speed * dt * math.cos(yaw + turn / 2)
        y += mean_speed * dt * math.sin(yaw + turn / 2)
        yaw += turn
        if new_speed == 0.0:
            acceleration = 0.0
        speed = new_speed
    return CarState(x, y, yaw, speed, steering, acceleration)


def body_corners(state: CarState, model: CarModel) -> list[tuple[float, float]]:
    """World corners of the body: front left, front right, rear right, rear left."""
    front, rear = model.wheelbase_m + model.front_overhang_m, -model.rear_overhang_m
    return _corners(state, front, rear, model.width_m / 2)


def wheel_edges(state: CarState, model: CarModel) -> list[tuple[float, float]]:
    """World points where the tyres' outer sides stand: front left, front right, rear right, rear left."""
    return _corners(state, model.wheelbase_m, 0.0, model.width_m / 2)


def _corners(state: CarState, front_m: float, rear_m: float, half_m: float) -> list[tuple[float, float]]:
    c, s = math.cos(state.yaw_rad), math.sin(state.yaw_rad)
    return [
        (state.x_m + along * c - across * s, state.y_m + along * s + across * c)
        for along, across in ((front_m, half_m), (front_m, -half_m), (rear_m, -half_m), (rear_m, half_m))
    ]


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
