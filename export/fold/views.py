"""Nodes that change no number: identities, and chains of shapes and orders, each at most one operator long."""

from __future__ import annotations

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
        inputs = [_in_shape(wiring, name, wiring.shape(y), shape) for name in node.inputs]
        if all(inputs):
            inner = wiring.graph.emit(node.op, *(name for name in inputs if name), **node.attributes)
            wiring.substitute(y, wiring.graph.emit("Reshape", inner, wiring.ints(*wiring.shape(y))))
            return True
    return False


def _in_shape(wiring: Wiring, name: str, now: tuple[int, ...], wanted: tuple[int, ...]) -> str | None:
    """An operand as it is in another shape already; None where that would take a Reshape more."""
    if wiring.shape(name) != now:
        return name if wiring.size(name) == 1 and len(wiring.shape(name)) <= len(wanted) else None
    array = wiring.known(name)
    if array is not None:
        return wiring.graph.constant(array.reshape(wanted), name)
    maker = wiring.maker(name, "Reshape")
    source = maker.inputs[0] if maker is not None else name
    if wiring.shape(source) == wanted:
        return source
    readers = (reader for reader in wiring.readers(source) if reader.op == "Reshape" and not reader.domain)
    return next((each.outputs[0] for each in readers if wiring.shape(each.outputs[0]) == wanted), None)


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
