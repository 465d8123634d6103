"""Small networks, written as graphs: random weights, a uint8 picture, a number as output."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.graph.graph import Graph
from runtime.contracts.model import ImageInput

PICTURE = "image"


class Network:
    """A graph under construction: each method appends a layer to `at`, the tensor so far. Positive weights cancel
    nothing, so that what a cell sees can be found by changing pixels."""

    def __init__(
        self, height: int, width: int, seed: int, layout: Literal["NHWC", "NCHW"] = "NHWC", *, positive: bool = False
    ) -> None:
        self.rng, self.positive, self.graph = np.random.default_rng(seed), positive, Graph()
        self.image = ImageInput(name=PICTURE, height=height, width=width, layout=layout)
        nhwc = layout == "NHWC"
        self.graph.add_input(PICTURE, np.uint8, (1, height, width, 3) if nhwc else (1, 3, height, width))
        self.at = self.graph.emit("Cast", PICTURE, to=1)
        if nhwc:
            self.at = self.graph.emit("Transpose", self.at, perm=[0, 3, 1, 2])
        self.op("Mul", np.float32(1 / 255))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.graph.value(self.at).shape

    def op(self, name: str, *operands: str | NDArray[Any] | np.generic, **attributes: Any) -> str:
        names = [each if isinstance(each, str) else self.graph.constant(np.asarray(each)) for each in operands]
        self.at = self.graph.emit(name, self.at, *names, **attributes)
        return self.at

    def conv(self, channels: int, kernel: int, stride: int = 1, *, pad: int = 0, dilation: int = 1) -> str:
        drawn = self.rng.normal(size=(channels, self.shape[1], kernel, kernel)) * 1.5
        drawn = (np.abs(drawn) if self.positive else drawn) / np.sqrt(drawn[0].size)
        weights = self.graph.constant(drawn.astype(np.float32), "weights")
        bias = self.graph.constant((self.rng.normal(size=channels) * 0.1).astype(np.float32), "bias")
        return self.op(
            "Conv", weights, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4,
            dilations=[dilation] * 2,
        )  # fmt: skip

    def relu(self) -> str:
        return self.op("Relu")

    def norm(self) -> str:
        c = self.shape[1]
        scale, variance = self.rng.uniform(0.5, 1.5, (2, c)).astype(np.float32)
        shift, mean = (self.rng.normal(size=(2, c)) * 0.2).astype(np.float32)
        return self.op("BatchNormalization", scale, shift, mean, variance)

    def max_pool(self, kernel: int, stride: int, pad: int = 0) -> str:
        return self.op("MaxPool", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def residual(self, channels: int, stride: int = 1) -> str:
        """Conv, norm, relu, conv, norm; beside it the input itself, or a projection of it; relu."""
        before = self.at
        self.conv(channels, 3, stride, pad=1)
        self.norm()
        self.relu()
        self.conv(channels, 3, pad=1)
        branch = self.norm()
        if stride != 1 or self.graph.value(before).shape[1] != channels:
            self.at = before
            self.conv(channels, 1, stride)
            before = self.norm()
        self.at = branch
        self.op("Add", before)
        return self.relu()

    def dense(self, size: int) -> str:
        drawn = self.rng.normal(size=(self.shape[-1], size)) * 1.5 / np.sqrt(self.shape[-1])
        return self.op("MatMul", drawn.astype(np.float32))

    def flatten(self) -> str:
        return self.op("Flatten", axis=1)

    def pool_all(self) -> str:
        self.op("GlobalAveragePool")
        return self.flatten()

    def patches(self, size: int, width: int, class_token: bool) -> str:
        """Patch embedding with learnt places: (1, tokens, width)."""
        self.conv(width, size, size)
        self.op("Reshape", np.array([1, width, -1], np.int64))
        self.op("Transpose", perm=[0, 2, 1])
        if class_token:
            token = self.graph.constant(self.rng.normal(size=(1, 1, width)).astype(np.float32))
            self.at = self.graph.emit("Concat", token, self.at, axis=1)
        return self.op("Add", (self.rng.normal(size=self.shape) * 0.3).astype(np.float32))

    def attention(self, heads: int) -> str:
        """A pre-norm transformer block; answers the name of its attention (1, heads, tokens, tokens)."""
        before, (_, tokens, width) = self.at, self.shape
        self.layer_norm()
        normed, parts = self.at, []
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
            self.at = normed
            self.dense(width)
            self.op("Reshape", np.array([1, tokens, heads, width // heads], np.int64))
            parts.append(self.op("Transpose", perm=perm))
        query, key, value = parts
        self.at = self.graph.emit("MatMul", query, key)
        self.op("Mul", np.float32(3 / np.sqrt(width // heads)))
        attention = self.op("Softmax", axis=-1)
        self.op("MatMul", value)
        self.op("Transpose", perm=[0, 2, 1, 3])
        self.op("Reshape", np.array([1, tokens, width], np.int64))
        self.dense(width)
        middle = self.op("Add", before)
        self.layer_norm()
        self.dense(2 * width)
        self.op("Gelu")
        self.dense(width)
        self.op("Add", middle)
        return attention

    def layer_norm(self) -> None:
        width = self.shape[-1]
        scale = self.rng.uniform(0.5, 1.5, width).astype(np.float32)
        self.op("LayerNormalization", scale, np.zeros(width, np.float32), axis=-1)

    def done(self, output: str = "steering") -> Graph:
        """The graph, its output named."""
        self.graph.rename(self.at, output)
        self.graph.outputs.append(output)
        return self.graph


def pilot_like(seed: int = 0, positive: bool = False) -> Network:
    """Strides 2, 2, then 1, unpadded; a head of fully connected layers."""
    net = Network(40, 72, seed, positive=positive)
    for channels, kernel, stride in ((8, 5, 2), (10, 5, 2), (12, 3, 1)):
        net.conv(channels, kernel, stride)
        net.relu()
    net.flatten()
    net.dense(20)
    net.relu()
    net.dense(2)
    net.done()
    return net


def residual_like(seed: int = 0, positive: bool = False) -> Network:
    """Stem, max pool, three residual blocks, average pool."""
    net = Network(64, 96, seed, layout="NCHW", positive=positive)
    net.conv(8, 7, 2, pad=3)
    net.norm()
    net.relu()
    net.max_pool(3, 2, pad=1)
    for channels, stride in ((8, 1), (12, 2), (12, 1)):
        net.residual(channels, stride)
    net.pool_all()
    net.dense(3)
    net.done()
    return net


def transformer_like(seed: int = 0, class_token: bool = True, blocks: int = 2) -> tuple[Network, list[str]]:
    """Patches of 8, attention blocks, the class token or the mean of all; and the names of the attention maps."""
    net = Network(24, 40, seed)
    net.patches(8, 16, class_token)
    maps = [net.attention(heads=2) for _ in range(blocks)]
    net.layer_norm()
    net.graph.rename(net.at, "norm")
    net.at = "norm"
    if class_token:
        net.op("Gather", np.array(0, np.int64), axis=1)
    else:
        axes = net.graph.constant(np.array([1], np.int64))
        net.at = net.graph.emit("ReduceMean", net.at, axes, keepdims=0)
    net.dense(2)
    net.done()
    return net, maps
