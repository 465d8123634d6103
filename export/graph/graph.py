"""A graph of ONNX operators with every shape known: read it, extend it at its end, rewire it, and write it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from export.graph.dialects import OPSET
from export.graph.inference import infer_outputs
from export.graph.values import Array, Node, Value, node_proto, type_proto
from runtime.contracts.errors import ModelError

_PRODUCER, _NAME = "sightline", "policy"
_SHARED_BYTES = 16 << 20  # constants up to this size are looked up by content before they are added again
_DECLARED_BYTES = 65536  # constants from this size on take no part in the check of a file


class Graph:
    """Inputs, constants and nodes, and the names of the tensors that come out.

    Attributes:
        inputs: by name, in the order of the file.
        outputs: names, in the order of the file. `replace_uses` leaves them alone; `rename` does not.
        constants: by name; never written to in place.
        nodes: as they run; `emit` appends, so that after `replace_uses` the order may need `sort` (`to_bytes` sorts).
        opset: version of the standard operators.
    """

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.inputs: dict[str, Value] = {}
        self.outputs: list[str] = []
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []
        self._computed: dict[str, Value] = {}
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._serial = 0

    @classmethod
    def load(cls, onnx_bytes: bytes, where: str, shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
        """A graph from an ONNX file: see `export.graph.loading.load`."""
        from export.graph.loading import load  # it builds a Graph, so it needs this module

        return load(onnx_bytes, where, shapes or {})

    def value(self, name: str) -> Value:
        """Type and shape of any tensor; KeyError where the graph holds none of that name."""
        if name in self.constants:
            array = self.constants[name]
            return Value(name, array.dtype, array.shape)
        found = self.inputs.get(name) or self._computed.get(name)
        if found is None:
            raise KeyError(f"no tensor {name!r} in the graph")
        return found

    def __contains__(self, name: str) -> bool:
        return name in self.constants or name in self.inputs or name in self._computed

    def producer(self, name: str) -> Node | None:
        """The node that makes a tensor, None for inputs and constants."""
        return next((node for node in self.nodes if name in node.outputs), None) if name else None

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read a tensor, in order."""
        return [node for node in self.nodes if name in node.inputs]

    def add_input(self, name: str, dtype: np.dtype[Any] | type[Any], shape: Sequence[int]) -> str:
        """Declare an input."""
        self._claim(name)
        self.inputs[name] = Value(name, np.dtype(dtype), tuple(shape))
        return name

    def constant(self, array: Array | np.generic, hint: str = "") -> str:
        """The name of a constant of this content, added where the graph has none."""
        array = np.asarray(array)
        key = _content_key(array)
        known = self._by_content.get(key, "") if key is not None else ""
        # Who put another array in place of a constant has changed what its name stands for.
        if known in self.constants and _content_key(self.constants[known]) == key:
            return known
        name = self.fresh(hint or "constant")
        self.add_constant(name, array)
        return name

    def add_constant(self, name: str, array: Array) -> None:
        """Add a constant under a name of its own."""
        self._claim(name)
        self.constants[name] = array
        key = _content_key(array)
        if key is not None:
            self._by_content[key] = name

    def emit(self, op: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """Append a node with one output, whose name is answered; an empty input is an absent one.

        Raises:
            ModelError: the operator does not take these inputs.
        """
        (name,) = self.emit_many(op, *inputs, outputs=1, hint=hint, **attributes)
        return name

    def emit_many(self, op: str, *inputs: str, outputs: int, hint: str = "", **attributes: Any) -> tuple[str, ...]:
        """Append a node with several outputs."""
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        names = tuple(self.fresh(hint or op.lower()) for _ in range(outputs))
        self.append(Node(op, inputs, names, attributes))
        return names

    def append(self, node: Node) -> None:
        """Append a node whose outputs have names already."""
        values = infer_outputs(node, self.opset, self.value, self.constants.get)
        for name in node.outputs:
            if name:
                self._claim(name)
        self._computed.update({value.name: value for value in values})
        self.nodes.append(node)

    def replace_uses(self, old: str, new: str) -> None:
        """Let every node that reads one tensor read another of its type and shape. Outputs of the graph stay."""
        was, now = self.value(old), self.value(new)
        if (was.dtype, was.shape) != (now.dtype, now.shape):
            raise ValueError(f"{new!r} {now.dtype}{now.shape} cannot stand for {old!r} {was.dtype}{was.shape}")
        for node in self.nodes:
            if old in node.inputs:
                node.inputs = tuple(new if name == old else name for name in node.inputs)

    def rename(self, old: str, new: str) -> None:
        """Give a tensor another name, everywhere."""
        if old == new:
            return
        value = self.value(old)
        self._claim(new)
        for node in self.nodes:
            if old in node.inputs:
                node.inputs = tuple(new if name == old else name for name in node.inputs)
            if old in node.outputs:
                node.outputs = tuple(new if name == old else name for name in node.outputs)
        self.outputs = [new if name == old else name for name in self.outputs]
        if old in self.inputs:
            self.inputs = {
                (new if name == old else name): (Value(new, value.dtype, value.shape) if name == old else each)
                for name, each in self.inputs.items()
            }
        elif old in self.constants:
            self.add_constant(new, self.constants.pop(old))
            self._by_content = {key: new if name == old else name for key, name in self._by_content.items()}
        else:
            del self._computed[old]
            self._computed[new] = Value(new, value.dtype, value.shape)

    def remove(self, node: Node) -> None:
        """Take a node out; whoever read its outputs must read something else by then."""
        at = next(i for i, each in enumerate(self.nodes) if each is node)
        del self.nodes[at]
        for name in node.outputs:
            self._computed.pop(name, None)

    def sort(self) -> None:
        """Put the nodes in an order in which they can run, as near to the present one as that allows."""
        makers = {name: node for node in self.nodes for name in node.outputs if name}
        done: set[Node] = set()
        ordered: list[Node] = []
        for root in self.nodes:
            stack = [(root, False)]
            while stack:
                node, expanded = stack.pop()
                if expanded:
                    if node not in done:
                        done.add(node)
                        ordered.append(node)
                elif node not in done:
                    stack.append((node, True))
                    before = [makers[name] for name in node.inputs if name in makers]
                    stack.extend((each, False) for each in reversed(before) if each not in done)
        self.nodes = ordered

    def prune(self) -> None:
        """Take out nodes and constants that no output of the graph needs."""
        self.sort()
        needed = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(name for name in node.inputs if name)
        self.nodes = kept[::-1]
        made = {name for node in self.nodes for name in node.outputs}
        self._computed = {name: value for name, value in self._computed.items() if name in made}
        self.constants = {name: array for name, array in self.constants.items() if name in needed}
        self._by_content = {key: name for key, name in self._by_content.items() if name in self.constants}

    def copy(self) -> Graph:
        """A graph that can be changed without changing this one; the arrays are shared."""
        twin = Graph(self.opset)
        twin.inputs, twin.outputs = dict(self.inputs), list(self.outputs)
        twin.constants, twin._computed = dict(self.constants), dict(self._computed)
        twin.nodes = [Node(n.op, n.inputs, n.outputs, dict(n.attributes), n.domain) for n in self.nodes]
        twin._by_content, twin._serial = dict(self._by_content), self._serial
        return twin

    def roll_back(self, earlier: Graph) -> None:
        """Undo what was appended since a `copy` was taken; for changes other than appending there is no way back."""
        del self.nodes[len(earlier.nodes) :]
        self.constants, self._computed = dict(earlier.constants), dict(earlier._computed)
        self._by_content, self._serial = dict(earlier._by_content), earlier._serial

    def to_bytes(self) -> bytes:
        """The graph as a self-contained ONNX file without metadata: what it does, and nothing of who made it where.

        The same graph gives the same bytes under the same version of onnx.

        Raises:
            ModelError: the graph is not valid ONNX.
        """
        lean = self.copy()
        lean.prune()
        # Checking copies the whole file several times; weights are declared instead of stored for it.
        sketch = lean._model({name for name, array in lean.constants.items() if array.nbytes > _DECLARED_BYTES})
        try:
            onnx.checker.check_model(sketch, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelError(f"the graph is not valid ONNX: {error}") from None
        data: bytes = lean._model(set()).SerializeToString(deterministic=True)
        return data

    def _model(self, declared: set[str]) -> onnx.ModelProto:
        """The ONNX message, some constants being declared as inputs instead of stored."""
        read = dict.fromkeys([*(name for node in self.nodes for name in node.inputs), *self.outputs])
        stored = [name for name in read if name in self.constants and name not in declared]
        domains = sorted({node.domain for node in self.nodes if node.domain})
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        opsets += [onnx.helper.make_opsetid(domain, onnx.defs.onnx_ml_opset_version()) for domain in domains]
        proto = onnx.helper.make_graph(
            [node_proto(node) for node in self.nodes],
            _NAME,
            [
                onnx.helper.make_value_info(name, type_proto(self.value(name)))
                for name in (*self.inputs, *(name for name in read if name in declared))
            ],
            [onnx.helper.make_value_info(name, type_proto(self.value(name))) for name in self.outputs],
            [onnx.numpy_helper.from_array(np.asarray(self.constants[name], order="C"), name) for name in stored],
        )
        ir_version = onnx.helper.find_min_ir_version_for(opsets)
        return onnx.helper.make_model(proto, opset_imports=opsets, ir_version=ir_version, producer_name=_PRODUCER)

    def _claim(self, name: str) -> None:
        if name in self:
            raise ValueError(f"the graph holds a tensor {name!r} already")

    def fresh(self, hint: str) -> str:
        while True:
            self._serial += 1
            name = f"{hint}_{self._serial}"
            if name not in self:
                return name


def _content_key(array: Array) -> tuple[str, tuple[int, ...], bytes] | None:
    if array.nbytes > _SHARED_BYTES:
        return None
    return str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
