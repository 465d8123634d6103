"""INT8 for what gains by it: the large convolutions and matrix products of the deciding part, as QuantizeLinear and
DequantizeLinear in the graph (static, symmetric, weights per output channel).

Our own pass and not onnxruntime.quantization.quantize_static, because that one reads the explanation's masks from
before the quantisation where a Reshape lies between (so they explain another network than the one that decides),
quantises a Gemm's weight anew in every pass where a Transpose stands before it, and fails where two operators share
one.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from export.frames import Frames
from export.graph.graph import Graph
from export.graph.values import Node
from export.precision.branch import decision_nodes
from export.precision.grid import STEPS, Engine, Grid, grids, step_of
from export.precision.half import to_fp16
from export.precision.products import Product, products, results, root
from runtime.contracts.errors import ModelError
from runtime.contracts.model import attach_manifest, manifest_of

Rest = Literal["float32", "float16"]


def to_int8(onnx_bytes: bytes, frames: Frames, engine: Engine = "tensorrt", rest: Rest = "float32") -> bytes:
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
        rest: what everything else of the decision is computed in.

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
    found = products(graph, deciding)
    if not found:
        raise ModelError(
            f"{where}: it holds no convolution and no matrix product by a constant that is large enough to gain by "
            "INT8; leave precision.int8 out"
        )
    tensors = [root(graph, product.node.inputs[product.flowing]) for product in found]
    if engine == "onnxruntime":
        tensors += results(graph, found)
    laid = grids(graph, list(dict.fromkeys(tensors)), frames, engine, where)
    for product in found:
        _quantise_weight(graph, product, deciding)
    for name, grid in laid.items():
        _quantise_activation(graph, name, grid, deciding)
    description = (
        f"{manifest.description} [{len(found)} products of the decision in INT8, calibrated on {len(frames)} frames "
        f"(SHA-256 {frames.sha256[:12]}), explanation in float32]"
    ).strip()
    form = attach_manifest(graph.to_bytes(), msgspec.structs.replace(manifest, description=description))
    return to_fp16(form, frames) if rest == "float16" else form


def _quantise_weight(graph: Graph, product: Product, deciding: set[Node]) -> None:
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
