"""A vehicle on ROS, behind the vehicle port: its newest state in, commands out, and none in shadow mode."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

from ros_bridge.messages import AckermannDrive, AckermannDriveStamped, Header, time_of
from ros_bridge.states import NewestState
from ros_bridge.transport import Publication
from runtime.contracts.clock import Clock
from runtime.contracts.errors import DriveOverError, SourceError
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Command, VehicleState

MAX_SPEED_AGE_NS = NS_PER_S // 2


class RosVehicle:
    """See VehiclePort. `commands` None: nothing is commanded, whoever asks for it."""

    def __init__(
        self,
        states: NewestState,
        commands: Publication | None,
        clock: Clock,
        *,
        frame_id: str,
        speed_horizon_s: float,
        stop_mps2: float | None = None,
    ) -> None:
        """`stop_mps2`: see `stop`."""
        self.sent = 0
        self.states = states
        self._sampled = VehicleState(0)  # as it was told for the newest picture
        self._commands = commands
        self._clock = clock
        self._frame_id = frame_id
        self._speed_horizon_s = speed_horizon_s
        self._stop_mps2 = stop_mps2
        self._last: AckermannDriveStamped | None = None  # that was sent
        self._sent_ns = 0  # when that was, on the host's clock
        self._over = False
        self._sending = threading.Lock()  # nothing is sent behind the stop

    @property
    def obeys(self) -> bool:
        """Whether a topic for commands was named."""
        return self._commands is not None

    def state(self, t_source_ns: int) -> VehicleState:
        """The newest of every reading. Raises SourceError where the vehicle obeys and its speed is not known as of
        then, so that nothing is decided upon a guess, whatever the model reads, and the ledger says why.
        """
        state = self.states.now()
        if self.obeys:
            _refuse_unknown_speed(state, t_source_ns)
        self._sampled = state
        return state

    def apply(self, command: Command) -> None:
        """Send a command, from the speed that was told for its picture: the record holds both, so what was sent follows
        from it. Raises SourceError where none can be sent: in shadow mode, or where the speed is not known;
        DriveOverError behind the stop.
        """
        if self._commands is None:
            raise SourceError(f"command {command.decision_id} was given in shadow mode, where nothing is commanded")
        message = command_message(command, self._sampled, self._frame_id, self._speed_horizon_s)
        with self._sending:
            if self._over:
                raise DriveOverError("the drive was over before this command")
            self._commands.publish(message)
            self._last, self._sent_ns = message, self._clock.monotonic_ns()
            self.sent += 1

    def stop(self) -> bool:
        """The last of all commands: to stand, at `stop_mps2`, the wheels as they were told last. Its stamp is
        that one's and the time since: the camera may have been silent for long, and who looks drops an old order. Tells
        whether it was sent: not where nothing was commanded before, nor where `stop_mps2` is None. Raises LinkError.
        Idempotent.
        """
        with self._sending:
            first, self._over = not self._over, True
            if not first or self._commands is None or self._last is None or self._stop_mps2 is None:
                return False
            t_ns = self._last.header.stamp.ns + self._clock.monotonic_ns() - self._sent_ns
            drive = replace(self._last.drive, speed=0.0, acceleration=self._stop_mps2)
            self._commands.publish(AckermannDriveStamped(Header(time_of(t_ns), self._frame_id), drive))
            return True


def command_message(
    command: Command, state: VehicleState, frame_id: str, speed_horizon_s: float
) -> AckermannDriveStamped:
    """A command as ackermann_msgs has it. Raises SourceError where the speed is not known at the command's time: one
    has to be named, and a guess would be an order.

    ackermann_msgs orders a speed, with an acceleration's magnitude to reach it by. The speed is the one that the
    acceleration would have led to after `speed_horizon_s`, never a reverse, so that a vehicle follows the acceleration
    until the next command, and one that hears no more comes to a steady speed (its own watchdog has to stop it). The
    stamp is that of the picture the command was made from.
    """
    speed_mps = _refuse_unknown_speed(state, command.t_source_ns)
    acceleration = command.control.acceleration_mps2
    return AckermannDriveStamped(
        Header(time_of(command.t_source_ns), frame_id),
        AckermannDrive(
            steering_angle=command.control.steering_angle_rad,
            speed=max(0.0, speed_mps + acceleration * speed_horizon_s),
            acceleration=abs(acceleration),
        ),
    )


def _refuse_unknown_speed(state: VehicleState, t_source_ns: int) -> float:
    """The speed in m/s. A speed from far ahead is no fresh one: its stamp is damaged, or its clock another. Raises
    SourceError.
    """
    speed = state.speed_mps
    if speed is None:
        raise SourceError("no topic has told the vehicle's speed yet, and nothing is commanded without")
    if not math.isfinite(speed.value):
        raise SourceError(f"the vehicle's speed is told as {speed.value}, and nothing is commanded upon it")
    age_ns = t_source_ns - speed.t_source_ns
    if abs(age_ns) > MAX_SPEED_AGE_NS:
        apart = f"{abs(age_ns) / NS_PER_S:.3g} s {'older' if age_ns > 0 else 'newer'}"
        raise SourceError(
            f"the vehicle's speed is {apart} than the picture, and beyond {MAX_SPEED_AGE_NS / NS_PER_S:g} s nothing is "
            "commanded upon it; is its topic alive, and on the camera's clock?"
        )
    return speed.value
