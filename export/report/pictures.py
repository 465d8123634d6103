"""Frames as the network saw them, and with the signed map over them, as JPEG in a data URI.

Colours are those of the vehicle's overlay: azure pulls the target up (steering: left), orange down; the pair is told
apart by the colour-blind too. One scale for all pictures, so that a faint map is seen to be faint.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from export.worth.laying import laid
from export.worth.subject import Map, Pixels, Subject

UP_RGB, DOWN_RGB = (32, 176, 255), (255, 120, 20)
_WIDTH_PX, _MOST_DOTS = 480, 600
_OPACITY, _FAINTEST = 0.85, 0.04
_QUALITY = 82


def full_scale(maps: list[Map]) -> float:
    """The |cell| drawn at full strength: the 98th percentile over the frames of each frame's strongest."""
    strongest = [float(np.nan_to_num(np.abs(one), nan=0.0, posinf=0.0).max()) for one in maps]
    return float(np.quantile(strongest, 0.98)) or 1.0


def plain(subject: Subject, pixels: Pixels) -> str:
    """The model input, enlarged."""
    return _data_uri(_enlarged(_blue_green_red(subject, pixels)))


def overlaid(subject: Subject, pixels: Pixels, grid: Map, scale: float) -> str:
    """The model input with the map over it; dots mark the cells' centres."""
    picture = _enlarged(_blue_green_red(subject, pixels))
    height, width = picture.shape[:2]
    field = laid(grid, subject.attribution, subject.image) / scale
    fine = cv2.resize(field.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    rise = np.clip((np.abs(fine) - _FAINTEST) / (1 - _FAINTEST), 0, 1)
    alpha = (np.sin(rise * np.pi / 2) * _OPACITY)[..., np.newaxis]
    colour = np.where(fine[..., np.newaxis] >= 0, UP_RGB[::-1], DOWN_RGB[::-1])
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    under = 0.6 * picture + 0.4 * grey
    mixed = (under * (1 - alpha) + colour * alpha).round().astype(np.uint8)
    _dots(mixed, subject)
    return _data_uri(mixed)


def _dots(picture: NDArray[np.uint8], subject: Subject) -> None:
    c, factor = subject.attribution, picture.shape[1] / subject.image.width
    if c.rows * c.columns > _MOST_DOTS:
        return
    for row in range(c.rows):
        for column in range(c.columns):
            x = (c.origin_x_px + column * c.stride_x_px + 0.5) * factor - 0.5
            y = (c.origin_y_px + row * c.stride_y_px + 0.5) * factor - 0.5
            cv2.circle(picture, (round(x), round(y)), 1, (255, 255, 255), -1, cv2.LINE_AA)


def _blue_green_red(subject: Subject, pixels: Pixels) -> NDArray[np.uint8]:
    return pixels[..., ::-1] if subject.image.colour == "RGB" else pixels


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    size = (_WIDTH_PX, round(height * _WIDTH_PX / width))
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _data_uri(picture: NDArray[np.uint8]) -> str:
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
