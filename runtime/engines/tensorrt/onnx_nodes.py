"""The nodes of an ONNX graph, read and rewritten in its bytes: the vehicle does not carry the onnx package.

Field numbers are those of onnx.proto3. Raises ValueError on bytes that are no such file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from runtime.contracts.onnx_file import BYTES, fields, length_delimited

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_VALUE_INFO = 1, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4
_VALUE_INFO_NAME = 1


@dataclass(frozen=True, slots=True)
class Node:
    """One node: what can be said of it without its attributes, and its bytes."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    data: bytes

    def renamed(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Node:
        """The node on other tensors."""
        parts = []
        for field in fields(self.data, 0, len(self.data)):
            names = {_NODE_INPUT: inputs, _NODE_OUTPUT: outputs}.get(field.number, {})
            new = names.get(_text(self.data[field.start : field.end])) if names and field.wire == BYTES else None
            parts.append(
                self.data[field.begin : field.end] if new is None else length_delimited(field.number, new.encode())
            )
        return _node(b"".join(parts))


def read_nodes(onnx: bytes) -> tuple[Node, ...]:
    """The nodes of the main graph, in the order of the file."""
    graph = _graph(onnx)
    return tuple(
        _node(graph[field.start : field.end])
        for field in fields(graph, 0, len(graph))
        if field.number == _GRAPH_NODE and field.wire == BYTES
    )


def rewrite_nodes(onnx: bytes, nodes: Sequence[Node], untyped: Collection[str]) -> bytes:
    """The ONNX with these nodes in place of its own; what it notes of the tensors `untyped` is taken out."""
    graph, parts, written = _graph(onnx), [], False
    for field in fields(graph, 0, len(graph)):
        if field.number == _GRAPH_NODE:
            if not written:
                parts += [length_delimited(_GRAPH_NODE, node.data) for node in nodes]
                written = True
        elif field.number != _GRAPH_VALUE_INFO or _name(graph[field.start : field.end]) not in untyped:
            parts.append(graph[field.begin : field.end])
    return b"".join(
        length_delimited(_MODEL_GRAPH, b"".join(parts))
        if field.number == _MODEL_GRAPH
        else onnx[field.begin : field.end]
        for field in fields(onnx, 0, len(onnx))
    )


def _graph(onnx: bytes) -> bytes:
    found = [field for field in fields(onnx, 0, len(onnx)) if field.number == _MODEL_GRAPH and field.wire == BYTES]
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} graphs, not one")
    return onnx[found[0].start : found[0].end]


def _node(data: bytes) -> Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [], _NODE_OP: []}
    for field in fields(data, 0, len(data)):
        if field.number in texts and field.wire == BYTES:
            texts[field.number].append(_text(data[field.start : field.end]))
    name, op = ("".join(texts[number][-1:]) for number in (_NODE_NAME, _NODE_OP))
    return Node(op, name, tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT]), data)


def _name(value_info: bytes) -> str:
    names = [f for f in fields(value_info, 0, len(value_info)) if f.number == _VALUE_INFO_NAME and f.wire == BYTES]
    return _text(value_info[names[-1].start : names[-1].end]) if names else ""


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
