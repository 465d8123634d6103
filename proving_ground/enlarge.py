"""Enlarging a picture to the same bits whatever the number of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    SingleArray = NDArray[np.float32]


def enlarged(picture: SingleArray, width: int, height: int) -> SingleArray:
    """float32 (height, width) of a float32 picture, bilinear, by one thread.

    On arm64 OpenCV 5 enlarges floats by KleidiCV, stripe by stripe, and rounds otherwise where two stripes meet.
    """
    threads = cv2.getNumThreads()
    if threads > 1:
        cv2.setNumThreads(1)
    try:
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    finally:
        if threads > 1:
            cv2.setNumThreads(threads)
