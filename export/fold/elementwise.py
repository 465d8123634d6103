"""Operators on single elements: neutral ones are skipped, and masks are made by what costs least."""

from __future__ import annotations

import numpy as np

from export.fold.wiring import Rule, Wiring
from export.graph.values import Node

_OF_ONE = frozenset(
    {"Abs", "Cast", "Ceil", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Neg"}
    | {"Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Cos", "Softplus", "Softsign", "Sqrt", "Tanh"}
)
_OF_SEVERAL = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub", "Sum", "Where", "Greater", "Less"})
_SMALLEST_NORMAL = np.finfo(np.float32).tiny


def is_elementwise(node: Node) -> bool:
    """Whether every element of the result hangs on the elements at its place alone."""
    return not node.domain and (node.op in _OF_ONE or node.op in _OF_SEVERAL)


def neutral(wiring: Wiring, node: Node) -> bool:
    """x * 1, x / 1, x + 0, x - 0 and --x are x."""
    y = node.outputs[0]
    if node.op == "Neg" and (before := wiring.maker(node.inputs[0], "Neg")) is not None:
        wiring.substitute(y, before.inputs[0])
        return True
    found = wiring.flowing(node) if node.op in ("Mul", "Div", "Add", "Sub") and not node.domain else None
    if found is None or wiring.shape(found[0]) != wiring.shape(y):
        return False
    x, array = found
    if node.op in ("Div", "Sub") and x != node.inputs[0]:
        return False
    if not (array == (1 if node.op in ("Mul", "Div") else 0)).all():
        return False
    if wiring.is_output(y) and (wiring.is_output(x) or x in wiring.graph.inputs):
        return False
    wiring.substitute(y, x)
    return True


def mask(wiring: Wiring, node: Node) -> bool:
    """The sign of what a ReLU gave, 0 or 1, as a clipped straight line.

    ONNX Runtime computes Sign element by element, HardSigmoid with vectors: 1.06 against 0.32 us for 1,152 elements.
    The line rises so steeply that every normal number above zero gives exactly 1.
    """
    if node.op == "Sign" and not node.domain:
        x = node.inputs[0]
        positive = wiring.maker(x, "Relu") is not None
    elif node.op == "Where" and not node.domain:
        asked = wiring.maker(node.inputs[0], "Greater")
        ways = [wiring.known(name) for name in node.inputs[1:]]
        if asked is None or any(way is None for way in ways):
            return False
        bound, (yes, no) = wiring.known(asked.inputs[1]), ways
        x = asked.inputs[0]
        zero = bound is not None and not bound.any()
        positive = bool(zero and yes is not None and no is not None and (yes == 1).all() and not no.any())
    else:
        return False
    if not positive or wiring.dtype(x) != np.float32 or wiring.shape(x) != wiring.shape(node.outputs[0]):
        return False
    rise = float(1 / _SMALLEST_NORMAL)
    wiring.substitute(node.outputs[0], wiring.graph.emit("HardSigmoid", x, alpha=rise, beta=0.0, hint="mask"))
    return True


RULES: tuple[Rule, ...] = (neutral, mask)
