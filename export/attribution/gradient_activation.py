"""Exact gradient x activation at a layer (HiResCAM; Draelos and Carin, arXiv 2011.08891), as forward operators."""

from __future__ import annotations

import numpy as np

from export.attribution.layers import Layer
from export.attribution.target import AskedTensor
from export.graph.graph import Graph
from export.reverse.gradient import gradient

TEXT = "gradient x activation (HiResCAM)"


def add_gradient_activation(graph: Graph, layer: Layer, asked: AskedTensor) -> str:
    """The signed map rows x columns of a layer: per cell, the sum over channels of d target / d layer times the layer.

    Of tokens the map holds those that have a place; a class token's part is left out.

    Raises:
        ModelError: the gradient cannot pass an operator (`Impassable`).
    """
    of_layer = gradient(graph, asked.tensor, asked.index, [layer.tensor], full=False)[layer.tensor]
    product = graph.emit("Mul", of_layer, layer.tensor)
    return summed_over_channels(graph, product, layer)


def summed_over_channels(graph: Graph, product: str, layer: Layer) -> str:
    """A tensor of a layer's shape as rows x columns, summed over all other axes."""
    places, rank = layer.places, len(graph.value(product).shape)
    others = [axis for axis in range(rank) if axis not in (places.row_axis, places.column_axis)]
    axes = graph.constant(np.array(others, np.int64), "channel_axes")
    cells = graph.emit("ReduceSum", product, axes, keepdims=0) if others else product
    if places.tokens:
        count = places.rows * places.columns
        if count < graph.value(cells).size:
            start, end = (graph.constant(np.array([at], np.int64)) for at in (places.first, places.first + count))
            cells = graph.emit("Slice", cells, start, end)
        return graph.emit("Reshape", cells, graph.constant(np.array([places.rows, places.columns], np.int64), "grid"))
    if places.row_axis > places.column_axis:
        cells = graph.emit("Transpose", cells, perm=[1, 0])
    return cells
