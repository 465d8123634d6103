"""The map over the picture, as the operator's screen in the car shows it: light on purpose, at camera rate.

`sightline overlay` draws the thorough one from the record. Colours are the same: azure pulled the target up (steering:
left), orange pulled it down.
"""

from __future__ import annotations

from collections import deque
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.contracts.messages import Attribution, Decision
from runtime.contracts.model import ImageInput
from runtime.contracts.source import Picture

_UP, _DOWN = (255, 176, 32), (20, 120, 255)
_OPACITY = 0.8
_REMEMBERED = 200  # maps; their largest cells make the scale, so that a calm road does not glow
_QUANTILE = 0.95
_LINE_PX = 24


class Scale:
    """The absolute value that is drawn at full strength: the 95th percentile of the last maps' largest cells."""

    def __init__(self) -> None:
        self._largest: deque[float] = deque(maxlen=_REMEMBERED)

    def after(self, values: NDArray[np.float64]) -> float:
        """The scale with one more map counted in; 0 while all are empty."""
        finite = np.abs(values[np.isfinite(values)])
        self._largest.append(float(finite.max()) if finite.size else 0.0)
        return float(np.quantile(self._largest, _QUANTILE))


def grid_of(attribution: Attribution) -> NDArray[np.float64]:
    """The map's values, rows x columns, float64, as the network gave them (NaN and infinities included)."""
    return np.array([[float(value) for value in row] for row in attribution.values], dtype=np.float64)


def with_map(picture: Picture, attribution: Attribution, image: ImageInput, scale: float) -> Picture:
    """A new picture with the map over it, interpolated between its cells' centres and fading out beyond the outermost.

    Args:
        picture: of the camera that `image` takes; any size.
        attribution: the map; cells that are no numbers stay clear.
        image: the model's image input that the map lies over, for its crop and size.
        scale: the absolute value that is drawn at full strength, in the target's unit.
    """
    height, width = picture.shape[:2]
    values = np.nan_to_num(grid_of(attribution) / (scale or 1.0), nan=0.0, posinf=1.0, neginf=-1.0)
    field = cv2.warpAffine(
        np.clip(values, -1.0, 1.0).astype(np.float32),
        _to_grid(attribution, image, width, height),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    alpha = np.sqrt(np.abs(field)).astype(np.float32) * np.float32(_OPACITY)
    colour = np.where(field[..., np.newaxis] >= 0, np.array(_UP, np.uint8), np.array(_DOWN, np.uint8))
    return cast(Picture, cv2.blendLinear(picture, colour, 1.0 - alpha, alpha))


def with_words(picture: Picture, decision: Decision | None) -> Picture:
    """Mark, in place, what was decided. A shadow drive says so."""
    if decision is None:
        words = "no decision"
    else:
        control = decision.control
        words = f"{np.degrees(control.steering_angle_rad):+.1f} deg  {control.acceleration_mps2:+.1f} m/s2"
        words += "  SHADOW" if decision.mode == "shadow" else ""
    at = (8, picture.shape[0] - 10)
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, _LINE_PX / 40, colour, thickness, cv2.LINE_AA)
    return picture


def _to_grid(attribution: Attribution, image: ImageInput, width: int, height: int) -> NDArray[np.float64]:
    """From a pixel of the picture to a place in the grid: 2 x 3. Pixels are counted by their centres."""
    crop, a = image.crop, attribution
    across = image.width / (width * (crop.right - crop.left)), crop.left * width, a.origin_x_px, a.stride_x_px
    down = image.height / (height * (crop.bottom - crop.top)), crop.top * height, a.origin_y_px, a.stride_y_px
    matrix = np.zeros((2, 3))
    for row, (scale, start_px, origin_px, stride_px) in enumerate((across, down)):
        # model = (pixel + 0.5 - start) * scale - 0.5; cell = (model - origin) / stride
        matrix[row, row] = scale / stride_px
        matrix[row, 2] = ((0.5 - start_px) * scale - 0.5 - origin_px) / stride_px
    return matrix
