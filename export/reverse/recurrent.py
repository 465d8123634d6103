"""Recurrent layers, written out step by step beside the operator that decides, and differentiated as that.

What they compute: Hochreiter and Schmidhuber, Long short-term memory (1997); Cho et al. (arXiv 1406.1078) for the GRU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.graph.values import Array, Node
from export.reverse.tape import Gradients, Impassable, Tape, rule_of_many
from export.reverse.walk import between, walked

_MAX_STEPS = 256  # each is a dozen operators
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_INITIAL_H, _INITIAL_C, _PEEPHOLES = 5, 6, 7


@dataclass(frozen=True, slots=True)
class _Weights:
    """Of one direction, turned so that rows are multiplied from the left; a bias per gate and per source."""

    input: Array  # (features, gates x hidden)
    state: Array  # (hidden, gates x hidden)
    input_bias: Array  # (gates x hidden,)
    state_bias: Array


@rule_of_many("LSTM", "GRU", "RNN")
def _recurrent(tape: Tape, node: Node, gradients: Sequence[str | None]) -> Gradients:
    _check(tape, node)
    tape = Tape(tape.graph, tape.needed)  # with a memory of its own: every step is to be found behind what is there now
    begin = len(tape.graph.nodes)
    outputs = _written_out(tape, node)
    steps = tape.graph.nodes[begin:]
    wrt = [name for name in (node.inputs[0], node.input(_INITIAL_H), node.input(_INITIAL_C)) if name in tape.needed]
    seeds = {
        made: tape.full(gradient, tape.shape(made))
        for made, gradient in zip(outputs, gradients, strict=False)
        if gradient is not None
    }
    inner = between(tape.graph, steps, seeds, wrt)
    tape.needed.update(name for step in inner for name in step.outputs)
    total = walked(tape, inner, seeds)
    return [total(name) if name in wrt else None for name in node.inputs]


def _check(tape: Tape, node: Node) -> None:
    attributes = node.attributes
    directions = 2 if attributes.get("direction", "forward") == "bidirectional" else 1
    if tuple(attributes.get("activations") or _USUAL[node.op] * directions) != _USUAL[node.op] * directions:
        raise Impassable(node, f"it has activations of its own ({attributes['activations']})", "use the usual ones")
    for name, usual in (("clip", 0.0), ("input_forget", 0), ("layout", 0)):
        if attributes.get(name, usual) != usual:
            raise Impassable(node, f"it has {name} = {attributes[name]}", f"export it with {name} = {usual}")
    if any(tape.known(name) is None for name in node.inputs[1:4] if name) or node.input(_PEEPHOLES):
        raise Impassable(node, "its weights are computed, or it has peepholes", "export it with constant weights")
    length = tape.shape(node.inputs[0])[0]
    lengths = tape.known(node.input(4)) if node.input(4) else np.array(length)
    if lengths is None or (lengths != length).any() or length > _MAX_STEPS:
        why = f"its sequence of {length} steps is cut short, or longer than {_MAX_STEPS}"
        raise Impassable(node, why, "export it for whole sequences of fewer steps")


def _written_out(tape: Tape, node: Node) -> list[str]:
    """The operator's outputs, made by smaller operators: (steps, directions, batch, hidden), and the last states."""
    direction = node.attributes.get("direction", "forward")
    ways = [False, True] if direction == "bidirectional" else [direction == "reverse"]
    found = [_one_way(tape, node, at, backwards=backwards) for at, backwards in enumerate(ways)]
    every = [tape.emit("Concat", *(_at(tape, h, 0, 0) for h in states), axis=0) for states, _ in found]
    hidden = [_at(tape, states[0 if backwards else -1], 0) for (states, _), backwards in zip(found, ways, strict=True)]
    outputs = [_joined(tape, every, 1), _joined(tape, hidden, 0)]
    return [*outputs, _joined(tape, [_at(tape, cell, 0) for _, cell in found], 0)] if node.op == "LSTM" else outputs


def _at(tape: Tape, name: str, *axes: int) -> str:
    for axis in axes:
        shape = tape.shape(name)
        name = tape.emit("Reshape", name, tape.ints(*shape[:axis], 1, *shape[axis:]))
    return name


def _joined(tape: Tape, parts: list[str], axis: int) -> str:
    return parts[0] if len(parts) == 1 else tape.emit("Concat", *parts, axis=axis)


def _one_way(tape: Tape, node: Node, direction: int, *, backwards: bool) -> tuple[list[str], str]:
    """The hidden state (batch, hidden) after each place of the sequence, and the last cell state of an LSTM."""
    x = node.inputs[0]
    steps, batch, _ = tape.shape(x)
    weights = _weights(tape, node, direction)
    size = weights.state.shape[0]
    state = _initial(tape, node, _INITIAL_H, direction, (batch, size))
    cell = _initial(tape, node, _INITIAL_C, direction, (batch, size))
    read = tape.emit("MatMul", x, tape.array(weights.input, x))
    read = tape.emit("Add", read, tape.array(weights.input_bias, x))
    states = [""] * steps
    for at in reversed(range(steps)) if backwards else range(steps):
        now = tape.emit("Gather", read, tape.graph.constant(np.array(at)), axis=0)
        if node.op == "LSTM":
            state, cell = _lstm(tape, weights, now, state, cell)
        elif node.op == "GRU":
            state = _gru(tape, weights, now, state, after=bool(node.attributes.get("linear_before_reset", 0)))
        else:
            state = tape.emit("Tanh", tape.emit("Add", now, _of_state(tape, weights, state)))
        states[at] = state
    return states, cell


def _weights(tape: Tape, node: Node, direction: int) -> _Weights:
    w, r = tape.known(node.inputs[1]), tape.known(node.inputs[2])
    assert w is not None and r is not None
    biases = tape.known(node.input(3)) if node.input(3) else None
    half = _GATES[node.op] * r.shape[2]
    bias = np.zeros(2 * half, w.dtype) if biases is None else biases[direction]
    return _Weights(w[direction].T, r[direction].T, bias[:half], bias[half:])


def _initial(tape: Tape, node: Node, position: int, direction: int, shape: tuple[int, int]) -> str:
    if not node.input(position):
        return tape.array(np.zeros(shape), node.inputs[0])
    return tape.emit("Gather", node.input(position), tape.graph.constant(np.array(direction)), axis=0)


def _of_state(tape: Tape, weights: _Weights, state: str) -> str:
    product = tape.emit("MatMul", state, tape.array(weights.state, state))
    return tape.emit("Add", product, tape.array(weights.state_bias, state))


def _gates(tape: Tape, name: str, count: int) -> list[str]:
    size = tape.shape(name)[1] // count
    axis = tape.ints(1)
    return [tape.emit("Slice", name, tape.ints(i * size), tape.ints((i + 1) * size), axis) for i in range(count)]


def _lstm(tape: Tape, weights: _Weights, now: str, state: str, cell: str) -> tuple[str, str]:
    sums = _gates(tape, tape.emit("Add", now, _of_state(tape, weights, state)), 4)
    enter, leave, forget = (tape.emit("Sigmoid", each) for each in sums[:3])
    kept = tape.emit("Mul", forget, cell)
    cell = tape.emit("Add", kept, tape.emit("Mul", enter, tape.emit("Tanh", sums[3])))
    return tape.emit("Mul", leave, tape.emit("Tanh", cell)), cell


def _gru(tape: Tape, weights: _Weights, now: str, state: str, *, after: bool) -> str:
    """One step; `after` says that the reset gate acts on what was read from the state, and not on the state itself."""
    read = _gates(tape, now, 3)
    size = tape.shape(state)[1]
    split = _Weights(weights.input, weights.state[:, : 2 * size], weights.input_bias, weights.state_bias[: 2 * size])
    last = _Weights(weights.input, weights.state[:, 2 * size :], weights.input_bias, weights.state_bias[2 * size :])
    kept = _gates(tape, _of_state(tape, split, state), 2)
    update, reset = (tape.emit("Sigmoid", tape.emit("Add", a, b)) for a, b in zip(read[:2], kept, strict=True))
    if after:
        offered = tape.emit("Mul", reset, _of_state(tape, last, state))
    else:
        offered = _of_state(tape, last, tape.emit("Mul", reset, state))
    new = tape.emit("Tanh", tape.emit("Add", read[2], offered))
    return tape.emit("Add", new, tape.emit("Mul", update, tape.emit("Sub", state, new)))
