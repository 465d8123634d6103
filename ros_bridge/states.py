"""What a vehicle's messages tell of it, in the house's units and signs.

ROS is ISO 8855 as well (REP 103): x forward, y left, angles counter-clockwise, so positive left; SI throughout.
"""

from __future__ import annotations

import threading

import msgspec

from ros_bridge.messages import AckermannDriveStamped, Message, Odometry, Twist, TwistStamped
from runtime.contracts.errors import SourceError
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Reading, VehicleState

STATE_TYPES: tuple[type[Message], ...] = (Odometry, TwistStamped, AckermannDriveStamped)

_SET_BACK_NS = NS_PER_S
_TOLD = ("speed_mps", "acceleration_mps2", "steering_angle_rad", "yaw_rate_radps")


def state_of(message: Message, t_ns: int) -> VehicleState:
    """The readings in one message, all of time `t_ns`. Raises SourceError on a type that tells nothing of a vehicle.

    An Odometry's twist is in the vehicle's own axes by definition, a TwistStamped's has to be; speed is the part along
    x, negative in reverse. An AckermannDriveStamped is taken as what was measured; its acceleration, a magnitude by
    definition, is left.
    """
    if isinstance(message, Odometry):
        return _moving(message.twist.twist, t_ns)
    if isinstance(message, TwistStamped):
        return _moving(message.twist, t_ns)
    if isinstance(message, AckermannDriveStamped):
        return VehicleState(
            t_ns,
            speed_mps=Reading(message.drive.speed, t_ns),
            steering_angle_rad=Reading(message.drive.steering_angle, t_ns),
        )
    names = ", ".join(kind.ROS_TYPE for kind in STATE_TYPES)
    raise SourceError(f"a {message.ROS_TYPE} tells nothing of a vehicle that is read; give one of {names}")


def _moving(twist: Twist, t_ns: int) -> VehicleState:
    return VehicleState(t_ns, speed_mps=Reading(twist.linear.x, t_ns), yaw_rate_radps=Reading(twist.angular.z, t_ns))


class NewestState:
    """The newest reading of each kind, from several topics. Safe from any thread.

    `refused` counts the messages that could not be read or told nothing newer, `refusal` is the last one's reason.
    """

    def __init__(self) -> None:
        self.refused, self.refusal = 0, ""
        self._state = VehicleState(0)
        self._lock = threading.Lock()

    def take(self, told: VehicleState) -> None:
        """Readings replace those that are not newer. A message of which none does is counted as refused."""
        with self._lock:
            newer = {
                name: reading
                for name in _TOLD
                if (reading := getattr(told, name)) is not None and _is_newer(reading, getattr(self._state, name))
            }
            if newer:
                self._state = msgspec.structs.replace(self._state, t_source_ns=told.t_source_ns, **newer)
            else:
                self._refuse("its time goes back by less than a second: what was told before is newer")

    def refuse(self, reason: str) -> None:
        """Count a message that could not be read."""
        with self._lock:
            self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        self.refused, self.refusal = self.refused + 1, reason

    def now(self) -> VehicleState:
        """All that is known."""
        with self._lock:
            return self._state


def _is_newer(reading: Reading[float], known: Reading[float] | None) -> bool:
    """A step back of a second or more is no jitter: a clock was set, or the stamp before it was damaged, and would hold
    up all that comes.
    """
    return known is None or not 0 < known.t_source_ns - reading.t_source_ns < _SET_BACK_NS
