"""From a plain ONNX to one that explains itself: front, attribution, folding, manifest. Same input, same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from export.attribution.add import add_attribution
from export.attribution.target import Target, asked_tensor
from export.companion import input_gradient
from export.config import AUTO, TensorTarget
from export.fold.fold import fold
from export.front import add_front, neutral_pictures, open_shapes
from export.graph.graph import Graph
from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import ConfigError, ModelError
from runtime.contracts.model import attach_manifest
from runtime.engines.check import check_outputs, settle_inputs

if TYPE_CHECKING:
    from export.config import ModelConfig
    from runtime.contracts.model import AttributionOutput

ATTRIBUTION = "attribution"
_DEFAULT_METHOD = "gradient-x-activation"


@dataclass(frozen=True)
class Explained:
    """An ONNX with its manifest. `left_out` says why it has no attribution though one was wanted, "" else."""

    onnx: bytes
    attribution: AttributionOutput | None
    left_out: str = ""


def explain(plain: bytes, config: ModelConfig) -> bytes:
    """The plain network as one ONNX that answers decision and reason in one pass, with its manifest.

    Args:
        plain: as torch or anybody else wrote it.
        config: what it is, and what is to be explained by which method.

    Raises:
        ModelError: it is no usable ONNX, or the method that was asked for by name cannot pass the graph (the message
            names the operator).
        ConfigError: the graph is not what the configuration says.
    """
    return explained(plain, config).onnx


def plain_of(plain: bytes, config: ModelConfig) -> bytes:
    """The fastest export of the same network without attribution, with its manifest; raises as `explain`."""
    graph = graph_of(plain, config)
    fold(graph)
    return _with_manifest(graph, config, None)


def explained(plain: bytes, config: ModelConfig) -> Explained:
    """As `explain`, and what became of the attribution.

    With method and layer `auto`, a graph through which no gradient can be written is exported without a map; what was
    asked for by name is refused.
    """
    if config.attribution.method == "none":
        return Explained(plain_of(plain, config), None)
    graph = graph_of(plain, config)
    asked_tensor(graph, target_of(config))  # a target that is not there is a mistake, whatever the method
    try:
        attribution = _attributed(graph, config)
    except ModelError as error:
        if (config.attribution.method, config.attribution.layer) != (AUTO, AUTO):
            raise
        return Explained(plain_of(plain, config), None, str(error))
    fold(graph)
    return Explained(_with_manifest(graph, config, attribution), attribution)


def gradient_of(plain: bytes, config: ModelConfig, graph_sha256: str) -> bytes:
    """The companion of the explained network with that identity; raises as `export.companion.input_gradient`."""
    names = [image.name for image in config.images]
    return input_gradient(graph_of(plain, config).to_bytes(), target_of(config), names, graph_sha256)


def graph_of(plain: bytes, config: ModelConfig) -> Graph:
    """The plain network with uint8 pictures at its front and the outputs that the configuration names, no others."""
    graph = Graph.load(plain, f"model {config.name}", open_shapes(plain, config))
    for name in config.output_names:
        if name not in graph.outputs:
            raise ConfigError(
                f"model {config.name}: the configuration names the output {name!r}, and the network gives "
                f"{', '.join(graph.outputs)}"
            )
    graph.outputs = list(config.output_names)
    graph.prune()  # what nothing reads any more, the map of an earlier export for one, gives its names back
    add_front(graph, config)
    return graph


def target_of(config: ModelConfig) -> Target:
    """What the attribution explains: the configuration's target, or the steering, or else the first output."""
    wanted = config.attribution.target
    if isinstance(wanted, TensorTarget):
        found = [output for output in config.outputs if output.name == wanted.output]
        exact = next((output for output in found if output.index == wanted.index), None)
        if not found:
            raise ConfigError(
                f"model {config.name}: attribution.target.output is {wanted.output!r}, which outputs do not name"
            )
        output = exact or found[0]
        return Target(wanted.output, wanted.index, output.scale, output.quantity if exact else "score")
    quantities = [output.quantity for output in config.outputs]
    quantity = wanted or ("steering_angle_rad" if "steering_angle_rad" in quantities else quantities[0])
    output = config.outputs[quantities.index(quantity)]
    return Target(output.name, output.index, output.scale, quantity)


def _attributed(graph: Graph, config: ModelConfig) -> AttributionOutput:
    wanted = config.attribution
    image = next(image for image in config.images if wanted.image in (AUTO, image.name))
    method = _DEFAULT_METHOD if wanted.method == AUTO else wanted.method
    name = ATTRIBUTION if ATTRIBUTION not in graph else graph.fresh(ATTRIBUTION)
    asked = msgspec.structs.replace(wanted, method=method)
    return add_attribution(graph, asked, target_of(config), image.image_input(), name, neutral=neutral_pictures(config))


def _with_manifest(graph: Graph, config: ModelConfig, attribution: AttributionOutput | None) -> bytes:
    try:
        manifest = config.manifest(attribution)
    except ValueError as error:
        raise ConfigError(f"model {config.name}: {error}") from error
    declared = {value.name: (value.dtype.name, value.shape) for value in graph.inputs.values()}
    inputs = settle_inputs(manifest, declared, config.name)
    given = [graph.value(name) for name in graph.outputs]
    outputs = {value.name: TensorSpec(value.name, value.dtype.name, value.shape) for value in given}
    check_outputs(manifest, inputs, outputs, config.name)
    return attach_manifest(graph.to_bytes(), manifest)
