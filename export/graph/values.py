"""What flows through a graph and what makes it flow: values with static shapes, nodes, and their ONNX forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor's name, element type and shape; every extent is known."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(slots=True, eq=False)
class Node:
    """One operator. An empty name is an optional input or output that is absent. Nodes compare by identity."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""

    def input(self, position: int) -> str:
        """The input at a position, empty where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def describe(self) -> str:
        """The node as messages name it: an operator, and what it makes."""
        made = next((name for name in self.outputs if name), "nothing")
        return f"{self.domain + '.' if self.domain else ''}{self.op} that makes {made!r}"


def type_proto(value: Value) -> onnx.TypeProto:
    """The ONNX type of a value."""
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def node_proto(node: Node) -> onnx.NodeProto:
    """The ONNX form of a node, attributes in alphabetical order."""
    proto = onnx.helper.make_node(node.op, list(node.inputs), list(node.outputs), domain=node.domain)
    for name in sorted(node.attributes):
        value = node.attributes[name]
        if isinstance(value, np.ndarray):
            value = onnx.numpy_helper.from_array(value)
        # An empty list does not say of what; among the standard operators only lists of integers may be empty.
        kind = onnx.AttributeProto.INTS if isinstance(value, list | tuple) and not value else None
        proto.attribute.append(onnx.helper.make_attribute(name, value, attr_type=kind))
    return proto


def node_of(proto: onnx.NodeProto) -> Node:
    """A node as read from a file: text as str, tensors as arrays; graphs stay ONNX messages."""
    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, onnx.TensorProto):
            value = onnx.numpy_helper.to_array(value)
        elif isinstance(value, bytes):
            value = value.decode()
        elif isinstance(value, list | tuple) or hasattr(value, "append"):
            value = [each.decode() if isinstance(each, bytes) else each for each in value]
        attributes[attribute.name] = value
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    return Node(proto.op_type, tuple(proto.input), tuple(proto.output), attributes, domain)
