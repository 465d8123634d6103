"""Attention rollout (Abnar and Zuidema, arXiv 2005.00928): how much of each patch reaches what the head reads, if a
token were no more than the mean of what it attends to and itself.

It multiplies attention alone, so it knows neither the decision nor its sign: the same picture, the same map, whatever
the head makes of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.attribution.attention import attentions
from export.attribution.bounds import of_cells
from export.attribution.layers import Layer, Layers
from export.attribution.sight import look
from export.graph.graph import Graph
from runtime.contracts.errors import ModelError

TEXT = "attention rollout (unsigned shares; tells where the network attends, and nothing of what it decides from it)"


def add_rollout(graph: Graph, layers: Layers) -> tuple[str, Layer]:
    """The shares of the patches, rows x columns, and the layer whose cells they are.

    Per block the heads are averaged, and half of it is the token itself; the product over blocks is read in the row of
    the token that the head takes, or in the mean row of those that it averages. It is taken from the head's side, so
    that every step is a vector times a matrix.

    Raises:
        ModelError: there is no attention matrix in the graph, or its tokens are not those of the picture.
    """
    matrices = _matrices(layers)
    tokens = graph.value(matrices[-1]).shape[-1]
    layer, at = _tokens(layers, tokens, matrices)
    row: NDArray[np.float64] = _read_tokens(layers, at, tokens) * 0.5 ** len(matrices)
    rank = len(graph.value(matrices[-1]).shape)
    flow = graph.constant(row.astype(np.float32).reshape(*(1,) * (rank - 1), tokens), "read_tokens")
    for matrix in reversed(matrices):
        attended = graph.emit("MatMul", flow, matrix)
        leading = graph.constant(np.arange(len(graph.value(matrix).shape) - 2), "heads")
        flow = graph.emit("Add", flow, graph.emit("ReduceMean", attended, leading, keepdims=1))
    places = layer.places
    count = places.rows * places.columns
    flat = graph.emit("Reshape", flow, graph.constant(np.array([tokens], np.int64)))
    if count < tokens:
        start, end = (graph.constant(np.array([each], np.int64)) for each in (places.first, places.first + count))
        flat = graph.emit("Slice", flat, start, end)
    return graph.emit("Reshape", flat, graph.constant(np.array([places.rows, places.columns], np.int64), "grid")), layer


def _matrices(layers: Layers) -> list[str]:
    """The attention matrices, (heads leading) tokens x tokens, in the order of the blocks."""
    graph = layers.graph
    found = [each.matrix for each in attentions(graph, layers.nodes)]
    if not found:
        raise ModelError(
            "attribution: attention-rollout finds no Softmax whose result is multiplied with values; export a "
            "transformer with its attention written out (softmax(q @ k.T) @ v); others take gradient-x-activation"
        )
    shapes = [graph.value(name).shape for name in found]
    for name, shape in zip(found, shapes, strict=True):
        if shape[-2:] != shapes[-1][-2:] or shape[-1] != shape[-2] or len(shape) != len(shapes[-1]):
            raise ModelError(
                f"attribution: attention-rollout needs attention among the same tokens in every block; {name!r} has "
                f"the shape {list(shape)} and the last one {list(shapes[-1])}; use gradient-x-activation"
            )
    return found


def _tokens(layers: Layers, tokens: int, matrices: list[str]) -> tuple[Layer, Layer]:
    """A layer that tells where the tokens lie, and the last one behind the attention that holds them all."""
    graph, order = layers.graph, [node.outputs[0] for node in layers.nodes]
    placed = [
        each
        for each in layers.everywhere()
        if each.places.tokens and graph.value(each.tensor).shape[each.places.row_axis] == tokens
    ]
    if not placed:
        raise ModelError(
            f"attribution: the attention is among {tokens} tokens, and no layer has so many with places in the "
            "picture; use gradient-x-activation"
        )
    last = order.index(matrices[-1])
    behind = [each for each in placed if order.index(each.tensor) > last]
    return placed[-1], (behind or placed)[-1]


def _read_tokens(layers: Layers, layer: Layer, tokens: int) -> NDArray[np.float64]:
    """What part each token has in what the head reads: one class token, or the mean of those that it averages."""
    graph, tensor = layers.graph, layer.tensor
    shape = graph.value(tensor).shape
    size = [1] * len(shape)
    size[layer.places.row_axis] = tokens
    index = np.arange(tokens).reshape(size)
    box = look(graph, tensor, of_cells(shape, index, np.zeros_like(index)), layers.nodes).bounds.get(layers.asked)
    first, last = 0, tokens - 1
    if box is not None:
        ends = box.reshape(4, -1).min(axis=1)
        first, last = int(ends[0]), int(-ends[2])
    row = np.zeros(tokens)
    row[first : last + 1] = 1.0 / (last + 1 - first)
    return row
