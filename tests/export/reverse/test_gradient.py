"""The reverse pass: what it asks for, what it leaves alone, and where it stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")


from export.graph.graph import Graph  # noqa: E402
from export.reverse.gradient import Impassable, gradient  # noqa: E402
from export.session import Session  # noqa: E402
from runtime.contracts.errors import ModelError  # noqa: E402

Array = np.ndarray[Any, Any]


def _head() -> Graph:
    graph = Graph()
    x = graph.add_input("x", np.float32, (1, 4, 3, 3))
    rng = np.random.default_rng(0)
    weights = [graph.constant(rng.normal(size=s).astype(np.float32)) for s in ((6, 4, 1, 1), (6, 2))]
    pooled = graph.emit("GlobalAveragePool", graph.emit("Conv", x, weights[0]))
    graph.rename(graph.emit("Gemm", graph.emit("Flatten", pooled), weights[1]), "y")
    graph.outputs.append("y")
    return graph


def test_a_linear_head_costs_no_operator_but_the_spreading_of_a_constant() -> None:
    graph = _head()
    before = len(graph.nodes)
    found = gradient(graph, "y", 1, ["x"], full=False)["x"]
    assert found in graph.constants
    assert graph.constants[found].shape == (1, 4, 1, 1)
    assert len(graph.nodes) == before


def test_the_largest_of_several_picks_a_row_of_the_weights() -> None:
    graph = _head()
    before = len(graph.nodes)
    gradient(graph, "y", "argmax", ["x"], full=False)
    assert "Gather" in [node.op for node in graph.nodes[before:]]
    graph.outputs = [gradient(graph, "y", "argmax", ["x"])["x"], "y"]
    session = Session(graph.to_bytes())
    for sign in (1, -1):
        x = sign * np.random.default_rng(3).normal(size=(1, 4, 3, 3)).astype(np.float32)
        gradients, y = session.run({"x": x}).values()
        fixed = _head()
        fixed.outputs = [gradient(fixed, "y", int(y.argmax()), ["x"])["x"]]
        np.testing.assert_allclose(gradients, next(iter(Session(fixed.to_bytes()).run({"x": x}).values())), rtol=1e-5)


def test_a_tensor_on_the_way_and_the_input_are_answered_together() -> None:
    graph = _head()
    middle = graph.nodes[0].outputs[0]
    found = gradient(graph, "y", 0, ["x", middle, "y"])
    assert {name: graph.value(g).shape for name, g in found.items()} == {
        "x": (1, 4, 3, 3),
        middle: (1, 6, 3, 3),
        "y": (1, 2),
    }
    np.testing.assert_array_equal(graph.constants[found["y"]], [[1, 0]])


def test_what_the_answer_does_not_depend_on_has_no_slope() -> None:
    graph = _head()
    other = graph.add_input("other", np.float32, (2, 2))
    (found,) = gradient(graph, "y", 0, [other]).values()
    np.testing.assert_array_equal(graph.constants[found], np.zeros((2, 2)))


def test_a_picture_of_bytes_counts_as_the_numbers_that_it_is_cast_to() -> None:
    graph = Graph()
    picture = graph.add_input("picture", np.uint8, (1, 2, 3))
    turned = graph.emit(
        "Transpose",
        graph.emit("Slice", picture, *map(graph.constant, (np.array([1]), np.array([3]), np.array([2])))),
        perm=[0, 2, 1],
    )
    number = graph.emit("ReduceSum", graph.emit("Exp", graph.emit("Cast", turned, to=1)), keepdims=0)
    graph.outputs = [gradient(graph, number, 0, [picture])[picture]]
    seen = np.array([[[0, 1, 2], [3, 1, 0]]], np.uint8)
    (found,) = Session(graph.to_bytes()).run({"picture": seen}).values()
    np.testing.assert_allclose(found, np.exp(seen.astype(np.float32)) * [[[0, 1, 1], [0, 1, 1]]], rtol=1e-6)


def test_an_operator_without_a_rule_is_named_before_anything_is_added() -> None:
    graph = Graph()
    x = graph.add_input("x", np.float32, (1, 1, 4, 4))
    regions = [graph.constant(np.zeros((1, 4), np.float32)), graph.constant(np.zeros(1, np.int64))]
    graph.rename(graph.emit("Sigmoid", graph.emit("RoiAlign", graph.emit("Relu", x), *regions)), "y")
    graph.outputs.append("y")
    before, size = graph.to_bytes(), len(graph.nodes)
    with pytest.raises(
        Impassable, match=r"RoiAlign that makes 'roialign_\d+': no rule .*; name a layer behind it"
    ) as caught:
        gradient(graph, "y", 0, ["x"])
    assert caught.value.op == "RoiAlign"
    assert (graph.to_bytes(), len(graph.nodes)) == (before, size)


def test_a_quantised_network_is_sent_back_to_what_it_was() -> None:
    graph = Graph()
    x = graph.add_input("x", np.float32, (1, 4))
    step = graph.constant(np.array(0.1, np.float32))
    y = graph.emit("DequantizeLinear", graph.emit("QuantizeLinear", x, step), step)
    with pytest.raises(Impassable, match=r"it is quantised; give the network as it was before"):
        gradient(graph, y, 0, [x])


def test_a_recurrent_layer_decides_by_the_operator_that_it_had() -> None:
    """Its written-out twin serves the gradient alone, also where two layers read and weigh the same."""
    graph = Graph()
    x = graph.add_input("x", np.float32, (3, 1, 2))
    rng = np.random.default_rng(0)
    weights = [graph.constant(rng.normal(size=(1, 8, 2)).astype(np.float32)) for _ in range(2)]
    twins = [graph.emit_many("LSTM", x, *weights, outputs=3, hidden_size=2)[1] for _ in range(2)]
    number = graph.emit("ReduceSum", graph.emit("Add", *twins), keepdims=0)
    once = graph.emit("ReduceSum", twins[0], keepdims=0)
    both, one = (gradient(graph, of, 0, [x])[x] for of in (number, once))
    graph.outputs = [number, both, one]
    assert [node.op for node in graph.nodes].count("LSTM") == 2
    found = Session(graph.to_bytes()).run({"x": rng.normal(size=(3, 1, 2)).astype(np.float32)})
    np.testing.assert_allclose(found[both], 2 * found[one], rtol=1e-6)


def test_a_gru_that_resets_its_state_itself_is_as_steep_as_finite_differences_say() -> None:
    """Torch has no such GRU (linear_before_reset = 0, the one of the paper), so its autograd cannot judge it."""
    graph = Graph()
    x = graph.add_input("x", np.float32, (4, 1, 2))
    rng = np.random.default_rng(0)
    weights = [graph.constant(rng.normal(size=shape).astype(np.float32)) for shape in ((1, 9, 2), (1, 9, 3), (1, 18))]
    (states, last) = graph.emit_many("GRU", x, *weights, outputs=2, hidden_size=3)
    number = graph.emit("Add", graph.emit("ReduceSum", states, keepdims=0), graph.emit("ReduceSum", last, keepdims=0))
    found = gradient(graph, number, 0, [x])[x]
    graph.outputs = [number, found]
    session = Session(graph.to_bytes())
    at = rng.normal(size=(4, 1, 2)).astype(np.float32)
    way = rng.normal(size=(4, 1, 2)).astype(np.float32)
    up, down = (float(session.run({"x": at + step * way})[number]) for step in (0.01, -0.01))
    assert (up - down) / 0.02 == pytest.approx(float((session.run({"x": at})[found] * way).sum()), rel=1e-3)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [({"clip": 1.0}, r"clip = 1\.0"), ({"activations": ["Relu", "Tanh", "Tanh"]}, "activations of its own")],
)
def test_a_recurrent_layer_of_its_own_kind_is_refused(attributes: dict[str, Any], why: str) -> None:
    graph = Graph()
    x = graph.add_input("x", np.float32, (3, 1, 2))
    weights = graph.constant(np.ones((1, 8, 2), np.float32))
    last = graph.emit_many("LSTM", x, weights, weights, outputs=2, hidden_size=2, **attributes)[1]
    with pytest.raises(Impassable, match=f"LSTM that makes .*{why}"):
        gradient(graph, last, 0, [x])


def test_a_rule_that_gives_up_half_way_leaves_the_graph_as_it_was() -> None:
    graph = Graph()
    x = graph.add_input("x", np.float32, (1, 2, 4, 4))
    kernel = graph.emit("Slice", x, *map(graph.constant, (np.array([0]), np.array([2]), np.array([2]))))
    graph.rename(graph.emit("Tanh", graph.emit("Conv", x, kernel)), "y")
    graph.outputs.append("y")
    before, nodes, constants = graph.to_bytes(), list(graph.nodes), dict(graph.constants)
    with pytest.raises(Impassable, match=r"Conv that makes .*weights depend on the input"):
        gradient(graph, "y", 0, ["x"])
    assert graph.to_bytes() == before
    assert graph.nodes == nodes
    assert graph.constants.keys() == constants.keys()


@pytest.mark.parametrize(
    ("of", "index", "wrt", "message"),
    [
        ("z", 0, "x", "no tensor 'z'"),
        ("y", 2, "x", "2 elements, so there is no index 2"),
        ("y", -1, "x", "no index -1"),
        ("y", 0, "z", "no tensor 'z'"),
        ("which", 0, "x", "'which' is int64"),
    ],
)
def test_what_is_not_there_is_refused(of: str, index: int, wrt: str, message: str) -> None:
    graph = _head()
    graph.rename(graph.emit("ArgMax", "y"), "which")
    with pytest.raises(ModelError, match=message):
        gradient(graph, of, index, [wrt])
