"""Networks that have learnt nothing from some layer on: their weights redrawn, at the same scale, from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from export.graph.graph import Graph
from export.graph.values import Array, Node
from runtime.contracts.model import AttributionOutput, Manifest

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Layer:
    """A node that multiplies by constants: its output's name, and the names of its weights and biases."""

    name: str
    constants: tuple[str, ...]


@dataclass(frozen=True)
class Cascade:
    """Layers from the output towards the input; the first `head` of them stand behind the attribution's layer."""

    layers: tuple[Layer, ...]
    head: int


def cascade(graph: Graph, manifest: Manifest, attribution: AttributionOutput) -> Cascade:
    """The weighted layers that the target hangs on, in the order in which they are redrawn.

    The head is every one of them behind the attribution's layer. Where the graph has no tensor of that name, or nothing
    weighted stands behind it (a head that is additive over places, whose map is its own last layer), the head is the
    last weighted layer.
    """
    wanted = attribution.target_tensor or next(o.name for o in manifest.outputs if o.quantity == attribution.target)
    needed = _before(graph, [wanted] if wanted in graph else graph.outputs)
    weighted = [layer for node in reversed(graph.nodes) if node in needed and (layer := _layer(graph, node))]
    behind = {name for node in _behind(graph, attribution.layer) for name in node.outputs}
    head = [layer for layer in weighted if layer.name in behind] or weighted[:1]
    rest = [layer for layer in weighted if layer not in head]
    return Cascade((*head, *rest), len(head))


def redrawn(graph: Graph, layers: Iterable[Layer], seed: int) -> bytes:
    """The network with the constants of some layers drawn anew: normal, mean 0, each of its tensor's own RMS.

    A tensor's draw depends on its name and the seed alone, so that a longer cascade keeps what a shorter one drew.
    """
    other = graph.copy()
    for name in dict.fromkeys(name for layer in layers for name in layer.constants):
        other.constants[name] = _drawn(graph.constants[name], name, seed)
    return other.to_bytes()


def _drawn(values: Array, name: str, seed: int) -> Array:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    rms = float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))
    return (rng.standard_normal(values.shape) * rms).astype(values.dtype)


def _layer(graph: Graph, node: Node) -> Layer | None:
    if node.op not in _WEIGHTED or node.domain:
        return None
    constants = [name for name in node.inputs if _is_weight(graph, name)]
    if not constants:
        return None  # a product of two activations, as attention has
    # A bias that stands by itself behind a product belongs to it.
    for consumer in graph.consumers(node.outputs[0]):
        if consumer.op == "Add":
            constants += [name for name in consumer.inputs if _is_weight(graph, name)]
    return Layer(node.outputs[0], tuple(dict.fromkeys(constants)))


def _is_weight(graph: Graph, name: str) -> bool:
    return name in graph.constants and np.issubdtype(graph.constants[name].dtype, np.floating)


def _before(graph: Graph, tensors: Sequence[str]) -> set[Node]:
    """The nodes that some tensors hang on."""
    needed, found = set(tensors), set()
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            found.add(node)
            needed.update(node.inputs)
    return found


def _behind(graph: Graph, tensor: str) -> list[Node]:
    """The nodes that hang on a tensor, in order."""
    reached, found = {tensor}, []
    for node in graph.nodes:
        if reached.intersection(node.inputs):
            found.append(node)
            reached.update(node.outputs)
    return found
