"""A graph run operator by operator, every tensor between two of them held in the type that the graph gives it.

ONNX Runtime on the CPU computes a whole float16 part in float32 and drops the casts within it, Casts of the graph
included: what overflows float16 passes there, and the drift looks smaller than it is on the vehicle (1.32, any level of
optimisation: 1000 x 1000 in float16 gave a million). Here every result is rounded to its type, sums within an operator
being float32, as tensor cores have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graph.graph import Graph
from export.graph.values import Node
from export.session import Session


class Stepwise:
    """What `Session` is, slower and faithful to types."""

    def __init__(self, onnx_bytes: bytes, where: str) -> None:
        """Load a graph; `where` names it in errors. Raises ModelError where it is none or an operator cannot be run."""
        self._graph = Graph.load(onnx_bytes, where)
        self._steps = [(node, self._alone(node)) for node in self._graph.nodes]
        last = {name: at for at, (node, _) in enumerate(self._steps) for name in node.inputs}
        kept = {*self._graph.outputs, *self._graph.constants}
        self._done_with = [
            [n for n in dict.fromkeys(node.inputs) if n and last[n] == at and n not in kept]
            for at, (node, _) in enumerate(self._steps)
        ]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass: every output by name. Raises ModelError where ONNX Runtime cannot run an operator."""
        held = {name: np.asarray(inputs[name]) for name in self._graph.inputs}
        for (node, session), done_with in zip(self._steps, self._done_with, strict=True):
            held |= session.run({name: held[name] for name in node.inputs if name in held})
            for name in done_with:
                held.pop(name, None)
        return {name: held[name] if name in held else self._graph.constants[name] for name in self._graph.outputs}

    def _alone(self, node: Node) -> Session:
        step = Graph(self._graph.opset)
        for name in dict.fromkeys(node.inputs):
            if name in self._graph.constants:
                step.add_constant(name, self._graph.constants[name])
            elif name:
                value = self._graph.value(name)
                step.add_input(name, value.dtype, value.shape)
        step.append(node)
        step.outputs = [name for name in node.outputs if name]
        return Session(step.to_bytes())


def faithful(onnx_bytes: bytes, where: str) -> Session | Stepwise:
    """What runs a graph as its types say: `Stepwise` where there is float16 in it, ONNX Runtime's own session else."""
    model = onnx.load_model_from_string(onnx_bytes)
    half = onnx.TensorProto.FLOAT16
    casts = (node.attribute[0].i for node in model.graph.node if node.op_type == "Cast" and node.attribute)
    constants = (tensor.data_type for tensor in model.graph.initializer)
    return Stepwise(onnx_bytes, where) if half in (*constants, *casts) else Session(onnx_bytes)
