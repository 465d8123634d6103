"""The lead vehicle: it follows our lane's centre by a script of speeds, so its place is a pure function of time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeedPoint:
    """The lead's speed at a time; between points speed is linear, after the last it is held."""

    t_s: float
    speed_mps: float


@dataclass(frozen=True)
class LeadScript:
    """Where the lead's rear bumper starts, measured ahead of our front bumper, and how fast it goes."""

    start_gap_m: float
    speeds: tuple[SpeedPoint, ...]
    length_m: float = 4.4
    width_m: float = 1.82
    height_m: float = 1.48
    paint_bgr: tuple[int, int, int] = (120, 60, 40)


@dataclass(frozen=True)
class LeadState:
    """The lead at one time: way travelled since the start, speed, and acceleration (its brake lights show it)."""

    travelled_m: float
    speed_mps: float
    acceleration_mps2: float

    @property
    def brake_lights(self) -> bool:
        """Lit while it brakes and while it stands."""
        return self.acceleration_mps2 < -0.3 or self.speed_mps < 0.1


def lead_at(script: LeadScript, t_s: float) -> LeadState:
    """The lead at `t_s`, by exact integration of its piecewise linear speed."""
    travelled = 0.0
    previous = script.speeds[0]
    travelled += previous.speed_mps * min(t_s, previous.t_s)
    for point in script.speeds[1:]:
        if t_s <= previous.t_s:
            break
        slope = (point.speed_mps - previous.speed_mps) / (point.t_s - previous.t_s)
        inside = min(t_s, point.t_s) - previous.t_s
        travelled += previous.speed_mps * inside + slope * inside * inside / 2
        if t_s < point.t_s:
            return LeadState(travelled, previous.speed_mps + slope * inside, slope)
        previous = point
    travelled += previous.speed_mps * max(0.0, t_s - previous.t_s)
    return LeadState(travelled, previous.speed_mps, 0.0)
