"""The gradient of one number that a graph computes, added to the graph as forward operators.

One reverse pass (Griewank and Walther, Evaluating Derivatives, 2008, chapter 3): every node between what is asked for
and the number is taken in reverse order, and its rule turns the gradient of its output into those of its inputs. Rules
are those of torch's autograd, ties included, so that the two agree to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from export.graph.graph import Graph
from export.graph.values import Node
from export.reverse import (  # noqa: F401 - importing them registers their rules
    activation,
    convolution,
    elementwise,
    linear,
    normalisation,
    picking,
    pooling,
    recurrent,
    reduction,
    sampling,
    shaping,
)
from export.reverse.tape import RULES, Impassable, Tape
from export.reverse.walk import between, walked
from runtime.contracts.errors import ModelError

__all__ = ["Impassable", "gradient"]


def gradient(
    graph: Graph, of: str, index: int | Literal["argmax"], wrt: Sequence[str], *, full: bool = True
) -> dict[str, str]:
    """Add d(flat(of)[index]) / d(each of wrt) to a graph.

    Args:
        graph: changed only by operators and constants at its end, and not at all where this raises.
        of: a floating-point tensor of the graph.
        index: which element of it, in row-major order, or the largest one of the pass at hand.
        wrt: inputs or computed tensors. Integer ones count as the numbers that they are cast to.
        full: give each gradient the shape of its tensor; otherwise axes along which it is constant may have extent 1.

    Returns:
        Names of the gradients, floating point, by name of the tensor; zeros where `of` does not depend on one.

    Raises:
        Impassable: an operator in between has no rule, or is used in a way that has none.
        ModelError: a name or index does not exist.
    """
    _checked(graph, of, index, wrt)
    graph.sort()
    nodes = between(graph, graph.nodes, [of], wrt)
    for node in nodes:
        if node.domain or node.op not in RULES:
            raise Impassable(node, *_no_rule(node))
    earlier = graph.copy()
    try:
        return _reverse(graph, of, index, wrt, nodes, full=full)
    except BaseException:
        graph.roll_back(earlier)
        raise


def _no_rule(node: Node) -> tuple[str, str]:
    """Why there is none, and what to do."""
    if node.op.startswith(("Quantize", "Dequantize", "DynamicQuantize", "QLinear")) or node.op.endswith("Integer"):
        return "it is quantised", "give the network as it was before, and let the export quantise it"
    mend = "name a layer behind it for the attribution, or choose a method that needs no gradient"
    return "no rule for this operator is written", mend


def _checked(graph: Graph, of: str, index: int | Literal["argmax"], wrt: Sequence[str]) -> None:
    for name in (of, *wrt):
        if name not in graph:
            raise ModelError(f"the graph has no tensor {name!r}; name one of its inputs, outputs or inner tensors")
        if name in graph.constants:
            raise ModelError(f"{name!r} is a constant; a gradient needs a tensor that changes with the input")
    value = graph.value(of)
    if not np.issubdtype(value.dtype, np.floating):
        raise ModelError(f"{of!r} is {value.dtype}; a gradient needs a floating-point tensor")
    if index != "argmax" and not 0 <= index < value.size:
        raise ModelError(
            f"{of!r} has {value.size} elements, so there is no index {index}; name one of 0..{value.size - 1}"
        )


def _reverse(
    graph: Graph,
    of: str,
    index: int | Literal["argmax"],
    wrt: Sequence[str],
    nodes: list[Node],
    *,
    full: bool,
) -> dict[str, str]:
    tape = Tape(graph, {name for node in nodes for name in node.outputs if name} | set(wrt))
    total = walked(tape, nodes, {of: _seed(tape, of, index)})
    answers: dict[str, str] = {}
    for name in dict.fromkeys(wrt):
        value = graph.value(name)
        shape = value.shape
        found = total(name)
        if found is None:
            dtype = value.dtype if np.issubdtype(value.dtype, np.floating) else graph.value(of).dtype
            found = graph.constant(np.zeros([1] * len(shape), dtype))
        answers[name] = tape.full(found, shape) if full else found
    return answers


def _seed(tape: Tape, of: str, index: int | Literal["argmax"]) -> str:
    """The gradient of the number with respect to the tensor that it is an element of: 1 there and 0 elsewhere."""
    shape, dtype = tape.shape(of), tape.dtype(of)
    size = int(np.prod(shape, dtype=np.int64))
    if index != "argmax":
        return tape.graph.constant(np.eye(1, size, index, dtype=dtype).reshape(shape))
    if size == 1:
        return tape.graph.constant(np.ones(shape, dtype))
    axis = next((axis for axis, extent in enumerate(shape) if extent == size), None)
    scores = of if axis is not None else tape.reshape(of, [1, size])
    axis = 1 if axis is None else axis
    which = tape.emit("ArgMax", scores, axis=axis, keepdims=0)
    places = np.arange(size).reshape(tape.shape(scores))
    hit = tape.emit("Cast", tape.emit("Equal", which, tape.graph.constant(places)), to=_onnx_type(dtype))
    if tape.shape(which) == (1,):
        tape.chosen[hit] = which
    return tape.reshape(hit, shape)


def _onnx_type(dtype: np.dtype[np.generic]) -> int:
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
