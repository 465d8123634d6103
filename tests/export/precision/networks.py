"""Explained networks for the tests of precision: residual, the map written as operators behind the decision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.frames import Frames, frames_of
from export.session import Session
from runtime.contracts.model import (
    AttributionOutput,
    ImageInput,
    Manifest,
    Output,
    StateInput,
    attach_manifest,
    manifest_of,
)
from tests.models import build

ROAD = "proving-ground://lane?seed=5&duration_s=4&width=160&height=90"
OTHER_ROAD = "proving-ground://lane?seed=6&duration_s=4&width=160&height=90"
ROWS, COLUMNS, CHANNELS, HIDDEN = 8, 25, 8, 16

CONTROLS = (
    Output(name="steering", quantity="steering_angle_rad", minimum=-0.7, maximum=0.7),
    Output(name="acceleration", quantity="acceleration_mps2", minimum=-10.0, maximum=5.0),
)
MAP = AttributionOutput(
    output="attribution",
    method="gradient x activation",
    layer="sum",
    target="steering_angle_rad",
    image="image",
    rows=ROWS,
    columns=COLUMNS,
    origin_y_px=4.0,
    origin_x_px=4.0,
    stride_y_px=8.0,
    stride_x_px=8.0,
    field_y_px=24.0,
    field_x_px=24.0,
)


def residual_policy(seed: int = 1, gain: float = 1.0) -> bytes:
    """Two convolutions with a skip, a hidden layer that also takes the speed, two heads; the map is the exact gradient
    of the steering by the sum of the skip, times that sum. `gain` multiplies what flows behind the first convolution.
    """
    import onnx

    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> NDArray[Any]:
        return rng.normal(0.0, 1.4 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    w1 = weight(HIDDEN, CHANNELS * ROWS * COLUMNS)
    head = weight(1, HIDDEN) * np.float32(0.2 / gain)
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=1),
        node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        node("Mul", ["planes", "per_level"], ["scaled"]),
        node("Conv", ["scaled", "k1", "b1"], ["z1"], strides=[8, 8]),
        node("Relu", ["z1"], ["r1"]),
        node("Conv", ["r1", "k2", "b2"], ["z2"], pads=[1, 1, 1, 1]),
        node("Relu", ["z2"], ["r2"]),
        node("Add", ["r1", "r2"], ["sum"]),
        node("Reshape", ["sum", "flat"], ["features"]),
        node("Gemm", ["speed_mps", "w_speed"], ["from_speed"], transB=1),
        node("Gemm", ["features", "w1", "from_speed"], ["z3"], transB=1),
        node("Relu", ["z3"], ["r3"]),
        node("Gemm", ["r3", "head"], ["steering"], transB=1),
        node("Gemm", ["r3", "other_head"], ["acceleration"], transB=1),
        node("Sign", ["r3"], ["open"]),
        node("Mul", ["open", "head"], ["g3"]),
        node("MatMul", ["g3", "w1"], ["g_flat"]),
        node("Reshape", ["g_flat", "grid"], ["g_sum"]),
        node("Mul", ["sum", "g_sum"], ["product"]),
        node("ReduceSum", ["product", "leading"], ["attribution"], keepdims=0),
    ]
    constants = {
        "per_level": np.array(gain / 255.0, np.float32),
        "k1": weight(CHANNELS, 3, 8, 8),
        "b1": np.zeros(CHANNELS, np.float32),
        "k2": weight(CHANNELS, CHANNELS, 3, 3),
        "b2": np.full(CHANNELS, 0.05 * gain, np.float32),
        "flat": np.array([1, -1], np.int64),
        "w_speed": weight(HIDDEN, 1) * np.float32(0.05 * gain),
        "w1": w1,
        "head": head,
        "other_head": weight(1, HIDDEN) * np.float32(1.0 / gain),
        "grid": np.array([1, CHANNELS, ROWS, COLUMNS], np.int64),
        "leading": np.array([0, 1], np.int64),
    }
    return build(nodes, _inputs(), [*_controls(), _float("attribution", [ROWS, COLUMNS])], constants, _manifest(MAP))


def medley() -> bytes:
    """Operators whose inputs want different types: BatchNormalization, Resize (float32 scales), MaxPool, a layer norm,
    Softmax, Clip, Where, TopK's indices, a Cast, a constant of a shape.
    """
    import onnx

    rng = np.random.default_rng(2)
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=1),
        node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        node("BatchNormalization", ["planes", "gamma", "beta", "mean", "variance"], ["normal"]),
        node("Resize", ["normal", "", "halves"], ["small"], mode="nearest"),
        node("Conv", ["small", "k"], ["z"], strides=[3, 3]),
        node("MaxPool", ["z"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Clip", ["pooled", "low", "high"], ["clipped"]),
        node("Flatten", ["clipped"], ["flat"]),
        node("LayerNormalization", ["flat", "ln_scale"], ["level"], axis=-1),
        node("Softmax", ["level"], ["shares"]),
        node("TopK", ["shares", "two"], ["best", "which"]),
        node("Cast", ["which"], ["which_float"], to=1),
        node("Greater", ["best", "quarter"], ["sure"]),
        node("Where", ["sure", "best", "which_float"], ["chosen"]),
        node("ReduceMean", ["chosen"], ["middle"], keepdims=1),
        node("Mul", ["middle", "little"], ["some"]),
        node("MatMul", ["level", "ramp"], ["wanted"]),
        node("Add", ["wanted", "some"], ["both"]),
        node("Tanh", ["both"], ["steering"]),
        node("Add", ["steering", "speed_mps"], ["acceleration"]),
    ]
    width = 4 * 5 * 16
    constants: dict[str, NDArray[Any]] = {
        "gamma": np.ones(3, np.float32),
        "beta": np.zeros(3, np.float32),
        "mean": np.full(3, 100.0, np.float32),
        "variance": np.full(3, 2500.0, np.float32),
        "halves": np.array([1.0, 1.0, 0.5, 0.5], np.float32),
        "k": rng.normal(0.0, 0.2, (4, 3, 3, 3)).astype(np.float32),
        "low": np.array(-2.0, np.float32),
        "high": np.array(2.0, np.float32),
        "ln_scale": np.ones(width, np.float32),
        "two": np.array([2], np.int64),
        "quarter": np.array(0.25, np.float32),
        "little": np.array([[0.001]], np.float32),
        "ramp": np.linspace(-0.02, 0.02, width, dtype=np.float32)[:, np.newaxis],
    }
    return build(nodes, _inputs(), _controls(), constants, _manifest(None))


def wide_state_policy() -> bytes:
    """A policy that steers by its speed alone, through a matrix product that is large enough to be quantised."""
    import onnx

    rng = np.random.default_rng(4)
    node = onnx.helper.make_node
    nodes = [
        node("Mul", ["speed_mps", "row"], ["wide"]),
        node("MatMul", ["wide", "w"], ["hidden"]),
        node("ReduceMean", ["hidden"], ["steering"], keepdims=1),
        node("Neg", ["steering"], ["slower"]),
        node("Cast", ["image"], ["pixels"], to=1),
        node("ReduceMean", ["pixels"], ["level"], keepdims=0),
        node("Add", ["slower", "level"], ["acceleration"]),
    ]
    constants = {
        "row": np.linspace(0.1, 1.0, 64, dtype=np.float32)[np.newaxis],
        "w": rng.normal(0.0, 0.01, (64, 64)).astype(np.float32),
    }
    return build(nodes, _inputs(), _controls(), constants, _manifest(None))


def frames(onnx: bytes, uri: str = ROAD, count: int = 6) -> Frames:
    """Frames of a synthetic road for one of these networks."""
    return frames_of(manifest_of(onnx, "test"), Session(onnx).inputs, uri, count)


def with_manifest(onnx: bytes, **changes: Any) -> bytes:
    """The same graph under a manifest with some fields changed."""
    import msgspec

    return attach_manifest(onnx, msgspec.structs.replace(manifest_of(onnx, "test"), **changes))


def _manifest(attribution: AttributionOutput | None) -> Manifest:
    return Manifest(
        name="residual",
        graph_sha256="",
        images=(ImageInput(name="image", width=200, height=66),),
        states=(StateInput(name="speed_mps", quantity="speed_mps"),),
        outputs=CONTROLS,
        attribution=attribution,
    )


def _inputs() -> list[Any]:
    import onnx

    return [onnx.helper.make_tensor_value_info("image", 2, [1, 66, 200, 3]), _float("speed_mps", [1, 1])]


def _controls() -> list[Any]:
    return [_float("steering", [1, 1]), _float("acceleration", [1, 1])]


def _float(name: str, shape: list[int]) -> Any:
    import onnx

    return onnx.helper.make_tensor_value_info(name, 1, shape)
