"""The grids that activations are rounded to: 8 bits over what was seen of them on real frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from export.frames import Frames
from export.graph.graph import Graph
from export.precision.observe import observe
from runtime.contracts.errors import ModelError

Engine = Literal["tensorrt", "onnxruntime"]

STEPS = 127  # of one sign; -128 is not used, so that the grid is symmetric


@dataclass(frozen=True)
class Grid:
    """Number = (whole - zero) x step; `zero` has the type of the whole numbers, int8 or uint8."""

    step: np.float32
    zero: np.int8 | np.uint8


def grids(graph: Graph, tensors: Sequence[str], frames: Frames, engine: Engine, where: str) -> dict[str, Grid]:
    """A grid for each tensor that reaches the largest number seen: what is rare and large on a road often matters most.

    TensorRT has only symmetric int8. ONNX Runtime's CPU kernels take uint8 with a zero of its own, which gives a tensor
    that is never negative twice the steps.

    Raises ModelError where a tensor is NaN or infinite on a frame, naming both.
    """
    low, high = dict.fromkeys(tensors, 0.0), dict.fromkeys(tensors, 0.0)
    for frame, name, values in observe(graph, tensors, frames, where):
        if not np.isfinite(values).all():
            raise ModelError(
                f"{where}: tensor {name!r} is infinite on frame {frame} of {frames.source!r}, so it has no INT8 step; "
                "take that frame out of precision.int8.calibration, or mend the network"
            )
        low[name] = min(low[name], float(np.min(values, initial=0.0)))
        high[name] = max(high[name], float(np.max(values, initial=0.0)))
    make = _symmetric if engine == "tensorrt" else _asymmetric
    return {name: make(low[name], high[name]) for name in tensors}


def step_of(largest: float) -> np.float32:
    """The step of a symmetric grid; 1 where all is zero, since a step is above 0."""
    step = np.float32(np.float32(largest) / np.float32(STEPS))
    return step if step > 0.0 else np.float32(1.0)


def _symmetric(low: float, high: float) -> Grid:
    return Grid(step_of(max(-low, high)), np.int8(0))


def _asymmetric(low: float, high: float) -> Grid:
    step = np.float32((high - low) / 255.0)
    if step == 0.0:
        return Grid(np.float32(1.0), np.uint8(0))
    return Grid(step, np.uint8(np.rint(-low / step)))
