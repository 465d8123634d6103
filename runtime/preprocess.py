"""From a camera's picture to the model's image input: crop, resize, colour, layout. Nothing else touches the pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.contracts.errors import SourceError
from runtime.contracts.model import ImageInput
from runtime.contracts.source import Picture

_INTERPOLATION = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


def preprocess(picture: Picture, image_input: ImageInput) -> NDArray[np.uint8]:
    """The model's view of a picture.

    Args:
        picture: uint8, height x width x 3, blue-green-red.
        image_input: crop, size, interpolation, colour and layout, from the model's manifest.

    Returns:
        uint8, 1 x height x width x 3 (NHWC) or 1 x 3 x height x width (NCHW), C-contiguous, sharing no
        memory with the picture.

    Raises:
        SourceError: the picture has another type or shape, or is so small that the crop leaves no pixel of it.
    """
    view = cropped(picture, image_input)
    size = (image_input.width, image_input.height)
    resized = cv2.resize(view, size, interpolation=_INTERPOLATION[image_input.interpolation])
    if image_input.colour == "RGB":
        resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
    tensor: NDArray[np.uint8] = resized.astype(np.uint8, copy=False)
    if image_input.layout == "NCHW":
        tensor = np.ascontiguousarray(tensor.transpose(2, 0, 1))
    return tensor[np.newaxis]


def cropped(picture: Picture, image_input: ImageInput) -> Picture:
    """What of a picture the model sees: a view of it, in the picture's pixels. Raises as `preprocess` does."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise SourceError(
            f"camera {image_input.camera!r} gave a {picture.dtype} picture of shape {picture.shape}; "
            "a source must give uint8, height x width x 3, blue-green-red"
        )
    height, width = picture.shape[:2]
    crop = image_input.crop
    top, bottom = _pixel(crop.top, height), _pixel(crop.bottom, height)
    left, right = _pixel(crop.left, width), _pixel(crop.right, width)
    if top >= bottom or left >= right:
        raise SourceError(
            f"camera {image_input.camera!r} gave a picture of {width}x{height} pixels, of which the crop of "
            f"image input {image_input.name!r} (rows {top} to {bottom}, columns {left} to {right}) leaves nothing; "
            "give larger pictures, or a model with a wider crop"
        )
    return picture[top:bottom, left:right]


def _pixel(fraction: float, size: int) -> int:
    # Half up: round() goes to the even neighbour, so that two equal bands of a picture could differ by a row.
    return math.floor(fraction * size + 0.5)
