"""The passes together."""

from __future__ import annotations

import numpy as np
import pytest

from export.fold.fold import fold
from export.graph.graph import Graph
from export.reverse.gradient import gradient
from tests.export.fold.graphs import Small, assert_same, counts


def policy() -> Small:
    """A small driving network with its front, two outputs cut from one product, and the exact map of its first."""
    graph = Small()
    x = graph.emit("Transpose", graph.fed(1, 12, 20, 3, dtype=np.uint8), perm=[0, 3, 1, 2])
    x = graph.emit("Sub", graph.emit("Div", graph.emit("Cast", x, to=1), graph.number(127.5)), graph.number(1.0))
    maps = graph.emit("Relu", graph.emit("Conv", x, graph.drawn(16, 3, 3, 3), graph.drawn(16), strides=[2, 2]))
    top = graph.emit("Relu", graph.emit("Conv", maps, graph.drawn(16, 16, 3, 3), graph.drawn(16)))
    flat = graph.emit("Flatten", top)
    size = graph.value(flat).shape[1]
    hidden = graph.emit("Gemm", flat, graph.drawn(200, size), graph.drawn(200), transB=1)
    hidden = graph.emit("Relu", hidden)
    both = graph.emit("Gemm", hidden, graph.drawn(2, 200), graph.drawn(2), transB=1)
    for place, (name, factor) in enumerate((("steering", 0.1), ("acceleration", 2.0))):
        part = graph.emit("Slice", both, graph.ints(place), graph.ints(place + 1), graph.ints(1))
        graph.out(graph.emit("Mul", part, graph.number(factor)), name)
    of_maps = gradient(graph, "steering", 0, [maps])[maps]
    graph.out(graph.emit("ReduceSum", graph.emit("Mul", of_maps, maps), graph.ints(0, 1), keepdims=0), "map")
    return graph


@pytest.fixture(scope="module")
def folded() -> Graph:
    graph = policy()
    fold(graph)
    return graph


def test_a_folded_graph_answers_the_same_under_the_same_names(folded: Graph) -> None:
    whole = policy()
    assert folded.outputs == whole.outputs
    assert list(folded.inputs) == list(whole.inputs)
    assert_same(whole, folded, 1e-5)


def test_nodes_that_only_prepare_or_rearrange_are_gone(folded: Graph) -> None:
    found = counts(folded)
    assert not {"Div", "Sub", "Slice", "Flatten", "Sign", "ReduceSum", "ConvTranspose"} & set(found)
    assert found["Reshape"] <= 3
    assert len(folded.nodes) <= len(policy().nodes) - 5


def test_folding_again_changes_nothing(folded: Graph) -> None:
    once = folded.to_bytes()
    again = folded.copy()
    fold(again)
    assert again.to_bytes() == once


def test_the_same_graph_folds_to_the_same_bytes(folded: Graph) -> None:
    other = policy()
    fold(other)
    assert other.to_bytes() == folded.to_bytes()


def test_an_output_that_is_an_input_keeps_both_names() -> None:
    graph = Small()
    x = graph.fed(1, 4)
    graph.out(graph.emit("Identity", x))
    fold(graph)
    assert graph.outputs == ["y"]
    assert list(graph.inputs) == ["x"]
    assert_same(graph, graph)


def test_two_outputs_of_the_same_content_stay_two() -> None:
    graph = Small()
    x = graph.emit("Relu", graph.fed(1, 4))
    graph.out(graph.emit("Mul", x, graph.number(1.0)), "y").out(graph.emit("Add", x, graph.number(0.0)), "z")
    whole = graph.copy()
    fold(graph)
    assert graph.outputs == ["y", "z"]
    assert_same(whole, graph)
