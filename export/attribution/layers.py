"""Which layer is asked: the last one that still has places, and through which the whole picture goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from export.attribution.attention import attentions
from export.attribution.bounds import Bounds, of_cells
from export.attribution.places import Places, even_tiling, places_of, sight_of
from export.attribution.sight import RESHAPES, look
from export.graph.graph import Graph
from export.graph.values import Node
from runtime.contracts.errors import ModelError
from runtime.contracts.model import ImageInput

_ENOUGH, _FEW = 3, 2  # rows and columns at least: the first that a layer of the graph has
_LISTED = 12
_VIEWS = RESHAPES | {"Transpose", "Identity", "Cast"}
_ACTIVATIONS = frozenset(
    {
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Celu",
        "Selu",
        "Gelu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Swish",
        "Mish",
    }
    | {"Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Clip", "MaxPool", "AveragePool"}
)
_VALUES = "the layer is the first attention's values, so this is gradient x attention, summed over queries and heads"
_PAST = "parts of the picture reach the target past this layer"


@dataclass(frozen=True)
class Layer:
    """A tensor between picture and target, and where its cells lie."""

    tensor: str
    places: Places


class Layers:
    """The tensors of a graph that lie between a picture and a target, and what they see of it."""

    def __init__(self, graph: Graph, image: ImageInput, asked: str) -> None:
        """Look at every tensor once. Raises ModelError where the target does not depend on the picture."""
        self.graph, self.image, self.asked = graph, image, asked
        self.nodes = between(graph, image.name, asked)
        if not self.nodes:
            raise ModelError(
                f"attribution: {asked!r} does not depend on the picture {image.name!r}: no place in it can explain it"
            )
        self._sight = sight_of(graph, image)
        self._gates = _gates(self.nodes, image.name, asked)
        self._known: dict[str, Places | None] = {}

    def everywhere(self) -> list[Layer]:
        """Every layer with places, from the picture on."""
        found = []
        for node in self.nodes:
            name = node.outputs[0]
            if (
                name  # an output that nobody reads may be absent
                and name != self.asked
                and node.op not in _VIEWS
                and np.issubdtype(self.graph.value(name).dtype, np.floating)
            ):
                places = self.places(name)
                if places is not None and places.rows * places.columns > 1:
                    found.append(Layer(name, places))
        return found

    def gates(self) -> list[Layer]:
        """Every layer with places through which all goes that the target has of the picture, from the picture on."""
        return [layer for layer in self.everywhere() if layer.tensor in self._gates]

    def default(self) -> Layer:
        """The last layer with at least three rows and columns that the target depends on in all its places.

        Where there is none, one of two rows and columns will do; then one past which parts of the picture reach the
        target; then one of a single row or column. In a transformer it is a layer before its tokens are mixed.

        Raises:
            ModelError: there is none; the message says what there is.
        """
        everywhere, gates = self.everywhere(), self.gates()
        for layers, least in ((gates, _ENOUGH), (gates, _FEW), (everywhere, _ENOUGH), (everywhere, _FEW), (gates, 1)):
            for layer in reversed(layers):
                if min(layer.places.rows, layer.places.columns) >= least and self._reaches_target(layer):
                    return self._unmixed(layer) if layer.places.tokens and self._is_mixed(layer) else self._noted(layer)
        raise ModelError(
            f"attribution: no layer between {self.image.name!r} and {self.asked!r} has places of the picture; name one "
            f"as attribution.layer: {self._listed()}"
        )

    def named(self, name: str) -> Layer:
        """A layer by its tensor's name, or by the module's that made it or its weights (`conv4` for `conv4.weight`).

        Where the graph does not tell its places they are an even tiling of the picture, and the note says so.

        Raises:
            ModelError: no such tensor between picture and target, or one without rows and columns.
        """
        tensor = self._tensor(name)
        value = self.graph.value(tensor)
        if not np.issubdtype(value.dtype, np.floating):
            raise ModelError(f"attribution: layer {name!r} holds {value.dtype}, of which there is no gradient")
        places = self.places(tensor) or even_tiling(value.shape, self.image, "its layers mix all places")
        if places is None or places.rows * places.columns < 2:
            raise ModelError(
                f"attribution: layer {name!r} ({tensor!r}, shape {list(value.shape)}) has no rows and columns; "
                f"{self._listed()}"
            )
        return self._noted(Layer(tensor, places))

    def places(self, tensor: str) -> Places | None:
        """Where the cells of a tensor lie; None where it has none."""
        if tensor not in self._known:
            bounds = self._sight.bounds.get(tensor)
            shape = self.graph.value(tensor).shape
            mixed = tensor in self._sight.mixed
            self._known[tensor] = None if bounds is None else places_of(bounds, shape, self.image, mixed)
        return self._known[tensor]

    def seen_of(self, layer: Layer, tensor: str) -> Bounds | None:
        """Which rows and columns of a layer the elements of another tensor depend on; None where on none."""
        shape = self.graph.value(layer.tensor).shape
        return look(self.graph, layer.tensor, _own_cells(shape, layer.places), self.nodes).bounds.get(tensor)

    def _reaches_target(self, layer: Layer) -> bool:
        box = self.seen_of(layer, self.asked)
        if box is None:
            return False
        flat = box.reshape(4, -1).min(axis=1)
        rows, columns = -flat[2:] - flat[:2] + 1  # a pool may leave out the last ones
        return bool(rows > layer.places.rows / 2 and columns > layer.places.columns / 2)

    def _is_mixed(self, layer: Layer) -> bool:
        return layer.tensor in self._sight.mixed

    def _unmixed(self, tokens: Layer) -> Layer:
        """In place of tokens that attention has mixed, which are no longer where their patches are: the last map of a
        convolutional stem, or else the values of the first attention.

        A patch embedding itself will not do: what does not change when x grows, as a norm, has no gradient along x.
        """
        for layer in reversed(self.gates()):
            rows, columns = layer.places.rows, layer.places.columns
            is_map = min(rows, columns) >= _ENOUGH and rows * columns < self.image.height * self.image.width
            if is_map and not self._is_mixed(layer) and self._activates(layer.tensor):
                return self._noted(layer)
        for attention in attentions(self.graph, self.nodes):
            places = self.places(attention.values)
            if places is not None and not self._is_mixed(layer := Layer(attention.values, places)):
                return Layer(layer.tensor, replace(places, note=_VALUES))
        return self._noted(tokens)

    def _activates(self, tensor: str) -> bool:
        """Whether an activation made a tensor; a product of two tensors is one, as x * sigmoid(x) is."""
        node = self.graph.producer(tensor)
        if node is None or node.domain:
            return False
        product = node.op == "Mul" and not any(name in self.graph.constants for name in node.inputs)
        return product or node.op in _ACTIVATIONS

    def _noted(self, layer: Layer) -> Layer:
        if layer.tensor in self._gates:
            return layer
        note = f"{layer.places.note}; {_PAST}" if layer.places.note else _PAST
        return Layer(layer.tensor, replace(layer.places, note=note))

    def _tensor(self, name: str) -> str:
        if any(name in node.outputs for node in self.nodes):
            return name
        module = re.compile(rf"/?{re.escape(name.strip('/'))}([./:]|_\d|$)")
        made = [
            node.outputs[0]
            for node in self.nodes
            if module.match(node.outputs[0]) or any(module.match(each) for each in node.inputs[1:])
        ]
        if not made:
            raise ModelError(f"attribution: no layer {name!r} lies between picture and target; {self._listed()}")
        return made[-1]

    def _listed(self) -> str:
        layers = self.everywhere()[-_LISTED:]
        named = [f"{each.tensor} (cells: {each.places.rows} x {each.places.columns})" for each in layers]
        return "there are " + ", ".join(named) if named else "the graph has no layer with places"


def _own_cells(shape: tuple[int, ...], places: Places) -> Bounds:
    """The boxes of a layer as a source of its own: each element sees its own cell, a class token nothing."""
    cells = np.arange(places.rows * places.columns).reshape(places.rows, places.columns)
    rows, columns = cells // places.columns, cells % places.columns
    size = [1] * len(shape)
    if not places.tokens:
        size[places.row_axis], size[places.column_axis] = places.rows, places.columns
        if places.row_axis > places.column_axis:
            rows, columns = rows.T, columns.T
        return of_cells(shape, rows.reshape(size), columns.reshape(size))
    size[places.row_axis] = shape[places.row_axis]
    bounds = np.full((4, *size), np.inf, np.float32)
    run = np.moveaxis(bounds, places.row_axis + 1, 0)[places.first : places.first + cells.size]
    for side, values in enumerate((rows, columns, -rows, -columns)):
        run[:, side] = values.reshape(-1, *(1,) * (len(shape) - 1))
    return bounds


def between(graph: Graph, source: str, target: str) -> list[Node]:
    """The nodes on the ways from one tensor to another, as they run."""
    reached, onward = {source}, []
    for node in graph.nodes:
        if reached.intersection(node.inputs):
            reached.update(name for name in node.outputs if name)
            onward.append(node)
    needed, found = {target}, []
    for node in reversed(onward):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            found.append(node)
    return found[::-1]


def _gates(nodes: list[Node], source: str, target: str) -> set[str]:
    """The tensors that every way from source to target goes through: as many ways lead through them as there are."""
    before, after = {source: 1}, {target: 1}
    for node in nodes:
        ways = sum(before.get(name, 0) for name in node.inputs)
        before.update(dict.fromkeys((name for name in node.outputs if name), ways))
    for node in reversed(nodes):
        ways = sum(after.get(name, 0) for name in node.outputs)
        for name in node.inputs:
            after[name] = after.get(name, 0) + ways
    return {name for name, ways in before.items() if ways * after.get(name, 0) == before[target]}
