"""A map laid over the model input's pixels, as the overlay shows it.

Pixels are counted by their centres. Between the centres of cells the signed map is interpolated linearly; beyond the
outermost it fades out over half a cell's field of view. This is the rule by which the pictures are drawn: what is
judged is what a person is shown.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.model import AttributionOutput, ImageInput

Field = NDArray[np.float64]
"""float64, height x width of the model input."""


def laid(grid: NDArray[np.float64], contract: AttributionOutput, image: ImageInput) -> Field:
    """The signed map at every pixel of the model input; what is no finite number counts as nothing."""
    down, across = weights(contract, image)
    return down @ np.nan_to_num(grid, nan=0.0, posinf=0.0, neginf=0.0) @ across.T


def weights(contract: AttributionOutput, image: ImageInput) -> tuple[Field, Field]:
    """What each cell counts at each pixel: height x rows and width x columns; bilinear, so the axes part."""
    c = contract
    return (
        _axis(c.rows, c.origin_y_px, c.stride_y_px, c.field_y_px, image.height),
        _axis(c.columns, c.origin_x_px, c.stride_x_px, c.field_x_px, image.width),
    )


def pooled(field: Field, contract: AttributionOutput) -> NDArray[np.float64]:
    """A picture's values on the map's grid: the mean over each cell's stride around its centre, rows x columns.

    What is made so can be laid like the map, and has exactly its resolution.
    """
    c = contract
    down = _windows(c.rows, c.origin_y_px, c.stride_y_px, field.shape[0])
    across = _windows(c.columns, c.origin_x_px, c.stride_x_px, field.shape[1])
    return down @ field @ across.T


@lru_cache(maxsize=32)
def _axis(cells: int, origin_px: float, stride_px: float, field_px: float, size_px: int) -> Field:
    place = (np.arange(size_px) - origin_px) / stride_px
    inside = np.clip(place, 0, cells - 1)
    beyond_px = np.abs(place - inside) * stride_px
    fade = 0.5 + 0.5 * np.cos(np.pi * np.clip(beyond_px / (field_px / 2), 0, 1))
    hat = np.clip(1 - np.abs(inside[:, np.newaxis] - np.arange(cells)), 0, 1)
    found: Field = hat * fade[:, np.newaxis]
    return found


@lru_cache(maxsize=32)
def _windows(cells: int, origin_px: float, stride_px: float, size_px: int) -> Field:
    """cells x pixels: the share of each pixel in a cell's window; rows sum to 1, or to 0 outside of the picture."""
    middle = origin_px + np.arange(cells)[:, np.newaxis] * stride_px
    pixel = np.arange(size_px)[np.newaxis]
    low = np.maximum(pixel - 0.5, middle - stride_px / 2)
    high = np.minimum(pixel + 0.5, middle + stride_px / 2)
    share = np.clip(high - low, 0.0, None)
    total = share.sum(axis=1, keepdims=True)
    found: Field = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    return found
