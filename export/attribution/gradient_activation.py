"""Exact gradient x activation at a layer (HiResCAM; Draelos and Carin, arXiv 2011.08891), as forward operators."""

from __future__ import annotations

import numpy as np

from export.attribution.layers import Layer
from export.attribution.target import AskedTensor
from export.graph.graph import Graph
from export.graph.values import Array
from export.reverse.gradient import gradient

TEXT = "gradient x activation (HiResCAM)"
FROM_NEUTRAL = "gradient x (activation - activation of a neutral picture)"


def add_gradient_activation(
    graph: Graph, layer: Layer, asked: AskedTensor, neutral: Array | None = None, leading_ones: int = 0
) -> str:
    """The signed map rows x columns of a layer: per cell, the sum over channels of d target / d layer times the layer.

    Of tokens the map holds those that have a place; a class token's part is left out.

    Args:
        graph: the map is appended to it.
        layer: whose cells the map has.
        asked: what is explained.
        neutral: what the layer is for a neutral picture, of its shape. It is counted from there, so that the map is the
            first-order part of how the target differs from that picture's, and what every picture shows has no part.
        leading_ones: 0 or 2, how many axes of extent 1 the map has before its rows.

    Raises:
        ModelError: the gradient cannot pass an operator (`Impassable`).
    """
    of_layer = gradient(graph, asked.tensor, asked.index, [layer.tensor], full=False)[layer.tensor]
    activation, places = layer.tensor, layer.places
    if neutral is not None:
        activation = graph.emit("Sub", activation, graph.constant(neutral, "neutral"))
    product = graph.emit("Mul", of_layer, activation)
    rank = len(graph.value(product).shape)
    grid = [1] * leading_ones + [places.rows, places.columns]
    others = [axis for axis in range(rank) if axis not in (places.row_axis, places.column_axis)]
    kept = int(bool(leading_ones) and others == [0, 1])
    axes = graph.constant(np.array(others[kept:], np.int64), "channel_axes")
    cells = graph.emit("ReduceSum", product, axes, keepdims=kept) if others else product
    if places.tokens and (count := places.rows * places.columns) < graph.value(cells).size:
        start, end = (graph.constant(np.array([at], np.int64)) for at in (places.first, places.first + count))
        cells = graph.emit("Slice", cells, start, end)
    if places.row_axis > places.column_axis:
        cells = graph.emit("Transpose", cells, perm=[1, 0])
    if graph.value(cells).shape != tuple(grid):
        cells = graph.emit("Reshape", cells, graph.constant(np.array(grid, np.int64), "grid"))
    return cells
