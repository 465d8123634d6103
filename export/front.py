"""The front of an exported graph: the uint8 picture goes in as the camera gave it; normalisation is part of the graph.

What is recorded is then what the network saw, in a quarter of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from runtime.contracts.errors import ConfigError
from runtime.engines.check import image_shape

if TYPE_CHECKING:
    from export.config import ImageConfig, ModelConfig
    from export.graph.graph import Graph

_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_LUMA = {"RGB": (0.299, 0.587, 0.114), "BGR": (0.114, 0.587, 0.299)}  # ITU-R BT.601


def open_shapes(plain: bytes, config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of those pictures whose extents the file leaves open, as the configuration gives them.

    What the file states itself stays, so that a configuration that says otherwise is found out.
    """
    wanted = {image.name: network_shape(image) for image in config.images}
    settled = {}
    for value in onnx.load_model_from_string(plain).graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = wanted.get(value.name)
        if shape is not None and len(dims) == len(shape) and any(dim.dim_value <= 0 for dim in dims[1:]):
            settled[value.name] = tuple(
                dim.dim_value if dim.dim_value > 0 else extent for dim, extent in zip(dims, shape, strict=True)
            )
    return settled


def network_shape(image: ImageConfig) -> tuple[int, int, int, int]:
    """The shape of the picture as the network itself takes it."""
    layout = image.layout if image.normalise is None else image.normalise.layout
    size, channels = (image.height, image.width), 1 if image.normalise is not None and image.normalise.grey else 3
    return (1, channels, *size) if layout == "NCHW" else (1, *size, channels)


def add_front(graph: Graph, config: ModelConfig) -> None:
    """Let every picture go in as uint8 in the layout of the manifest, under the name that it had.

    Raises:
        ConfigError: the configuration names no such input, or the network takes other pictures than it says.
    """
    for i, image in enumerate(config.images):
        where = f"model {config.name}: images.{i}"
        if image.name not in graph.inputs:
            inputs = ", ".join(graph.inputs) or "none"
            raise ConfigError(f"{where}.name is {image.name!r}, which is no input of its graph; there are: {inputs}")
        value = graph.inputs[image.name]
        if image.normalise is None and value.dtype != np.uint8:
            raise ConfigError(
                f"{where}.normalise: the network takes {image.name!r} as {value.dtype} and not as uint8, so say what "
                "it wants of the pixels (scale, mean, std, layout)"
            )
        if image.normalise is not None and not np.issubdtype(value.dtype, np.floating):
            raise ConfigError(
                f"{where}.normalise: the network takes {image.name!r} as {value.dtype}, so there is nothing to "
                "normalise; take it out"
            )
        if value.shape != network_shape(image):
            raise ConfigError(
                f"{where} (width, height, layout{'' if image.normalise is None else ' of normalise'}) promises "
                f"{image.name!r} of shape {list(network_shape(image))}, but the network takes {list(value.shape)}"
            )
        if image.normalise is not None:
            _add(graph, image)
    order = [image.name for image in config.images]
    graph.inputs = {name: graph.inputs[name] for name in [*order, *(n for n in graph.inputs if n not in order)]}


def as_network_takes(inputs: Mapping[str, NDArray[Any]], config: ModelConfig) -> dict[str, NDArray[Any]]:
    """The inputs of an exported graph as the network itself takes them: what the front does, in numpy and float64."""
    taken = dict(inputs)
    for image in config.images:
        if image.normalise is not None:
            picture = inputs[image.name].astype(np.float64)
            picture = picture if image.layout == "NHWC" else picture.transpose(_TO_NHWC)
            wanted = image.normalise
            picture = (picture * wanted.scale - np.array(wanted.mean)) / np.array(wanted.std)
            if wanted.grey:
                picture = (picture * _LUMA[image.colour]).sum(axis=-1, keepdims=True)
            picture = picture if wanted.layout == "NHWC" else picture.transpose(_TO_NCHW)
            taken[image.name] = np.ascontiguousarray(picture, np.float32)
    return taken


def neutral_pictures(config: ModelConfig) -> dict[str, NDArray[np.uint8]]:
    """Every picture input as one even colour that the network takes for zero: what its normalisation takes off, or
    mid-grey where it normalises by itself.
    """
    pictures = {}
    for image in config.images:
        wanted = image.normalise
        zero = np.full(3, 127.5) if wanted is None else np.array(wanted.mean, np.float64) / wanted.scale
        colour = np.clip(np.floor(zero + 0.5), 0, 255).astype(np.uint8)
        across = (1, 3, 1, 1) if image.layout == "NCHW" else (1, 1, 1, 3)
        pictures[image.name] = np.broadcast_to(colour.reshape(across), image_shape(image)).copy()
    return pictures


def _add(graph: Graph, image: ImageConfig) -> None:
    wanted = image.normalise
    assert wanted is not None
    replaced = graph.fresh(image.name)
    graph.rename(image.name, replaced)
    dtype = graph.inputs[replaced].dtype
    pixels = graph.add_input(image.name, np.uint8, image_shape(image))
    if image.layout != wanted.layout:
        # Bytes are moved before they become floats: a quarter of the traffic.
        to = _TO_NCHW if wanted.layout == "NCHW" else _TO_NHWC
        pixels = graph.emit("Transpose", pixels, perm=to, hint=f"{image.name}_pixels")
    pixels = graph.emit("Cast", pixels, to=onnx.helper.np_dtype_to_tensor_dtype(dtype), hint=f"{image.name}_pixels")
    std = np.array(wanted.std, np.float64)
    across = (1, 3, 1, 1) if wanted.layout == "NCHW" else (1, 1, 1, 3)
    factor = (wanted.scale / std).reshape(across)
    offset = (-np.array(wanted.mean, np.float64) / std).reshape(across)
    if wanted.grey:
        factor, offset = factor * np.reshape(_LUMA[image.colour], across), offset.reshape(-1)[:1]
    if (factor != 1.0).any():
        pixels = graph.emit("Mul", pixels, graph.constant(factor.astype(dtype)), hint=f"{image.name}_scaled")
    if wanted.grey:
        channels = graph.constant(np.array([across.index(3)]))
        pixels = graph.emit("ReduceSum", pixels, channels, keepdims=1, hint=f"{image.name}_grey")
    if offset.any():
        pixels = graph.emit("Add", pixels, graph.constant(offset.astype(dtype)), hint=f"{image.name}_normalised")
    graph.replace_uses(replaced, pixels)
    graph.outputs = [pixels if name == replaced else name for name in graph.outputs]
    del graph.inputs[replaced]
    graph.sort()
