"""Operator by operator, every tensor is of the type that the graph gives it."""

from __future__ import annotations

import numpy as np
import pytest

from export.graph.graph import Graph
from export.precision.stepwise import Stepwise
from export.session import Session
from runtime.contracts.errors import ModelError
from tests.export.precision import networks


def test_float16_rounds_and_overflows_between_operators() -> None:
    graph = Graph()
    graph.add_input("x", np.float32, (3,))
    half = graph.emit("Cast", "x", to=10)
    large = graph.emit("Mul", half, graph.constant(np.array([1000.0], np.float16)))
    small = graph.emit("Mul", large, graph.constant(np.array([0.001], np.float16)))
    graph.outputs = [graph.emit("Cast", small, to=1, hint="y")]
    (y,) = Stepwise(graph.to_bytes(), "test").run({"x": np.array([1.0003, 60.0, 1000.0], np.float32)}).values()
    step = np.float16(0.001) * np.array([1000.0, 60000.0], np.float16)
    assert y[:2].tolist() == step.astype(np.float32).tolist()
    assert np.isposinf(y[2])


def test_a_float32_graph_gives_what_a_session_gives() -> None:
    plain = networks.residual_policy()
    for inputs in networks.frames(plain, count=2).inputs:
        one, other = Session(plain).run(inputs), Stepwise(plain, "test").run(inputs)
        assert list(one) == list(other)
        assert all(np.allclose(one[name], other[name], rtol=1e-5, atol=1e-6) for name in one)


def test_what_is_no_network_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="the candidate: this is no ONNX file"):
        Stepwise(b"nonsense", "the candidate")
