"""A folder of images as a source, in natural order of their names, at a nominal rate."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.contracts.clock import ClockDomain
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.units import NS_PER_S
from runtime.sources.location import DEFAULT_FRAME_RATE_HZ, located
from runtime.sources.pictures import is_picture, load_picture, refuse_size


def open_source(request: SourceRequest) -> ImagesSource:
    """The images of a folder at `?frame_rate_hz=` (20 where it is not given). Raises SourceError without images."""
    location = located(request.uri)
    if len(request.cameras) != 1:
        raise SourceError(
            f"source {request.uri!r} has one camera and the model asks for {len(request.cameras)} "
            f"({', '.join(request.cameras)}); use a model with one image input"
        )
    try:
        paths = [entry for entry in location.path.iterdir() if is_picture(entry)]
    except OSError as error:
        raise SourceError(f"source {request.uri!r} is no folder that can be read: {error.strerror}") from error
    if not paths:
        raise SourceError(f"source {request.uri!r}: the folder holds no image (jpg, png, bmp, webp, tiff, ppm, pgm)")
    rate = location.frame_rate_hz or DEFAULT_FRAME_RATE_HZ
    return ImagesSource(request, sorted(paths, key=natural_key), rate)


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A sort key by which 9.png comes before 10.png."""
    parts = re.split(r"(\d+)", path.name, flags=re.ASCII)
    return tuple((0, int(part), "") if i % 2 else (1, 0, part.casefold()) for i, part in enumerate(parts)), path.name


class ImagesSource:
    """One camera whose pictures lie in files. Nothing is known of its vehicle."""

    def __init__(self, request: SourceRequest, paths: list[Path], frame_rate_hz: float) -> None:
        self._uri = request.uri
        self._camera = request.cameras[0]
        self._paths = paths
        self._rate = frame_rate_hz
        self._next = 0
        self._shape: tuple[int, ...] | None = None

    @property
    def uri(self) -> str:
        """What was opened."""
        return self._uri

    @property
    def clock_domain(self) -> ClockDomain:
        """File: the nominal rate's times."""
        return "file"

    @property
    def expected_captures(self) -> int | None:
        """The number of files."""
        return len(self._paths)

    @property
    def vehicle(self) -> None:
        """Nothing is known of it."""
        return

    def read(self) -> Capture | Missing | None:
        """The next file's picture; a file that gives none, or one of another size, is Missing with the reason."""
        if self._next >= len(self._paths):
            return None
        sequence, self._next = self._next, self._next + 1
        t_source_ns = round(sequence * NS_PER_S / self._rate)
        try:
            picture = load_picture(self._paths[sequence])
            self._shape = self._shape or picture.shape
            refuse_size(picture, self._shape)
        except SourceError as error:
            return Missing(sequence, t_source_ns, {self._camera: str(error)})
        return Capture(sequence, t_source_ns, {self._camera: picture})

    def close(self) -> None:
        """No more pictures come. Idempotent."""
        self._next = len(self._paths)
