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
    reduction,
    shaping,
)
from export.reverse.tape import RULES, Impassable, Tape
from runtime.contracts.errors import ModelError

__all__ = ["Impassable", "gradient"]

# Constant between jumps: no gradient passes, and none is missing.
_STEPS = frozenset(
    {"ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less"}
    | {"LessOrEqual", "Not", "And", "Or", "Xor", "Round", "Shape", "Sign", "Size", "NonZero"}
)


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
    between = _between(graph, of, wrt)
    for node in between:
        if node.domain or node.op not in RULES:
            raise Impassable(
                node,
                "no rule for this operator is written",
                "name a layer behind it for the attribution, or choose a method that needs no gradient",
            )
    earlier = graph.copy()
    try:
        return _reverse(graph, of, index, wrt, between, full=full)
    except BaseException:
        graph.roll_back(earlier)
        raise


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


def _between(graph: Graph, of: str, wrt: Sequence[str]) -> list[Node]:
    """The nodes that lie between, in the order in which they run."""
    depends = set(wrt)
    for node in graph.nodes:
        read = depends.intersection(node.inputs)
        if read and not _is_step(node):
            # A picture of integers stays one while it is turned and cut; what else is an integer was chosen or counted.
            moved = not any(_is_float(graph, name) for name in read)
            depends.update(name for name in node.outputs if name and (_is_float(graph, name) or moved))
    reaches = {of}
    found = []
    for node in reversed(graph.nodes):
        if reaches.intersection(node.outputs) and depends.intersection(node.outputs) and not _is_step(node):
            inputs = depends.intersection(node.inputs)
            if inputs:
                found.append(node)
                reaches.update(inputs)
    return found[::-1]


def _is_step(node: Node) -> bool:
    return not node.domain and node.op in _STEPS


def _is_float(graph: Graph, name: str) -> bool:
    return bool(np.issubdtype(graph.value(name).dtype, np.floating))


def _reverse(
    graph: Graph,
    of: str,
    index: int | Literal["argmax"],
    wrt: Sequence[str],
    between: list[Node],
    *,
    full: bool,
) -> dict[str, str]:
    needed = {name for node in between for name in node.outputs if name} | set(wrt)
    tape = Tape(graph, needed)
    terms: dict[str, list[str]] = {of: [_seed(tape, of, index)]}
    sums: dict[str, str | None] = {}

    def total(name: str) -> str | None:
        if name not in sums:
            sums[name] = tape.add(terms[name]) if name in terms else None
        return sums[name]

    for node in reversed(between):
        outputs = [total(name) if name else None for name in node.outputs]
        if any(outputs):
            for name, found in zip(node.inputs, RULES[node.op](tape, node, outputs), strict=False):
                if found is not None and name in needed:
                    terms.setdefault(name, []).append(found)
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
