"""Boxes through sliding windows: convolutions, pools, padding, resizing. See `bounds`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.attribution.bounds import Bounds


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis, in cells of what it slides over; pads as ONNX counts them."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    pad_begin: int = 0
    pad_end: int = 0

    @property
    def extent(self) -> int:
        """How far it reaches from its first to its last cell, both counted."""
        return (self.kernel - 1) * self.dilation + 1


def extended(bounds: Bounds, axis: int, before: int, after: int) -> Bounds:
    """Boxes continued beyond the ends of a tensor axis by their own step; a negative count cuts."""
    along = np.moveaxis(bounds, axis + 1, 0)
    size = along.shape[0]
    along = along[max(-before, 0) : size - max(-after, 0)]
    parts = [along]
    if before > 0:
        steps = np.arange(-before, 0, dtype=np.float32).reshape(-1, *(1,) * (along.ndim - 1))
        parts.insert(0, _continued(along[0], along[1] if len(along) > 1 else along[0], steps))
    if after > 0:
        steps = np.arange(-1, -after - 1, -1, dtype=np.float32).reshape(-1, *(1,) * (along.ndim - 1))
        parts.append(_continued(along[-1], along[-2] if len(along) > 1 else along[-1], steps))
    return np.moveaxis(np.concatenate(parts), 0, axis + 1)


def _continued(edge: Bounds, inner: Bounds, steps: Bounds) -> Bounds:
    step = np.subtract(inner, edge, out=np.zeros_like(edge), where=np.isfinite(edge) & np.isfinite(inner))
    return edge + steps * step


def slid(bounds: Bounds, axis: int, window: Window, size: int) -> Bounds:
    """What a window sees from each of its `size` places along a tensor axis."""
    if bounds.shape[axis + 1] == 1 and window.kernel == 1 and window.pad_begin == window.pad_end == 0:
        return bounds
    span = (size - 1) * window.stride + window.extent
    wide = extended(bounds, axis, window.pad_begin, 0)
    wide = extended(wide, axis, 0, span - wide.shape[axis + 1])
    along = np.moveaxis(wide, axis + 1, 0)
    last = (size - 1) * window.stride + 1
    taps = [along[k * window.dilation : k * window.dilation + last : window.stride] for k in range(window.kernel)]
    return np.moveaxis(np.minimum.reduce(taps), 0, axis + 1)


def spread(bounds: Bounds, axis: int, window: Window, size: int) -> Bounds:
    """What each of the `size` places along a tensor axis sees through a transposed window."""
    along = np.moveaxis(bounds, axis + 1, 0)
    reach = (len(along) - 1) * window.stride + window.extent
    full = np.full((max(reach, window.pad_begin + size), *along.shape[1:]), np.inf, np.float32)
    for k in range(window.kernel):
        start = k * window.dilation
        place = full[start : start + (len(along) - 1) * window.stride + 1 : window.stride]
        np.minimum(place, along, out=place)
    return np.moveaxis(full[window.pad_begin : window.pad_begin + size], 0, axis + 1)


def resized(bounds: Bounds, axis: int, places: Sequence[NDArray[np.intp]]) -> Bounds:
    """What each place of a resized axis sees: the union over `places`, one array of cells for every tap."""
    union: Bounds = np.minimum.reduce([bounds.take(place, axis + 1) for place in places])
    return union


def resize_places(
    before: int, after: int, scale: float, *, mode: str, transformation: str, nearest: str
) -> list[NDArray[np.intp]]:
    """The cells that ONNX Resize reads for every place of an axis, one array per tap."""
    out = np.arange(after, dtype=np.float64)
    if transformation == "align_corners":
        at = out * (before - 1) / max(after - 1, 1)
    elif transformation == "asymmetric":
        at = out / scale
    else:
        at = (out + 0.5) / scale - 0.5
        if transformation == "pytorch_half_pixel" and after == 1:
            at = np.zeros(1)
    low = np.floor(at)
    if mode == "nearest":
        rounded = {
            "floor": low,
            "ceil": np.ceil(at),
            "round_prefer_ceil": np.floor(at + 0.5),
        }.get(nearest, np.ceil(at - 0.5))
        taps = [rounded]
    else:
        reach = range(2) if mode == "linear" else range(-1, 3)
        taps = [low + k if k <= 0 else np.where(at > low, low + k, low) for k in reach]
    return [np.clip(tap, 0, before - 1).astype(np.intp) for tap in taps]


def same_pads(size: int, window: Window, upper: bool) -> tuple[int, int]:
    """The pads of ONNX's auto_pad SAME_UPPER and SAME_LOWER along an axis of this size."""
    out = math.ceil(size / window.stride)
    total = max((out - 1) * window.stride + window.extent - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)
