"""The inputs that a plan is tried on: the extremes of what a camera and a vehicle can say, and seeded noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec
from runtime.contracts.model import Manifest, StateQuantity

_ROUGH = 8  # uniform noise in every pixel
_SMOOTH = 8  # broad patches, nearer to what a camera gives
_PATCHES = 6
_LOW_HIGH: dict[StateQuantity, tuple[float, float]] = {
    "speed_mps": (0.0, 60.0),
    "steering_angle_rad": (-0.7, 0.7),
    "acceleration_mps2": (-10.0, 5.0),
    "yaw_rate_radps": (-1.5, 1.5),
}

Inputs = dict[str, NDArray[Any]]


def trial_inputs(manifest: Manifest, specs: Mapping[str, TensorSpec], seed: int) -> Iterator[tuple[str, Inputs]]:
    """Named inputs for a model, the same for the same seed: 4 extremes, then 16 of noise.

    Args:
        manifest: the model's.
        specs: its inputs, settled.
        seed: of the noise.
    """
    random = np.random.default_rng(seed)
    extremes = {"black": (0, 0), "white": (255, 1), "checkerboard": (-1, 0), "ramp": (-2, 1)}
    for name, (picture, high) in extremes.items():
        yield (
            name,
            {
                **{image.name: _extreme(specs[image.name].shape, picture, image.layout) for image in manifest.images},
                **_states(manifest, specs, lambda low_high, high=high: low_high[high]),
                **_hidden(manifest, specs, None),
            },
        )
    for index in range(_ROUGH + _SMOOTH):
        smooth = index >= _ROUGH
        yield (
            f"{'smooth' if smooth else 'rough'} noise {index}",
            {
                **{
                    image.name: _noise(specs[image.name].shape, image.layout, random, smooth=smooth)
                    for image in manifest.images
                },
                **_states(manifest, specs, lambda low_high: float(random.uniform(*low_high))),
                **_hidden(manifest, specs, random),
            },
        )


def _states(manifest: Manifest, specs: Mapping[str, TensorSpec], value: Any) -> Inputs:
    return {
        state.name: np.full(specs[state.name].shape, value(_LOW_HIGH[state.quantity]) * state.scale, np.float32)
        for state in manifest.states
    }


def _hidden(manifest: Manifest, specs: Mapping[str, TensorSpec], random: np.random.Generator | None) -> Inputs:
    found = {}
    for recurrent in manifest.recurrent:
        spec = specs[recurrent.input]
        noise = 0.0 if random is None else random.standard_normal(spec.shape)
        found[recurrent.input] = np.asarray(np.full(spec.shape, recurrent.initial) + noise, spec.dtype)
    return found


def _extreme(shape: tuple[int, ...], picture: int, layout: str) -> NDArray[np.uint8]:
    if picture >= 0:
        return np.full(shape, picture, np.uint8)
    height, width = shape[1:3] if layout == "NHWC" else shape[2:4]
    if picture == -1:
        plane = (np.add.outer(np.arange(height), np.arange(width)) % 2 * 255).astype(np.uint8)
    else:
        plane = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
    return _spread(np.repeat(plane[:, :, np.newaxis], 3, axis=2), layout)


def _noise(shape: tuple[int, ...], layout: str, random: np.random.Generator, *, smooth: bool) -> NDArray[np.uint8]:
    height, width = shape[1:3] if layout == "NHWC" else shape[2:4]
    size = (_PATCHES, _PATCHES, 3) if smooth else (height, width, 3)
    values = random.integers(0, 256, size, dtype=np.uint8)
    rows = np.arange(height) * size[0] // height
    columns = np.arange(width) * size[1] // width
    return _spread(values[rows][:, columns], layout)


def _spread(picture: NDArray[np.uint8], layout: str) -> NDArray[np.uint8]:
    arranged = picture if layout == "NHWC" else picture.transpose(2, 0, 1)
    return np.ascontiguousarray(arranged[np.newaxis])
