"""Float16 for what decides, float32 for what explains, written into the graph.

Our own pass and not onnxconverter-common 1.16, because that casts around every kept node by itself, leaves a weight
that both parts read in float32 (no valid graph then), and clips what does not fit without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from export.frames import Frames
from export.graph.graph import Graph
from export.graph.inference import schema_of
from export.graph.values import Node
from export.precision.branch import decision_nodes
from export.precision.observe import observe
from export.precision.products import VIEWS
from runtime.contracts.model import attach_manifest, manifest_of

LARGEST = 65504.0  # of IEEE 754 binary16
_HEADROOM = 4.0  # other frames than these may go farther
_SINGLE, _HALF = np.dtype(np.float32), np.dtype(np.float16)
_SMALLEST_STEP = 2.0**-17  # float16 rounds such a one to 8 digits, as INT8 does what it is multiplied by
_GRIDS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_HALF_TYPE = "tensor(float16)"


def to_fp16(onnx_bytes: bytes, frames: Frames | None = None) -> bytes:
    """The network with its decision in float16; inputs, outputs and the explanation branch keep their types.

    Whatever would leave float16's range stays in float32 as well and is named in the manifest's description: a
    constant beyond it, an INT8 product with steps too small for it, and, where frames are given, a tensor that comes
    within a factor of 4 of it on one of them. Strongly typed: every change of type is a Cast in the graph. The same
    input gives the same bytes.

    Raises:
        ModelError: the file has no manifest or is no graph that export can read, or a tensor is NaN on a frame.
    """
    manifest = manifest_of(onnx_bytes, "to be written in float16")
    graph = Graph.load(onnx_bytes, f"model {manifest.name}")
    decides = decision_nodes(graph, manifest)
    deciding = [node for node in graph.nodes if node in decides]
    wide = _beyond(graph, deciding, frames, manifest.name)
    narrow = frozenset(n for n in deciding if not wide.intersection((*n.inputs, *n.outputs)) and not _has_graph(n))
    kept = f"; kept in float32 for their range: {', '.join(sorted(wide))}" if wide else ""
    part = "the rest of the decision" if any(node.op in _GRIDS for node in graph.nodes) else "decision"
    description = f"{manifest.description} [{part} in float16, explanation in float32{kept}]".strip()
    half = _Halving(graph, narrow).graph.to_bytes()
    return attach_manifest(half, msgspec.structs.replace(manifest, description=description))


class _Halving:
    """The graph written anew; every float32 tensor of the old one has up to two forms in it."""

    def __init__(self, old: Graph, narrow: frozenset[Node]) -> None:
        self._old = old
        self.graph = Graph(old.opset)
        self._forms: dict[tuple[str, np.dtype[Any]], str] = {}
        for name, value in old.inputs.items():
            self._forms[name, value.dtype] = self.graph.add_input(name, value.dtype, value.shape)
        for name, array in old.constants.items():
            self._forms[name, array.dtype] = name
            self.graph.add_constant(name, array)
        for node in old.nodes:
            self._write(node, node in narrow)
        self.graph.outputs = list(old.outputs)

    def _write(self, node: Node, narrow: bool) -> None:
        takes_half = _takes_half(node, self._old.opset) if narrow else [False] * len(node.inputs)
        inputs = tuple(
            self._read(name, _HALF if half else _SINGLE) for name, half in zip(node.inputs, takes_half, strict=True)
        )
        attributes = dict(node.attributes)
        if narrow and node.op == "Cast" and attributes["to"] == onnx.TensorProto.FLOAT:
            attributes["to"] = int(onnx.TensorProto.FLOAT16)
        becomes_half = narrow and (any(takes_half) or attributes != node.attributes)
        outputs = tuple(
            self.graph.fresh(f"{name}_half") if name and becomes_half and self._is_single(name) else name
            for name in node.outputs
        )
        self.graph.append(Node(node.op, inputs, outputs, attributes, node.domain))
        for old, new in zip(node.outputs, outputs, strict=True):
            if old:
                self._forms[old, self.graph.value(new).dtype] = new
                if old in self._old.outputs and old != new:
                    self._cast(old, new, _SINGLE, old)

    def _is_single(self, name: str) -> bool:
        return self._old.value(name).dtype == _SINGLE

    def _read(self, name: str, wanted: np.dtype[Any]) -> str:
        if not name:
            return name
        if not self._is_single(name):
            return self._forms[name, self._old.value(name).dtype]
        found = self._forms.get((name, wanted))
        if found is not None:
            return found
        if name in self._old.constants:
            halved = self.graph.constant(_rounded(self._old.constants[name]), f"{name}_half")
            self._forms[name, _HALF] = halved
            return halved
        other = self._forms[name, _SINGLE if wanted == _HALF else _HALF]
        hint = f"{name}_half" if wanted == _HALF else f"{name}_single"
        return self._cast(name, other, wanted, self.graph.fresh(hint))

    def _cast(self, old: str, source: str, wanted: np.dtype[Any], name: str) -> str:
        to = int(onnx.helper.np_dtype_to_tensor_dtype(wanted))
        self.graph.append(Node("Cast", (source,), (name,), {"to": to}))
        self._forms[old, wanted] = name
        return name


def _takes_half(node: Node, opset: int) -> list[bool]:
    """Which inputs the operator also takes in float16: not, for example, the scales of Resize."""
    schema = schema_of(node, opset)
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    formal = schema.inputs
    kinds = [formal[min(at, len(formal) - 1)].type_str for at in range(len(node.inputs))]
    return [_HALF_TYPE in allowed.get(kind, ()) for kind in kinds]


def _beyond(graph: Graph, nodes: Sequence[Node], frames: Frames | None, where: str) -> frozenset[str]:
    """The float32 tensors of these nodes that float16 cannot hold."""
    read = dict.fromkeys(name for node in nodes for name in node.inputs if name)
    made = dict.fromkeys(name for node in nodes for name in node.outputs if name)
    wide = {name for name in read if name in graph.constants and _unfit(graph.constants[name])}
    wide |= _faint(graph, nodes)
    if frames is not None:
        single = [
            name for name in (*graph.inputs, *made) if name in {**read, **made} and graph.value(name).dtype == _SINGLE
        ]
        for _, name, values in observe(graph, single, frames, f"model {where}"):
            if np.max(np.abs(values), initial=0.0) * _HEADROOM > LARGEST:
                wide.add(name)
    return frozenset(wide)


def _faint(graph: Graph, nodes: Sequence[Node]) -> set[str]:
    """What INT8 products read whose steps float16 has no digits for: all inputs of such a product, since a change of
    type between a DequantizeLinear and its product would keep that from being computed in INT8.
    """
    grids = {node.outputs[0]: node for node in nodes if node.op == "DequantizeLinear"}
    faint = {
        name
        for name, node in grids.items()
        if node.inputs[1] in graph.constants and graph.constants[node.inputs[1]].max() < _SMALLEST_STEP
    }
    grown = set[str]()
    while grown != faint:
        grown = set(faint)
        for node in nodes:
            if faint.intersection(node.inputs):
                faint |= {name for name in node.inputs if name in grids}
                faint |= set(node.outputs) if node.op in VIEWS else set()
    return faint


def _unfit(array: NDArray[Any]) -> bool:
    """Whether a constant overflows, or vanishes altogether, as a small epsilon does."""
    if array.dtype != _SINGLE:
        return False
    finite = np.abs(array[np.isfinite(array)])
    lost = bool(finite.any()) and not _rounded(finite).any()
    return bool((finite > LARGEST).any()) or lost


def _rounded(array: NDArray[Any]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return np.asarray(array).astype(np.float16)


def _has_graph(node: Node) -> bool:
    return any(isinstance(value, onnx.GraphProto) for value in node.attributes.values())
