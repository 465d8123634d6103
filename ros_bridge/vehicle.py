"""A vehicle on ROS, behind the vehicle port: its newest state in, commands out, and none in shadow mode."""

from __future__ import annotations

import math

import msgspec

from ros_bridge.messages import AckermannDrive, AckermannDriveStamped, Header, time_of
from ros_bridge.states import NewestState
from ros_bridge.transport import Publication
from runtime.contracts.errors import SourceError
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Command, VehicleState

MAX_SPEED_AGE_NS = NS_PER_S // 2


class RosVehicle:
    """See VehiclePort. `commands` None: nothing is commanded, whoever asks for it."""

    def __init__(
        self, states: NewestState, commands: Publication | None, *, frame_id: str, speed_horizon_s: float
    ) -> None:
        self.withheld = 0  # commands that were not sent, since the speed was not known
        self.sent = 0
        self.states = states
        self._commands = commands
        self._frame_id = frame_id
        self._speed_horizon_s = speed_horizon_s

    @property
    def obeys(self) -> bool:
        """Whether a topic for commands was named."""
        return self._commands is not None

    def state(self, t_source_ns: int) -> VehicleState:
        """The newest of every reading. A vehicle that obeys tells no speed that is half a second older or newer, so
        that nothing is decided upon it, and the ledger says why.
        """
        state = self.states.now()
        if self.obeys and not _is_fresh(state, t_source_ns):
            return msgspec.structs.replace(state, speed_mps=None)
        return state

    def apply(self, command: Command) -> None:
        """Send a command. Where the vehicle's speed is not known, or is half a second older or newer than the picture,
        none is sent: a speed has to be named, and a guess would be an order. Raises SourceError in shadow mode.
        """
        if self._commands is None:
            raise SourceError(f"command {command.decision_id} was given in shadow mode, where nothing is commanded")
        message = command_message(command, self.states.now(), self._frame_id, self._speed_horizon_s)
        if message is None:
            self.withheld += 1
            return
        self._commands.publish(message)
        self.sent += 1


def command_message(
    command: Command, state: VehicleState, frame_id: str, speed_horizon_s: float
) -> AckermannDriveStamped | None:
    """A command as ackermann_msgs has it; None where the speed is not known at the command's time.

    ackermann_msgs orders a speed, with an acceleration's magnitude to reach it by. The speed is the one that the
    acceleration would have led to after `speed_horizon_s`, never a reverse, so that a vehicle follows the acceleration
    until the next command, and one that hears no more comes to a steady speed (its own watchdog has to stop it). The
    stamp is that of the picture the command was made from.
    """
    speed = state.speed_mps
    if speed is None or not _is_fresh(state, command.t_source_ns):
        return None
    acceleration = command.control.acceleration_mps2
    return AckermannDriveStamped(
        Header(time_of(command.t_source_ns), frame_id),
        AckermannDrive(
            steering_angle=command.control.steering_angle_rad,
            speed=max(0.0, speed.value + acceleration * speed_horizon_s),
            acceleration=abs(acceleration),
        ),
    )


def _is_fresh(state: VehicleState, t_source_ns: int) -> bool:
    """A speed from far ahead is no fresh one: its clock is another, or one wrong stamp holds up all that came since."""
    speed = state.speed_mps
    if speed is None or not math.isfinite(speed.value):
        return False
    return abs(t_source_ns - speed.t_source_ns) <= MAX_SPEED_AGE_NS
