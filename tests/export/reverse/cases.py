"""Small graphs under test, and how they are judged: by torch's autograd in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import torch

from export.graph.graph import Graph
from export.reverse.gradient import gradient
from tests.export.reverse import oracle

RELATIVE = 1e-5
Array = np.ndarray[Any, Any]
Build = Callable[["Case"], str]


class Case:
    """A graph under test, and what is fed to it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph()
        self.feeds: dict[str, Array] = {}

    def input(self, *shape: int, low: float = -2.0, high: float = 2.0, ties: bool = False) -> str:
        array = self.rng.uniform(low, high, shape).astype(np.float32)
        name = f"x{len(self.feeds)}"
        self.feeds[name] = np.round(array) if ties else array
        return self.graph.add_input(name, np.float32, shape)

    def weights(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        return self.graph.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def ints(self, *values: int) -> str:
        return self.graph.constant(np.array(values, np.int64))

    def emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.graph.emit(op, *inputs, **attributes)


def agree(build: Build, seed: int = 0) -> None:
    """The gradients of one element, of a weighted sum and of the mean of what is built, with respect to all inputs."""
    case = Case(seed)
    made = build(case)
    graph = case.graph
    size = graph.value(made).size
    flat = graph.emit("Reshape", made, case.ints(-1))
    weighted = graph.emit("ReduceSum", graph.emit("Mul", flat, case.weights(size)), keepdims=0)
    mean = graph.emit("ReduceMean", made, keepdims=0)
    ends = [(made, int(case.rng.integers(size))), (weighted, 0), (mean, 0)]
    feeds = {name: torch.from_numpy(a).double().requires_grad_() for name, a in case.feeds.items()}
    values = oracle.run(graph, feeds)
    wanted, names = [], []
    for of, index in ends:
        grads = torch.autograd.grad(
            values[of].reshape(-1)[index], list(feeds.values()), retain_graph=True, allow_unused=True
        )
        wanted += [np.zeros(f.shape) if g is None else g.numpy() for f, g in zip(feeds.values(), grads, strict=True)]
        names += list(gradient(graph, of, index, list(feeds)).values())
    graph.outputs += [made, *dict.fromkeys(names)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.to_bytes(), options, providers=["CPUExecutionProvider"])
    found = dict(zip(graph.outputs, session.run(graph.outputs, case.feeds), strict=True))
    _close(found[made], values[made].detach().numpy(), "the operator itself")
    for name, want, (of, index) in zip(
        names, wanted, np.repeat(np.array(ends, object), len(feeds), axis=0), strict=True
    ):
        _close(found[name], want, f"d {of}[{index}]")


def _close(found: Array, wanted: Array, what: str) -> None:
    assert found.shape == wanted.shape, what
    # Where the true gradient is zero, such as that of a softmax's mean, there is nothing to be relative to.
    assert np.abs(found - wanted).max() <= RELATIVE * max(np.abs(wanted).max(), 1e-3), what


def on(op: str, *shape: int, low: float = -2.0, high: float = 2.0, ties: bool = False, **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*shape, low=low, high=high, ties=ties), **attributes)


def binary(op: str, a: tuple[int, ...], b: tuple[int, ...], low: float = -2.0, **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*a, low=low), c.input(*b, low=low), **attributes)


def applied(op: str, x: tuple[int, ...], *constants: Any, ties: bool = False, **attributes: Any) -> Build:
    """An operator of one input and of constants, or of absent ones, which are empty strings."""

    def build(c: Case) -> str:
        rest = [a if isinstance(a, str) else c.graph.constant(np.asarray(a)) for a in constants]
        return c.emit(op, c.input(*x, ties=ties), *rest, **attributes)

    return build
