"""Products by a constant weight are found in every form, and brought into the one that INT8 kernels have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from export.graph.graph import Graph
from export.precision.products import products, results, root
from export.session import Session

RNG = np.random.default_rng(7)
X = RNG.normal(size=(1, 64)).astype(np.float32)
W = RNG.normal(size=(96, 64)).astype(np.float32)
C = RNG.normal(size=(96,)).astype(np.float32)


def run(graph: Graph) -> np.ndarray[Any, Any]:
    (y,) = Session(graph.to_bytes()).run({"x": X, "c": C}).values()
    return y


def graph_of(op: str, *inputs: Any, **attributes: Any) -> Graph:
    """A graph of one operator and a ReLU; inputs are constants, or names with the shape in which they flow."""
    graph = Graph()
    graph.add_input("x", np.float32, (1, 64))
    graph.add_input("c", np.float32, (96,))
    names = []
    for each in inputs:
        if isinstance(each, tuple):
            name, shape = each
            names.append(graph.emit("Reshape", name, graph.constant(np.array(shape, np.int64))))
        else:
            names.append(graph.constant(each))
    graph.outputs = [graph.emit("Relu", graph.emit(op, *names, **attributes))]
    return graph


ROW, COLUMN = ("x", (1, 64)), ("x", (64, 1))
FORMS = {
    "row by weight": (graph_of("Gemm", ROW, W, C, transB=1), 0),
    "row by transposed weight": (graph_of("Gemm", ROW, np.ascontiguousarray(W.T)), 1),
    "weight by column": (graph_of("Gemm", W, COLUMN, C[:, np.newaxis], alpha=0.5, beta=2.0), 0),
    "transposed weight by column": (graph_of("Gemm", np.ascontiguousarray(W.T), COLUMN, transA=1), 1),
    "weight by column and a flowing sum": (graph_of("Gemm", W, COLUMN, ("c", (96, 1)), beta=0.25), 0),
    "row by weight and a flowing sum": (graph_of("Gemm", ROW, W, ("c", (1, 96)), transB=1), 0),
    "matrix product": (graph_of("MatMul", ROW, np.ascontiguousarray(W.T)), 1),
    "matrix product, weight first": (graph_of("MatMul", W, COLUMN), 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_product_is_found_with_its_channels_and_gives_the_same(form: str) -> None:
    graph, axis = FORMS[form]
    before, deciding = run(graph), set(graph.nodes)
    (found,) = products(graph, deciding)
    assert graph.constants[found.node.inputs[found.weight]].shape[found.axis] == 96
    assert found.axis == axis
    assert deciding == set(graph.nodes)
    np.testing.assert_allclose(run(graph), before, rtol=1e-5, atol=1e-5)
    if found.node.op == "Gemm":
        assert found.weight == 1
        assert not found.node.input(2) or found.node.input(2) in graph.constants
    assert root(graph, found.node.inputs[found.flowing]) == "x"


def test_small_products_products_of_constants_and_of_two_that_flow_are_left_alone() -> None:
    graph = graph_of("MatMul", ROW, np.ones((64, 8), np.float32))
    assert products(graph, set(graph.nodes)) == []
    graph = graph_of("MatMul", COLUMN, ROW)
    assert products(graph, set(graph.nodes)) == []


def test_what_does_not_decide_is_left_alone() -> None:
    graph = graph_of("Gemm", W, COLUMN)
    nodes = list(graph.nodes)
    assert products(graph, set()) == []
    assert graph.nodes == nodes


def test_a_product_that_is_an_output_keeps_its_name_and_shape() -> None:
    graph = graph_of("Gemm", W, COLUMN, ("c", (96, 1)))
    graph.outputs = [graph.nodes[-1].inputs[0]]
    (name,) = graph.outputs
    before = run(graph)
    products(graph, set(graph.nodes))
    assert graph.outputs == [name]
    assert graph.value(name).shape == (96, 1)
    np.testing.assert_allclose(run(graph), before, rtol=1e-5, atol=1e-5)


def test_results_are_those_of_convolutions_that_another_product_comes_after() -> None:
    graph = Graph()
    graph.add_input("x", np.float32, (1, 3, 16, 16))
    kernel = RNG.normal(size=(8, 3, 3, 3)).astype(np.float32)
    first = graph.emit("Relu", graph.emit("Conv", "x", graph.constant(kernel)))
    second = graph.emit("Conv", first, graph.constant(RNG.normal(size=(8, 8, 3, 3)).astype(np.float32)))
    third = graph.emit("Conv", second, graph.constant(RNG.normal(size=(8, 8, 3, 3)).astype(np.float32)))
    graph.outputs = [graph.emit("Relu", third)]
    assert results(graph, products(graph, set(graph.nodes))) == [first, second]
