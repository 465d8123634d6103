"""A drive's pictures with the decision and its reason drawn over them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from review.drawing import Moment, Setting, draw, full_size, size_of
from review.incidents import incident_of
from review.pictures import PictureDecoder, decoder_at, first_shape
from review.reopen import find_drive, recorded_config, recorded_manifest
from review.scales import extremes, map_of
from review.verify.moment import utc
from runtime.contracts.errors import RecordError, UsageError
from runtime.contracts.model import ImageInput, Manifest
from runtime.contracts.topics import ATTRIBUTION, DECISION, LEDGER, PICTURE, TRUTH, VEHICLE, VIDEO
from runtime.contracts.units import s_from_ns
from runtime.record.deleted import DeletedSegment
from runtime.record.drive import RecordedFrame, open_drive
from runtime.record.h264 import FORMAT

_ROWS = (PICTURE, VIDEO, DECISION, ATTRIBUTION, VEHICLE, LEDGER, TRUTH)
_SCALE_QUANTILE = 0.98  # of the frames' strongest cells: one wild frame does not make all others pale
_DIALS_RAD = tuple(np.radians([2.0, 5.0, 10.0, 20.0, 35.0, 60.0, 90.0]).tolist())


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames: from `first` to `last` (both included; None: the drive's), every `every`-th of them."""

    first: int | None = None
    last: int | None = None
    every: int = 1


@dataclass(frozen=True, slots=True)
class OverlayReport:
    """What was written. `frames` counts frames drawn; a video may show one for longer than its neighbours."""

    drive: str
    frames: int
    files: tuple[str, ...]
    width_px: int
    height_px: int
    frame_rate_hz: float | None  # of the video
    map_scale: float  # of a cell drawn at full strength, in the target's unit; the same in the whole drive
    deleted: tuple[DeletedSegment, ...] = ()  # by the vehicle, to make room: nothing of them can be drawn


Progress = Callable[[int], object]


def write_pictures(
    path: Path,
    out: Path,
    selection: Selection,
    *,
    camera: str | None = None,
    width_px: int | None = None,
    progress: Progress = lambda _: None,
) -> OverlayReport:
    """Write PNG files `frame-000123.png` into the folder `out`.

    Raises RecordError where the drive cannot be read, nothing of it was selected, or a file cannot be written, and
    UsageError on an unknown camera.
    """
    overlay = Overlay(path, camera, width_px)
    files = []
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for moment in overlay.moments(selection):
        file = out / f"frame-{moment.sequence:06d}.png"
        _, png = cv2.imencode(".png", draw(moment, overlay.setting))  # imwrite tells no why
        with _writing(file):
            file.write_bytes(png.tobytes())
        files.append(str(file))
        progress(1)
    return overlay.report(len(files), tuple(files), None)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {error.strerror}; choose another folder with --out") from error


def frame_at(path: Path, t_source_s: float, *, after: bool) -> int:
    """The sequence of the first frame not before a time since the drive's begin (`after`), or of the last not after it.

    Raises RecordError where the drive has none there.
    """
    drive = open_drive(find_drive(path))
    best: int | None = None
    for frame in drive.frames(LEDGER):
        found_s = s_from_ns(frame.t_source_ns - drive.header.t_source_origin_ns)
        if after and found_s >= t_source_s:
            return frame.sequence
        if not after and found_s <= t_source_s:
            best = frame.sequence
    if best is None:
        raise RecordError(f"{drive.path} has no frame {'from' if after else 'up to'} {t_source_s:g} s")
    return best


def incident_frames(path: Path, number: int) -> tuple[int, int]:
    """The first and the last frame in an incident's window.

    Raises UsageError where the drive has no such incident, RecordError where it has no frame in its window.
    """
    drive = open_drive(find_drive(path))
    found = incident_of(drive, number)
    inside = [f.sequence for f in drive.frames(LEDGER) if found.t_from_ns <= f.t_source_ns <= found.t_to_ns]
    if not inside:
        raise RecordError(f"{drive.path} has no frame in the window of incident {number}: its segments are gone")
    return inside[0], inside[-1]


class Overlay:
    """A drive opened for drawing, with everything that is the same for all of its frames."""

    def __init__(self, path: Path, camera: str | None, width_px: int | None) -> None:
        self._drive = open_drive(find_drive(path))
        manifest = recorded_manifest(self._drive)
        self._camera = _camera(manifest, camera)
        self.setting = self._setting(manifest, width_px)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a drawn picture."""
        width, height = full_size(self.setting)
        return height, width

    def moments(self, selection: Selection) -> Iterator[Moment]:
        """The selected frames. Raises RecordError where there are none."""
        if selection.every < 1:
            raise UsageError(f"every {selection.every}-th frame: at least 1")
        count = 0
        decoder = decoder_at(self._drive, self._camera.camera, selection.first or 0)
        for frame in self._drive.frames(*_ROWS, first=selection.first or 0, last=selection.last):
            moment = self._moment(frame, decoder)
            if (frame.sequence - (selection.first or 0)) % selection.every == 0:
                count += 1
                yield moment
        if not count:
            if selection.last is not None and (selection.first or 0) > selection.last:
                raise UsageError(f"the last frame, {selection.last}, comes before the first, {selection.first}")
            raise RecordError(
                f"{self._drive.path} has no frame from {selection.first or 0} to "
                f"{'the end' if selection.last is None else selection.last}; `sightline info` says what there is"
            )

    def frame_rate_hz(self, selection: Selection) -> float:
        """One over the usual distance of the selected frames, in the source's time."""
        times = [
            frame.t_source_ns
            for frame in self._drive.frames(LEDGER, first=selection.first or 0, last=selection.last)
            if (frame.sequence - (selection.first or 0)) % selection.every == 0
        ]
        steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
        return max(1.0, min(120.0, 1.0 / s_from_ns(round(statistics.median(steps))))) if steps else 1.0

    def report(self, frames: int, files: tuple[str, ...], rate_hz: float | None) -> OverlayReport:
        height, width = self.size
        scale, deleted = self.setting.map_scale, self._drive.deleted
        return OverlayReport(str(self._drive.path), frames, files, width, height, rate_hz, scale, deleted)

    def _moment(self, frame: RecordedFrame, decoder: PictureDecoder) -> Moment:
        try:
            return self._whole(frame, decoder)
        except RecordError as error:
            return self._broken(frame, str(error))

    def _whole(self, frame: RecordedFrame, decoder: PictureDecoder) -> Moment:
        lines = [line for line in frame.dispositions if line.frame_id.camera == self._camera.camera]
        line = lines[0] if lines else None
        shown = next((picture for picture in frame.pictures if picture.frame_id == self._camera.camera), None)
        speed = frame.vehicle.state.speed_mps if frame.vehicle is not None else None
        picture = None if shown is None else decoder.decode(shown)
        reason = "" if line is None else line.reason or line.picture_missing
        if shown is not None and picture is None:
            lacking = ", or what they need of those before is not there" if shown.format == FORMAT else ""
            reason = reason or f"its {len(shown.data)} bytes are no {shown.format} picture{lacking}"
        attribution = frame.attribution
        if attribution is not None:
            map_of(attribution)
        t_source_ns = line.t_source_ns if line is not None else frame.t_source_ns
        return Moment(
            sequence=frame.sequence,
            t_source_s=self._since_start_s(t_source_ns),
            utc=self._utc(t_source_ns),
            disposition=None if line is None else line.disposition,
            disposition_reason=reason,
            picture=picture,
            decision=frame.decision,
            attribution=attribution if attribution and attribution.image == self._camera.name else None,
            speed_mps=None if speed is None else speed.value,
            speed_assumed=frame.vehicle is not None and frame.vehicle.state.assumed,
            truth=frame.truth,
        )

    def _broken(self, frame: RecordedFrame, why: str) -> Moment:
        """A frame with a message that does not decode: nothing of it is drawn, since what it says may be wrong."""
        return Moment(
            sequence=frame.sequence,
            t_source_s=self._since_start_s(frame.t_source_ns),
            utc=self._utc(frame.t_source_ns),
            disposition=None,
            disposition_reason=why,
            picture=None,
            decision=None,
            attribution=None,
            speed_mps=None,
            speed_assumed=False,
            truth=None,
            broken=True,
        )

    def _since_start_s(self, t_source_ns: int) -> float:
        return s_from_ns(t_source_ns - self._drive.header.t_source_origin_ns)

    def _utc(self, t_source_ns: int) -> str:
        header = self._drive.header
        return utc(header.utc_origin_ns + t_source_ns - header.t_source_origin_ns)

    def _setting(self, manifest: Manifest, width_px: int | None) -> Setting:
        drive, config = self._drive, recorded_config(self._drive)
        strongest, angles, acceleration = extremes(drive)
        map_scale = float(np.quantile(strongest, _SCALE_QUANTILE)) if strongest else 0.0
        widest = float(np.quantile(angles, _SCALE_QUANTILE)) if angles else 0.0
        height, width = first_shape(drive, self._camera.camera) or (540, 960)
        width, height = size_of(width, height, width_px)
        return Setting(
            title=f"{manifest.name} · {self._camera.camera} · {drive.header.drive_id}",
            image=self._camera,
            width_px=width,
            height_px=height,
            map_scale=map_scale,
            target=manifest.attribution.told_as if manifest.attribution is not None else "steering_angle_rad",
            steering_full_scale_rad=next((dial for dial in _DIALS_RAD if widest <= dial), _DIALS_RAD[-1]),
            acceleration_full_scale_mps2=max(2.0, acceleration),
            wheelbase_m=config.vehicle.wheelbase_m,
            worth=self._drive.header.attribution_worth,
            shadow=drive.header.mode == "shadow",
        )


def _camera(manifest: Manifest, camera: str | None) -> ImageInput:
    """The image input to draw: of `camera`, else the one that the map lies over, else the first."""
    if camera is not None:
        found = [image for image in manifest.images if image.camera == camera]
        if not found:
            raise UsageError(f"the drive has no camera {camera!r}; there are: {', '.join(manifest.cameras)}")
        return found[0]
    mapped = manifest.attribution.image if manifest.attribution is not None else manifest.images[0].name
    return next(image for image in manifest.images if image.name == mapped)
