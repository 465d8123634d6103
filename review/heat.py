"""The signed map over the picture: two colours for the two ways, as strong as the pull is on a scale fixed over the
whole drive.

Between the cells' centres the map is interpolated linearly, and beyond the outermost it fades out over half a cell's
field of view; dots mark the centres, so that nobody takes the smoothness for resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from review.lettering import Colour, Image
from runtime.attribution.grid import Box, to_camera, values_of
from runtime.contracts.messages import Attribution
from runtime.contracts.model import ImageInput

UP: Colour = (255, 176, 32)  # azure: pulled the target up (steering: left)
DOWN: Colour = (20, 120, 255)  # orange: pulled it down; the pair is told apart by the colour-blind too

_OPACITY = 0.88
_FAINTEST, _PLAIN = 0.04, 0.9  # parts of the scale between which the colour comes in
_COLOUR_LEFT, _LIGHT_LEFT = 0.72, 0.92  # of the picture under the map, so that two hues stand out from all others


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of map and picture: cells, their geometry in the model input, the input's size and crop, pixels."""

    cells: int
    origin_px: float
    stride_px: float
    field_px: float
    model_px: int
    crop_from: float
    crop_to: float
    picture_px: int


def draw_heat(picture: Image, attribution: Attribution, image: ImageInput, scale: float) -> Image:
    """The picture with the map over it.

    Args:
        picture: of the camera that `image` takes; any size.
        attribution: the map; cells that are no numbers stay clear.
        image: the model's image input that the map lies over, for crop and size.
        scale: the absolute value of a cell that is drawn at full strength, in the target's unit.
    """
    height, width = picture.shape[:2]
    values = np.nan_to_num(values_of(attribution), nan=0.0, posinf=scale, neginf=-scale)
    rough = _roughness(attribution, image, width, height)
    down, across = _axes(attribution, image, values.shape, width // rough, height // rough)
    field = _weights(down) @ (values / scale if scale > 0 else values * 0.0) @ _weights(across).T
    rise = np.clip((np.abs(field) - _FAINTEST) / (_PLAIN - _FAINTEST), 0.0, 1.0)
    # Steep at first: half of the scale must be seen beside the whole.
    alpha = (np.sin(rise * (np.pi / 2)) * _OPACITY).astype(np.float32)
    colour = np.where(field[..., np.newaxis] >= 0, np.array(UP, np.uint8), np.array(DOWN, np.uint8))
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    under = cv2.addWeighted(picture, _COLOUR_LEFT * _LIGHT_LEFT, grey, (1 - _COLOUR_LEFT) * _LIGHT_LEFT, 0.0)
    over = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    hue = cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR)
    return cast(Image, cv2.blendLinear(under, hue, 1.0 - over, over))


def _roughness(attribution: Attribution, image: ImageInput, width: int, height: int) -> int:
    """Pixels that may share a value: a quarter of the least distance of two cells' centres, 4 at most."""
    first, next_ = (
        to_camera(Box(x, y, x, y), image, width, height)
        for x, y in ((0.0, 0.0), (attribution.stride_x_px, attribution.stride_y_px))
    )
    least = min(next_.left_px - first.left_px, next_.top_px - first.top_px)
    return max(1, min(4, int(least / 4)))


def draw_grid(picture: Image, attribution: Attribution, image: ImageInput, unit: float) -> None:
    """Mark, in place, what the network sees and where the cells are centred. `unit`: pixels a mark."""
    height, width = picture.shape[:2]
    seen = to_camera(Box(-0.5, -0.5, image.width - 0.5, image.height - 0.5), image, width, height)
    _corners(picture, seen, round(14 * unit), max(1, round(unit)))
    rows, columns = len(attribution.values), len(attribution.values[0])
    dots = picture.copy()
    for row in range(rows):
        for column in range(columns):
            y = attribution.origin_y_px + row * attribution.stride_y_px
            x = attribution.origin_x_px + column * attribution.stride_x_px
            at = to_camera(Box(x, y, x, y), image, width, height)
            centre = (round(at.left_px), round(at.top_px))
            cv2.circle(dots, centre, max(1, round(1.1 * unit)), (255, 255, 255), -1, cv2.LINE_AA)
    cv2.addWeighted(dots, 0.55, picture, 0.45, 0.0, dst=picture)


def _corners(picture: Image, box: Box, arm: int, thickness: int) -> None:
    height, width = picture.shape[:2]
    inset = thickness
    left, right = max(inset, round(box.left_px)), min(width - 1 - inset, round(box.right_px))
    top, bottom = max(inset, round(box.top_px)), min(height - 1 - inset, round(box.bottom_px))
    for x, towards_x in ((left, 1), (right, -1)):
        for y, towards_y in ((top, 1), (bottom, -1)):
            cv2.line(picture, (x, y), (x + towards_x * arm, y), (235, 235, 235), thickness, cv2.LINE_AA)
            cv2.line(picture, (x, y), (x, y + towards_y * arm), (235, 235, 235), thickness, cv2.LINE_AA)


def _axes(
    attribution: Attribution, image: ImageInput, shape: tuple[int, ...], width: int, height: int
) -> tuple[_Axis, _Axis]:
    crop, a = image.crop, attribution
    down = _Axis(shape[0], a.origin_y_px, a.stride_y_px, a.field_y_px, image.height, crop.top, crop.bottom, height)
    across = _Axis(shape[1], a.origin_x_px, a.stride_x_px, a.field_x_px, image.width, crop.left, crop.right, width)
    return down, across


@lru_cache(maxsize=16)
def _weights(axis: _Axis) -> NDArray[np.float64]:
    """What each cell counts at each pixel along one axis, pixels x cells: the map is bilinear, so axes part."""
    pixel = (np.arange(axis.picture_px) + 0.5) / axis.picture_px
    model = (pixel - axis.crop_from) / (axis.crop_to - axis.crop_from) * axis.model_px - 0.5
    place = (model - axis.origin_px) / axis.stride_px
    inside = np.clip(place, 0, axis.cells - 1)
    beyond_px = np.abs(place - inside) * axis.stride_px
    fade = 0.5 + 0.5 * np.cos(np.pi * np.clip(beyond_px / (axis.field_px / 2), 0, 1))
    seen = (model > -0.5) & (model < axis.model_px - 0.5)
    cell = np.arange(axis.cells)
    hat = np.clip(1 - np.abs(inside[:, np.newaxis] - cell), 0, 1)
    return cast(NDArray[np.float64], hat * (fade * seen)[:, np.newaxis])
