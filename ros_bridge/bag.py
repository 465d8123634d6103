"""A ROS bag as a source: rosbag1 (`.bag`) or rosbag2 (a folder, `.db3` or `.mcap`), read by rosbags.

`rosbag://BAG?image=/camera/image_raw&state=/odom`, or a plain path. Vehicle state makes a logged vehicle, which obeys
nobody: a shadow drive.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from ros_bridge import cdr
from ros_bridge.arrivals import Arrival
from ros_bridge.foreign import taken_over
from ros_bridge.messages import AckermannDriveStamped, CompressedImage, Image, Message, Odometry, TwistStamped
from ros_bridge.placing import Placing, refuse_many_cameras
from ros_bridge.stamp import Stamp, time_told
from ros_bridge.states import NewestState, state_of
from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.vehicle import Command, VehicleState

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

_PICTURES: dict[str, type[Image | CompressedImage]] = {kind.ROS_TYPE: kind for kind in (Image, CompressedImage)}
_STATES: dict[str, type[Message]] = {kind.ROS_TYPE: kind for kind in (Odometry, TwistStamped, AckermannDriveStamped)}
_FOUND_BY_THEMSELVES = (Odometry.ROS_TYPE, TwistStamped.ROS_TYPE)  # an Ackermann topic may be what was asked for
_MAX_STATES = 20_000_000
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class BagAddress:
    """Which bag, and which of its topics; `image` None and `states` empty: the only one that there is."""

    path: Path
    image: str | None
    states: tuple[str, ...]
    stamp: Stamp


def open_source(request: SourceRequest) -> BagSource:
    """The source for a bag. Raises SourceError where it is none, or what is asked for is not in it."""
    refuse_many_cameras(request)
    address = bag_address(request.uri)
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise SourceError(
            f"{request.uri!r} needs rosbags, which is not here ({error}); in a checkout of Sightline: python -m pip "
            "install '.[ros]'"
        ) from error
    try:
        reader = AnyReader([address.path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except (AnyReaderError, OSError, ValueError, KeyError) as error:
        raise SourceError(f"source {request.uri!r}: the bag {address.path} cannot be read: {error}") from error
    try:
        return BagSource(request, address, reader)
    except BaseException:
        reader.close()
        raise


def bag_address(uri: str) -> BagAddress:
    """The address in `rosbag://PATH?KEY=VALUE&…` or a plain path. Raises SourceError on what is not there."""
    rest = uri.partition("://")[2] if "://" in uri else uri
    base, _, query = rest.rpartition("?")
    found = [(place, told) for place, told in ((rest, ""), (base, query), (unquote(base), query)) if _exists(place)]
    if not found:
        raise SourceError(f"source {uri!r}: there is no such file or folder; check the path")
    path, options = found[0]
    image: str | None = None
    states: list[str] = []
    stamp: Stamp = "header"
    for key, value in parse_qsl(options, keep_blank_values=True):
        if key == "image":
            image = value
        elif key == "state":
            states.append(value)
        elif key == "stamp" and value in ("header", "received"):
            stamp = "received" if value == "received" else "header"
        else:
            raise SourceError(
                f"source {uri!r}: {key}={value!r} is no option; known here: image=TOPIC, state=TOPIC, "
                "stamp=header or stamp=received"
            )
    return BagAddress(Path(path), image, tuple(states), stamp)


check_address = bag_address  # see `runtime.sources.open`


class LoggedStates:
    """The vehicle as the bag tells of it. Nothing moves it."""

    def __init__(self, told: list[VehicleState]) -> None:
        told.sort(key=lambda state: state.t_source_ns)
        newest = NewestState()
        self._times: list[int] = []
        self._states: list[VehicleState] = []
        for state in told:
            newest.take(state)
            self._times.append(state.t_source_ns)
            self._states.append(newest.now())

    @property
    def obeys(self) -> bool:
        """Never: what is logged is over."""
        return False

    def state(self, t_source_ns: int) -> VehicleState:
        """The newest reading of each kind at or before the time; none where there is none yet."""
        index = bisect_right(self._times, t_source_ns) - 1
        return self._states[index] if index >= 0 else VehicleState(t_source_ns)

    def apply(self, command: Command) -> None:
        """Refused: raises SourceError."""
        raise SourceError(f"command {command.decision_id} was given to a logged vehicle, which cannot obey")


class BagSource:
    """See Source."""

    def __init__(self, request: SourceRequest, address: BagAddress, reader: AnyReader) -> None:
        self.refused, self.refusal = 0, ""  # messages of the vehicle that could not be read, and why the last
        self._uri = request.uri
        self._address = address
        self._reader: AnyReader | None = reader
        types = {name: str(info.msgtype) for name, info in reader.topics.items()}
        self._image = self._only(address.image, types, _PICTURES, "image")
        self._expected = reader.topics[self._image].msgcount
        self._placing = Placing(request.cameras[0], self._image, address.stamp)
        self._due: deque[Capture | Missing] = deque()
        states = self._state_topics(types)
        self._vehicle = LoggedStates(self._told(states)) if states else None
        self._messages: Iterator[Arrival] = self._arrivals()

    @property
    def uri(self) -> str:
        """As it was asked for."""
        return self._uri

    @property
    def clock_domain(self) -> ClockDomain:
        """File: the messages' stamps."""
        return "file"

    @property
    def expected_captures(self) -> int | None:
        """The pictures' messages."""
        return self._expected

    @property
    def vehicle(self) -> LoggedStates | None:
        """The logged vehicle, where a topic tells of it."""
        return self._vehicle

    def read(self) -> Capture | Missing | None:
        """The next picture; Missing where a message holds none. Raises SourceError where the bag breaks off."""
        while not self._due:
            arrival = next(self._messages, None)
            self._due.extend(self._placing.ended() if arrival is None else self._placing.place(arrival))
            if arrival is None and not self._due:
                return None
        return self._due.popleft()

    def close(self) -> None:
        """Give the file back, and tell on standard error what was refused of the vehicle's messages. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None and self.refused:
            sys.stderr.write(
                f"{self._uri}: {self.refused} messages of the vehicle were refused, the last since {self.refusal}\n"
            )
        self._messages = iter(())
        if reader is not None:
            reader.close()

    def _only(self, asked: str | None, types: dict[str, str], kinds: dict[str, Any], option: str) -> str:
        fitting = sorted(name for name, ros_type in types.items() if ros_type in kinds)
        if asked is not None and asked in fitting:
            return asked
        if asked is None and len(fitting) == 1:
            return fitting[0]
        there = ", ".join(f"{name} ({types[name]})" for name in (fitting or sorted(types))) or "nothing"
        problem = "no picture" if not fitting else "several" if asked is None else f"no {asked} of these types"
        raise SourceError(
            f"source {self._uri!r}: the bag has {problem} in {' or '.join(kinds)}; it has {there}; name one: "
            f"?{option}=TOPIC"
        )

    def _state_topics(self, types: dict[str, str]) -> tuple[str, ...]:
        if self._address.states:
            return tuple(self._only(asked, types, _STATES, "state") for asked in self._address.states)
        for kind in _FOUND_BY_THEMSELVES:
            found = [name for name, ros_type in types.items() if ros_type == kind]
            if len(found) == 1:
                return (found[0],)
        return ()

    def _told(self, topics: tuple[str, ...]) -> list[VehicleState]:
        told: list[VehicleState] = []
        for message, problem, t_ns in self._of(topics, _STATES):
            if problem or message is None:
                self.refused, self.refusal = self.refused + 1, problem
                continue
            if len(told) >= _MAX_STATES:
                raise SourceError(f"source {self._uri!r}: more than {_MAX_STATES} messages of the vehicle; cut the bag")
            try:
                told.append(state_of(message, time_told(message, self._address.stamp, t_ns)))
            except SourceError as error:
                self.refused, self.refusal = self.refused + 1, str(error)
        return told

    def _arrivals(self) -> Iterator[Arrival]:
        for message, problem, t_ns in self._of((self._image,), _PICTURES):
            yield Arrival(message if isinstance(message, Image | CompressedImage) else None, problem, t_ns)

    def _of(self, topics: tuple[str, ...], kinds: dict[str, Any]) -> Iterator[tuple[Message | None, str, int]]:
        """Messages of some topics with the time at which they were recorded, or why they cannot be read."""
        reader = self._reader
        if reader is None:
            return
        connections = [one for one in reader.connections if one.topic in topics]
        messages = reader.messages(connections=connections)
        while True:
            try:
                found = next(messages, None)
            except Exception as error:  # rosbags raises what its storages do, sqlite3's and struct's errors among them
                raise SourceError(f"source {self._uri!r}: the bag breaks off: {error}") from error
            if found is None:
                return
            connection, t_ns, data = found
            try:
                yield self._read(reader, kinds[connection.msgtype], data), "", t_ns
            except SourceError as error:
                yield None, str(error), t_ns

    def _read(self, reader: AnyReader, kind: type[Message], data: bytes) -> Message:
        if reader.is2:
            return cdr.decode(kind, data, max_bytes=_MAX_BYTES)
        if len(data) > _MAX_BYTES:
            raise SourceError(f"a {kind.ROS_TYPE} of {len(data)} bytes; at most {_MAX_BYTES} are taken")
        try:
            foreign = reader.deserialize(data, kind.ROS_TYPE)
        except Exception as error:  # as above: bytes that are no message end in struct's and numpy's errors
            raise SourceError(f"this is no {kind.ROS_TYPE}: {error}") from error
        return taken_over(kind, foreign)


def _exists(place: str) -> bool:
    with suppress(OSError, ValueError):  # a name too long, or with a zero
        return bool(place) and Path(place).exists()
    return False
