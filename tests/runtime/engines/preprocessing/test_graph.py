"""The graph of preprocessing is valid ONNX, and holds only what every provider has."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.contracts.model import ImageInput
from runtime.engines.preprocessing.graph import preprocessing_graph

# What ONNX Runtime's CUDA provider has kernels for, on float32 and, for the Casts, uint8: its docs/OperatorKernels.md.
ON_CUDA = {"Cast", "Gather", "MatMul", "Reshape", "Round", "Transpose"}

onnx = pytest.importorskip("onnx", reason="what is written by hand is held against the onnx package (extra: test)")

EVERY_KIND = pytest.mark.parametrize(
    ("layout", "colour"), [("NHWC", "BGR"), ("NHWC", "RGB"), ("NCHW", "BGR"), ("NCHW", "RGB")]
)


@EVERY_KIND
def test_what_is_written_by_hand_is_valid_onnx_of_the_shape_that_the_model_takes(layout: Any, colour: Any) -> None:
    data = preprocessing_graph(ImageInput(name="eye", width=200, height=66, layout=layout, colour=colour))
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)  # infers every shape, and refuses one that is told otherwise
    (output,) = model.graph.output
    shape = [size.dim_value for size in output.type.tensor_type.shape.dim]
    assert shape == ([1, 66, 200, 3] if layout == "NHWC" else [1, 3, 66, 200])
    assert output.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [value.name for value in model.graph.input] == ["picture", "rows", "columns"]
    assert len(data) < 1500


@EVERY_KIND
def test_every_operator_has_a_kernel_on_cuda_and_bytes_are_only_cast(layout: Any, colour: Any) -> None:
    data = preprocessing_graph(ImageInput(name="eye", width=200, height=66, layout=layout, colour=colour))
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True).graph
    assert {node.op_type for node in graph.node} <= ON_CUDA
    bytes_of = [
        value.name
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    ]
    users = [node.op_type for node in graph.node if set(bytes_of) & {*node.input, *node.output}]
    assert users == ["Cast", "Cast"]


@EVERY_KIND
def test_the_onnx_package_writes_the_same_fields(layout: Any, colour: Any) -> None:
    data = preprocessing_graph(ImageInput(name="eye", width=200, height=66, layout=layout, colour=colour))
    model = onnx.load_from_string(data)
    again = onnx.load_from_string(model.SerializeToString())
    assert again == model
    transposes = [node for node in model.graph.node if node.op_type == "Transpose"]
    last = onnx.helper.get_node_attr_value(transposes[-1], "perm")
    assert last == ([1, 2, 0] if layout == "NHWC" else [0, 1, 2])
    colours = next(tensor for tensor in model.graph.initializer if tensor.name == "colours")
    assert onnx.numpy_helper.to_array(colours).tolist() == ([0, 1, 2] if colour == "BGR" else [2, 1, 0])
