"""A recording of the Udacity simulator as a source: its cameras, and its vehicle as a log."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, Picture, SourceRequest
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Command, Reading, VehicleState
from runtime.sources.location import DEFAULT_FRAME_RATE_HZ, located
from runtime.sources.pictures import load_picture, refuse_size
from runtime.sources.udacity_log import LogLine, Timed, parse_log, timed

LOG_NAME = "driving_log.csv"
_IMAGES = "IMG"
_COLUMN = {"center": 0, "centre": 0, "front": 0, "left": 1, "right": 2}
_MAX_LOG_BYTES = 256 * 1024 * 1024


def open_source(request: SourceRequest) -> UdacitySource:
    """A log's csv file, or the folder that holds `driving_log.csv`. Raises SourceError where it is no such log.

    Cameras: `front` (or `center`), `left` and `right`; a single camera of any other name gets the centre's pictures.
    """
    location = located(request.uri)
    path = location.path / LOG_NAME if location.path.is_dir() else location.path
    columns = _columns(request)
    try:
        if path.stat().st_size > _MAX_LOG_BYTES:
            raise SourceError(f"{path} has {path.stat().st_size} bytes; logs of up to {_MAX_LOG_BYTES} are read")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise SourceError(f"source {request.uri!r}: {path} cannot be read: {error.strerror}") from error
    period_ns = round(NS_PER_S / (location.frame_rate_hz or DEFAULT_FRAME_RATE_HZ))
    return UdacitySource(request, path.parent, columns, timed(parse_log(text, str(path)), period_ns))


class LoggedVehicle:
    """The vehicle as the log tells of it. Nothing moves it."""

    def __init__(self, lines: list[Timed]) -> None:
        told = [(line.t_source_ns, line.line) for line in lines if not line.problem]
        self._times = [t for t, _ in told]
        self._lines = [line for _, line in told]

    @property
    def obeys(self) -> bool:
        """Never: what is logged is over."""
        return False

    def state(self, t_source_ns: int) -> VehicleState:
        """The newest line at or before the time; without readings where there is none yet. Safe from any thread."""
        index = bisect_right(self._times, t_source_ns) - 1
        line = self._lines[index] if index >= 0 else None
        if not isinstance(line, LogLine):
            return VehicleState(t_source_ns=t_source_ns)
        at = self._times[index]
        return VehicleState(
            t_source_ns=at,
            speed_mps=Reading(line.speed_mps, at),
            steering_angle_rad=Reading(line.steering_angle_rad, at),
            throttle_ratio=Reading(line.throttle_ratio, at),
            brake_ratio=Reading(line.brake_ratio, at),
        )

    def apply(self, command: Command) -> None:
        """Refused: raises SourceError."""
        raise SourceError(f"command {command.decision_id} was given to a logged vehicle, which cannot obey")


class UdacitySource:
    """The lines of a log in their order, each with the pictures of the cameras that were asked for."""

    def __init__(self, request: SourceRequest, folder: Path, columns: dict[str, int], lines: list[Timed]) -> None:
        self._uri = request.uri
        self._folder = folder
        self._columns = columns
        self._lines = lines
        self._vehicle = LoggedVehicle(lines)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._next = 0

    @property
    def uri(self) -> str:
        """What was opened."""
        return self._uri

    @property
    def clock_domain(self) -> ClockDomain:
        """File: the times in the images' names, from the first."""
        return "file"

    @property
    def expected_captures(self) -> int | None:
        """The number of the log's lines."""
        return len(self._lines)

    @property
    def vehicle(self) -> LoggedVehicle:
        """The logged vehicle."""
        return self._vehicle

    def read(self) -> Capture | Missing | None:
        """The next line's pictures; Missing with the line and the reason where one of them cannot be had."""
        if self._next >= len(self._lines):
            return None
        sequence, self._next = self._next, self._next + 1
        entry = self._lines[sequence]
        line = entry.line
        if entry.problem or not isinstance(line, LogLine):
            return Missing(sequence, entry.t_source_ns, dict.fromkeys(self._columns, entry.problem))
        pictures: dict[str, Picture] = {}
        reasons: dict[str, str] = {}
        for camera, column in self._columns.items():
            picture = self._picture(camera, line.images[column])
            if isinstance(picture, str):
                reasons[camera] = f"line {line.number}: {picture}"
            else:
                pictures[camera] = picture
        if reasons:
            there = "its picture is there, but not all of this moment are"
            return Missing(sequence, entry.t_source_ns, {name: reasons.get(name, there) for name in self._columns})
        return Capture(sequence, entry.t_source_ns, pictures)

    def close(self) -> None:
        """No more pictures come. Idempotent."""
        self._next = len(self._lines)

    def _picture(self, camera: str, name: str) -> Picture | str:
        """The picture, or the reason why there is none."""
        if not name:
            return "it names no image"
        path = self._folder / _IMAGES / name
        try:
            picture = load_picture(path if path.exists() else self._folder / name)
            refuse_size(picture, self._shapes.setdefault(camera, picture.shape))
        except SourceError as error:
            return str(error)
        return picture


def _columns(request: SourceRequest) -> dict[str, int]:
    if len(request.cameras) == 1:
        return {request.cameras[0]: _COLUMN.get(request.cameras[0], 0)}
    unknown = [name for name in request.cameras if name not in _COLUMN]
    if unknown:
        raise SourceError(
            f"source {request.uri!r} has no camera {', '.join(unknown)}; it has front (or center), left and right"
        )
    return {name: _COLUMN[name] for name in request.cameras}
