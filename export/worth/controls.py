"""Maps that know nothing of the network: what an explanation must beat to be one.

Each comes in two resolutions, since a coarse map takes away patches and a fine one takes away dust, and patches change
more: at every pixel of the model input, and on the map's own grid, laid by the same rule.
"""

from __future__ import annotations

import cv2
import numpy as np

from export.worth.laying import Field, laid, pooled
from export.worth.subject import Pixels
from runtime.contracts.model import AttributionOutput, ImageInput

EDGES, EDGES_ON_GRID = "edges", "edges on the map's grid"
RANDOM, RANDOM_ON_GRID = "random", "random on the map's grid"
CONTROLS = (EDGES, EDGES_ON_GRID, RANDOM, RANDOM_ON_GRID)
COUNTING = (EDGES, RANDOM, RANDOM_ON_GRID)
"""Those that a map must beat. Edges on its own grid are told and no gate: on a road they are the lane lines."""

DRAWS = 5

_SMOOTHING_SIGMA_PX = 1.0


def controls(
    pixels: Pixels, contract: AttributionOutput, image: ImageInput, seed: tuple[int, ...]
) -> dict[str, list[Field]]:
    """All control maps of one frame at every pixel, by name, in the order of `CONTROLS`."""
    rng = np.random.default_rng(seed)
    found = edges(pixels, image)
    coarse = [rng.random((contract.rows, contract.columns)) for _ in range(DRAWS)]
    return {
        EDGES: [found],
        EDGES_ON_GRID: [laid(pooled(found, contract), contract, image)],
        RANDOM: [rng.random((image.height, image.width)) for _ in range(DRAWS)],
        RANDOM_ON_GRID: [laid(grid, contract, image) for grid in coarse],
    }


def edges(pixels: Pixels, image: ImageInput) -> Field:
    """Magnitude of the Sobel gradient of the slightly smoothed grey picture."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY if image.colour == "RGB" else cv2.COLOR_BGR2GRAY)
    smooth = cv2.GaussianBlur(grey.astype(np.float64), (0, 0), _SMOOTHING_SIGMA_PX)
    across, down = cv2.Sobel(smooth, cv2.CV_64F, 1, 0), cv2.Sobel(smooth, cv2.CV_64F, 0, 1)
    return np.hypot(across, down).astype(np.float64)
