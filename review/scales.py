"""What is the same in all pictures of a drive: its scales and its size. What does not decode is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import cv2
import numpy as np

from review.lettering import Image
from runtime.attribution.grid import Grid, values_of
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Attribution, CompressedImage
from runtime.contracts.topics import ATTRIBUTION, DECISION, PICTURE
from runtime.record.drive import Drive


def extremes(drive: Drive) -> tuple[list[float], list[float], float]:
    """Of each frame the map's strongest cell and the steering angle, both absolute; and the largest acceleration."""
    strongest: list[float] = []
    angles: list[float] = []
    acceleration = 0.0
    for frame in drive.frames(ATTRIBUTION, DECISION):
        try:
            decision = frame.decision
            values = None if frame.attribution is None else np.abs(map_of(frame.attribution))
        except RecordError:
            continue  # its placeholder says why
        if values is not None:
            strongest.append(float(np.max(values, where=np.isfinite(values), initial=0.0)))
        if decision is not None:
            angles.append(abs(decision.control.steering_angle_rad))
            acceleration = max(acceleration, abs(decision.control.acceleration_mps2))
    return strongest, angles, acceleration


def map_of(attribution: Attribution) -> Grid:
    """The map as an array. Raises RecordError where its rows are none."""
    try:
        values = values_of(attribution)
    except ValueError as error:
        raise RecordError(f"the map of frame {attribution.sequence} has rows of different lengths") from error
    if values.ndim != 2 or not values.size:
        raise RecordError(f"the map of frame {attribution.sequence} is empty")
    return values


def shapes(drive: Drive, camera: str) -> Iterator[tuple[int, int]]:
    """Height and width of the camera's pictures that can be decoded."""
    for frame in drive.frames(PICTURE):
        with suppress(RecordError):
            for picture in frame.pictures:
                image = decoded(picture) if picture.frame_id == camera else None
                if image is not None:
                    yield image.shape[0], image.shape[1]


def decoded(picture: CompressedImage) -> Image | None:
    """The picture; None where its bytes are none."""
    try:
        return cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]
    except cv2.error:  # no bytes at all
        return None
