"""Exact gradient x activation at a layer (HiResCAM; Draelos and Carin, arXiv 2011.08891), as forward operators."""

from __future__ import annotations

import numpy as np

from export.attribution.layers import Layer
from export.attribution.target import AskedTensor
from export.graph.graph import Graph
from export.reverse.gradient import gradient

TEXT = "gradient x activation (HiResCAM)"


def add_gradient_activation(graph: Graph, layer: Layer, asked: AskedTensor, leading_ones: int = 0) -> str:
    """The signed map rows x columns of a layer: per cell, the sum over channels of d target / d layer times the layer.

    Of tokens the map holds those that have a place; a class token's part is left out. `leading_ones`, 0 or 2, is how
    many axes of extent 1 the map has before its rows.

    Raises:
        ModelError: the gradient cannot pass an operator (`Impassable`).
    """
    of_layer = gradient(graph, asked.tensor, asked.index, [layer.tensor], full=False)[layer.tensor]
    product, places = graph.emit("Mul", of_layer, layer.tensor), layer.places
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
