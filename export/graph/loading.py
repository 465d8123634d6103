"""From an ONNX file that anyone may have written to a Graph: functions inlined, sizes settled, constants computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import inliner

from export.graph.dialects import modernised, opset_of
from export.graph.graph import Graph
from export.graph.inference import evaluate, schema_of
from export.graph.values import Array, Node, Value, node_of
from runtime.contracts.errors import ModelError
from runtime.contracts.onnx_file import external_tensor

# What makes another answer each time, or says by its presence how the network is quantised.
_NEVER_COMPUTED = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
# Operators that ONNX itself defines by smaller ones, and that are better read, differentiated and folded as those.
_COMPOUND = ("Attention", "RotaryEmbedding", "MeanVarianceNormalization", "CenterCropPad", "AffineGrid")
_BATCH = 1


def load(onnx_bytes: bytes, where: str, shapes: Mapping[str, Sequence[int]]) -> Graph:
    """A graph from an ONNX file.

    An open batch (the first extent of an input) becomes 1, and so does every extent of the same name. Opsets under 20
    are converted. Local functions are inlined, and whatever depends on constants alone is computed.

    Args:
        onnx_bytes: the file.
        where: its name, for messages.
        shapes: of inputs whose extents the file leaves open, by name.

    Raises:
        ModelError: it is no ONNX file, its weights lie elsewhere, it holds operators that ONNX does not define, or an
            extent stays open.
    """
    try:
        model = _standard(_parsed(onnx_bytes), shapes)
        loader = _Loader(Graph(opset_of(model)))
        loader.take(model.graph)
        loader.graph.prune()
        return loader.graph
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from None


def _parsed(onnx_bytes: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(onnx_bytes)
        outside = external_tensor(onnx_bytes)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"this is no ONNX file ({error}); export the network to ONNX") from None
    if not model.graph.node or not model.graph.output:
        raise ModelError("this is no ONNX file, or its graph is empty; export the network to ONNX")
    if outside is not None:
        raise ModelError(
            f"the values of tensor {outside!r} lie in another file; save the network in one file "
            "(torch: external_data=False; onnx: save_as_external_data=False)"
        )
    return model


def _standard(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """The model with its sizes settled, local functions inlined, and a recent opset."""
    _settle(model.graph, shapes)
    opset_of(model)
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        model = modernised(model)
        if any(node.op_type in _COMPOUND and node.domain in ("", "ai.onnx") for node in model.graph.node):
            compound = [("", op) for op in _COMPOUND]
            model = inliner.inline_selected_functions(model, compound, inline_schema_functions=True)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"onnx cannot inline its functions ({error}); export the network without them") from None
    return model


def _settle(graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give every input a static shape, in place. What the file says of inner shapes goes, since it may be open."""
    stored = {tensor.name for tensor in graph.initializer}
    known: dict[str, int] = {}
    free = [value for value in graph.input if value.name not in stored]
    for value in free:
        if not value.type.HasField("tensor_type"):
            raise ModelError(f"input {value.name!r} is no tensor; only networks of plain tensors can be exported")
        dims = value.type.tensor_type.shape.dim
        given = shapes.get(value.name)
        if given is not None:
            del dims[len(given) :]
            for at, extent in enumerate(given):
                dim = dims[at] if at < len(dims) else dims.add()
                if dim.dim_param:
                    known[dim.dim_param] = extent
                dim.dim_value = extent
        elif dims and dims[0].dim_value <= 0:
            if dims[0].dim_param:
                known.setdefault(dims[0].dim_param, _BATCH)
            dims[0].dim_value = _BATCH
    for value in free:
        for at, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param in known:
                dim.dim_value = known[dim.dim_param]
            if dim.dim_value <= 0:
                raise ModelError(
                    f"input {value.name!r} leaves extent {at} ({dim.dim_param or 'unnamed'!r}) open; state the input's "
                    "shape, or export the network with a fixed one"
                )
    del graph.value_info[:]


class _Loader:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._kept: set[str] = set()  # names of outputs, which stay even where another tensor is the same
        self._read: set[str] = set()

    def take(self, proto: onnx.GraphProto) -> None:
        names: dict[str, str] = {}
        self._initializers(proto, names)
        for value in proto.input:
            if value.name not in names:
                tensor = value.type.tensor_type
                dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
                names[value.name] = self.graph.add_input(value.name, dtype, [d.dim_value for d in tensor.shape.dim])
        self._kept = {value.name for value in proto.output}
        self._read = {name for node in proto.node for name in node.input} | self._kept
        for node in proto.node:
            self._node(node, names)
        for output in proto.output:
            if output.name not in names:
                raise ModelError(f"nothing makes the output {output.name!r}; export the network again")
            self.graph.outputs.append(names[output.name])

    def _initializers(self, proto: onnx.GraphProto, names: dict[str, str]) -> None:
        if proto.sparse_initializer:
            raise ModelError("it holds sparse weights; export the network with dense ones")
        for tensor in proto.initializer:
            names[tensor.name] = self._constant(tensor.name, onnx.numpy_helper.to_array(tensor))

    def _constant(self, name: str, array: Array) -> str:
        if name in self.graph:
            return self.graph.constant(array, name)
        self.graph.add_constant(name, array)
        return name

    def _node(self, proto: onnx.NodeProto, names: dict[str, str]) -> None:
        if proto.op_type == "If" and not proto.domain:
            self._branch(proto, names)
            return
        node = node_of(proto)
        if any(isinstance(each, onnx.GraphProto) for each in node.attributes.values()):
            raise ModelError(f"{node.describe()} repeats a part of the graph; export the network without loops")
        missing = [name for name in node.inputs if name and name not in names]
        if missing:
            raise ModelError(f"{node.describe()} reads {missing[0]!r}, which nothing before it makes")
        node.inputs = tuple(names[name] if name else "" for name in node.inputs)
        self._drop_unread(node)
        made = [name for name in node.outputs if name]
        computed = self._computed(node)
        if computed is not None:
            names.update({name: self._constant(name, array) for name, array in zip(made, computed, strict=True)})
            return
        if _passes(node, self.graph):
            node = Node("Identity", node.inputs[:1], node.outputs[:1])
            if node.outputs[0] not in self._kept:
                names[node.outputs[0]] = node.inputs[0]
                return
        if node.op == "GroupNormalization":
            node.inputs = (node.inputs[0], *(self._per_channel(node, name) for name in node.inputs[1:]))
        own = {name: name if name not in self.graph else self.graph.fresh(name) for name in made}
        node.outputs = tuple(own.get(name, "") for name in node.outputs)
        self.graph.append(node)
        names.update(own)

    def _per_channel(self, node: Node, scale: str) -> str:
        """A scale per channel, which before opset 21 was one per group; onnx's converter leaves it so."""
        channels, array = self.graph.value(node.inputs[0]).shape[1], self.graph.constants.get(scale)
        if self.graph.value(scale).size == channels:
            return scale
        if array is None:
            raise ModelError(f"{node.describe()}: its scale is computed; export the network with opset 21")
        return self.graph.constant(np.repeat(array, channels // array.size), scale)

    def _drop_unread(self, node: Node) -> None:
        """Leave out optional outputs that nothing reads, such as the mask of a dropout."""
        optional = onnx.defs.OpSchema.FormalParameterOption.Optional
        formal = schema_of(node, self.graph.opset).outputs
        while len(node.outputs) > 1 and node.outputs[-1] not in self._read:
            if len(node.outputs) > len(formal) or formal[len(node.outputs) - 1].option != optional:
                return
            node.outputs = node.outputs[:-1]

    def _branch(self, proto: onnx.NodeProto, names: dict[str, str]) -> None:
        """A choice that constants have made: the nodes of the branch that is taken, in place of it."""
        condition = self.graph.constants.get(names.get(proto.input[0], ""))
        if condition is None:
            raise ModelError(f"{node_of(proto).describe()} chooses by what flows through; export without control flow")
        wanted = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
        (body,) = [a.g for a in proto.attribute if a.name == wanted]
        inner = dict(names)
        self._initializers(body, inner)
        self._read |= {name for node in body.node for name in node.input} | {value.name for value in body.output}
        for node in body.node:
            self._node(node, inner)
        names.update({out: inner[made.name] for out, made in zip(proto.output, body.output, strict=True)})

    def _computed(self, node: Node) -> Sequence[Array] | None:
        """What the node makes where that does not depend on what flows through, else None."""
        if node.op == "Shape" and not node.domain:
            return [_shape(node, self.graph.value(node.inputs[0]))]
        if node.op == "Size" and not node.domain:
            return [np.array(self.graph.value(node.inputs[0]).size, np.int64)]
        if node.op in _NEVER_COMPUTED:
            return None
        arrays = [self.graph.constants.get(name) if name else None for name in node.inputs]
        if any(name and array is None for name, array in zip(node.inputs, arrays, strict=True)):
            return None
        return evaluate(node, self.graph.opset, arrays)


def _passes(node: Node, graph: Graph) -> bool:
    """Whether a node only hands on what it reads: dropout does, outside of training."""
    if node.op == "Dropout":
        training = graph.constants.get(node.input(2))
        return not any(node.outputs[1:]) and (not node.input(2) or (training is not None and not training.any()))
    return node.op == "Identity"


def _shape(node: Node, value: Value) -> Array:
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(value.shape))
    return np.array(value.shape[slice(start, end)], np.int64)
