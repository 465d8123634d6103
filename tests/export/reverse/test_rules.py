"""Every rule of the reverse pass, judged by torch's autograd in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="its autograd is the judge")
onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

import onnxruntime  # noqa: E402

from export.graph.graph import Graph  # noqa: E402
from export.reverse.gradient import gradient  # noqa: E402
from export.reverse.tape import RULES  # noqa: E402
from tests.export.reverse import oracle  # noqa: E402

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


def _agree(build: Build, seed: int = 0) -> None:
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


def _on(op: str, *shape: int, low: float = -2.0, high: float = 2.0, ties: bool = False, **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*shape, low=low, high=high, ties=ties), **attributes)


def _conv(x: tuple[int, ...], w: tuple[int, ...], op: str = "Conv", *, bias: bool = False, **attributes: Any) -> Build:
    def build(c: Case) -> str:
        channels = w[1] * attributes.get("group", 1) if op == "ConvTranspose" else w[0]
        biases = [c.weights(channels)] if bias else []
        return c.emit(op, c.input(*x), c.weights(*w), *biases, **attributes)

    return build


def _binary(op: str, a: tuple[int, ...], b: tuple[int, ...], low: float = -2.0, **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*a, low=low), c.input(*b, low=low), **attributes)


def _with(op: str, x: tuple[int, ...], *constants: Any, ties: bool = False, **attributes: Any) -> Build:
    """An operator of one input and of constants; tuples of floats are shapes of weights."""

    def build(c: Case) -> str:
        rest = [a if isinstance(a, str) else c.graph.constant(np.asarray(a)) for a in constants]
        return c.emit(op, c.input(*x, ties=ties), *rest, **attributes)

    return build


def _normalised(op: str, shape: tuple[int, ...], *scales: tuple[int, ...], **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*shape), *(c.weights(*s, low=0.2) for s in scales), **attributes)


def _newer(opset: int, build: Build) -> Build:
    def raised(c: Case) -> str:
        c.graph.opset = opset
        return build(c)

    return raised


def _split(c: Case) -> str:
    a, b, d = c.graph.emit_many("Split", c.input(2, 7, 3), c.ints(2, 4, 1), outputs=3, axis=1)
    return c.emit("Concat", c.emit("Exp", d), c.emit("Sin", a), axis=1) if b else ""


def _split_alone(c: Case) -> str:
    _, b = c.graph.emit_many("Split", c.input(6), c.ints(2, 4), outputs=2, axis=0)
    return c.emit("Tanh", b)


def _shared(c: Case) -> str:
    x = c.input(2, 3)
    return c.emit("Add", c.emit("Mul", x, c.emit("Sin", x)), c.emit("Sub", c.emit("Exp", x), x))


def _attention(c: Case) -> str:
    x = c.input(1, 5, 8)
    heads = [
        c.emit(
            "Transpose", c.emit("Reshape", c.emit("MatMul", x, c.weights(8, 8)), c.ints(1, 5, 2, 4)), perm=[0, 2, 1, 3]
        )
        for _ in range(3)
    ]
    scores = c.emit("MatMul", heads[0], c.emit("Transpose", heads[1], perm=[0, 1, 3, 2]))
    mixed = c.emit("MatMul", c.emit("Softmax", scores, axis=-1), heads[2])
    return c.emit("Reshape", c.emit("Transpose", mixed, perm=[0, 2, 1, 3]), c.ints(1, 5, 8))


def _through_a_mean(c: Case) -> str:
    x = c.emit("Relu", c.emit("Conv", c.input(1, 2, 6, 6), c.weights(4, 2, 3, 3)))
    pooled = c.emit("GlobalAveragePool", c.emit("Conv", x, c.weights(5, 4, 1, 1)))
    return c.emit("Gemm", c.emit("Flatten", pooled), c.weights(5, 3))


def _top(c: Case) -> str:
    return c.graph.emit_many("TopK", c.input(3, 8), c.ints(3), outputs=2, axis=1)[0]


def _gather_by(c: Case) -> str:
    x = c.input(3, 6)
    return c.emit(
        "Gather",
        x,
        c.graph.emit_many("TopK", c.emit("Slice", x, c.ints(0), c.ints(1)), c.ints(2), outputs=2)[1],
        axis=1,
    )


def _scatter(op: str, data: tuple[int, ...], indices: Any, updates: tuple[int, ...], **attributes: Any) -> Build:
    return lambda c: c.emit(op, c.input(*data), c.graph.constant(np.array(indices)), c.input(*updates), **attributes)


def _recurrent(op: str, gates: int, output: int, directions: int = 1, **attributes: Any) -> Build:
    """All of the states, or the last ones, of a sequence of five; the first ones come from inputs."""

    def build(c: Case) -> str:
        weights = [c.weights(directions, gates * 3, n) for n in (4, 3)]
        first = [c.input(directions, 2, 3) for _ in range(2 if op == "LSTM" else 1)]
        inputs = (c.input(5, 2, 4), *weights, c.weights(directions, 2 * gates * 3), "", *first)
        outputs = 3 if op == "LSTM" else 2
        return c.graph.emit_many(op, *inputs, outputs=outputs, hidden_size=3, **attributes)[output]

    return build


def _sampled(**attributes: Any) -> Build:
    """Points within, between and beside the pixels, some of them several times."""

    def build(c: Case) -> str:
        grid = c.rng.uniform(-1.4, 1.4, (2, 4, 6, 2)).astype(np.float32)
        grid[:, 0] = grid[:, 1]
        return c.emit("GridSample", c.input(2, 3, 5, 7), c.graph.constant(grid), **attributes)

    return build


def _sampled_where_a_tensor_says(c: Case) -> str:
    turned = c.emit("Floor", c.input(1, 4, 4, 2))
    return c.emit("GridSample", c.input(1, 2, 5, 5), c.emit("Mul", turned, c.graph.constant(np.float32(0.3))))


def _where(c: Case) -> str:
    a, b = c.input(2, 3), c.input(4, 1, 3)
    return c.emit("Where", c.emit("Greater", c.input(2, 1), c.graph.constant(np.float32(0))), a, b)


def _chain(*ops: str, shape: tuple[int, ...] = (2, 3)) -> Build:
    def build(c: Case) -> str:
        x = c.input(*shape)
        for op in ops:
            x = c.emit(op, x)
        return x

    return build


SMOOTH = "Sigmoid Tanh Softplus Softsign Exp Erf Sin Cos Sinh Cosh Atan Asinh Gelu Mish Neg Identity Selu"
KINKED = "Relu Abs LeakyRelu Elu Celu HardSigmoid HardSwish ThresholdedRelu"
CASES: dict[str, Build] = {
    **{op: _on(op, 3, 4) for op in SMOOTH.split()},
    **{op: _on(op, 3, 4, low=-5, high=5) for op in KINKED.split()},
    **{f"{op} at its kink": _on(op, 4, 5, ties=True) for op in ("Relu", "LeakyRelu", "Abs", "Elu")},
    "Shrink": _on("Shrink", 3, 9, lambd=0.7),
    "LeakyRelu steep": _on("LeakyRelu", 9, alpha=0.3),
    "Elu alpha": _on("Elu", 9, alpha=0.7),
    "Celu alpha": _on("Celu", 9, alpha=0.4),
    "HardSigmoid of torch": _on("HardSigmoid", 40, low=-6, high=6, alpha=1 / 6),
    "Gelu tanh": _on("Gelu", 12, approximate="tanh"),
    "Tan": _on("Tan", 5, low=-1, high=1),
    **{op: _on(op, 7, low=-0.9, high=0.9) for op in ("Asin", "Acos", "Atanh")},
    **{op: _on(op, 7, low=1.2, high=3) for op in ("Acosh", "Log", "Sqrt", "Reciprocal")},
    "PRelu": lambda c: c.emit("PRelu", c.input(1, 3, 2, 2), c.weights(3, 1, 1)),
    "Clip": _with("Clip", (6, 7), np.float32(-1), np.float32(1), ties=True),
    "Clip below": _with("Clip", (6, 7), np.float32(-1)),
    "Clip above": _with("Clip", (6, 7), "", np.float32(0.5)),
    "steps have no slope": _chain("Sin", "Floor"),
    "Cast": lambda c: c.emit("Cast", c.emit("Cast", c.input(3), to=11), to=1),
    # Arithmetic with broadcasting
    **{
        f"{op} {a} {b}": _binary(op, a, b, low=0.5)
        for op in ("Add", "Sub", "Mul", "Div")
        for a, b in [((2, 3), (2, 3)), ((4, 1, 3), (2, 1)), ((1, 3), ()), ((3,), (2, 1, 3))]
    },
    "Sub from a constant": lambda c: c.emit("Sub", c.weights(3), c.input(2, 3)),
    "Div by a constant": lambda c: c.emit("Div", c.input(2, 3), c.weights(3, low=0.5)),
    "Div of a constant": lambda c: c.emit("Div", c.weights(3), c.input(2, 3, low=0.5)),
    "Pow 2": _with("Pow", (5,), np.float32(2)),
    "Pow 3 as an integer": _with("Pow", (5,), np.int64(3)),
    "Pow of arrays": _with("Pow", (3,), np.array([1, 2, 3], np.float32)),
    "Pow of both": _binary("Pow", (2, 3), (3,), low=0.5),
    "Pow of a number": lambda c: c.emit("Pow", c.graph.constant(np.float32(2.5)), c.input(4)),
    "Sum": lambda c: c.emit("Sum", c.input(2, 3), c.input(3), c.input(4, 1, 1)),
    "Mean": lambda c: c.emit("Mean", c.input(2, 3), c.input(3)),
    "Max of two": lambda c: c.emit("Max", c.input(4, 5, ties=True), c.input(5, ties=True)),
    "Min of two": lambda c: c.emit("Min", c.input(4, 5, ties=True), c.input(5, ties=True)),
    "Max with a constant": _with("Max", (4, 5), np.float32(1), ties=True),
    "Min with a constant": _with("Min", (4, 5), np.float32(1), ties=True),
    "Where": _where,
    "a tensor read often": _shared,
    # Products
    "Gemm": lambda c: c.emit("Gemm", c.input(1, 4), c.weights(4, 3), c.weights(3)),
    "Gemm turned": lambda c: c.emit(
        "Gemm", c.input(4, 2), c.weights(3, 4), c.weights(3), transA=1, transB=1, alpha=0.5
    ),
    "Gemm of computed factors": lambda c: c.emit(
        "Gemm", c.input(4, 2), c.input(3, 4), c.input(1, 3), transA=1, transB=1, beta=2.0
    ),
    "Gemm of computed factors, plain": lambda c: c.emit("Gemm", c.input(2, 4), c.input(4, 3), c.input(2, 1)),
    **{
        f"MatMul {a} {b}": _binary("MatMul", a, b)
        for a, b in [
            ((2, 3), (3, 4)),
            ((5, 2, 3), (3, 4)),
            ((2, 1, 2, 3), (4, 3, 2)),
            ((3,), (3, 4)),
            ((2, 3), (3,)),
            ((3,), (3,)),
            ((5, 2, 3), (3,)),
            ((3,), (5, 3, 2)),
        ]
    },
    "MatMul with weights": lambda c: c.emit("MatMul", c.input(1, 5, 4), c.weights(4, 3)),
    "Einsum": _with("Einsum", (2, 3, 4), np.ones((4, 5), np.float32), equation="bij,jk->bik"),
    "Einsum of two": _binary("Einsum", (2, 3, 4), (2, 5, 4), equation="bid,bjd->bij"),
    "Einsum that sums one letter alone": _binary("Einsum", (2, 3), (3, 4), equation="ai,ij->j"),
    "Einsum without an arrow": _binary("Einsum", (2, 3), (3, 4), equation="ij,jk"),
    "attention": _attention,
    # Convolutions
    "Conv 1d": _conv((1, 3, 9), (4, 3, 3), pads=[1, 2], strides=[2]),
    "Conv": _conv((2, 3, 7, 8), (4, 3, 3, 3), bias=True),
    "Conv 1x1": _conv((1, 3, 4, 5), (6, 3, 1, 1)),
    "Conv 1x1 in groups": _conv((1, 4, 3, 3), (6, 2, 1, 1), group=2),
    "Conv 1x1 padded": _conv((1, 3, 4, 5), (6, 3, 1, 1), pads=[1, 0, 0, 1]),
    "Conv 1x1 strided": _conv((1, 3, 6, 5), (6, 3, 1, 1), strides=[2, 2]),
    "Conv padded": _conv((1, 3, 7, 8), (4, 3, 3, 5), pads=[1, 2, 0, 1]),
    "Conv padded beyond its kernel": _conv((1, 2, 5, 5), (3, 2, 3, 3), pads=[4, 3, 0, 3]),
    "Conv strided": _conv((1, 3, 10, 11), (4, 3, 5, 5), strides=[2, 3], pads=[1, 2, 2, 1]),
    "Conv that leaves an end unread": _conv((1, 2, 8, 10), (3, 2, 3, 3), strides=[4, 3]),
    "Conv dilated": _conv((1, 3, 12, 12), (4, 3, 3, 3), dilations=[2, 3], pads=[2, 3, 2, 3]),
    "Conv dilated and strided": _conv((1, 3, 12, 13), (4, 3, 3, 3), dilations=[2, 3], strides=[2, 2]),
    "Conv in groups": _conv((1, 6, 7, 7), (4, 3, 3, 3), group=2, pads=[1, 1, 1, 1]),
    "Conv of each channel": _conv((1, 6, 9, 9), (6, 1, 3, 3), group=6, strides=[2, 2], pads=[1, 1, 1, 1]),
    "Conv 3d": _conv((1, 2, 5, 6, 7), (3, 2, 3, 2, 3), strides=[1, 2, 2], pads=[1, 0, 1, 1, 1, 1]),
    "Conv SAME_UPPER": _conv((1, 2, 7, 8), (3, 2, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv SAME_LOWER": _conv((1, 2, 7, 8), (3, 2, 4, 3), auto_pad="SAME_LOWER", strides=[2, 3]),
    "Conv VALID": _conv((1, 2, 7, 8), (3, 2, 3, 3), auto_pad="VALID"),
    "ConvTranspose": _conv((1, 3, 4, 5), (3, 4, 3, 3), "ConvTranspose", bias=True),
    "ConvTranspose strided": _conv((1, 3, 4, 5), (3, 4, 3, 3), "ConvTranspose", strides=[2, 3], pads=[1, 0, 1, 2]),
    "ConvTranspose made longer": _conv(
        (1, 3, 4, 5), (3, 4, 3, 3), "ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]
    ),
    "ConvTranspose in groups": _conv((1, 4, 4, 5), (4, 3, 3, 3), "ConvTranspose", group=2, dilations=[2, 1]),
    # Pooling
    "MaxPool": _on("MaxPool", 1, 3, 8, 8, kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool overlapping": _on("MaxPool", 2, 3, 9, 9, kernel_shape=[3, 3], strides=[2, 2]),
    "MaxPool padded": _on("MaxPool", 1, 3, 9, 8, high=-0.5, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "MaxPool with ties": _on("MaxPool", 1, 4, 9, 9, ties=True, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "MaxPool dilated": _on("MaxPool", 1, 2, 9, 9, kernel_shape=[3, 2], dilations=[2, 3]),
    "MaxPool ceil_mode": _on("MaxPool", 1, 2, 8, 8, ties=True, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "MaxPool 1d": _on("MaxPool", 1, 2, 9, ties=True, kernel_shape=[3], strides=[1]),
    "MaxPool 3d": _on("MaxPool", 1, 2, 4, 5, 6, ties=True, kernel_shape=[2, 2, 3], strides=[2, 1, 2]),
    "AveragePool": _on("AveragePool", 1, 3, 8, 8, kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool overlapping": _on("AveragePool", 1, 3, 8, 9, kernel_shape=[3, 3], strides=[1, 2]),
    "AveragePool padded": _on("AveragePool", 1, 3, 8, 8, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
    "AveragePool askew": _on("AveragePool", 1, 3, 8, 8, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 1]),
    "AveragePool counting its padding": _on(
        "AveragePool", 1, 3, 8, 8, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "AveragePool ceil_mode": _on("AveragePool", 1, 2, 8, 8, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "AveragePool ceil_mode counting its padding": _on(
        "AveragePool",
        1,
        2,
        9,
        8,
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        ceil_mode=1,
        count_include_pad=1,
    ),
    "AveragePool of everything": _on("AveragePool", 1, 3, 5, 7, kernel_shape=[5, 7]),
    "AveragePool 1d": _on("AveragePool", 1, 3, 9, kernel_shape=[3], strides=[2]),
    "GlobalAveragePool": _on("GlobalAveragePool", 2, 3, 4, 5),
    "GlobalMaxPool": _on("GlobalMaxPool", 2, 3, 4, 5, ties=True),
    "LpPool": _on("LpPool", 1, 2, 6, 6, low=0.1, kernel_shape=[2, 2], strides=[2, 2], p=2),
    "LpPool 3": _on("LpPool", 1, 2, 6, 6, low=0.1, kernel_shape=[3, 3], strides=[1, 1], p=3),
    "a mean in front of a head": _through_a_mean,
    # Normalisation
    "BatchNormalization": _normalised("BatchNormalization", (2, 3, 4, 5), (3,), (3,), (3,), (3,)),
    "BatchNormalization of rows": _normalised("BatchNormalization", (4, 3), (3,), (3,), (3,), (3,), epsilon=0.1),
    "InstanceNormalization": _normalised("InstanceNormalization", (2, 3, 4, 5), (3,), (3,)),
    "GroupNormalization": _newer(21, _normalised("GroupNormalization", (2, 6, 4, 3), (6,), (6,), num_groups=2)),
    "RMSNormalization": _newer(23, _normalised("RMSNormalization", (2, 5, 8), (8,))),
    "Swish": _newer(24, _on("Swish", 9, alpha=1.5)),
    "LayerNormalization": _normalised("LayerNormalization", (2, 5, 8), (8,), (8,)),
    "LayerNormalization of planes": _normalised("LayerNormalization", (2, 5, 8), (5, 8), (5, 8), axis=1, epsilon=0.1),
    "LRN": _on("LRN", 1, 8, 4, 4, size=5, alpha=0.3, beta=0.75, bias=2.0),
    "Softmax": _on("Softmax", 2, 5, axis=-1),
    "Softmax over channels": _on("Softmax", 1, 5, 3, axis=1),
    "LogSoftmax": _on("LogSoftmax", 2, 5),
    "LpNormalization": _on("LpNormalization", 2, 5, 3, axis=1),
    "LpNormalization 1": _on("LpNormalization", 2, 5, 3, axis=1, p=1),
    "GridSample": _sampled(),
    "GridSample to corners": _sampled(align_corners=1),
    "GridSample held at the border": _sampled(padding_mode="border"),
    "GridSample nearest": _sampled(mode="nearest"),
    "GridSample where a tensor says": _sampled_where_a_tensor_says,
    # Recurrent layers
    "LSTM": _recurrent("LSTM", 4, 0),
    "LSTM's last cell, both ways": _recurrent("LSTM", 4, 2, directions=2, direction="bidirectional"),
    "LSTM backwards": _recurrent("LSTM", 4, 1, direction="reverse"),
    "GRU": _recurrent("GRU", 3, 0, linear_before_reset=1),
    "GRU's last state, both ways": _recurrent(
        "GRU", 3, 1, directions=2, direction="bidirectional", linear_before_reset=1
    ),
    "RNN": _recurrent("RNN", 1, 0, directions=2, direction="bidirectional"),
    # Reductions
    **{
        f"{op} {axes} {keep}": _with(op, (2, 3, 4), *([np.array(axes)] if axes else []), keepdims=keep)
        for op in ("ReduceSum", "ReduceMean", "ReduceL2")
        for axes, keep in (([1], 0), ([0, -1], 1), ([], 0))
    },
    "ReduceL1": _with("ReduceL1", (2, 3), np.array([1])),
    "ReduceL2 of nothing": lambda c: c.emit("ReduceL2", c.emit("Relu", c.input(2, 3, low=-2, high=-1)), c.ints(1)),
    "ReduceSumSquare": _with("ReduceSumSquare", (2, 3), np.array([1]), keepdims=0),
    "ReduceLogSum": lambda c: c.emit("ReduceLogSum", c.input(2, 3, low=0.5), c.ints(1)),
    "ReduceLogSumExp": _with("ReduceLogSumExp", (2, 3), np.array([0]), keepdims=0),
    "ReduceProd": _with("ReduceProd", (2, 3, 2), np.array([1, 2])),
    "ReduceMax": _with("ReduceMax", (3, 4, 5), np.array([1, 2]), ties=True),
    "ReduceMin": _with("ReduceMin", (3, 4, 5), np.array([1]), ties=True, keepdims=0),
    "CumSum": _with("CumSum", (3, 4), np.int64(1)),
    "Trilu": _on("Trilu", 2, 4, 4, upper=0),
    # Shapes
    "Reshape": _with("Reshape", (2, 3, 4), np.array([0, -1])),
    "Flatten": _on("Flatten", 2, 3, 4, axis=2),
    "Squeeze": _with("Squeeze", (1, 3, 1, 2), np.array([0, 2])),
    "Unsqueeze": _with("Unsqueeze", (3, 2), np.array([0, 3])),
    "Transpose": _on("Transpose", 2, 3, 4, perm=[2, 0, 1]),
    "Expand": _with("Expand", (3, 1), np.array([2, 3, 4])),
    "Expand by less": _with("Expand", (3, 4), np.array([1, 1])),
    "Tile": _with("Tile", (2, 3), np.array([3, 2])),
    "Concat": lambda c: c.emit("Concat", c.input(2, 3), c.weights(2, 2), c.emit("Sin", c.input(2, 1)), axis=1),
    "Split": _split,
    "Split of which one part is used": _split_alone,
    "DepthToSpace DCR": _on("DepthToSpace", 1, 8, 2, 3, blocksize=2),
    "DepthToSpace CRD": _on("DepthToSpace", 1, 8, 2, 3, blocksize=2, mode="CRD"),
    "SpaceToDepth": _on("SpaceToDepth", 1, 2, 4, 6, blocksize=2),
    # Picking
    "Slice": _with("Slice", (4, 6), np.array([1, -4]), np.array([3, 2**62])),
    "Slice by steps": _with("Slice", (4, 7), np.array([1, -1]), np.array([9, -8]), np.array([0, 1]), np.array([2, -2])),
    "Gather one": _with("Gather", (4, 3), np.array(-1), axis=0),
    "Gather some": _with("Gather", (2, 5, 3), np.array([[3, 0], [4, 1]]), axis=1),
    "Gather in another order": _with("Gather", (2, 4), np.array([3, 0, 2, 1]), axis=1),
    "Gather some twice": _with("Gather", (2, 5, 3), np.array([3, 0, 3]), axis=1),
    "Gather by what was computed": _gather_by,
    "GatherElements": _with("GatherElements", (3, 4), np.array([[1, 1], [0, 3], [2, 2]]), axis=1),
    "GatherND": _with("GatherND", (3, 4, 2), np.array([[1, 1], [0, 3], [1, 1]])),
    "ScatterND": _scatter("ScatterND", (4, 3), [[2], [0]], (2, 3)),
    "ScatterND that adds": _scatter("ScatterND", (4, 3), [[2], [2]], (2, 3), reduction="add"),
    "ScatterElements": _scatter("ScatterElements", (3, 4), [[1, 2], [0, 3]], (2, 2), axis=1),
    "TopK": _top,
    "Pad": _with("Pad", (2, 3), np.array([1, 0, 2, 1])),
    "Pad that cuts": _with("Pad", (5, 6), np.array([1, -2, -1, 2])),
    "Resize nearest": _with(
        "Resize",
        (1, 2, 3, 4),
        "",
        np.array([1, 1, 2, 3], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "Resize linear": _with(
        "Resize",
        (1, 2, 5, 4),
        "",
        "",
        np.array([1, 2, 9, 7]),
        mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
    ),
    "Resize linear to corners": _with(
        "Resize",
        (1, 2, 5, 4),
        "",
        "",
        np.array([1, 2, 9, 3]),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "Resize cubic": _with(
        "Resize",
        (1, 1, 5, 4),
        "",
        "",
        np.array([1, 1, 9, 8]),
        mode="cubic",
        cubic_coeff_a=-0.75,
        coordinate_transformation_mode="pytorch_half_pixel",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_agrees_with_autograd(name: str) -> None:
    _agree(CASES[name], seed=len(name))  # another one for most


def test_every_rule_has_a_case() -> None:
    ops: set[str] = set()
    for build in CASES.values():
        case = Case(0)
        build(case)
        ops.update(node.op for node in case.graph.nodes)
    elsewhere = {"Dropout", "CastLike", "GlobalLpPool"}
    assert set(RULES) - ops == elsewhere
