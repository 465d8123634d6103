"""Small real networks, made on the spot. Each function returns the bytes of an ONNX file that obeys the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.contracts.model import (
    AttributionOutput,
    Concept,
    ImageInput,
    Manifest,
    Output,
    Recurrent,
    StateInput,
    attach_manifest,
)

HEIGHT, WIDTH = 66, 200
ROWS, COLUMNS = 3, 20
FIELD_PX, STRIDE_PX = 45, 8
HIDDEN = 4
_OPSET, _IR = 17, 9  # old enough for every ONNX Runtime that the runtime supports

STEERING = Output(name="steering", quantity="steering_angle_rad", minimum=-0.7, maximum=0.7)
ACCELERATION = Output(name="acceleration", quantity="acceleration_mps2", minimum=-10.0, maximum=5.0)


def tiny_policy(seed: int = 0, gain: float = 1.0) -> bytes:
    """Stateless: image 66 x 200 and speed to steering, acceleration and a 3 x 20 map whose sum is the steering."""
    random = np.random.default_rng(seed)
    kernel = random.normal(0.0, gain / (1000.0 * FIELD_PX), (1, 3, FIELD_PX, FIELD_PX)).astype(np.float32)
    kernel -= kernel.mean()
    weights = random.normal(0.0, 0.3, (1, 1, ROWS, COLUMNS)).astype(np.float32)
    oh = _onnx().helper
    nodes = [
        *_picture("image", "pixels"),
        oh.make_node("Conv", ["pixels", "kernel"], ["activation"], strides=[STRIDE_PX, STRIDE_PX]),
        oh.make_node("Mul", ["activation", "weights"], ["product"]),
        oh.make_node("Reshape", ["product", "grid_shape"], ["attribution"]),
        oh.make_node("ReduceSum", ["attribution", "last_two"], ["sum"], keepdims=1),
        oh.make_node("Reshape", ["sum", "scalar_shape"], ["steering"]),
        oh.make_node("Sub", ["cruise_mps", "speed_mps"], ["slower_mps"]),
        oh.make_node("Mul", ["slower_mps", "per_s"], ["wanted"]),
        oh.make_node("Tanh", ["wanted"], ["acceleration"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "kernel": kernel,
        "weights": weights,
        "grid_shape": np.array([ROWS, COLUMNS], np.int64),
        "last_two": np.array([0, 1], np.int64),
        "scalar_shape": np.array([1, 1], np.int64),
        "cruise_mps": np.array([[15.0]], np.float32),
        "per_s": np.array([[0.2]], np.float32),
    }
    inputs = [_image_info("image"), _float_info("speed_mps", [1, 1])]
    outputs = [*_control_info(), _float_info("attribution", [ROWS, COLUMNS])]
    manifest = Manifest(
        name="tiny",
        graph_sha256="",
        images=(ImageInput(name="image", width=WIDTH, height=HEIGHT),),
        states=(StateInput(name="speed_mps", quantity="speed_mps"),),
        outputs=(STEERING, ACCELERATION),
        attribution=AttributionOutput(
            output="attribution",
            method="gradient x activation",
            layer="activation",
            target="steering_angle_rad",
            image="image",
            rows=ROWS,
            columns=COLUMNS,
            origin_y_px=22.0,
            origin_x_px=22.0,
            stride_y_px=STRIDE_PX,
            stride_x_px=STRIDE_PX,
            field_y_px=FIELD_PX,
            field_x_px=FIELD_PX,
        ),
    )
    return build(nodes, inputs, outputs, constants, manifest)


def recurrent_policy(decay: float = 0.9, initial: float = 0.0) -> bytes:
    """One image and a hidden state h of 1 x 4: h' = decay * h + brightness * weights, which the outputs read."""
    oh = _onnx().helper
    nodes = [
        *_brightness("image", "brightness"),
        oh.make_node("Mul", ["brightness", "weights"], ["seen"]),
        oh.make_node("Mul", ["h", "decay"], ["kept"]),
        oh.make_node("Add", ["kept", "seen"], ["h_next"]),
        oh.make_node("MatMul", ["h_next", "to_steering"], ["steering"]),
        oh.make_node("MatMul", ["h_next", "to_acceleration"], ["acceleration"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "weights": np.array([[0.1, -0.2, 0.3, 0.05]], np.float32),
        "decay": np.array([[decay]], np.float32),
        "to_steering": np.array([[0.1], [0.1], [0.05], [0.2]], np.float32),
        "to_acceleration": np.array([[0.5], [0.5], [-0.5], [0.1]], np.float32),
    }
    manifest = Manifest(
        name="recurrent",
        graph_sha256="",
        images=(ImageInput(name="image", width=WIDTH, height=HEIGHT),),
        recurrent=(Recurrent(input="h", output="h_next", initial=initial),),
        outputs=(STEERING, ACCELERATION),
    )
    inputs = [_image_info("image"), _float_info("h", [1, HIDDEN])]
    return build(nodes, inputs, [*_control_info(), _float_info("h_next", [1, HIDDEN])], constants, manifest)


def two_camera_policy() -> bytes:
    """Two image inputs, cameras `left` and `right`: it steers to the brighter side."""
    oh = _onnx().helper
    nodes = [
        *_brightness("image_left", "left"),
        *_brightness("image_right", "right"),
        oh.make_node("Sub", ["left", "right"], ["difference"]),
        oh.make_node("Mul", ["difference", "gain"], ["steering"]),
        oh.make_node("Add", ["left", "right"], ["acceleration"]),
    ]
    manifest = Manifest(
        name="two_camera",
        graph_sha256="",
        images=(
            ImageInput(name="image_left", width=WIDTH, height=HEIGHT, camera="left"),
            ImageInput(name="image_right", width=WIDTH, height=HEIGHT, camera="right"),
        ),
        outputs=(STEERING, ACCELERATION),
    )
    inputs = [_image_info("image_left"), _image_info("image_right")]
    return build(nodes, inputs, _control_info(), {"gain": np.array([[0.2]], np.float32)}, manifest)


def concept_policy(seed: int = 0) -> bytes:
    """One image to two concepts, each the sum of a 3 x 20 map: lane_offset_m, and gap_m behind a scale of 10; it steers
    against the first.
    """
    random = np.random.default_rng(seed)
    kernel = random.normal(0.0, 1.0 / (200.0 * FIELD_PX), (2, 3, FIELD_PX, FIELD_PX)).astype(np.float32)
    oh = _onnx().helper
    nodes = [
        *_picture("image", "pixels"),
        oh.make_node("Conv", ["pixels", "kernel"], ["maps"], strides=[STRIDE_PX, STRIDE_PX]),
        oh.make_node("ReduceSum", ["maps", "places"], ["concepts"], keepdims=0),
        oh.make_node("MatMul", ["concepts", "to_steering"], ["steering"]),
        oh.make_node("MatMul", ["concepts", "to_acceleration"], ["acceleration"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "kernel": kernel,
        "places": np.array([2, 3], np.int64),
        "to_steering": np.array([[-0.1], [0.0]], np.float32),
        "to_acceleration": np.array([[0.0], [0.1]], np.float32),
    }
    outputs = [*_control_info(), _float_info("concepts", [1, 2]), _float_info("maps", [1, 2, ROWS, COLUMNS])]
    manifest = Manifest(
        name="concept",
        graph_sha256="",
        images=(ImageInput(name="image", width=WIDTH, height=HEIGHT),),
        outputs=(STEERING, ACCELERATION),
        concepts=(
            Concept(name="lane_offset_m", unit="m", output="concepts"),
            Concept(name="gap_m", unit="m", output="concepts", index=1, scale=10.0),
        ),
    )
    return build(nodes, [_image_info("image")], outputs, constants, manifest)


def slow_policy(passes: int = 40, size: int = 512) -> bytes:
    """As slow as `passes` products of size x size matrices, 1 to 5 ms each on one core; nothing folds away."""
    oh = _onnx().helper
    nodes = [
        *_brightness("image", "brightness"),
        oh.make_node("Add", ["brightness", "row"], ["start"]),
        oh.make_node("Expand", ["start", "square"], ["m0"]),
    ]
    for i in range(passes):
        nodes += [
            oh.make_node("MatMul", [f"m{i}", f"m{i}"], [f"product{i}"]),
            oh.make_node("Mul", [f"product{i}", "shrink"], [f"shrunk{i}"]),
            oh.make_node("Tanh", [f"shrunk{i}"], [f"m{i + 1}"]),
        ]
    nodes += [
        oh.make_node("ReduceMean", [f"m{passes}"], ["mean"], keepdims=1),
        oh.make_node("Sub", ["brightness", "mean"], ["difference"]),
        oh.make_node("Mul", ["difference", "gain"], ["steering"]),
        oh.make_node("Neg", ["steering"], ["acceleration"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "row": np.linspace(0.5, 1.0, size, dtype=np.float32)[np.newaxis],
        "square": np.array([size, size], np.int64),
        "shrink": np.array([2.0 / size], np.float32),
        "gain": np.array([[0.2]], np.float32),
    }
    manifest = Manifest(
        name="slow",
        graph_sha256="",
        images=(ImageInput(name="image", width=WIDTH, height=HEIGHT),),
        outputs=(STEERING, ACCELERATION),
    )
    return build(nodes, [_image_info("image")], _control_info(), constants, manifest)


def build(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: dict[str, NDArray[Any]],
    manifest: Manifest | None,
) -> bytes:
    """An ONNX file from nodes, value infos and constants, with the manifest attached where there is one."""
    onnx = _onnx()
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(list(nodes), "policy", list(inputs), list(outputs), initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_IR)
    data: bytes = model.SerializeToString()
    return data if manifest is None else attach_manifest(data, manifest)


def _onnx() -> Any:
    return pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: dev)")


def _image_info(name: str) -> Any:
    onnx = _onnx()
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])


def _float_info(name: str, shape: list[int]) -> Any:
    onnx = _onnx()
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _control_info() -> list[Any]:
    return [_float_info("steering", [1, 1]), _float_info("acceleration", [1, 1])]


def _picture(image: str, to: str) -> list[Any]:
    oh, proto = _onnx().helper, _onnx().TensorProto
    return [
        oh.make_node("Cast", [image], [f"{image}_float"], to=proto.FLOAT),
        oh.make_node("Transpose", [f"{image}_float"], [to], perm=[0, 3, 1, 2]),
    ]


def _brightness(image: str, to: str) -> list[Any]:
    """Nodes that give the mean of an image, 0 to 1, as 1 x 1."""
    oh, proto = _onnx().helper, _onnx().TensorProto
    scale = oh.make_tensor(f"{to}_scale", proto.FLOAT, [1, 1], [1.0 / 255.0])
    return [
        oh.make_node("Cast", [image], [f"{image}_float"], to=proto.FLOAT),
        oh.make_node("Flatten", [f"{image}_float"], [f"{image}_flat"]),
        oh.make_node("ReduceMean", [f"{image}_flat"], [f"{image}_mean"], axes=[1], keepdims=1),
        oh.make_node("Constant", [], [f"{to}_scale"], value=scale),
        oh.make_node("Mul", [f"{image}_mean", f"{to}_scale"], [to]),
    ]
