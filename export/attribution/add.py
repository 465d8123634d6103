"""The seam to the pipeline: one call adds a map to a graph, or leaves the graph as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from export.attribution import gradient_activation, rollout, upward
from export.attribution.gradient_activation import add_gradient_activation
from export.attribution.layers import Layer, Layers
from export.attribution.neutral import activation_of
from export.attribution.rollout import add_rollout
from export.attribution.target import AskedTensor, Target, asked_tensor
from export.attribution.upward import add_upward
from export.graph.graph import Graph
from export.graph.values import Array
from runtime.contracts.errors import ModelError
from runtime.contracts.model import AttributionOutput, ImageInput

AUTO = "auto"


class Wanted(Protocol):
    """What the configuration says of the map: `attribution` in docs/export.md."""

    @property
    def method(self) -> str: ...
    @property
    def layer(self) -> str: ...
    @property
    def finer_layer(self) -> str: ...
    @property
    def baseline(self) -> str: ...


def add_attribution(
    graph: Graph,
    wanted: Wanted,
    target: Target,
    image: ImageInput,
    output_name: str = "attribution",
    *,
    neutral: Mapping[str, Array] | None = None,
) -> AttributionOutput:
    """Append the operators of a method to a graph, and its map as an output, float32 rows x columns (leading ones).

    Args:
        graph: extended in place; its decisions stay as they are.
        wanted: method, layers and baseline.
        target: what is explained.
        image: an input of the graph, uint8.
        output_name: what the map is called.
        neutral: for the baseline `neutral`, the inputs of a pass that shows nothing, by name; others are zeros.

    Raises:
        ModelError: the method cannot be had of this graph (`Impassable`: the operator that the gradient cannot pass);
            the graph is then as it was.
    """
    if output_name in graph:
        raise ModelError(f"attribution: the network holds a tensor {output_name!r} already; give the map another name")
    before = graph.copy()
    try:
        asked = asked_tensor(graph, target)
        layers = Layers(graph, image, asked.tensor)
        made = _made(graph, wanted, layers, asked, neutral or {})
    except ModelError:
        graph.roll_back(before)
        raise
    tensor, places = made.tensor, made.shown.places
    if graph.value(tensor).dtype != np.float32:
        tensor = graph.emit("Cast", tensor, to=1)
    graph.rename(tensor, output_name)
    graph.outputs.append(output_name)
    blind = made.text == rollout.TEXT
    text = made.text if blind else f"{made.text} {asked.note}".strip()
    return AttributionOutput(
        output=output_name,
        method="; ".join(part for part in (text, places.note) if part),
        layer=made.asked.tensor,
        target=target.quantity,
        image=image.name,
        rows=places.rows,
        columns=places.columns,
        origin_y_px=places.origin_y_px,
        origin_x_px=places.origin_x_px,
        stride_y_px=places.stride_y_px,
        stride_x_px=places.stride_x_px,
        field_y_px=places.field_y_px,
        field_x_px=places.field_x_px,
        scale=1.0 if blind else target.scale,
        target_tensor="" if asked.tensor == target.output else asked.tensor,
        target_index=asked.index,
        signed=not blind,
    )


@dataclass(frozen=True)
class _Made:
    """A map's tensor, the layer that was asked, the one whose cells the map has, and what to call the method."""

    tensor: str
    asked: Layer
    shown: Layer
    text: str


def _made(graph: Graph, wanted: Wanted, layers: Layers, asked: AskedTensor, neutral: Mapping[str, Array]) -> _Made:
    if wanted.method == "attention-rollout":
        tensor, tokens = add_rollout(graph, layers)
        return _Made(tensor, tokens, tokens, rollout.TEXT)
    if wanted.method not in (AUTO, "gradient-x-activation", "upward"):
        raise ModelError(
            f"attribution: there is no method {wanted.method!r}; there are gradient-x-activation, upward and "
            "attention-rollout"
        )
    layer = layers.default() if wanted.layer == AUTO else layers.named(wanted.layer)
    zero = activation_of(graph, layer.tensor, neutral) if wanted.baseline == "neutral" else None
    text = gradient_activation.TEXT if zero is None else gradient_activation.FROM_NEUTRAL
    if wanted.method != "upward":
        return _Made(add_gradient_activation(graph, layer, asked, zero), layer, layer, text)
    finer = None if wanted.finer_layer == AUTO else wanted.finer_layer
    seed = add_gradient_activation(graph, layer, asked, zero, leading_ones=2)
    tensor, fine = add_upward(graph, layers, layer, seed, finer)
    return _Made(tensor, layer, fine, f"{text}, {upward.TEXT} to {fine.tensor}")
