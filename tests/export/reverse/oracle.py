"""What torch makes of a graph's operators, in double precision, so that its autograd can judge the reverse pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that torch's users know

from export.graph.graph import Graph
from export.graph.values import Node
from tests.export.reverse import spatial

Inputs = Sequence[Tensor]
Operator = Callable[[Node, list[Any]], Any]
_UNARY: Mapping[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Identity": lambda x: x,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Relu": F.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "HardSwish": F.hardswish,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}
_BINARY: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Pow": torch.pow,
    "MatMul": torch.matmul,
    "Greater": torch.gt,
}


def run(graph: Graph, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor of the graph; floating-point constants become double, as the feeds should be."""
    values: dict[str, Any] = dict(feeds)
    for name, array in graph.constants.items():
        tensor = torch.from_numpy(np.array(array))
        values[name] = tensor.double() if tensor.is_floating_point() else tensor
    for node in graph.nodes:
        made = _run(node, [values[name] if name else None for name in node.inputs])
        made = made if isinstance(made, tuple | list) else [made]
        values.update({name: tensor for name, tensor in zip(node.outputs, made, strict=False) if name})
    return values


def _run(node: Node, x: list[Any]) -> Any:
    if node.op in _UNARY:
        return _UNARY[node.op](x[0])
    if node.op in _BINARY:
        return _BINARY[node.op](x[0], x[1])
    return _OPERATORS[node.op](node, x)


def _ints(tensor: Tensor | None) -> list[int]:
    return [] if tensor is None else [int(i) for i in tensor.reshape(-1)]


def _gemm(node: Node, x: list[Any]) -> Tensor:
    at = node.attributes
    a = x[0].T if at.get("transA", 0) else x[0]
    b = x[1].T if at.get("transB", 0) else x[1]
    made: Tensor = at.get("alpha", 1.0) * (a @ b)
    return made + at.get("beta", 1.0) * x[2] if len(x) > 2 and x[2] is not None else made


def _batch_norm(node: Node, x: list[Any]) -> Tensor:
    image, scale, bias, mean, variance = x
    return F.batch_norm(image, mean, variance, scale, bias, False, 0.0, node.attributes.get("epsilon", 1e-5))


def _layer_norm(node: Node, x: list[Any]) -> Tensor:
    axis = node.attributes.get("axis", -1) % x[0].dim()
    bias = x[2] if len(x) > 2 else None
    return F.layer_norm(x[0], x[0].shape[axis:], x[1], bias, node.attributes.get("epsilon", 1e-5))


def _group_norm(node: Node, x: list[Any]) -> Tensor:
    groups = node.attributes["num_groups"]
    scale, bias = (t if len(t) == x[0].shape[1] else t.repeat_interleave(x[0].shape[1] // groups) for t in x[1:3])
    return F.group_norm(x[0], groups, scale, bias, node.attributes.get("epsilon", 1e-5))


def _reduce(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def reduced(node: Node, x: list[Any]) -> Tensor:
        axes = _ints(x[1]) if len(x) > 1 else list(node.attributes.get("axes", []))
        keep = bool(node.attributes.get("keepdims", 1))
        return function(x[0], axes or list(range(x[0].dim())), keep)

    return reduced


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _slice(node: Node, x: list[Any]) -> Tensor:
    starts, ends = _ints(x[1]), _ints(x[2])
    axes = _ints(x[3]) if len(x) > 3 and x[3] is not None else list(range(len(starts)))
    steps = _ints(x[4]) if len(x) > 4 else [1] * len(starts)
    made: Tensor = x[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index = torch.arange(made.shape[axis]).numpy()[start:end:step].copy()
        made = made.index_select(axis, torch.from_numpy(index))
    return made


def _pad(node: Node, x: list[Any]) -> Tensor:
    amounts, n = _ints(x[1]), x[0].dim()
    turned = [p for axis in reversed(range(n)) for p in (amounts[axis], amounts[n + axis])]
    return F.pad(x[0], turned, value=float(x[2]) if len(x) > 2 and x[2] is not None else 0.0)


def _unsqueeze(node: Node, x: list[Any]) -> Tensor:
    made: Tensor = x[0]
    rank = made.dim() + x[1].numel()
    for axis in sorted(axis % rank for axis in _ints(x[1])):
        made = made.unsqueeze(axis)
    return made


def _gather(node: Node, x: list[Any]) -> Tensor:
    axis = node.attributes.get("axis", 0) % x[0].dim()
    flat = x[0].index_select(axis, x[1].reshape(-1) % x[0].shape[axis])
    made: Tensor = flat.reshape(*x[0].shape[:axis], *x[1].shape, *x[0].shape[axis + 1 :])
    return made


def _scatter_nd(node: Node, x: list[Any]) -> Tensor:
    made: Tensor = x[0].clone()
    return made.index_put(tuple(x[1].movedim(-1, 0)), x[2], accumulate=node.attributes.get("reduction") == "add")


def _recurrent(node: Node, x: list[Any]) -> Any:
    """Torch's layer with the weights of ONNX's, whose gates stand in another order."""
    kind, order = {"LSTM": ("LSTM", [0, 2, 3, 1]), "GRU": ("GRU", [1, 0, 2]), "RNN": ("RNN", [0])}[node.op]
    sequence, w, r, b, _, h, c = (*x, *[None] * 7)[:7]
    direction = node.attributes.get("direction", "forward")
    layer = getattr(torch.nn, kind)(w.shape[2], r.shape[2], bidirectional=direction == "bidirectional").double()
    half = w.shape[1]
    for at, suffix in enumerate(("", "_reverse")[: w.shape[0]]):
        parts = {"weight_ih": w[at], "weight_hh": r[at], "bias_ih": b[at, :half], "bias_hh": b[at, half:]}
        for name, tensor in parts.items():
            turned = torch.cat([tensor.chunk(len(order))[i] for i in order])
            getattr(layer, f"{name}_l0{suffix}").data.copy_(turned)
    sequence = sequence.flip(0) if direction == "reverse" else sequence
    made, last = layer(sequence, (h, c) if c is not None else h)
    made = made.flip(0) if direction == "reverse" else made
    made = made.reshape(*made.shape[:2], w.shape[0], -1).transpose(1, 2)
    return (made, *last) if node.op == "LSTM" else (made, last)


def _cast(node: Node, x: list[Any]) -> Tensor:
    made: Tensor = x[0].double() if node.attributes["to"] in (1, 10, 11) else x[0].long()
    return made


_OPERATORS: Mapping[str, Operator] = {
    "AveragePool": spatial.average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Celu": lambda n, x: F.celu(x[0], n.attributes.get("alpha", 1.0)),
    "Clip": lambda n, x: torch.clamp(x[0], *(x[1:3])),
    "Concat": lambda n, x: torch.cat(x, n.attributes["axis"]),
    "Conv": spatial.conv,
    "ConvTranspose": spatial.conv_transpose,
    "CumSum": lambda n, x: x[0].cumsum(int(x[1])),
    "DepthToSpace": spatial.depth_to_space,
    "Einsum": lambda n, x: torch.einsum(n.attributes["equation"], *x),
    "Elu": lambda n, x: F.elu(x[0], n.attributes.get("alpha", 1.0)),
    "Expand": lambda n, x: x[0].expand(np.broadcast_shapes(tuple(x[0].shape), tuple(_ints(x[1])))),
    "Flatten": lambda n, x: x[0].reshape(int(np.prod(x[0].shape[: n.attributes.get("axis", 1)])), -1),
    "Gather": _gather,
    "GatherElements": lambda n, x: torch.gather(x[0], n.attributes.get("axis", 0), x[1]),
    "GatherND": lambda n, x: x[0][tuple(x[1].movedim(-1, 0))],
    "Gelu": lambda n, x: F.gelu(x[0], approximate=n.attributes.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda n, x: x[0].mean(tuple(range(2, x[0].dim())), keepdim=True),
    "GlobalMaxPool": lambda n, x: F.adaptive_max_pool2d(x[0], 1),
    "GroupNormalization": _group_norm,
    "GridSample": spatial.grid_sample,
    "HardSigmoid": lambda n, x: F.hardtanh(n.attributes.get("alpha", 0.2) * x[0] + n.attributes.get("beta", 0.5), 0, 1),
    "InstanceNormalization": lambda n, x: F.instance_norm(
        x[0], None, None, x[1], x[2], eps=n.attributes.get("epsilon", 1e-5)
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    "LRN": spatial.lrn,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda n, x: F.leaky_relu(x[0], n.attributes.get("alpha", 0.01)),
    "LogSoftmax": lambda n, x: F.log_softmax(x[0], n.attributes.get("axis", -1)),
    "LpNormalization": lambda n, x: F.normalize(x[0], float(n.attributes.get("p", 2)), n.attributes.get("axis", -1)),
    "LpPool": lambda n, x: F.lp_pool2d(
        x[0], float(n.attributes.get("p", 2)), n.attributes["kernel_shape"], n.attributes["strides"]
    ),
    "Max": lambda n, x: torch.clamp(x[0], min=x[1]) if not x[1].requires_grad else torch.maximum(x[0], x[1]),
    "MaxPool": spatial.max_pool,
    "Mean": lambda n, x: sum(x) / len(x),
    "Min": lambda n, x: torch.clamp(x[0], max=x[1]) if not x[1].requires_grad else torch.minimum(x[0], x[1]),
    "PRelu": lambda n, x: torch.where(x[0] > 0, x[0], x[0] * x[1]),
    "Pad": _pad,
    "ReduceL1": _reduce(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keepdim=keep)),
    "ReduceLogSum": _reduce(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "ReduceLogSumExp": _reduce(lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep)),
    "ReduceMax": _reduce(lambda x, axes, keep: torch.amax(x, axes, keepdim=keep)),
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceMin": _reduce(lambda x, axes, keep: torch.amin(x, axes, keepdim=keep)),
    "ReduceProd": _reduce(_product),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: (x * x).sum(axes, keepdim=keep)),
    "RMSNormalization": lambda n, x: F.rms_norm(x[0], x[1].shape, x[1], n.attributes.get("epsilon", 1e-5)),
    "Reshape": lambda n, x: x[0].reshape([x[0].shape[i] if s == 0 else s for i, s in enumerate(_ints(x[1]))]),
    "Resize": spatial.resize,
    "ScatterElements": lambda n, x: x[0].scatter(n.attributes.get("axis", 0), x[1], x[2]),
    "ScatterND": _scatter_nd,
    "Selu": lambda n, x: F.selu(x[0]),
    "Shrink": lambda n, x: F.hardshrink(x[0], n.attributes.get("lambd", 0.5)),
    "Slice": _slice,
    "Softmax": lambda n, x: F.softmax(x[0], n.attributes.get("axis", -1)),
    "SpaceToDepth": spatial.space_to_depth,
    "Split": lambda n, x: torch.split(x[0], _ints(x[1]), n.attributes.get("axis", 0)),
    "Squeeze": lambda n, x: x[0].squeeze(_ints(x[1])),
    "Sum": lambda n, x: sum(x),
    "ThresholdedRelu": lambda n, x: F.threshold(x[0], n.attributes.get("alpha", 1.0), 0.0),
    "Tile": lambda n, x: x[0].tile(_ints(x[1])),
    "Swish": lambda n, x: x[0] * torch.sigmoid(n.attributes.get("alpha", 1.0) * x[0]),
    "TopK": lambda n, x: torch.topk(x[0], int(x[1]), n.attributes.get("axis", -1)),
    "Transpose": lambda n, x: x[0].permute(n.attributes["perm"]),
    "Trilu": lambda n, x: torch.triu(x[0]) if n.attributes.get("upper", 1) else torch.tril(x[0]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda n, x: torch.where(x[0], x[1], x[2]),
}
