"""Conversions into the units of the house: SI, radians, steering and yaw positive to the left (ISO 8855)."""

from __future__ import annotations

import math

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
STANDARD_GRAVITY_MPS2 = 9.80665

_MPS_PER_MPH = 0.44704


def mps_from_mph(speed_mph: float) -> float:
    """Metres per second from international miles per hour (exact, by definition of the mile)."""
    return speed_mph * _MPS_PER_MPH


def rad_from_deg(angle_deg: float) -> float:
    """Radians from degrees."""
    return math.radians(angle_deg)


def ns_from_s(duration_s: float) -> int:
    """Whole nanoseconds nearest to a duration in seconds."""
    return round(duration_s * NS_PER_S)


def s_from_ns(duration_ns: int) -> float:
    """Seconds from nanoseconds."""
    return duration_ns / NS_PER_S
