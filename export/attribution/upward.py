"""A signed map carried up to a finer layer, in the manner of VisualBackProp (Bojarski et al., arXiv 1611.05418).

VisualBackProp multiplies mean activations and knows no decision. Here the seed is the signed gradient map of the
decision, and the finer layer only says where within its window a coarse cell's part lies: it is given to the finer
cells in proportion to their activation, so that the finer map sums to the coarser one, and its unit and scale stay.

The way up is one step, however many layers lie between: what they hold besides made the map no truer, and cost more. It
is linear in the seed: carrying the map up is carrying its positive and its negative parts up apart, and adding them.
"""

from __future__ import annotations

import numpy as np

from export.attribution.layers import Layer, Layers
from export.attribution.stages import Sliding, Stage, stage_between
from export.graph.graph import Graph

TEXT = "carried up in proportion to activation (after VisualBackProp)"
_LEAST = 1e-6  # the activation of a cell that has none: a window without any gives its part to all its cells alike
_NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "ReduceL1", "ReduceL2"})
_PASSING = frozenset({"MaxPool", "AveragePool", "Dropout", "Identity", "Concat", "Reshape", "Transpose"})


def add_upward(graph: Graph, layers: Layers, layer: Layer, seed: str, finer: str | None) -> tuple[str, Layer]:
    """Carry the map `seed`, 1 x 1 x rows x columns of `layer`, up to a finer layer; answers its name and that layer.

    Raises ModelError where there is no finer layer: see `stages.stage_between`.
    """
    stage = stage_between(layers, layer, finer)
    return _carried(graph, stage, seed), stage.finer


def _carried(graph: Graph, stage: Stage, coarse: str) -> str:
    """Coarse / (window sums of activation) goes back through the windows, and is taken times activation.

    With a the activation of cell i, w = a / coverage and taps h, fine_i = w_i sum_j h_ij coarse_j / sum_k h_kj w_k;
    summed over i that is the sum of coarse_j. Dividing by the coverage leaves a constant map constant.
    """
    places, rows, columns = stage.finer.places, *graph.value(coarse).shape[2:]
    weight = _activation(graph, stage.finer)
    coverage = np.outer(stage.down.coverage(places.rows), stage.across.coverage(places.columns))
    if np.ptp(coverage) > 0:
        weight = graph.emit("Mul", weight, graph.constant((1 / coverage).astype(np.float32)[None, None], "coverage"))
    taps = graph.constant(np.outer(stage.down.taps, stage.across.taps).astype(np.float32)[None, None], "taps")
    ends = _ends(stage.down, rows, places.rows), _ends(stage.across, columns, places.columns)
    strides = [stage.down.stride, stage.across.stride]
    pads = [stage.down.pad, stage.across.pad, *(max(end, 0) for end in ends)]
    left = [max(-end, 0) for end in ends]
    sums = graph.emit("Conv", weight, taps, strides=strides, pads=pads)
    shares = graph.emit("Div", coarse, sums)
    if all(rest < stride for rest, stride in zip(left, strides, strict=True)):
        laid = graph.emit("ConvTranspose", shares, taps, strides=strides, pads=pads, output_padding=left)
    else:
        laid = graph.emit("ConvTranspose", shares, taps, strides=strides, pads=pads)
        beyond = graph.constant(np.array([0, 0, 0, 0, 0, 0, *left], np.int64))
        laid = graph.emit("Pad", laid, beyond)
    return graph.emit("Mul", laid, weight)


def _ends(window: Sliding, coarse: int, finer: int) -> int:
    """How many cells the last window reaches beyond the axis, or, negative, leaves over."""
    return (coarse - 1) * window.stride + len(window.taps) - window.pad - finer


def _activation(graph: Graph, layer: Layer) -> str:
    """The sum over channels of |activation|, 1 x 1 x rows x columns, never 0: one convolution."""
    at, places = layer.tensor, layer.places
    rank = len(graph.value(at).shape)
    others = [axis for axis in range(rank) if axis not in (places.row_axis, places.column_axis)]
    perm = [*others, places.row_axis, places.column_axis]
    if perm != list(range(rank)):
        at = graph.emit("Transpose", at, perm=perm)
    channels = int(np.prod([graph.value(layer.tensor).shape[axis] for axis in others]))
    if len(others) != 2 or graph.value(at).shape[0] != 1:
        shape = graph.constant(np.array([1, channels, places.rows, places.columns], np.int64))
        at = graph.emit("Reshape", at, shape)
    if not _never_negative(graph, layer.tensor):
        at = graph.emit("Abs", at)
    dtype = graph.value(at).dtype
    ones = graph.constant(np.ones((1, channels, 1, 1), dtype), "ones")
    return graph.emit("Conv", at, ones, graph.constant(np.array([_LEAST], dtype), "least"))


def _never_negative(graph: Graph, name: str) -> bool:
    node = graph.producer(name)
    if node is None or node.domain:
        return False
    if node.op in _PASSING:
        data = node.inputs if node.op == "Concat" else node.inputs[:1]
        return all(_never_negative(graph, each) for each in data)
    return node.op in _NEVER_NEGATIVE
