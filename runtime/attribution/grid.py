"""The map that a network gave, as it is recorded, and where its cells lie in a picture.

Pixels are counted by their centres: the first is 0, so that the picture reaches from -0.5 to width - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.errors import ModelError
from runtime.contracts.messages import Attribution, NonFinite, recordable
from runtime.contracts.model import AttributionOutput, ImageInput

Grid = NDArray[np.float64]
"""float64, rows x columns, in the target's unit; may hold NaN and infinities as the network gave them."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a picture: its edges in pixels, fractions and places outside of the picture allowed."""

    left_px: float
    top_px: float
    right_px: float
    bottom_px: float


def scaled(raw: NDArray[Any], contract: AttributionOutput) -> Grid:
    """The network's tensor as rows x columns in the target's unit and sign.

    Args:
        raw: any float tensor of rows x columns elements, leading ones allowed.
        contract: the manifest's word on it.

    Raises:
        ModelError: where the tensor has not as many elements.
    """
    if raw.size != contract.rows * contract.columns:
        raise ModelError(
            f"attribution tensor {contract.output!r} has the shape {raw.shape}; the manifest says "
            f"{contract.rows} x {contract.columns}: mend the manifest's rows and columns"
        )
    return raw.reshape(contract.rows, contract.columns).astype(np.float64) * contract.scale


def message(
    sequence: int, t_source_ns: int, values: Grid, contract: AttributionOutput, image: ImageInput
) -> Attribution:
    """The recorded form of a map; values that are no numbers become words, since JSON has none for them."""
    return Attribution(
        sequence=sequence,
        t_source_ns=t_source_ns,
        image=image.name,
        camera=image.camera,
        method=contract.method,
        target=contract.target,
        values=_rows(values),
        origin_y_px=contract.origin_y_px,
        origin_x_px=contract.origin_x_px,
        stride_y_px=contract.stride_y_px,
        stride_x_px=contract.stride_x_px,
        field_y_px=contract.field_y_px,
        field_x_px=contract.field_x_px,
    )


def values_of(attribution: Attribution) -> Grid:
    """The recorded map as an array."""
    return np.array([[float(value) for value in row] for row in attribution.values], dtype=np.float64)


def to_camera(box: Box, image: ImageInput, width_px: int, height_px: int) -> Box:
    """A rectangle of the model input in the camera's picture: back through the input's resize and crop."""
    crop = image.crop

    def across(x: float) -> float:
        return (crop.left + (x + 0.5) / image.width * (crop.right - crop.left)) * width_px - 0.5

    def down(y: float) -> float:
        return (crop.top + (y + 0.5) / image.height * (crop.bottom - crop.top)) * height_px - 0.5

    return Box(across(box.left_px), down(box.top_px), across(box.right_px), down(box.bottom_px))


def _rows(values: Grid) -> tuple[tuple[float | NonFinite, ...], ...]:
    if np.isfinite(values).all():
        return tuple(map(tuple, values.tolist()))
    return tuple(tuple(recordable(value) for value in row) for row in values.tolist())
