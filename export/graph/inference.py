"""Shapes, types and constant results of single nodes, by ONNX's own inference and by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime

from export.graph.values import Array, Node, Value, node_proto, type_proto
from runtime.contracts.errors import ModelError

_SHAPE_LIKE = 4096  # elements: a larger constant is a weight, and no shape, axis or index depends on it
_SHAPED_LIKE_FIRST = frozenset({"GroupNormalization"})  # ONNX defines them by others, and infers no shape


def schema_of(node: Node, opset: int) -> onnx.defs.OpSchema:
    """The operator's definition; ModelError where ONNX has none of that name."""
    try:
        return onnx.defs.get_schema(node.op, opset, node.domain)
    except onnx.defs.SchemaError:
        raise ModelError(
            f"{node.describe()}: opset {opset} of domain {node.domain or 'ai.onnx'!r} defines no such operator; "
            "export the network with standard ONNX operators only"
        ) from None


def infer_outputs(
    node: Node, opset: int, value: Callable[[str], Value], constant: Callable[[str], Array | None]
) -> tuple[Value, ...]:
    """Element type and shape of each output of a node that is not absent.

    Args:
        node: the node.
        opset: version of the standard operators.
        value: from an input's name to its value.
        constant: from an input's name to its content, None where it is computed.

    Raises:
        ModelError: the inputs do not fit the operator, or a shape depends on what flows through the graph.
    """
    schema = schema_of(node, opset)
    present = [name for name in dict.fromkeys(node.inputs) if name]
    types = {name: type_proto(value(name)) for name in present}
    known = {name: constant(name) for name in present}
    small = {
        name: onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
        for name, array in known.items()
        if array is not None and array.size <= _SHAPE_LIKE
    }
    opsets = [onnx.helper.make_opsetid("", opset)]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, node_proto(node), types, small, None, opsets)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        shapes = ", ".join(f"{name} {value(name).dtype}{list(value(name).shape)}" for name in present)
        raise ModelError(f"{node.describe()} does not take its inputs ({shapes}): {_first_line(error)}") from None
    if node.op in _SHAPED_LIKE_FIRST and not node.domain:
        found[node.outputs[0]] = types[node.inputs[0]]
    return tuple(_settled(node, name, found.get(name)) for name in node.outputs if name)


def _settled(node: Node, name: str, proto: onnx.TypeProto | None) -> Value:
    if proto is None or not proto.HasField("tensor_type"):
        raise ModelError(f"{node.describe()}: {name!r} is no tensor; only graphs of plain tensors can be exported")
    tensor = proto.tensor_type
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        raise ModelError(
            f"{node.describe()}: the shape of {name!r} depends on what flows through the network, and export needs it "
            "fixed; export the network with constant sizes"
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Value(name, dtype, tuple(dim.dim_value for dim in tensor.shape.dim))


def evaluate(node: Node, opset: int, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
    """What a node makes of constants, by ONNX Runtime, one array per output that is not absent.

    Raises:
        ModelError: ONNX Runtime cannot run it.
    """
    names = [f"i{at}" if array is not None else "" for at, array in enumerate(inputs)]
    outputs = [f"o{at}" if name else "" for at, name in enumerate(node.outputs)]
    twin = Node(node.op, tuple(names), tuple(outputs), node.attributes, node.domain)
    feeds = {name: np.asarray(array, order="C") for name, array in zip(names, inputs, strict=True) if array is not None}
    info = [
        onnx.helper.make_value_info(name, type_proto(Value(name, array.dtype, array.shape)))
        for name, array in feeds.items()
    ]
    wanted = [name for name in outputs if name]
    graph = onnx.helper.make_graph(
        [node_proto(twin)],
        "constant",
        info,
        [onnx.ValueInfoProto(name=name) for name in wanted],
    )
    opset_id = onnx.helper.make_opsetid("", opset)
    ir_version = onnx.helper.find_min_ir_version_for([opset_id])
    model = onnx.helper.make_model(graph, opset_imports=[opset_id], ir_version=ir_version)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return tuple(np.asarray(array) for array in session.run(wanted, feeds))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises classes of its own, with no base but Exception
        raise ModelError(f"{node.describe()} of constants cannot be evaluated: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
