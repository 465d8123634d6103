"""Files of old opsets answer what they answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

import onnxruntime  # noqa: E402

from export.graph.graph import Graph  # noqa: E402
from runtime.contracts.errors import ModelError  # noqa: E402

Array = np.ndarray[Any, Any]
CHANNELS = np.array([1, 2, 3, 4], np.float32)
TWICE = np.array([1, 1, 2, 2], np.float32)
HALF_MORE = np.array([1, 1, 1.5, 1.5], np.float32)
OLD: dict[str, tuple[int, dict[str, Any], dict[str, Array]]] = {
    "Upsample": (7, {"mode": "nearest", "scales": [1.0, 1.0, 2.0, 2.0]}, {}),
    "Upsample linear": (9, {"mode": "linear"}, {"s": TWICE}),
    "Upsample uneven": (9, {"mode": "nearest"}, {"s": HALF_MORE}),
    "Resize": (10, {"mode": "linear"}, {"s": HALF_MORE}),
    "Resize 13": (
        13,
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"roi": np.zeros(0, np.float32), "s": HALF_MORE},
    ),
    "Pad": (7, {"pads": [0, 0, 1, 1, 0, 0, 2, 2], "mode": "reflect"}, {}),
    "Clip": (7, {"min": 0.0, "max": 1.0}, {}),
    "Slice": (7, {"starts": [1], "ends": [3], "axes": [2]}, {}),
    "Squeeze": (7, {"axes": [0]}, {}),
    "Unsqueeze": (9, {"axes": [0]}, {}),
    "Dropout": (7, {"ratio": 0.5}, {}),
    "BatchNormalization": (7, {}, dict.fromkeys("abcd", CHANNELS)),
    "Softmax": (7, {}, {}),
    "LogSoftmax": (9, {"axis": 2}, {}),
    "ReduceMean": (7, {"axes": [2, 3], "keepdims": 0}, {}),
    "ReduceMax": (13, {"axes": [1]}, {}),
    "ReduceSum": (11, {"axes": [1]}, {}),
    "GroupNormalization": (18, {"num_groups": 2}, {"a": CHANNELS[:2], "b": CHANNELS[2:]}),
}


def _file(op: str, opset: int, attributes: dict[str, Any], constants: dict[str, Array], batch: int | str = 1) -> bytes:
    make = onnx.helper
    node = make.make_node(op, ["x", *constants], ["y"], **attributes)
    graph = make.make_graph(
        [node],
        "old",
        [make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [batch, 4, 6, 6])],
        [make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    data: bytes = make.make_model(graph, opset_imports=[make.make_opsetid("", opset)], ir_version=4).SerializeToString()
    return data


def _answer(data: bytes, x: Array) -> Array:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize("name", OLD)
def test_an_operator_of_an_old_opset_answers_as_it_did(name: str) -> None:
    opset, attributes, constants = OLD[name]
    data = _file(name.split(maxsplit=1)[0], opset, attributes, constants)
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 6)).astype(np.float32) * 2
    graph = Graph.load(data, "old.onnx")
    assert graph.opset >= 20
    np.testing.assert_allclose(_answer(graph.to_bytes(), x), _answer(data, x), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("op", "expected"), [("Add", [1, 3]), ("Mul", [0, 2]), ("PRelu", [0, 1])])
def test_a_smaller_tensor_lies_along_the_axis_that_an_attribute_names(op: str, expected: list[float]) -> None:
    """No engine of today runs opset 6, so the answer is worked out by hand."""
    attributes = {} if op == "PRelu" else {"broadcast": 1, "axis": 1}
    slope = np.array([0, 2, 0, 0], np.float32)
    graph = Graph.load(_file(op, 6, attributes, {"s": slope}), "old.onnx")
    x = np.full((1, 4, 6, 6), -0.5 if op == "PRelu" else 1, np.float32)
    answer = _answer(graph.to_bytes(), x)
    scale = -1.0 if op == "PRelu" else 1.0
    np.testing.assert_array_equal(answer[0, :2], np.broadcast_to(scale * np.array(expected)[:, None, None], (2, 6, 6)))


def test_what_onnx_would_convert_to_something_else_is_refused() -> None:
    with pytest.raises(ModelError, match=r"old\.onnx: .*Hardmax of opset 9.*opset 20"):
        Graph.load(_file("Hardmax", 9, {}, {}), "old.onnx")
