"""The last step of the chain: what the vehicle may be asked for, whatever came before.

Two limits of steering are absolute: the angle, and the lateral acceleration v^2 tan(delta) / L of a kinematic bicycle
(Rajamani, Vehicle Dynamics and Control, 2.2). The rate is relative to the last command. Where they disagree, because
the speed has grown, the absolute ones win: the wheels then turn back towards straight as fast as that takes.
"""

from __future__ import annotations

import math

from runtime.contracts.config import EnvelopeConfig, VehicleConfig
from runtime.contracts.messages import EnvelopeState, Proposal, StepRecord
from runtime.contracts.units import s_from_ns
from runtime.contracts.vehicle import Control, VehicleState

NAME = "envelope"
WITHIN = "within limits"
MAX_STEP_S = 0.5
"""However long nothing was commanded, the next command moves by no more than this time allows: else a gap in the
frames would lift the limits of rate and jerk just when least is known."""


def step(
    state: EnvelopeState,
    control: Control,
    t_source_ns: int,
    vehicle: VehicleState,
    *,
    vehicle_config: VehicleConfig,
    limits: EnvelopeConfig,
) -> tuple[EnvelopeState, StepRecord]:
    """Bring a control inside the limits; bit-equal where it is inside already.

    Args:
        state: the last command and its time; None before the first, which rate and jerk then leave alone.
        control: finite, rad (positive left) and m/s2.
        t_source_ns: the frame's time. At a time that is not after the last one's, rate and jerk allow no change.
        vehicle: the sampled state; without a speed in it the configuration's assumed one counts.
        vehicle_config: wheelbase and assumed speed.
        limits: the envelope.

    Returns:
        The state after the step, and its record, whose reason names each limit that acted.
    """
    elapsed_s = None
    if state.t_source_ns is not None:
        elapsed_s = min(max(s_from_ns(t_source_ns - state.t_source_ns), 0.0), MAX_STEP_S)
    speed_mps, whence = sampled_speed(vehicle, vehicle_config)
    most = largest_steering_rad(speed_mps, vehicle_config.wheelbase_m, limits.max_lateral_acceleration_mps2)
    steering, steering_reasons = _turned(control, state.last, elapsed_s, limits)
    slowed = _clamp(steering, -most, most)
    if slowed != steering:
        steering_reasons.append(
            f"lateral acceleration: {steering:.4g} rad at {whence}{speed_mps:.4g} m/s is more than "
            f"{limits.max_lateral_acceleration_mps2:.4g} m/s2, limited to {slowed:.4g} rad"
        )
    acceleration, acceleration_reasons = _pushed(control, state.last, elapsed_s, limits)
    output = Control(slowed, acceleration)
    reasons = steering_reasons + acceleration_reasons
    proposal = Proposal(control.steering_angle_rad, control.acceleration_mps2)
    record = StepRecord(NAME, state, proposal, output, bool(reasons), "; ".join(reasons) or WITHIN)
    return EnvelopeState(output, t_source_ns), record


def largest_steering_rad(speed_mps: float, wheelbase_m: float, max_lateral_acceleration_mps2: float) -> float:
    """The road-wheel angle in rad at which the lateral acceleration is the largest allowed; pi/2 at rest."""
    demand = speed_mps * speed_mps
    if demand == 0.0:
        return math.pi / 2
    return math.atan(max_lateral_acceleration_mps2 * wheelbase_m / demand)


def sampled_speed(vehicle: VehicleState, config: VehicleConfig) -> tuple[float, str]:
    """The speed in m/s that the limits count with, and where it is from."""
    reading = vehicle.speed_mps
    if reading is None or not math.isfinite(reading.value):
        return config.assumed_speed_mps, "assumed "
    return abs(reading.value), "assumed " if vehicle.assumed else ""


def _turned(
    control: Control, last: Control | None, elapsed_s: float | None, limits: EnvelopeConfig
) -> tuple[float, list[str]]:
    angle, reasons = control.steering_angle_rad, []
    if last is not None and elapsed_s is not None:
        reach = limits.max_steering_rate_radps * elapsed_s
        limited = _clamp(angle, last.steering_angle_rad - reach, last.steering_angle_rad + reach)
        if limited != angle:
            reasons.append(
                f"steering rate: {angle:.4g} rad is more than {limits.max_steering_rate_radps:.4g} rad/s for "
                f"{elapsed_s:.4g} s from {last.steering_angle_rad:.4g} rad, limited to {limited:.4g} rad"
            )
        angle = limited
    limited = _clamp(angle, -limits.max_steering_angle_rad, limits.max_steering_angle_rad)
    if limited != angle:
        reasons.append(f"steering angle: {angle:.4g} rad limited to {limited:.4g} rad")
    return limited, reasons


def _pushed(
    control: Control, last: Control | None, elapsed_s: float | None, limits: EnvelopeConfig
) -> tuple[float, list[str]]:
    value, reasons = control.acceleration_mps2, []
    if last is not None and elapsed_s is not None:
        reach = limits.max_jerk_mps3 * elapsed_s
        limited = _clamp(value, last.acceleration_mps2 - reach, last.acceleration_mps2 + reach)
        if limited != value:
            reasons.append(
                f"jerk: {value:.4g} m/s2 is more than {limits.max_jerk_mps3:.4g} m/s3 for {elapsed_s:.4g} s "
                f"from {last.acceleration_mps2:.4g} m/s2, limited to {limited:.4g} m/s2"
            )
        value = limited
    limited = _clamp(value, -limits.max_deceleration_mps2, limits.max_acceleration_mps2)
    if limited != value:
        which = "acceleration" if value > 0 else "deceleration"
        reasons.append(f"{which}: {value:.4g} m/s2 limited to {limited:.4g} m/s2")
    return limited, reasons


def _clamp(value: float, low: float, high: float) -> float:
    """The value itself, bit for bit, where it is inside."""
    if value < low:
        return low
    return high if value > high else value
