"""What the rules write with: operators that are computed at once where they read constants alone, and never twice.

A gradient has the rank of its tensor, and in each axis either its extent or 1; the latter stands for the same value all
along that axis. So what comes back through a mean over places, or through a sum, stays as small as it is. A rule that
needs every place asks for `full`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from export.graph.graph import Graph
from export.graph.inference import evaluate
from export.graph.values import Array, Node
from runtime.contracts.errors import ModelError

_MAX_COMPUTED = 1 << 22  # elements: a larger result is cheaper made where it is needed than stored in the file
_SHARED_BYTES = 16 << 20  # a matrix up to this size is stored a second time, transposed; a larger one is read crosswise


class Impassable(ModelError):  # noqa: N818 - it names what the gradient meets, and reads so where it is caught
    """An operator that a gradient cannot be written through."""

    def __init__(self, node: Node, why: str, mend: str) -> None:
        super().__init__(f"no gradient through {node.describe()}: {why}; {mend}")
        self.op = node.op


class Tape:
    """Where one reverse pass is written.

    Attributes:
        graph: what is read and extended.
        needed: names of the tensors whose gradient is asked for, or leads to one that is.
    """

    def __init__(self, graph: Graph, needed: set[str]) -> None:
        self.graph = graph
        self.needed = needed
        self.chosen: dict[str, str] = {}  # a gradient that is 1 at one place of many, and the tensor that says which
        self._made: dict[object, str] = {}
        self._producers = {name: node for node in graph.nodes for name in node.outputs if name}

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.value(name).shape

    def dtype(self, name: str) -> np.dtype[Any]:
        return self.graph.value(name).dtype

    def known(self, name: str) -> Array | None:
        """The content of a constant, None for what is computed or absent."""
        return self.graph.constants.get(name)

    def number(self, value: float, like: str) -> str:
        """A scalar constant of the element type of another tensor."""
        return self.graph.constant(np.array(value, self.dtype(like)))

    def ints(self, *values: int) -> str:
        return self.graph.constant(np.array(values, np.int64))

    def array(self, content: Array, like: str) -> str:
        """A constant in the element type of another tensor."""
        return self.graph.constant(np.asarray(content, self.dtype(like)))

    def emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        """One operator: computed now where all it reads is constant, else appended, unless that was done before."""
        key = (op, inputs, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = self._computed(op, inputs, attributes) or self._appended(op, inputs, attributes)
        return self._made[key]

    def _computed(self, op: str, inputs: tuple[str, ...], attributes: dict[str, Any]) -> str | None:
        if any(name and name not in self.graph.constants for name in inputs):
            return None
        arrays = [self.graph.constants[name] if name else None for name in inputs]
        node = Node(op, inputs, ("constant",), attributes)
        sizes = [array.size for array in arrays if array is not None]
        if max(sizes) < _MAX_COMPUTED or op in ("Transpose", "Reshape"):
            (result,) = evaluate(node, self.graph.opset, arrays)
            if result.size <= max(_MAX_COMPUTED, *sizes):
                return self.graph.constant(result)
        return None

    def _appended(self, op: str, inputs: tuple[str, ...], attributes: dict[str, Any]) -> str:
        name = self.graph.emit(op, *inputs, hint=f"grad_{op.lower()}", **attributes)
        self._producers[name] = self.graph.nodes[-1]
        return name

    def multiply(self, a: str, b: str) -> str:
        """a * b, nothing where one of them is the constant 1."""
        for one, other in ((a, b), (b, a)):
            array = self.known(one)
            if array is not None and (array == 1).all() and self._covers(other, one):
                return other
        return self.emit("Mul", a, b)

    def scale(self, a: str, factor: float) -> str:
        return a if factor == 1 else self.emit("Mul", a, self.number(factor, a))

    def _covers(self, whole: str, part: str) -> bool:
        return np.broadcast_shapes(self.shape(whole), self.shape(part)) == self.shape(whole)

    def add(self, terms: Sequence[str]) -> str:
        """The sum of gradients of one tensor."""
        if len(terms) == 1:
            return terms[0]
        return self.emit("Add" if len(terms) == 2 else "Sum", *terms)

    def full(self, gradient: str, shape: Sequence[int]) -> str:
        """The gradient with a value at every place."""
        if self.shape(gradient) == tuple(shape):
            return gradient
        return self.emit("Expand", gradient, self.ints(*shape))

    def along(self, gradient: str, axis: int, extent: int) -> str:
        """The gradient with a value at every place of one axis."""
        shape = list(self.shape(gradient))
        shape[axis] = extent
        return self.full(gradient, shape)

    def sum_over(self, name: str, axes: Sequence[int], *, keepdims: bool = True) -> str:
        """The sum over axes; over those of extent 1 there is nothing to add."""
        shape = self.shape(name)
        real = [axis for axis in axes if shape[axis] != 1]
        if real and (keepdims or len(real) == len(axes)):
            return self.emit("ReduceSum", name, self.ints(*real), keepdims=int(keepdims))
        if real:
            name = self.emit("ReduceSum", name, self.ints(*real), keepdims=1)
        kept = [1 if i in real else n for i, n in enumerate(shape) if keepdims or i not in axes]
        return self.reshape(name, kept)

    def mean_over(self, name: str, axes: Sequence[int]) -> str:
        """The mean over axes, which stay with extent 1."""
        real = [axis for axis in axes if self.shape(name)[axis] != 1]
        return self.emit("ReduceMean", name, self.ints(*real), keepdims=1) if real else name

    def reduced(self, gradient: str, out: Sequence[int], shape: Sequence[int]) -> str:
        """The gradient of a tensor of one shape that an operator repeated to another, from that of the result."""
        lead = len(out) - len(shape)
        repeated = [i for i in range(len(out)) if i < lead or (shape[i - lead] == 1 and out[i] != 1)]
        have = self.shape(gradient)
        factor = prod(out[i] for i in repeated if have[i] == 1)
        gradient = self.sum_over(self.scale(gradient, factor), repeated)
        return self.reshape(gradient, self.shape(gradient)[lead:])

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """The same elements in another shape, by one operator at most."""
        source, shape = name, tuple(shape)
        while (maker := self._producers.get(source)) is not None and maker.op == "Reshape":
            source = maker.inputs[0]
        for same in (name, source):
            if self.shape(same) == shape:
                return same
        return self.emit("Reshape", source, self.ints(*shape))

    def transpose(self, name: str, order: Sequence[int]) -> str:
        """The axes in another order, by one operator at most."""
        order = list(order)
        maker = self._producers.get(name)
        if maker is not None and maker.op == "Transpose":
            before = maker.attributes.get("perm") or list(range(len(order)))[::-1]
            name, order = maker.inputs[0], [before[axis] for axis in order]
        if order == list(range(len(order))):
            return name
        return self.emit("Transpose", name, perm=order)

    def crossed(self, matrix: str) -> str:
        """The last two axes exchanged."""
        axes = list(range(len(self.shape(matrix))))
        return self.transpose(matrix, [*axes[:-2], axes[-1], axes[-2]])

    def rows_times(self, rows: str, matrix: str, *, crossed: bool) -> str:
        """(n, k) times a constant (k, m), or (m, k) where it is to be read crosswise."""
        array = self.known(matrix)
        if array is None or array.nbytes <= _SHARED_BYTES or not crossed:
            return self.emit("MatMul", rows, self.crossed(matrix) if crossed else matrix)
        return self.emit("Gemm", rows, matrix, transB=1)


Gradients = Sequence[str | None]
Rule = Callable[[Tape, Node, Sequence[str | None]], Gradients]
RULES: dict[str, Rule] = {}


def rule(*ops: str) -> Callable[[Callable[[Tape, Node, str], Gradients]], Callable[[Tape, Node, str], Gradients]]:
    """Register how the gradient of a node's only differentiable output becomes those of its inputs.

    The function is given the tape, the node, and the gradient of its first output; it answers one gradient per input,
    None where there is none or `tape.needed` does not ask for it.
    """

    def register(function: Callable[[Tape, Node, str], Gradients]) -> Callable[[Tape, Node, str], Gradients]:
        def first(tape: Tape, node: Node, gradients: Sequence[str | None]) -> Gradients:
            gradient, *others = gradients
            if gradient is None or any(others):
                raise Impassable(node, "the decision needs a further output of it", "leave that output out")
            return function(tape, node, gradient)

        RULES.update(dict.fromkeys(ops, first))
        return function

    return register


def rule_of_many(*ops: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators of several outputs; it is given one gradient, or None, per output."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return register
