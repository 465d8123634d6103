"""Nodes that change no number: identities, and chains of shapes and orders, each at most one operator long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.fold.elementwise import is_elementwise
from export.fold.wiring import Rule, Wiring
from export.graph.values import Node

_SHAPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_SAME = frozenset({"Identity", "Dropout", "Cast", "Expand", "Reshape", "Transpose", "Sum", "Concat", "Max", "Min"})


def unchanged(wiring: Wiring, node: Node) -> bool:
    """An operator that gives out what it was given is skipped."""
    x, y = node.inputs[0] if node.inputs else "", node.outputs[0]
    if node.op not in _SAME or node.domain or not x or any(wiring.readers(name) for name in node.outputs[1:]):
        return False
    if (wiring.dtype(x), wiring.shape(x)) != (wiring.dtype(y), wiring.shape(y)):
        return False
    if node.op == "Transpose" and not _keeps_order(_order(wiring, node), wiring.shape(x)):
        return False
    if node.op in ("Sum", "Concat", "Max", "Min") and len(node.inputs) > 1:
        return False
    if (
        node.op == "Dropout"
        and node.input(2)
        and (wiring.known(node.inputs[2]) is None or wiring.known(node.inputs[2]))
    ):
        return False  # in training
    if node.op == "Identity" and wiring.is_output(y) and not _can_give_its_name(wiring, x):
        return False  # it is what carries the output's name
    wiring.substitute(y, x)
    return True


def one_reshape(wiring: Wiring, node: Node) -> bool:
    """Flatten, Squeeze, Unsqueeze, and a Transpose that moves only axes of extent 1, are a Reshape; two are one."""
    y = node.outputs[0]
    turned = node.op == "Transpose" and _keeps_order(_order(wiring, node), wiring.shape(node.inputs[0]))
    if node.domain or (node.op not in _SHAPING and not turned):
        return False
    source = node.inputs[0]
    before = wiring.maker(source, *_SHAPING)
    if before is not None:
        source = before.inputs[0]
    elif node.op == "Reshape" and not node.attributes and _states(wiring, node):
        return False
    if wiring.shape(source) == wiring.shape(y):
        if wiring.is_output(y) and not _can_give_its_name(wiring, source):
            return False
        wiring.substitute(y, source)
    else:
        wiring.substitute(y, wiring.reshape(source, wiring.shape(y)))
    return True


def one_transpose(wiring: Wiring, node: Node) -> bool:
    """Two changes of order are one."""
    if node.op != "Transpose" or node.domain:
        return False
    before = wiring.maker(node.inputs[0], "Transpose")
    if before is None:
        return False
    first, then = _order(wiring, before), _order(wiring, node)
    order = [first[axis] for axis in then]
    wiring.substitute(node.outputs[0], wiring.graph.emit("Transpose", before.inputs[0], perm=order))
    return True


def later_reshape(wiring: Wiring, node: Node) -> bool:
    """A Reshape before an operator on single elements goes behind it, where it can meet another one and vanish."""
    if not is_elementwise(node):
        return False
    y = node.outputs[0]
    views = [maker for name in node.inputs if (maker := wiring.private(name, "Reshape")) is not None]
    for shape in dict.fromkeys(wiring.shape(view.inputs[0]) for view in views):
        turn = _Turn(wiring, shape)
        if turn.is_free(node):
            inner = turn.of(node)
            wiring.substitute(y, wiring.graph.emit("Reshape", inner, wiring.ints(*wiring.shape(y))))
            return True
    return False


@dataclass(frozen=True)
class _Turn:
    """Operators on single elements, and their operands, wanted in another shape of as many elements."""

    wiring: Wiring
    shape: tuple[int, ...]

    def is_free(self, node: Node) -> bool:
        """Whether an operator's result can be had in the other shape without a Reshape more."""
        shapes = {self.wiring.shape(name) for name in node.inputs if self.wiring.size(name) > 1}
        same = shapes == {self.wiring.shape(node.outputs[0])}
        return is_elementwise(node) and same and all(self._is_given(name) for name in node.inputs)

    def of(self, node: Node) -> str:
        """It, in the other shape."""
        return self.wiring.graph.emit(node.op, *(self._given(name) for name in node.inputs), **node.attributes)

    def _is_given(self, name: str) -> bool:
        wiring = self.wiring
        if wiring.size(name) == 1:
            return len(wiring.shape(name)) <= len(self.shape)
        maker = wiring.private(self._source(name))
        known = wiring.known(name) is not None or self._seen(name) is not None
        return known or (maker is not None and self.is_free(maker))

    def _given(self, name: str) -> str:
        if self.wiring.size(name) == 1:
            return name
        array, seen = self.wiring.known(name), self._seen(name)
        if array is not None:
            return self.wiring.graph.constant(array.reshape(self.shape), name)
        if seen is not None:
            return seen
        maker = self.wiring.maker(self._source(name))
        assert maker is not None
        return self.of(maker)

    def _source(self, name: str) -> str:
        """The tensor that a tensor is a view of, where nobody else sees that view; else itself."""
        view = self.wiring.private(name, "Reshape")
        return name if view is None else view.inputs[0]

    def _seen(self, name: str) -> str | None:
        """The tensor that it is a view of, or another view of that, where one has the wanted shape."""
        wiring = self.wiring
        maker = wiring.maker(name, "Reshape")
        source = maker.inputs[0] if maker is not None else name
        if wiring.shape(source) == self.shape:
            return source
        readers = (reader for reader in wiring.readers(source) if reader.op == "Reshape" and not reader.domain)
        return next((each.outputs[0] for each in readers if wiring.shape(each.outputs[0]) == self.shape), None)


def _order(wiring: Wiring, node: Node) -> list[int]:
    rank = len(wiring.shape(node.inputs[0]))
    return list(node.attributes.get("perm") or range(rank)[::-1])


def _keeps_order(order: list[int], shape: tuple[int, ...]) -> bool:
    real = [axis for axis in order if shape[axis] != 1]
    return real == sorted(real)


def _states(wiring: Wiring, node: Node) -> bool:
    wanted = wiring.known(node.inputs[1])
    return wanted is not None and np.array_equal(wanted, wiring.shape(node.outputs[0]))


def _can_give_its_name(wiring: Wiring, name: str) -> bool:
    """Whether a tensor may take the name of an output that it becomes."""
    return not wiring.is_output(name) and name not in wiring.graph.inputs and wiring.known(name) is None


RULES: tuple[Rule, ...] = (unchanged, one_reshape, one_transpose, later_reshape)
