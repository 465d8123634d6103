"""ONNX files that anyone may have written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.graph.graph import Graph  # noqa: E402
from runtime.contracts.errors import ModelError  # noqa: E402

make = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


def _file(
    nodes: list[Any], shape: list[int | str | None], constants: dict[str, Any] | None = None, **model: Any
) -> bytes:
    graph = make.make_graph(
        nodes,
        "g",
        [make.make_tensor_value_info("x", FLOAT, shape)],
        [make.make_tensor_value_info("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    model.setdefault("opset_imports", [make.make_opsetid("", 20)])
    data: bytes = make.make_model(graph, ir_version=9, **model).SerializeToString()
    return data


RELU = make.make_node("Relu", ["x"], ["y"])


def test_an_open_batch_is_one_picture() -> None:
    assert Graph.load(_file([RELU], ["batch", 3, 8, 8]), "m").value("y").shape == (1, 3, 8, 8)
    assert Graph.load(_file([RELU], [None, 3]), "m").value("y").shape == (1, 3)


def test_an_open_extent_is_refused_by_name_unless_it_is_stated() -> None:
    data = _file([RELU], ["batch", 3, "height", "width"])
    with pytest.raises(ModelError, match=r"m\.onnx: input 'x' leaves extent 2 \('height'\) open"):
        Graph.load(data, "m.onnx")
    assert Graph.load(data, "m.onnx", {"x": (1, 3, 8, 9)}).value("y").shape == (1, 3, 8, 9)


def test_sizes_worked_out_within_the_graph_are_constants_afterwards() -> None:
    nodes = [
        make.make_node("Shape", ["x"], ["shape"]),
        make.make_node("Gather", ["shape", "zero"], ["batch"]),
        make.make_node("Unsqueeze", ["batch", "first"], ["batches"]),
        make.make_node("Concat", ["batches", "rest"], ["wanted"], axis=0),
        make.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    constants = {"zero": np.int64(0), "first": np.array([0]), "rest": np.array([-1])}
    graph = Graph.load(_file(nodes, ["n", 3, 4], constants), "m")
    assert [node.op for node in graph.nodes] == ["Reshape"]
    assert graph.value("y").shape == (1, 12)


def test_weights_that_operators_make_are_constants_afterwards() -> None:
    fill = onnx.numpy_helper.from_array(np.array([0.5], np.float32))
    nodes = [
        make.make_node("ConstantOfShape", ["shape"], ["w"], value=fill),
        make.make_node("Conv", ["x", "w"], ["y"]),
    ]
    graph = Graph.load(_file(nodes, [1, 2, 5, 5], {"shape": np.array([4, 2, 3, 3])}), "m")
    np.testing.assert_array_equal(graph.constants["w"], np.full((4, 2, 3, 3), 0.5, np.float32))


def test_functions_of_the_file_are_inlined() -> None:
    twice = make.make_function(
        "own", "Twice", ["a"], ["b"], [make.make_node("Add", ["a", "a"], ["b"])], [make.make_opsetid("", 20)]
    )
    node = make.make_node("Twice", ["x"], ["y"], domain="own")
    opsets = [make.make_opsetid("", 20), make.make_opsetid("own", 1)]
    graph = Graph.load(_file([node], [1, 3], functions=[twice], opset_imports=opsets), "m")
    assert [node.op for node in graph.nodes] == ["Add"]


def test_fused_attention_is_written_out() -> None:
    node = make.make_node("Attention", ["x", "x", "x"], ["y"])
    graph = Graph.load(_file([node], [1, 2, 5, 4], opset_imports=[make.make_opsetid("", 23)]), "m")
    assert "Softmax" in [node.op for node in graph.nodes]
    assert graph.value("y").shape == (1, 2, 5, 4)


def test_a_branch_that_constants_choose_takes_the_place_of_the_choice() -> None:
    def branch(op: str) -> Any:
        out = make.make_tensor_value_info(op, FLOAT, None)
        return make.make_graph([make.make_node(op, ["x"], [op])], op, [], [out])

    choice = make.make_node("If", ["which"], ["y"], then_branch=branch("Relu"), else_branch=branch("Sigmoid"))
    graph = Graph.load(_file([choice], [1, 3], {"which": np.array(False)}), "m")
    assert [node.op for node in graph.nodes] == ["Sigmoid"]
    chosen = [make.make_node("ReduceMax", ["x"], ["m"]), make.make_node("Cast", ["m"], ["which"], to=9), choice]
    with pytest.raises(ModelError, match="If that makes 'y' chooses by what flows through"):
        Graph.load(_file(chosen, [1, 3]), "m")


def test_what_does_nothing_is_left_out() -> None:
    nodes = [
        make.make_node("Dropout", ["x"], ["kept", "mask"]),
        make.make_node("Identity", ["kept"], ["same"]),
        make.make_node("Relu", ["same"], ["y"]),
    ]
    graph = Graph.load(_file(nodes, [1, 3]), "m")
    assert [(node.op, node.inputs) for node in graph.nodes] == [("Relu", ("x",))]


def test_an_output_keeps_its_name_even_if_it_is_what_came_in() -> None:
    graph = Graph.load(_file([make.make_node("Identity", ["x"], ["y"])], [1, 3]), "m")
    assert graph.outputs == ["y"]
    assert Graph.load(graph.to_bytes(), "m").outputs == ["y"]


FUSED = _file([make.make_node("Fused", ["x"], ["y"], domain="com.maker")], [1, 3])
COUNTING = _file([make.make_node("NonZero", ["x"], ["i"]), make.make_node("Cast", ["i"], ["y"], to=1)], [1, 3])
LOST = _file([make.make_node("Relu", ["lost"], ["y"])], [1, 3])
MISFIT = _file([make.make_node("MatMul", ["x", "w"], ["y"])], [1, 3], {"w": np.ones((4, 2), np.float32)})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no ONNX file"),
        (b"GIF89a, not a network", "no ONNX file"),
        (FUSED, r"com\.maker\.Fused that makes 'y'"),
        (COUNTING, "NonZero .*depends on what"),
        (LOST, "reads 'lost', which nothing"),
        (MISFIT, "MatMul that makes 'y' does not take"),
    ],
    ids=["empty", "another format", "a maker's operator", "open sizes", "a missing tensor", "shapes that do not fit"],
)
def test_what_cannot_be_read_is_refused_with_its_reason(data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^m\.onnx: .*{message}"):
        Graph.load(data, "m.onnx")


def test_weights_in_another_file_are_refused() -> None:
    model = onnx.load_model_from_string(
        _file([make.make_node("Add", ["x", "w"], ["y"])], [1, 3], {"w": np.ones(3, np.float32)})
    )
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "weights.bin")
    with pytest.raises(ModelError, match=r"tensor 'w' lie in another file.*external_data=False"):
        Graph.load(model.SerializeToString(), "m.onnx")
