"""INT8 for what gains by it: the large convolutions and matrix products of the deciding part, as QuantizeLinear and
DequantizeLinear in the graph (static, symmetric, weights per output channel).

Our own pass and not onnxruntime.quantization.quantize_static, because that one reads the explanation's masks from
before the quantisation where a Reshape lies between (so they explain another network than the one that decides),
quantises a Gemm's weight anew in every pass where a Transpose stands before it, and fails where two operators share
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from export.frames import Frames
from export.graph.graph import Graph
from export.graph.values import Node
from export.precision.branch import decision_nodes
from export.precision.observe import observe
from runtime.contracts.errors import ModelError
from runtime.contracts.model import attach_manifest, manifest_of

Engine = Literal["tensorrt", "onnxruntime"]

_STEPS = 127  # of one sign; -128 is not used, so that the grid is symmetric
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

    An activation's step is its largest absolute value on the frames over 127; it is not clipped closer, since what is
    rare and large on a road is often what matters. Whoever reads a quantised tensor reads its dequantised form, the
    explanation too, so that it explains what was decided.

    Args:
        onnx_bytes: an explained network with its manifest, in float32.
        frames: what the steps are taken from; not the frames that drift is judged on.
        engine: where the grids lie. `tensorrt`: on what flows into a product, as its guide has it, so that it can fuse
            the activation behind one. `onnxruntime`: also between a product and its ReLU, on the same grid (which
            changes no number), since its CPU kernels need it there.

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
    tensors = list(dict.fromkeys(_root(graph, product.node.inputs[product.flowing]) for product in products))
    steps = _steps(graph, tensors, frames, where)
    for product in products:
        _quantise_weight(graph, product, deciding)
        _split_sum(graph, product.node, deciding)
    made = {product.node.outputs[0] for product in products}
    for name in tensors:
        _quantise_activation(graph, name, steps[name], deciding)
        relu = graph.producer(name)
        if engine == "onnxruntime" and relu is not None and relu.op == "Relu":
            before = relu.inputs[0]
            maker = graph.producer(before)
            if before in made or (maker is not None and maker.op == "Add" and made.intersection(maker.inputs)):
                _quantise_activation(graph, before, steps[name], deciding)
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


def _steps(graph: Graph, tensors: list[str], frames: Frames, where: str) -> dict[str, np.float32]:
    largest = dict.fromkeys(tensors, 0.0)
    for frame, name, values in observe(graph, tensors, frames, where):
        largest[name] = max(largest[name], float(np.max(np.abs(values), initial=0.0)))
        if not np.isfinite(largest[name]):
            raise ModelError(
                f"{where}: tensor {name!r} is infinite on frame {frame} of {frames.source!r}, so it has no INT8 step; "
                "take that frame out of precision.int8.calibration, or mend the network"
            )
    return {name: _step(np.float32(value)) for name, value in largest.items()}


def _step(largest: np.float32) -> np.float32:
    step = np.float32(largest / np.float32(_STEPS))
    return step if step > 0.0 else np.float32(1.0)


def _quantise_weight(graph: Graph, product: _Product, deciding: set[Node]) -> None:
    name = product.node.inputs[product.weight]
    array = graph.constants[name]
    others = tuple(axis for axis in range(array.ndim) if axis != product.axis)
    steps = np.array([_step(each) for each in np.max(np.abs(array), axis=others)], np.float32)
    if not np.isfinite(steps).all():
        raise ModelError(f"the weight {name!r} holds numbers that are not finite; mend the network")
    shape = [-1 if axis == product.axis else 1 for axis in range(array.ndim)]
    whole = np.clip(np.rint(array / steps.reshape(shape)), -_STEPS, _STEPS).astype(np.int8)
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


def _quantise_activation(graph: Graph, name: str, step: np.float32, deciding: set[Node]) -> None:
    """Put a tensor on its grid, for all who read it: the decision by one DequantizeLinear, the explanation by another,
    so that what explains stands in the way of no fusion.
    """
    readers = graph.consumers(name)
    steps, zero = graph.constant(np.asarray(step), "step"), graph.constant(np.zeros((), np.int8), "zero")
    whole = graph.emit("QuantizeLinear", name, steps, zero, hint=f"{name}_int8")
    for part in ([n for n in readers if n in deciding], [n for n in readers if n not in deciding]):
        if part:
            dequantised = graph.emit("DequantizeLinear", whole, steps, zero, hint=f"{name}_dequantised")
            for node in part:
                node.inputs = tuple(dequantised if each == name else each for each in node.inputs)


def _read_at(node: Node, position: int, name: str) -> None:
    node.inputs = tuple(name if at == position else each for at, each in enumerate(node.inputs))
