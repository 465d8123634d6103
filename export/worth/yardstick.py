"""The full gradient x input of a network, at every pixel: what a map in the graph is measured against, and costs."""

from __future__ import annotations

import numpy as np

from export.companion import Companion
from export.config import ModelConfig
from export.worth.judge import FineMap
from export.worth.laying import Field
from export.worth.subject import Inputs


def gradient_x_input(gradient: bytes, config: ModelConfig, image: str) -> FineMap:
    """The yardstick: gradient x input at every pixel, the input counted from what the network takes for zero (mid-grey,
    where it normalises by itself).
    """
    companion = Companion(gradient)
    taken = next(each for each in config.images if each.name == image)
    wanted = taken.normalise
    zero = np.float32(127.5) if wanted is None else np.array(wanted.mean, np.float32) / np.float32(wanted.scale)
    channels = -1 if taken.layout == "NHWC" else 0

    def fine(inputs: Inputs, index: int) -> Field:
        picture = np.asarray(inputs[image], np.float32)
        slope = companion.at(inputs, image)(picture).gradient
        by_colour, seen = np.moveaxis(slope[0], channels, -1), np.moveaxis(picture[0], channels, -1)
        return np.asarray((by_colour * (seen - zero)).sum(axis=-1), np.float64)

    return fine
