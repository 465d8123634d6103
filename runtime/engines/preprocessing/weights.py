"""Resizing as two matrices, one for the rows of a picture and one for its columns: rows @ picture @ columns.

Any resize that treats rows and columns apart is such a product (Turkowski, "Filters for Common Resampling Tasks",
1990), and a product of matrices is what every provider has. The weights are those of OpenCV's INTER_AREA and
INTER_LINEAR.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Interpolation = Literal["area", "linear"]


def resize_weights(
    given: tuple[int, int], wanted: tuple[int, int], interpolation: Interpolation
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The matrices that take a picture of the size `given` to `wanted`, both height and width in pixels.

    Returns:
        rows: float32, wanted height x given height; each row sums to 1.
        columns: float32, given width x wanted width; each column sums to 1.
    """
    shrinks = given[0] >= wanted[0] and given[1] >= wanted[1]
    if interpolation == "area" and shrinks:
        rows, columns = _covered(given[0], wanted[0]), _covered(given[1], wanted[1])
    else:  # OpenCV has no area to average over where a picture grows, in either direction
        cells = interpolation == "area"
        rows, columns = _between(given[0], wanted[0], cells), _between(given[1], wanted[1], cells)
    return rows.astype(np.float32), np.ascontiguousarray(columns.T, dtype=np.float32)


def _covered(given: int, wanted: int) -> NDArray[np.float64]:
    """How much of each of `wanted` equal cells each of `given` pixels covers; wanted x given."""
    edges = np.arange(wanted + 1) * (given / wanted)
    pixels = np.arange(given)
    low = np.maximum(pixels, edges[:-1, np.newaxis])
    high = np.minimum(pixels + 1, edges[1:, np.newaxis])
    overlap = np.clip(high - low, 0.0, None)
    shares: NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
    return shares


def _between(given: int, wanted: int, cells: bool) -> NDArray[np.float64]:
    """Each of `wanted` samples between its two neighbours of `given` pixels; wanted x given.

    `cells`: a sample takes from its second neighbour only what of its cell lies there, as INTER_AREA does in growing;
    else by the distance of the centres, as INTER_LINEAR does.
    """
    inverse = wanted / given
    scale = 1.0 / inverse  # rounded twice, as OpenCV rounds it: at a pixel's edge its last bit chooses the neighbour
    samples = np.arange(wanted)
    if cells:
        left = np.floor(samples * scale)
        beyond = (samples + 1 - (left + 1) * inverse).astype(np.float32)
        share = np.where(beyond <= 0.0, 0.0, beyond - np.floor(beyond))
    else:
        centre = (samples + 0.5) * scale - 0.5
        left = np.floor(centre)
        share = centre - left
    weights = np.zeros((wanted, given))
    first = np.clip(left.astype(int), 0, given - 1)
    second = np.clip(left.astype(int) + 1, 0, given - 1)
    np.add.at(weights, (samples, first), 1.0 - share)
    np.add.at(weights, (samples, second), share)
    return weights
