"""Convolutions and matrix products by constants, in one form: y = W x + b along a channel axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.fold.wiring import Wiring
from export.graph.values import Array, Node

Wide = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """A Conv, Gemm or MatMul whose weights are constant.

    Attributes:
        node: it.
        x: what flows in, channels along axis 1 (Conv), the last (Gemm, MatMul), or the first, where it is one column.
        weight: (outputs, inputs of a group, *kernel); float64 once something was folded into it.
        bias: float64 (outputs,); None where the operator adds something that flows, or cannot add.
    """

    node: Node
    x: str
    weight: Array
    bias: Wide | None
    column: bool = False

    @property
    def is_conv(self) -> bool:
        return self.node.op == "Conv"

    @property
    def is_padded(self) -> bool:
        """Whether it reads zeros that are not in x."""
        attributes = self.node.attributes
        return any(attributes.get("pads") or ()) or attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")

    @property
    def inputs(self) -> int:
        return (
            int(self.weight.shape[1] * self.node.attributes.get("group", 1)) if self.is_conv else self.weight.shape[1]
        )

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])

    def axis(self, rank: int) -> int:
        """The channels' axis in x and y."""
        return 1 if self.is_conv else 0 if self.column else rank - 1

    def of_scaled_input(self, x: str, scale: Wide, shift: Wide) -> Linear:
        """The same for x * scale + shift, each (inputs,); a shift needs a bias and no padding."""
        group = self.node.attributes.get("group", 1) if self.is_conv else 1
        share = self.weight.shape[1]
        kernel = (1,) * (self.weight.ndim - 2)
        by_output = [part.reshape(group, 1, share, *kernel) for part in (scale, shift)]
        parts = self.weight.astype(np.float64).reshape(group, -1, *self.weight.shape[1:])
        bias = self.bias
        if shift.any():
            assert bias is not None
            bias = bias + (parts * by_output[1]).reshape(self.outputs, -1).sum(axis=1)
        return replace(self, x=x, weight=(parts * by_output[0]).reshape(self.weight.shape), bias=bias)

    def scaled_output(self, scale: Wide, shift: Wide) -> Linear:
        """y * scale + shift, each (outputs,)."""
        assert self.bias is not None
        weight = self.weight.astype(np.float64) * scale.reshape(-1, *(1,) * (self.weight.ndim - 1))
        return replace(self, weight=weight, bias=self.bias * scale + shift)

    def of_outputs(self, rows: NDArray[np.intp]) -> Linear:
        """Some of the outputs of a matrix product."""
        return replace(self, weight=self.weight[rows], bias=None if self.bias is None else self.bias[rows])

    def emit(self, wiring: Wiring) -> str:
        """Write it; a Gemm keeps what flows into it besides, a bias of zeros is left out."""
        node, rank = self.node, len(wiring.shape(self.x))
        added = [wiring.constant(self.bias, self.x, "bias")] if self.bias is not None and self.bias.any() else []
        if self.is_conv:
            weight = wiring.constant(self.weight, self.x, "weight")
            return wiring.graph.emit("Conv", self.x, weight, *added, **node.attributes)
        if node.op == "Gemm" and self.bias is None:
            added = [node.inputs[2]]
        if self.column:
            added = [wiring.reshaped(name, (-1, 1)) for name in added]
            return wiring.graph.emit("Gemm", wiring.constant(self.weight, self.x, "weight"), self.x, *added)
        if rank == 2:
            return wiring.graph.emit("Gemm", self.x, wiring.constant(self.weight, self.x, "weight"), *added, transB=1)
        assert not added
        return wiring.graph.emit("MatMul", self.x, wiring.constant(self.weight.T, self.x, "weight"))


def linear(wiring: Wiring, node: Node) -> Linear | None:
    """A node in that form, None where it is none."""
    if node.domain or node.op not in ("Conv", "Gemm", "MatMul"):
        return None
    weight = wiring.known(node.inputs[1])
    if weight is None and node.op != "Conv":
        return _of_column(wiring, node)
    if weight is None or not wiring.is_floating(node.inputs[0]) or wiring.known(node.inputs[0]) is not None:
        return None
    x = node.inputs[0]
    if node.op == "Conv":
        bias = _bias(wiring, node.input(2), len(weight))
        return None if bias is None else Linear(node, x, weight, bias)
    if node.op == "MatMul":
        bias = np.zeros(weight.shape[-1]) if len(wiring.shape(x)) == 2 else None
        return Linear(node, x, weight.T, bias) if weight.ndim == 2 else None
    if node.attributes.get("transA", 0) or node.attributes.get("alpha", 1.0) != 1.0:
        return None
    weight = weight if node.attributes.get("transB", 0) else weight.T
    beta, bias = node.attributes.get("beta", 1.0), _bias(wiring, node.input(2), len(weight))
    if bias is None and beta != 1.0:
        return None
    return Linear(node, x, weight, None if bias is None else bias * beta)


def _of_column(wiring: Wiring, node: Node) -> Linear | None:
    """A product of a constant matrix by one column."""
    weight, x, attributes = wiring.known(node.inputs[0]), node.inputs[1], node.attributes
    if weight is None or weight.ndim != 2 or len(wiring.shape(x)) != 2 or wiring.shape(x)[1] != 1:
        return None
    if attributes.get("transB", 0) or attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
        return None
    weight = weight.T if attributes.get("transA", 0) else weight
    added = wiring.known(node.input(2))
    if node.input(2) and (added is None or added.size != len(weight) or added.shape[-1] != 1):
        return Linear(node, x, weight, None, column=True)
    bias = np.zeros(len(weight)) if added is None else added.astype(np.float64).reshape(-1)
    return Linear(node, x, weight, bias, column=True)


def _bias(wiring: Wiring, name: str, outputs: int) -> Wide | None:
    """A constant addend as one number per output; None where it flows or differs from row to row."""
    if not name:
        return np.zeros(outputs)
    array: Array | None = wiring.known(name)
    if array is None or array.size not in (1, outputs) or (array.size != 1 and array.shape[-1] != outputs):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (outputs,))
