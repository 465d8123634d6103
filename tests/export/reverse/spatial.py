"""What torch makes of operators that look around them: convolution, pooling, resizing, sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that torch's users know

from export.graph.values import Node


def _pads(node: Node, n: int) -> list[int]:
    """Padding in the order of F.pad: the last axis first, begin and end of each together."""
    pads = node.attributes.get("pads") or [0] * (2 * n)
    return [p for axis in reversed(range(n)) for p in (pads[axis], pads[n + axis])]


def conv(node: Node, x: list[Any]) -> Tensor:
    image, weight, bias = (*x, None)[:3]
    n, at = weight.dim() - 2, node.attributes
    strides, dilations = at.get("strides") or [1] * n, at.get("dilations") or [1] * n
    if at.get("auto_pad", "NOTSET").startswith("SAME"):
        pads = []
        for axis in reversed(range(n)):
            extent, reach = image.shape[2 + axis], dilations[axis] * (weight.shape[2 + axis] - 1) + 1
            total = max(0, (-(-extent // strides[axis]) - 1) * strides[axis] + reach - extent)
            less, more = total // 2, total - total // 2
            pads += [less, more] if at["auto_pad"] == "SAME_UPPER" else [more, less]
    else:
        pads = _pads(node, n)
    function = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    return function(F.pad(image, pads), weight, bias, strides, 0, dilations, at.get("group", 1))


def conv_transpose(node: Node, x: list[Any]) -> Tensor:
    image, weight, bias = (*x, None)[:3]
    n, at = weight.dim() - 2, node.attributes
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    strides, dilations = at.get("strides") or [1] * n, at.get("dilations") or [1] * n
    whole = function(image, weight, bias, strides, 0, 0, at.get("group", 1), dilations)
    more = at.get("output_padding") or [0] * n
    whole = F.pad(whole, [p for axis in reversed(range(n)) for p in (0, more[axis])])
    if bias is not None:
        for axis, extra in enumerate(more):  # what is padded carries the bias too
            if extra:
                index = [slice(None)] * whole.dim()
                index[2 + axis] = slice(whole.shape[2 + axis] - extra, None)
                whole[tuple(index)] = bias.reshape(1, -1, *[1] * n).expand_as(whole[tuple(index)])
    pads = _pads(node, n)
    wanted = at.get("output_shape") or [e * s for e, s in zip(image.shape[2:], strides, strict=True)]
    if at.get("output_shape") or at.get("auto_pad", "NOTSET").startswith("SAME"):
        total = [extent - size for extent, size in zip(whole.shape[2:], wanted, strict=True)]
        upper = at.get("auto_pad") == "SAME_UPPER"
        pads = [p for t in reversed(total) for p in ((t // 2, t - t // 2) if upper else (t - t // 2, t // 2))]
    cut: Tensor = F.pad(whole, [-p for p in pads])
    return cut


def max_pool(node: Node, x: list[Any]) -> Tensor:
    at = node.attributes
    n = len(at["kernel_shape"])
    padded = F.pad(x[0], _pads(node, n), value=-torch.inf)
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    strides, dilations = at.get("strides") or [1] * n, at.get("dilations") or [1] * n
    made: Tensor = function(padded, at["kernel_shape"], strides, 0, dilations, bool(at.get("ceil_mode", 0)))
    return made


def average_pool(node: Node, x: list[Any]) -> Tensor:
    at = node.attributes
    n = len(at["kernel_shape"])
    strides = at.get("strides") or [1] * n
    pads = at.get("pads") or [0] * (2 * n)
    if pads[:n] == pads[n:]:
        function: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1]
        pooled: Tensor = function(
            x[0],
            at["kernel_shape"],
            strides,
            pads[:n],
            bool(at.get("ceil_mode", 0)),
            bool(at.get("count_include_pad", 0)),
        )
        return pooled
    sums = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1](F.pad(x[0], _pads(node, n)), at["kernel_shape"], strides)
    if at.get("count_include_pad", 0):
        return sums
    ones = torch.ones_like(x[0])
    share: Tensor = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1](
        F.pad(ones, _pads(node, n)), at["kernel_shape"], strides
    )
    return sums / share


def lrn(node: Node, x: list[Any]) -> Tensor:
    at, size = node.attributes, node.attributes["size"]
    below = (size - 1) // 2
    squares = F.pad((x[0] ** 2).movedim(1, -1), (below, size - 1 - below)).unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    made: Tensor = x[0] / (at.get("bias", 1.0) + at.get("alpha", 1e-4) / size * squares) ** at.get("beta", 0.75)
    return made


def resize(node: Node, x: list[Any]) -> Tensor:
    mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[node.attributes.get("mode", "nearest")]
    corners = node.attributes.get("coordinate_transformation_mode") == "align_corners"
    size = (
        [int(i) for i in x[3]][2:]
        if len(x) > 3
        else [int(n * s) for n, s in zip(x[0].shape[2:], x[2][2:], strict=True)]
    )
    return F.interpolate(x[0], size=size, mode=mode, align_corners=None if mode == "nearest" else corners)


def depth_to_space(node: Node, x: list[Any]) -> Tensor:
    size = node.attributes["blocksize"]
    n, c, h, w = x[0].shape
    if node.attributes.get("mode", "DCR") == "DCR":
        apart = x[0].reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        apart = x[0].reshape(n, c // size**2, size, size, h, w).permute(0, 1, 4, 2, 5, 3)
    made: Tensor = apart.reshape(n, c // size**2, h * size, w * size)
    return made


def space_to_depth(node: Node, x: list[Any]) -> Tensor:
    size = node.attributes["blocksize"]
    n, c, h, w = x[0].shape
    made: Tensor = x[0].reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return made.reshape(n, c * size**2, h // size, w // size)


def grid_sample(node: Node, x: list[Any]) -> Tensor:
    mode = {"linear": "bilinear"}.get(node.attributes.get("mode", "linear"), "nearest")
    padding, corners = node.attributes.get("padding_mode", "zeros"), bool(node.attributes.get("align_corners", 0))
    return F.grid_sample(x[0], x[1], mode, padding, corners)
