"""Functions of one tensor, element by element: the gradient is multiplied by the slope at each place.

At a kink the slope is the one that torch's autograd takes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from export.graph.values import Node
from export.reverse.tape import Gradients, Tape, rule

Slope = Callable[[Tape, Node, str, str], str]

_SELU_ALPHA, _SELU_GAMMA = 1.6732632423543772, 1.0507009873554805
_GELU_CUBIC = 0.044715


def slope(*ops: str) -> Callable[[Slope], Slope]:
    """Register a rule that multiplies by dy/dx, which the function writes from tape, node, x and y."""

    def register(function: Slope) -> Slope:
        @rule(*ops)
        def _rule(tape: Tape, node: Node, g: str) -> Gradients:
            x = node.inputs[0]
            return [tape.multiply(g, function(tape, node, x, node.outputs[0]))] + [None] * (len(node.inputs) - 1)

        return function

    return register


def _positive(tape: Tape, x: str, where: str, otherwise: str) -> str:
    return tape.emit("Where", tape.emit("Greater", x, tape.number(0, x)), where, otherwise)


def _one_minus(tape: Tape, x: str) -> str:
    return tape.emit("Sub", tape.number(1, x), x)


def _plus(tape: Tape, x: str, number: float) -> str:
    return tape.emit("Add", x, tape.number(number, x))


def _square(tape: Tape, x: str) -> str:
    return tape.emit("Mul", x, x)


@rule("Neg")
def _neg(tape: Tape, node: Node, g: str) -> Gradients:
    return [tape.emit("Neg", g)]


@slope("Relu")
def _relu(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Sign", y)


@slope("Abs")
def _abs(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Sign", x)


@slope("LeakyRelu")
def _leaky(tape: Tape, node: Node, x: str, y: str) -> str:
    return _positive(tape, x, tape.number(1, x), tape.number(node.attributes.get("alpha", 0.01), x))


@slope("PRelu")
def _prelu(tape: Tape, node: Node, x: str, y: str) -> str:
    return _positive(tape, x, tape.number(1, x), node.inputs[1])


@slope("ThresholdedRelu")
def _thresholded(tape: Tape, node: Node, x: str, y: str) -> str:
    above = tape.emit("Greater", x, tape.number(node.attributes.get("alpha", 1.0), x))
    return tape.emit("Where", above, tape.number(1, x), tape.number(0, x))


@slope("Shrink")
def _shrink(tape: Tape, node: Node, x: str, y: str) -> str:
    beyond = tape.emit("Greater", tape.emit("Abs", x), tape.number(node.attributes.get("lambd", 0.5), x))
    return tape.emit("Where", beyond, tape.number(1, x), tape.number(0, x))


@slope("Elu")
def _elu(tape: Tape, node: Node, x: str, y: str) -> str:
    return _positive(tape, x, tape.number(1, x), _plus(tape, y, node.attributes.get("alpha", 1.0)))


@slope("Selu")
def _selu(tape: Tape, node: Node, x: str, y: str) -> str:
    alpha, gamma = node.attributes.get("alpha", _SELU_ALPHA), node.attributes.get("gamma", _SELU_GAMMA)
    return _positive(tape, x, tape.number(gamma, x), _plus(tape, y, alpha * gamma))


@slope("Celu")
def _celu(tape: Tape, node: Node, x: str, y: str) -> str:
    fall = _plus(tape, tape.scale(y, 1 / node.attributes.get("alpha", 1.0)), 1)
    return _positive(tape, x, tape.number(1, x), fall)


@slope("Sigmoid")
def _sigmoid(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Mul", y, _one_minus(tape, y))


@slope("HardSigmoid")
def _hard_sigmoid(tape: Tape, node: Node, x: str, y: str) -> str:
    rises = tape.emit("And", tape.emit("Greater", y, tape.number(0, y)), tape.emit("Less", y, tape.number(1, y)))
    return tape.emit("Where", rises, tape.number(node.attributes.get("alpha", 0.2), x), tape.number(0, x))


@slope("HardSwish")
def _hard_swish(tape: Tape, node: Node, x: str, y: str) -> str:
    middle = _plus(tape, tape.scale(x, 1 / 3), 0.5)
    rising = tape.emit("Where", tape.emit("Less", x, tape.number(3, x)), middle, tape.number(1, x))
    return tape.emit("Where", tape.emit("Greater", x, tape.number(-3, x)), rising, tape.number(0, x))


@slope("Swish")
def _swish(tape: Tape, node: Node, x: str, y: str) -> str:
    alpha = node.attributes.get("alpha", 1.0)
    gate = tape.emit("Sigmoid", tape.scale(x, alpha))
    return tape.emit("Add", gate, tape.scale(tape.emit("Mul", y, _one_minus(tape, gate)), alpha))


@slope("Mish")
def _mish(tape: Tape, node: Node, x: str, y: str) -> str:
    gate = tape.emit("Tanh", tape.emit("Softplus", x))
    change = tape.emit("Mul", _one_minus(tape, _square(tape, gate)), tape.emit("Sigmoid", x))
    return tape.emit("Add", gate, tape.emit("Mul", x, change))


@slope("Gelu")
def _gelu(tape: Tape, node: Node, x: str, y: str) -> str:
    if node.attributes.get("approximate", "none") == "tanh":
        squared = _square(tape, x)
        rate = sqrt(2 / pi)
        inner = tape.emit("Mul", x, _plus(tape, tape.scale(squared, rate * _GELU_CUBIC), rate))
        gate = tape.emit("Tanh", inner)
        change = tape.emit("Mul", x, _plus(tape, tape.scale(squared, 3 * rate * _GELU_CUBIC), rate))
        bend = tape.emit("Mul", _one_minus(tape, _square(tape, gate)), change)
        return tape.scale(tape.emit("Add", _plus(tape, gate, 1), bend), 0.5)
    below = tape.scale(_plus(tape, tape.emit("Erf", tape.scale(x, sqrt(0.5))), 1), 0.5)
    density = tape.scale(tape.emit("Exp", tape.scale(_square(tape, x), -0.5)), 1 / sqrt(2 * pi))
    return tape.emit("Add", below, tape.emit("Mul", x, density))


@slope("Tanh")
def _tanh(tape: Tape, node: Node, x: str, y: str) -> str:
    return _one_minus(tape, _square(tape, y))


@slope("Softplus")
def _softplus(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Sigmoid", x)


@slope("Softsign")
def _softsign(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", _square(tape, _plus(tape, tape.emit("Abs", x), 1)))


@slope("Exp")
def _exp(tape: Tape, node: Node, x: str, y: str) -> str:
    return y


@slope("Log")
def _log(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", x)


@slope("Sqrt")
def _sqrt(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Div", tape.number(0.5, y), y)


@slope("Reciprocal")
def _reciprocal(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Neg", _square(tape, y))


@slope("Erf")
def _erf(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.scale(tape.emit("Exp", tape.emit("Neg", _square(tape, x))), 2 / sqrt(pi))


@slope("Sin")
def _sin(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Cos", x)


@slope("Cos")
def _cos(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Neg", tape.emit("Sin", x))


@slope("Tan")
def _tan(tape: Tape, node: Node, x: str, y: str) -> str:
    return _plus(tape, _square(tape, y), 1)


@slope("Sinh")
def _sinh(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Cosh", x)


@slope("Cosh")
def _cosh(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Sinh", x)


@slope("Atan")
def _atan(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", _plus(tape, _square(tape, x), 1))


@slope("Asin")
def _asin(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", tape.emit("Sqrt", _one_minus(tape, _square(tape, x))))


@slope("Acos")
def _acos(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Neg", _asin(tape, node, x, y))


@slope("Asinh")
def _asinh(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", tape.emit("Sqrt", _plus(tape, _square(tape, x), 1)))


@slope("Acosh")
def _acosh(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", tape.emit("Sqrt", _plus(tape, _square(tape, x), -1)))


@slope("Atanh")
def _atanh(tape: Tape, node: Node, x: str, y: str) -> str:
    return tape.emit("Reciprocal", _one_minus(tape, _square(tape, x)))
