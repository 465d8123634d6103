"""Old opsets brought to the one that export writes: onnx's converter, and what it gets wrong put right."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import version_converter

from runtime.contracts.errors import ModelError

OPSET = 20  # what ONNX Runtime and TensorRT 10 both read
_NORMALISED_BY_GROUP = 21  # GroupNormalization was withdrawn in opset 18 and came back, corrected, in 21
_NUMPY_BROADCASTING, _RESIZE_SAYS_HOW, _AXIS_ALONE = 7, 11, 13


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators; ModelError where the file names none."""
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            return int(opset.version)
    raise ModelError("it names no opset of the standard operators; export the network again")


def modernised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in opset 20 or later. Its inputs have static shapes.

    Raises:
        ModelError: onnx cannot convert it, or would convert it to something else.
    """
    version = opset_of(model)
    ops = {node.op_type for node in model.graph.node}
    target = _NORMALISED_BY_GROUP if "GroupNormalization" in ops else OPSET
    if version >= target:
        return model
    if version < _AXIS_ALONE and "Hardmax" in ops:
        raise ModelError(f"Hardmax of opset {version} takes several axes as one; export the network with opset {OPSET}")
    try:
        if version < _NUMPY_BROADCASTING:
            _align(model)
        # They read a source place as index / scale, rounded down; later opsets have another default.
        old_resizes = {
            node.output[0]
            for node in model.graph.node
            if node.op_type == "Upsample" or (node.op_type == "Resize" and version < _RESIZE_SAYS_HOW)
        }
        converted = version_converter.convert_version(model, target)
    except (RuntimeError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"onnx cannot bring it from opset {version} to {target} ({error}); export the network with opset {OPSET}"
        ) from None
    for node in converted.graph.node:
        if node.op_type == "Resize" and node.output[0] in old_resizes:
            kept = [a for a in node.attribute if a.name not in ("coordinate_transformation_mode", "nearest_mode")]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.append(onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
            node.attribute.append(onnx.helper.make_attribute("nearest_mode", "floor"))
    return converted


def _align(model: onnx.ModelProto) -> None:
    """Let axes say, in place, what an attribute said before opset 7: where a smaller tensor is laid along a larger."""
    known = onnx.shape_inference.infer_shapes(model).graph
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*known.input, *known.value_info, *known.output)
        if value.type.tensor_type.HasField("shape")
    }
    ranks |= {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        axis = _axis_of_second(node, ranks)
        missing = 0 if axis is None else ranks[node.input[0]] - axis - ranks[node.input[1]]
        if missing > 0:
            name = f"{node.output[0]}_aligned"
            axes = np.arange(ranks[node.input[1]], ranks[node.input[1]] + missing).tolist()
            model.graph.node.append(onnx.helper.make_node("Unsqueeze", [node.input[1]], [name], axes=axes))
            node.input[1] = name
        if axis is not None:
            kept = [attribute for attribute in node.attribute if attribute.name != "axis"]
            del node.attribute[:]
            node.attribute.extend(kept)
        model.graph.node.append(node)


def _axis_of_second(node: onnx.NodeProto, ranks: dict[str, int]) -> int | None:
    """The axis of the first input at which the second begins, None where the two are aligned at their ends."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "PRelu":
        return 1 if ranks.get(node.input[1]) == 1 and ranks.get(node.input[0], 0) > 1 else None
    if not attributes.get("broadcast") or "axis" not in attributes:
        return None
    if any(name not in ranks for name in node.input[:2]):
        raise ModelError(f"{node.op_type} that makes {node.output[0]!r} repeats a tensor of unknown shape; use opset 7")
    axis = int(attributes["axis"])
    return axis if axis >= 0 else axis + ranks[node.input[0]]
