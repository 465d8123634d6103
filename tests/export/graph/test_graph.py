"""The graph that export reads, extends and writes."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.graph.graph import Graph  # noqa: E402
from runtime.contracts.errors import ModelError  # noqa: E402


def _graph() -> Graph:
    graph = Graph()
    x = graph.add_input("x", np.float32, (1, 3))
    weight = graph.constant(np.arange(6, dtype=np.float32).reshape(3, 2), "weight")
    y = graph.emit("Relu", graph.emit("MatMul", x, weight))
    graph.rename(y, "y")
    graph.outputs.append("y")
    return graph


def test_what_is_emitted_has_its_shape_at_once() -> None:
    graph = _graph()
    assert graph.value("y").shape == (1, 2)
    assert graph.value(graph.emit("ReduceSum", "y", keepdims=0)).shape == ()


def test_an_operator_that_does_not_take_its_inputs_is_refused_by_name_and_leaves_nothing() -> None:
    graph = _graph()
    before = graph.to_bytes()
    with pytest.raises(ModelError, match=r"MatMul that makes .*y float32\[1, 2\]"):
        graph.emit("MatMul", "y", "x")
    assert graph.to_bytes() == before


def test_an_operator_that_onnx_does_not_define_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Frobnicate.*opset 20"):
        _graph().emit("Frobnicate", "y")


def test_equal_constants_are_stored_once() -> None:
    graph = _graph()
    one = graph.constant(np.ones(3, np.float32))
    assert graph.constant(np.ones(3, np.float32)) == one
    assert graph.constant(np.ones((3, 1), np.float32)) != one
    assert graph.constant(np.ones(3, np.int32)) != one


def test_a_constant_that_was_replaced_is_not_taken_for_what_it_was() -> None:
    graph = _graph()
    one = graph.constant(np.ones(3, np.float32))
    graph.constants[one] = np.zeros(3, np.float32)
    other = graph.constant(np.ones(3, np.float32))
    assert other != one
    np.testing.assert_array_equal(graph.constants[other], np.ones(3))
    assert graph.constant(np.ones(3, np.float32)) == other


def test_the_same_graph_gives_the_same_bytes_and_reading_them_gives_the_same_graph() -> None:
    data = _graph().to_bytes()
    assert data == _graph().to_bytes()
    assert Graph.load(data, "y.onnx").to_bytes() == data


def test_what_no_output_needs_is_not_written() -> None:
    graph = _graph()
    before = graph.to_bytes()
    graph.emit("Add", "y", graph.constant(np.ones(2, np.float32)))
    assert graph.to_bytes() == before


def test_nodes_are_written_in_an_order_in_which_they_run() -> None:
    graph = _graph()
    product = graph.producer("y")
    assert product is not None
    doubled = graph.emit("Mul", "x", graph.constant(np.float32(2)))
    matmul = graph.producer(product.inputs[0])
    assert matmul is not None
    matmul.inputs = (doubled, *matmul.inputs[1:])
    again = Graph.load(graph.to_bytes(), "y.onnx")
    assert [node.op for node in again.nodes] == ["Mul", "MatMul", "Relu"]


def test_uses_are_replaced_only_by_a_tensor_of_the_same_shape() -> None:
    graph = _graph()
    other = graph.add_input("other", np.float32, (1, 3))
    graph.replace_uses("x", other)
    assert graph.consumers("x") == []
    assert [node.op for node in graph.consumers("other")] == ["MatMul"]
    with pytest.raises(ValueError, match="cannot stand for"):
        graph.replace_uses("other", "y")


def test_a_copy_can_change_alone() -> None:
    graph = _graph()
    before = graph.to_bytes()
    twin = graph.copy()
    twin.rename("x", "picture")
    twin.nodes[0].attributes["k"] = 1
    assert graph.to_bytes() == before


def test_the_file_holds_nothing_of_who_made_it() -> None:
    data = _graph().to_bytes()
    model = onnx.load_model_from_string(data)
    model.producer_version, model.doc_string = "9.9", "/home/someone/policy.py"
    model.graph.node[0].doc_string = "File /home/someone/policy.py, line 3"
    model.metadata_props.add(key="trained", value="on tuesday")
    model.graph.node[0].metadata_props.add(key="stack", value="File /home/someone/policy.py")
    assert Graph.load(model.SerializeToString(), "y.onnx").to_bytes() == data
