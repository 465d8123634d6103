"""The vehicle port: what the vehicle tells, and the command that it takes."""

from __future__ import annotations

import math
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

T = TypeVar("T")

Indicator = Literal["off", "left", "right", "hazard"]
DriveMode = Literal["manual", "autonomous", "shadow"]


class Vector3(msgspec.Struct, frozen=True):
    """A vector in the vehicle's axes (x forward, y left, z up; ISO 8855)."""

    x: float
    y: float
    z: float


class Position(msgspec.Struct, frozen=True):
    """A position on the WGS 84 ellipsoid."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float


class Reading(msgspec.Struct, Generic[T], frozen=True):
    """One measured value with its own time.

    `age_ns` is how old the value was when it was sampled for a decision; ports leave it 0, `VehicleState.sampled_at`
    fills it.
    """

    value: T
    t_source_ns: int
    age_ns: int = 0


class VehicleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a vehicle may tell, each part optional and with its own time in the source's clock.

    `assumed` marks a state that nobody measured: the speed that the configuration declares for a source without a
    vehicle. `not_finite` names readings that were told and are left out because they hold NaN or an infinity, which
    JSON has no numbers for; `sampled_at` fills it.
    """

    t_source_ns: int
    assumed: bool = False
    speed_mps: Reading[float] | None = None
    acceleration_mps2: Reading[float] | None = None
    steering_angle_rad: Reading[float] | None = None  # road-wheel angle, positive left
    yaw_rate_radps: Reading[float] | None = None  # positive left
    throttle_ratio: Reading[float] | None = None  # pedal, 0 to 1
    brake_ratio: Reading[float] | None = None  # pedal, 0 to 1
    driver_torque_nm: Reading[float] | None = None  # at the steering wheel, positive left
    driver_override: Reading[bool] | None = None
    mode: Reading[DriveMode] | None = None
    indicator: Reading[Indicator] | None = None
    collision: Reading[bool] | None = None
    imu_acceleration_mps2: Reading[Vector3] | None = None
    imu_angular_velocity_radps: Reading[Vector3] | None = None
    gnss_position: Reading[Position] | None = None
    not_finite: tuple[str, ...] = ()

    def sampled_at(self, t_source_ns: int) -> VehicleState:
        """This state as sampled for a frame at `t_source_ns`: every reading is finite and carries its age (negative:
        newer than the frame).
        """
        told = {name: reading for name in self.__struct_fields__ if isinstance(reading := getattr(self, name), Reading)}
        not_finite = tuple(name for name, reading in told.items() if not _is_finite(reading.value))
        sampled = {
            name: None
            if name in not_finite
            else Reading(reading.value, reading.t_source_ns, t_source_ns - reading.t_source_ns)
            for name, reading in told.items()
        }
        return msgspec.structs.replace(self, t_source_ns=t_source_ns, not_finite=not_finite, **sampled)


def _is_finite(value: object) -> bool:
    if isinstance(value, msgspec.Struct):
        return all(_is_finite(part) for part in msgspec.structs.astuple(value))
    return not isinstance(value, float) or math.isfinite(value)


class Control(msgspec.Struct, frozen=True):
    """What the vehicle is asked to do: road-wheel steering angle in rad (positive left) and acceleration in m/s2.
    Finite.
    """

    steering_angle_rad: float
    acceleration_mps2: float


class Command(msgspec.Struct, frozen=True):
    """A control for the vehicle, with the decision that it came from."""

    decision_id: str
    t_source_ns: int
    control: Control


class VehiclePort(Protocol):
    """A vehicle: a simulated one, a log of one, or a real one. Both calls return at once and may come from another
    thread than the one that reads frames."""

    @property
    def obeys(self) -> bool:
        """Whether commands move this vehicle. False for a log: its drive runs in shadow mode."""
        ...

    def state(self, t_source_ns: int) -> VehicleState:
        """The state as known at `t_source_ns`; a live vehicle answers with its newest. Raises SourceError where nothing
        may be decided upon what is known: the frame is dropped with the reason.
        """
        ...

    def apply(self, command: Command) -> None:
        """Take a command. Never called in shadow mode. Raises SightlineError where the vehicle cannot be given it: the
        frame counts as late, with the reason. DriveOverError where that is so because the drive ends: nobody missed it.
        """
        ...
