"""A camera's topic as a source of frames, and the vehicle that it sits in."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable

from ros_bridge.address import Address, parse_address
from ros_bridge.arrivals import Arrival, Arrivals
from ros_bridge.messages import AckermannDriveStamped, CompressedImage, Image, M, Message
from ros_bridge.placing import Placing, refuse_many_cameras
from ros_bridge.stamp import time_told
from ros_bridge.standstill import LONGEST_NS
from ros_bridge.states import STATE_TYPES, NewestState, state_of
from ros_bridge.transport import COMMAND, SENSOR_DATA, Received, Transport
from ros_bridge.vehicle import RosVehicle
from runtime.contracts.clock import Clock, ClockDomain, SystemClock
from runtime.contracts.errors import LinkError, SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.units import NS_PER_S

PICTURE_TYPES: tuple[type[Message], ...] = (Image, CompressedImage)

check_address = parse_address  # see `runtime.sources.open`

_LOOK_AGAIN_S = 0.05
_MAX_STATE_BYTES = 2**16


def open_source(request: SourceRequest) -> RosSource:
    """A `ros2://` URI over DDS: see `ros_bridge.address`. Raises SourceError, LinkError."""
    address = parse_address(request.uri)
    try:
        from ros_bridge.dds import DdsTransport
    except ImportError as error:
        raise SourceError(
            f"{request.uri!r} needs cyclonedds, which is not here ({error}); in a checkout of Sightline: python -m pip "
            "install '.[dds]'; or use rclpy:// from the colcon package where ROS is installed"
        ) from error
    return RosSource.opened(request, address, DdsTransport(address.domain), SystemClock(), time.sleep)


class RosSource:
    """See Source. Made by `opened`."""

    def __init__(
        self, request: SourceRequest, address: Address, transport: Transport, vehicle: RosVehicle | None, clock: Clock
    ) -> None:
        self._uri = request.uri
        self._address = address
        self._transport = transport
        self._vehicle = vehicle
        self._clock = clock
        self._camera = request.cameras[0]
        self._arrivals = Arrivals(clock)
        self._placing = Placing(self._camera, address.topic, address.stamp)
        self._due: deque[Capture | Missing] = deque()
        self._ended = False  # interrupted, or closed
        self._closed = False

    @classmethod
    def opened(
        cls,
        request: SourceRequest,
        address: Address,
        transport: Transport,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> RosSource:
        """Wait until somebody publishes every topic that is asked for, and listen. Takes the transport over.

        Raises SourceError where more than one camera is asked for, or nobody publishes in time, or another type.
        """
        try:
            refuse_many_cameras(request)
            return cls._listening(request, address, transport, clock, _Discovery(address, transport, clock, sleep))
        except BaseException:
            transport.close()
            raise

    @classmethod
    def _listening(
        cls, request: SourceRequest, address: Address, transport: Transport, clock: Clock, discovery: _Discovery
    ) -> RosSource:
        kind = discovery.type_of(address.topic, PICTURE_TYPES)
        state_kinds = {topic: discovery.type_of(topic, STATE_TYPES) for topic in address.states}
        vehicle = None
        if state_kinds:
            states = NewestState()
            for topic, state_kind in state_kinds.items():
                listen = _state_listener(states, address)
                transport.subscribe(topic, state_kind, SENSOR_DATA, listen, _MAX_STATE_BYTES)
            commands = transport.advertise(address.command, AckermannDriveStamped, COMMAND) if address.command else None
            vehicle = RosVehicle(
                states,
                commands,
                clock,
                frame_id=address.frame_id,
                speed_horizon_s=address.speed_horizon_s,
                stop_mps2=address.stop_mps2,
            )
        source = cls(request, address, transport, vehicle, clock)
        transport.subscribe(address.topic, kind, SENSOR_DATA, source._arrivals.put, address.max_bytes)
        return source

    @property
    def uri(self) -> str:
        """As it was asked for."""
        return self._uri

    @property
    def clock_domain(self) -> ClockDomain:
        """Real: a running camera, which waits for nobody, and so does a simulator's. Its stamps may be simulated."""
        return "real"

    @property
    def expected_captures(self) -> int | None:
        """Nobody knows."""
        return None

    @property
    def vehicle(self) -> RosVehicle | None:
        """The vehicle, where a topic tells of it."""
        return self._vehicle

    def read(self) -> Capture | Missing | None:
        """The next picture; Missing where one came that is none, was lost, or has an impossible time. None once it is
        interrupted or closed.

        Raises SourceError where the camera is silent for the address's timeout, or its clock began anew.
        """
        while not self._due:
            arrival = None if self._ended else self._arrivals.take(self._address.timeout_s)
            if self._ended:
                return None
            if arrival is None:
                raise SourceError(
                    f"{self._address.topic} was silent for {self._address.timeout_s:g} s; is its publisher alive? "
                    "A longer wait: timeout_s=60"
                )
            self._due.extend(self._placed(arrival))
        return self._due.popleft()

    def _placed(self, arrival: Arrival) -> tuple[Capture | Missing, ...]:
        """What becomes of a message. A picture that lay here while the process stood still is none to decide upon, and
        whoever counts from when `read` gave it would not know.
        """
        placed = self._placing.place(arrival)
        lay_ns = self._clock.monotonic_ns() - arrival.t_monotonic_ns
        if lay_ns <= LONGEST_NS:
            return placed
        reasons = {self._camera: f"it lay here for {lay_ns / NS_PER_S:.1f} s until it was decoded"}
        return tuple(
            Missing(one.sequence, one.t_source_ns, reasons) if isinstance(one, Capture) else one for one in placed
        )

    def interrupt(self) -> None:
        """See Interruptible: a silent camera is not waited for."""
        self._ended = True
        self._arrivals.interrupt()

    def close(self) -> None:
        """Have the vehicle stand, where that was asked for, and leave the network. What was refused of the vehicle's
        messages is told on standard error: the ledger knows pictures only. Idempotent.
        """
        if self._vehicle is not None:
            try:
                self._vehicle.stop()
            except LinkError as error:
                sys.stderr.write(f"{self._uri}: the vehicle could not be ordered to stand: {error}\n")
        states = self._vehicle.states if self._vehicle is not None else None
        if not self._closed and states is not None and states.refused:
            sys.stderr.write(
                f"{self._uri}: {states.refused} messages of the vehicle were refused, the last since {states.refusal}\n"
            )
        self._closed = True
        self.interrupt()
        self._transport.close()


def _state_listener(states: NewestState, address: Address) -> Callable[[Received], None]:
    def take(received: Received) -> None:
        message = received.message
        if message is None:
            states.refuse(received.refusal)
            return
        try:
            states.take(state_of(message, time_told(message, address.stamp, received.t_received_ns)))
        except SourceError as error:
            states.refuse(str(error))

    return take


class _Discovery:
    """Which type a topic is published as. All topics of one address share its time."""

    def __init__(self, address: Address, transport: Transport, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._address, self._transport = address, transport
        self._clock, self._sleep = clock, sleep
        self._until_ns = clock.monotonic_ns() + round(address.timeout_s * NS_PER_S)

    def type_of(self, topic: str, kinds: tuple[type[M], ...]) -> type[M]:
        """The one of `kinds` that is published. Raises SourceError with what is published instead."""
        wanted = {kind.ROS_TYPE: kind for kind in kinds}
        while True:
            published = self._transport.publishers(topic)
            fitting = [name for name in published if name in wanted]
            if len(fitting) == 1:
                return wanted[fitting[0]]
            if self._clock.monotonic_ns() >= self._until_ns:
                raise SourceError(self._refusal(topic, published, tuple(wanted)))
            self._sleep(_LOOK_AGAIN_S)

    def _refusal(self, topic: str, published: tuple[str, ...], wanted: tuple[str, ...]) -> str:
        address = self._address
        either = " or ".join(wanted)
        if published:
            return f"source {address.uri!r}: {topic} is published as {', '.join(published)}; one of {either} is wanted"
        return (
            f"source {address.uri!r}: nobody publishes {topic} on domain {address.domain} "
            f"(waited {address.timeout_s:g} s for {either}); check the topic and the network, and that "
            "ROS_DOMAIN_ID, ROS_LOCALHOST_ONLY and ROS_AUTOMATIC_DISCOVERY_RANGE are here as the nodes have them"
        )
