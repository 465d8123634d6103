"""Torch's word on a graph: the same operators run by torch, and differentiated by its autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="autograd is the oracle; it needs the extra 'export'")

from torch.nn import functional  # noqa: E402

from export.graph.graph import Graph  # noqa: E402
from export.graph.values import Node  # noqa: E402


def run(graph: Graph, inputs: Mapping[str, NDArray[Any]], layers: tuple[str, ...]) -> dict[str, Any]:
    """Every tensor of a graph, in float64 to be the more exact side; `layers` are leaves that take gradients."""
    values = {name: torch.from_numpy(np.array(array)) for name, array in inputs.items()}
    values |= {name: torch.from_numpy(np.array(array)) for name, array in graph.constants.items()}
    values = {name: value.double() if value.is_floating_point() else value for name, value in values.items()}
    for node in graph.nodes:
        made = _run(node, [values[name] for name in node.inputs])
        if node.outputs[0] in layers:
            made = made.detach().requires_grad_()
        values[node.outputs[0]] = made
    return values


def gradient_times(
    graph: Graph,
    inputs: Mapping[str, NDArray[Any]],
    of: str,
    index: int | str,
    layer: str,
    *,
    counted_from: NDArray[Any] | float = 0.0,
) -> NDArray[np.float64]:
    """d flat(of)[index] / d layer, times what the layer is above `counted_from`: float64, of the layer's shape."""
    values = run(graph, inputs, (layer,))
    flat = values[of].reshape(-1)
    picked = flat[int(flat.argmax()) if index == "argmax" else int(index)]
    (gradient,) = torch.autograd.grad(picked, values[layer])
    product: NDArray[np.float64] = (gradient * values[layer]).detach().numpy() - gradient.numpy() * counted_from
    return product


def _run(node: Node, x: list[Any]) -> Any:
    return _OPERATORS[node.op](x, node.attributes)


def _convolved(x: list[Any], a: Mapping[str, Any]) -> Any:
    return functional.conv2d(x[0], x[1], x[2], stride=a["strides"], padding=a["pads"][:2], dilation=a["dilations"])


_OPERATORS: dict[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {
    "Cast": lambda x, a: x[0].double(),
    "Add": lambda x, a: x[0] + x[1],
    "Mul": lambda x, a: x[0] * x[1],
    "MatMul": lambda x, a: x[0] @ x[1],
    "Relu": lambda x, a: torch.relu(x[0]),
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Gelu": lambda x, a: functional.gelu(x[0]),
    "Softmax": lambda x, a: torch.softmax(x[0], a["axis"]),
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Flatten": lambda x, a: x[0].flatten(a["axis"]),
    "Reshape": lambda x, a: x[0].reshape(x[1].tolist()),
    "Concat": lambda x, a: torch.cat(x, a["axis"]),
    "Gather": lambda x, a: x[0].select(a["axis"], int(x[1])),
    "ReduceMean": lambda x, a: x[0].mean(x[1].tolist(), keepdim=bool(a["keepdims"])),
    "Conv": _convolved,
    "BatchNormalization": lambda x, a: functional.batch_norm(x[0], x[3], x[4], x[1], x[2]),
    "LayerNormalization": lambda x, a: functional.layer_norm(x[0], x[1].shape, x[1], x[2]),
    "MaxPool": lambda x, a: functional.max_pool2d(x[0], a["kernel_shape"], a["strides"], a["pads"][:2]),
    "GlobalAveragePool": lambda x, a: x[0].mean((2, 3), keepdim=True),
}
