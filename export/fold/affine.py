"""Factors, offsets and batch normalisation go into the weights of the convolution or matrix product beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.fold.linear import Linear, Wide, linear
from export.fold.wiring import Rule, Wiring
from export.graph.values import Node

_STEPS = ("Mul", "Div", "Add", "Sub", "Neg", "BatchNormalization")


@dataclass(frozen=True)
class _Step:
    """y = x * scale + shift, float64, each of as many axes as x and broadcastable to its shape."""

    x: str
    scale: Wide
    shift: Wide


def behind(wiring: Wiring, node: Node) -> bool:
    """A linear operator, then a factor or an offset per output channel: one linear operator."""
    step = _step(wiring, node)
    maker = wiring.private(step.x) if step is not None else None
    found = linear(wiring, maker) if maker is not None else None
    if step is None or found is None or found.bias is None:
        return False
    axis = found.axis(step.scale.ndim)
    scale, shift = (_per_channel(part, axis, found.outputs) for part in (step.scale, step.shift))
    if scale is None or shift is None:
        return False
    wiring.substitute(node.outputs[0], found.scaled_output(scale, shift).emit(wiring))
    return True


def before(wiring: Wiring, node: Node) -> bool:
    """A factor and an offset per input channel, then a linear operator: one linear operator.

    Where a convolution is padded, its zeros stand for zeros behind the offset. The offset then stays (as x + shift /
    scale), and the factor alone moves.
    """
    found = linear(wiring, node)
    maker = wiring.private(found.x, *_STEPS) if found is not None else None
    step = _step(wiring, maker) if maker is not None else None
    if found is None or step is None:
        return False
    axis = found.axis(step.scale.ndim)
    scale, shift = (_per_channel(part, axis, found.inputs) for part in (step.scale, step.shift))
    if scale is None or shift is None:
        return False
    if not shift.any() or (found.bias is not None and not found.is_padded):
        wiring.substitute(node.outputs[0], found.of_scaled_input(step.x, scale, shift).emit(wiring))
        return True
    moved = _factor_alone(wiring, found, _Step(step.x, scale, shift))
    if moved is None:
        return False
    wiring.substitute(node.outputs[0], moved)
    return True


def _factor_alone(wiring: Wiring, found: Linear, step: _Step) -> str | None:
    """x * s + t (both per channel) as (x + t / s) * s, where s then moves; with a step before it, if there is one."""
    earlier = wiring.private(step.x, *_STEPS)
    first = _step(wiring, earlier) if earlier is not None else None
    if first is not None:
        axis = found.axis(first.scale.ndim)
        s, t = (_per_channel(part, axis, found.inputs) for part in (first.scale, first.shift))
        if s is not None and t is not None:
            step = _Step(first.x, step.scale * s, step.shift + step.scale * t)
    if not step.scale.all() or (step.scale == 1).all():
        return None
    offset = step.shift / step.scale
    place = [1] * len(wiring.shape(step.x))
    place[found.axis(len(place))] = -1
    held = offset[:1].reshape(()) if (offset == offset[0]).all() else offset.reshape(place)
    moved = wiring.graph.emit("Add", step.x, wiring.constant(held, step.x, "offset"))
    return found.of_scaled_input(moved, step.scale, np.zeros_like(offset)).emit(wiring)


def _step(wiring: Wiring, node: Node) -> _Step | None:
    """A node as a step, None where it is none."""
    y = node.outputs[0]
    if node.op not in _STEPS or node.domain or not wiring.is_floating(y):
        return None
    rank = len(wiring.shape(y))
    one, zero = np.ones([1] * rank), np.zeros([1] * rank)
    if node.op == "Neg":
        return _Step(node.inputs[0], -one, zero)
    if node.op == "BatchNormalization":
        return _normalised(wiring, node, rank)
    found = wiring.flowing(node)
    if found is None or wiring.shape(found[0]) != wiring.shape(y):
        return None
    x, array = found
    wide = array.astype(np.float64).reshape([1] * (rank - array.ndim) + list(array.shape))
    if node.op == "Mul":
        return _Step(x, wide, zero)
    if node.op == "Add":
        return _Step(x, one, wide)
    if node.op == "Sub":
        return _Step(x, one, -wide) if x == node.inputs[0] else _Step(x, -one, wide)
    return _Step(x, 1 / wide, zero) if x == node.inputs[0] and wide.all() else None


def _normalised(wiring: Wiring, node: Node, rank: int) -> _Step | None:
    """Batch normalisation in use, not in training (Ioffe and Szegedy, arXiv 1502.03167)."""
    parts = [wiring.known(name) for name in node.inputs[1:5]]
    if node.attributes.get("training_mode", 0) or any(part is None for part in parts) or rank < 2:
        return None
    gain, offset, mean, variance = (np.asarray(part, np.float64) for part in parts)
    scale = gain / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    place = [1, -1] + [1] * (rank - 2)
    return _Step(node.inputs[0], scale.reshape(place), (offset - mean * scale).reshape(place))


def _per_channel(part: Wide, axis: int, channels: int) -> Wide | None:
    """One number per channel, None where it differs within one."""
    if any(extent != 1 for at, extent in enumerate(part.shape) if at != axis):
        return None
    return np.broadcast_to(part.reshape(-1), (channels,))


def behind_normalisation(wiring: Wiring, node: Node) -> bool:
    """Batch normalisation, then a factor or an offset per channel: they are its own gain and offset."""
    step = _step(wiring, node) if node.op != "BatchNormalization" else None
    maker = wiring.private(step.x, "BatchNormalization") if step is not None else None
    if step is None or maker is None or maker.attributes.get("training_mode", 0):
        return False
    gain, offset, *rest = (wiring.known(name) for name in maker.inputs[1:5])
    if gain is None or offset is None or any(part is None for part in rest):
        return False
    scale, shift = (_per_channel(part, 1, gain.size) for part in (step.scale, step.shift))
    if scale is None or shift is None:
        return False
    gains = (wiring.constant(gain * scale, step.x, "gain"), wiring.constant(offset * scale + shift, step.x, "offset"))
    made = wiring.graph.emit("BatchNormalization", maker.inputs[0], *gains, *maker.inputs[3:5], **maker.attributes)
    wiring.substitute(node.outputs[0], made)
    return True


RULES: tuple[Rule, ...] = (behind, before, behind_normalisation)
