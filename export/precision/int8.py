"""INT8 for what gains by it: the large convolutions and matrix products of the deciding part, as QuantizeLinear and
DequantizeLinear in the graph (static, symmetric, weights per output channel).

Our own pass and not onnxruntime.quantization.quantize_static, because that one reads the explanation's masks from
before the quantisation where a Reshape lies between (so they explain another network than the one that decides),
quantises a Gemm's weight anew in every pass where a Transpose stands before it, and fails where two operators share
one.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from export.frames import Frames
from export.graph.graph import Graph
from export.graph.values import Node
from export.precision.branch import decision_nodes
from export.precision.grid import STEPS, Engine, Grid, grids, step_of
from runtime.contracts.errors import ModelError
from runtime.contracts.model import attach_manifest, manifest_of

_WORTH_PRODUCTS = 4096  # multiplications; below, INT8 saves nothing and costs accuracy all the same
_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity"})


@dataclass(frozen=True)
class _Product:
    """A node to be computed in INT8: which of its inputs flows, which is the constant weight, and the weight's axis of
    output channels.
    """

    node: Node
    flowing: int
    weight: int
    axis: int


def to_int8(onnx_bytes: bytes, frames: Frames, engine: Engine = "tensorrt") -> bytes:
    """The network with its large products in INT8; inputs, outputs and the explanation branch stay in their types.

    Whoever reads a quantised tensor reads its dequantised form, the explanation too, so that it explains what was
    decided.

    Args:
        onnx_bytes: an explained network with its manifest, in float32.
        frames: what the steps are taken from; not the frames that drift is judged on.
        engine: whose kernels it is laid out for. `tensorrt`: symmetric int8 on what flows into a product, and nothing
            between a product and its activation, which it fuses (Developer Guide, "Q/DQ Layer-Placement
            Recommendations"). `onnxruntime`: uint8, and also behind every convolution, since its CPU kernels convolve
            in INT8 only where the result is on a grid too; TensorRT has no uint8 and cannot build it.

    Raises:
        ModelError: no manifest, no frame, nothing to quantise, or a tensor that is NaN or infinite on a frame.
    """
    manifest = manifest_of(onnx_bytes, "to be written in INT8")
    where = f"model {manifest.name}"
    if not frames.inputs:
        raise ModelError(
            f"{where}: INT8 is calibrated on frames, and {frames.source!r} gave none; name a drive, a video or a "
            "folder of images in precision.int8.calibration"
        )
    graph = Graph.load(onnx_bytes, where)
    deciding = set(decision_nodes(graph, manifest))
    products = [found for node in graph.nodes if node in deciding and (found := _product(graph, node)) is not None]
    if not products:
        raise ModelError(
            f"{where}: it holds no convolution and no matrix product by a constant that is large enough to gain by "
            "INT8; leave precision.int8 out"
        )
    tensors = [_root(graph, product.node.inputs[product.flowing]) for product in products]
    if engine == "onnxruntime":
        tensors += [_behind(graph, product.node) for product in products if product.node.op == "Conv"]
    laid = grids(graph, list(dict.fromkeys(tensors)), frames, engine, where)
    for product in products:
        _quantise_weight(graph, product, deciding)
        _split_sum(graph, product.node, deciding)
    for name, grid in laid.items():
        _quantise_activation(graph, name, grid, deciding)
    description = (
        f"{manifest.description} [{len(products)} products of the decision in INT8, calibrated on {len(frames)} frames "
        f"(SHA-256 {frames.sha256[:12]}), explanation in float32]"
    ).strip()
    return attach_manifest(graph.to_bytes(), msgspec.structs.replace(manifest, description=description))


def _product(graph: Graph, node: Node) -> _Product | None:
    """The node as a product of what flows by a constant weight, None where it is none or too small to gain."""
    if node.op not in ("Conv", "Gemm", "MatMul") or node.domain:
        return None
    weight = next((at for at in (1, 0) if node.inputs[at] in graph.constants), None)
    if weight is None or (node.op != "MatMul" and weight != 1) or node.inputs[1 - weight] in graph.constants:
        return None
    shape, made = graph.value(node.inputs[weight]).shape, graph.value(node.outputs[0])
    if made.dtype != np.float32 or len(shape) < 2:
        return None
    if node.op == "Conv":
        axis, summed = 0, int(np.prod(shape[1:]))
    elif node.op == "Gemm":
        axis = 0 if node.attributes.get("transB") else 1
        summed = shape[1 - axis]
    else:
        axis = len(shape) - weight if weight == 1 else len(shape) - 2
        summed = shape[-2] if weight == 1 else shape[-1]
    return _Product(node, 1 - weight, weight, axis) if summed * made.size >= _WORTH_PRODUCTS else None


def _root(graph: Graph, name: str) -> str:
    """The tensor that this one is only another view of: quantised there, all views of it are."""
    node = graph.producer(name)
    while node is not None and node.op in _VIEWS:
        name = node.inputs[0]
        node = graph.producer(name)
    return name


def _behind(graph: Graph, node: Node) -> str:
    """Where a convolution's result is put on a grid: behind its ReLU, where it has one."""
    made = node.outputs[0]
    readers = graph.consumers(made)
    alone = len(readers) == 1 and readers[0].op == "Relu" and made not in graph.outputs
    return readers[0].outputs[0] if alone else made


def _quantise_weight(graph: Graph, product: _Product, deciding: set[Node]) -> None:
    name = product.node.inputs[product.weight]
    array = graph.constants[name]
    others = tuple(axis for axis in range(array.ndim) if axis != product.axis)
    steps = np.array([step_of(each) for each in np.max(np.abs(array), axis=others)], np.float32)
    if not np.isfinite(steps).all():
        raise ModelError(f"the weight {name!r} holds numbers that are not finite; mend the network")
    shape = [-1 if axis == product.axis else 1 for axis in range(array.ndim)]
    whole = np.clip(np.rint(array / steps.reshape(shape)), -STEPS, STEPS).astype(np.int8)
    dequantised = graph.emit(
        "DequantizeLinear",
        graph.constant(whole, f"{name}_int8"),
        graph.constant(steps, f"{name}_steps"),
        graph.constant(np.zeros(steps.shape, np.int8), "zeros"),
        axis=product.axis,
        hint=f"{name}_dequantised",
    )
    _read_at(product.node, product.weight, dequantised)
    # An explanation that goes through the same weight goes through the numbers that decide.
    rounded = (whole.astype(np.float32) * steps.reshape(shape)).astype(np.float32)
    for node in graph.consumers(name):
        if node not in deciding:
            node.inputs = tuple(graph.constant(rounded, f"{name}_rounded") if x == name else x for x in node.inputs)


def _split_sum(graph: Graph, node: Node, deciding: set[Node]) -> None:
    """Gemm plus something that flows becomes a product and an addition: no engine has it as one INT8 kernel."""
    if node.op != "Gemm" or not node.input(2) or node.input(2) in graph.constants:
        return
    added, beta = node.inputs[2], float(node.attributes.pop("beta", 1.0))
    if beta != 1.0:
        added = graph.emit("Mul", added, graph.constant(np.float32(beta), "beta"), hint="scaled")
        deciding.add(graph.nodes[-1])
    total, product = node.outputs[0], graph.fresh(f"{node.outputs[0]}_product")
    readers, is_output = graph.consumers(total), total in graph.outputs
    node.inputs = node.inputs[:2]
    graph.rename(total, product)
    summed = graph.emit("Add", product, added, hint=total)
    deciding.add(graph.nodes[-1])
    for reader in readers:
        reader.inputs = tuple(summed if each == product else each for each in reader.inputs)
    if is_output:
        graph.outputs = [summed if each == product else each for each in graph.outputs]
    graph.rename(summed, total)


def _quantise_activation(graph: Graph, name: str, grid: Grid, deciding: set[Node]) -> None:
    """Put a tensor on its grid, for all who read it: the decision by one DequantizeLinear, the explanation by another,
    so that what explains stands in the way of no fusion.
    """
    readers = graph.consumers(name)
    steps, zero = graph.constant(np.asarray(grid.step), "step"), graph.constant(np.asarray(grid.zero), "zero")
    whole = graph.emit("QuantizeLinear", name, steps, zero, hint=f"{name}_int8")
    for part in ([n for n in readers if n in deciding], [n for n in readers if n not in deciding]):
        if part:
            dequantised = graph.emit("DequantizeLinear", whole, steps, zero, hint=f"{name}_dequantised")
            for node in part:
                node.inputs = tuple(dequantised if each == name else each for each in node.inputs)


def _read_at(node: Node, position: int, name: str) -> None:
    node.inputs = tuple(name if at == position else each for at, each in enumerate(node.inputs))
