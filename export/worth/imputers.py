"""What is put where pixels are taken away. Every filling is unnatural in its own way, so two are used that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from export.worth.subject import Pixels
from export.worth.verdict import Imputer

_SIGMA_OF_SHORTER_SIDE = 0.1


def blur_sigma_px(height: int, width: int) -> float:
    """So wide that no lane line survives: a tenth of the shorter side."""
    return _SIGMA_OF_SHORTER_SIDE * min(height, width)


def blurred(pixels: Pixels) -> Pixels:
    """The picture out of focus: colours stay roughly in place, shapes go."""
    sigma = blur_sigma_px(*pixels.shape[:2])
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def mean_coloured(pixels: Pixels) -> Pixels:
    """The frame's own mean colour everywhere."""
    return np.broadcast_to(pixels.mean(axis=(0, 1)).round().astype(np.uint8), pixels.shape).copy()


IMPUTERS: Mapping[Imputer, Callable[[Pixels], Pixels]] = {"blur": blurred, "mean": mean_coloured}
