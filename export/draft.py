"""A first configuration for an ONNX that comes without one: what its graph tells, and what only a person can."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
import numpy as np

from export.attribution.sight import RESHAPES
from export.graph.graph import Graph
from runtime.contracts import onnx_file
from runtime.contracts.errors import ConfigError
from runtime.contracts.model import METADATA_KEY, Manifest, StateQuantity, manifest_of

if TYPE_CHECKING:
    from export.graph.values import Value

_ANY = 1.0e9
_BOUNDED = {"Softmax": (0.0, 1.0), "Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
_CHANNELS = (3, 1)
_AXES = 4


def draft(plain: bytes, name: str) -> str:
    """A commented YAML with which the network can be exported and explained, though not driven.

    Pictures are the inputs with four axes, three of whose channels are colours; every output becomes a `score`; the
    attribution is of the largest element of the first output. A file that carries a manifest tells all of it itself.

    Args:
        plain: the ONNX file.
        name: of the model, and of the file in messages.

    Raises:
        ModelError: it is no usable ONNX.
        ConfigError: the graph has no picture input, or inputs of which nobody but a person can say what they are.
    """
    manifest = _manifest(plain, name)
    if manifest is not None:
        return _of_manifest(manifest, name)
    _refuse_open_sizes(plain, name)
    graph = Graph.load(plain, name)
    outputs = [output for output in graph.outputs if np.issubdtype(graph.value(output).dtype, np.floating)]
    if not outputs:
        raise ConfigError(
            f"{name}: none of its outputs ({', '.join(graph.outputs)}) is a floating-point number to explain"
        )
    pictures = {key: value for key, value in graph.inputs.items() if len(value.shape) == 4}
    if not pictures:
        raise ConfigError(
            f"{name}: none of its inputs ({_listed(graph)}) is a picture (4 axes), and only what a picture says can be "
            "drawn over it; give --config"
        )
    states = {key: value for key, value in graph.inputs.items() if key not in pictures}
    strange = [key for key, value in states.items() if key not in get_args(StateQuantity) or value.size != 1]
    if strange:
        raise ConfigError(
            f"{name}: what its input(s) {', '.join(strange)} are cannot be read off the graph ({_listed(graph)}); "
            "say it in a configuration (states, recurrent) and give --config (docs/export.md)"
        )
    lines = [
        f"# A draft, made from the graph of {name}. It is enough to export and explain the network. To drive, it needs",
        "# an output with a quantity, unit and sign. FILL IN marks guesses that only a person can correct;",
        "# docs/export.md has every key. Then: sightline export MODEL.onnx --config THIS.yaml --out DIR",
        "",
        f"name: {_quoted(name)}",
        "",
        "images:",
        *(line for value in pictures.values() for line in _image(value, name)),
    ]
    if states:
        lines += ["", "states:", *(f"  - {{name: {key}, quantity: {key}}}" for key in states)]
    lines += [
        "",
        "outputs:  # FILL IN what drives: quantity steering_angle_rad (rad, positive left) or acceleration_mps2,",
        "          # the range that is valid, and the scale that takes the network's number to that unit and sign",
        *(line for output in outputs for line in _output(graph, output)),
        "",
        "attribution:",
        "  method: auto             # gradient x activation where the graph lets it pass",
        "  target:                  # of a classifier the largest class; of a policy: steering_angle_rad",
        f"    output: {_quoted(outputs[0])}",
        f"    index: {'argmax' if graph.value(outputs[0]).size > 1 else 0}",
        "  layer: auto",
        "",
        *(["parity: {max_abs: 0.002, relative: 0.002}   # it computes in float16", ""] if _halved(graph) else []),
        "# frames: {source: drives/MY_DRIVE, count: 48}   # FILL IN: without real frames neither FP16 and INT8 nor",
        "#                                                # the worth of the explanation can be judged",
    ]
    return "\n".join(lines) + "\n"


def _manifest(plain: bytes, name: str) -> Manifest | None:
    """What an earlier export says of the network; None where the file is of somebody else."""
    return manifest_of(plain, name) if METADATA_KEY in onnx_file.metadata(plain) else None


def _of_manifest(manifest: Manifest, name: str) -> str:
    import yaml

    said = msgspec.to_builtins(manifest)
    for key in ("graph_sha256", "schema_version", "attribution"):
        del said[key]
    explained = manifest.attribution
    if explained is not None and explained.target == "score":
        of = next(output.name for output in manifest.outputs if output.quantity == "score")
        said["attribution"] = {"target": {"output": of, "index": explained.target_index}}
    elif explained is not None:
        said["attribution"] = {"target": explained.target}
    about = f"# What the manifest in {name} says of the network. docs/export.md has every key.\n\n"
    return about + str(yaml.safe_dump(said, sort_keys=False))


def _halved(graph: Graph) -> bool:
    return any(graph.value(name).dtype == np.float16 for name in (*graph.inputs, *graph.outputs))


def _refuse_open_sizes(plain: bytes, name: str) -> None:
    import onnx

    for value in onnx.load_model_from_string(plain).graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == _AXES and any(dim.dim_value <= 0 for dim in dims[1:]):
            raise ConfigError(
                f"{name}: its input {value.name!r} takes pictures of any size; say which in a configuration (width, "
                "height) and give --config (docs/export.md)"
            )


def _image(value: Value, name: str) -> list[str]:
    layout = "NCHW" if value.shape[1] in _CHANNELS and value.shape[3] not in _CHANNELS else "NHWC"
    height, width, channels = (
        (*value.shape[2:], value.shape[1]) if layout == "NCHW" else (*value.shape[1:3], value.shape[3])
    )
    grey = channels == 1 and value.dtype != np.uint8
    if channels != _CHANNELS[0] and not grey:
        raise ConfigError(
            f"{name}: its input {value.name!r} of shape {list(value.shape)} is no colour picture (1 x 3 x height x "
            "width, or 1 x height x width x 3) nor a grey one of floats; put a front before it that takes one"
        )
    lines = [
        f"  - name: {_quoted(value.name)}",
        f"    width: {width}",
        f"    height: {height}",
        "    colour: RGB            # FILL IN: the order in which the network was trained, RGB or BGR",
        "    crop: {top: 0.0, bottom: 1.0, left: 0.0, right: 1.0}   # FILL IN: the part of the picture that it sees",
    ]
    if value.dtype == np.uint8:
        return [*lines, f"    layout: {layout}"]
    return [
        *lines,
        "    normalise:             # FILL IN: it sees (pixel * scale - mean) / std",
        "      scale: 0.00392156862745098   # 1 / 255",
        "      mean: [0.0, 0.0, 0.0]",
        "      std: [1.0, 1.0, 1.0]",
        f"      layout: {layout}         # the network's own",
        *(["      grey: true           # it takes the luma of the picture"] if grey else []),
    ]


def _output(graph: Graph, name: str) -> list[str]:
    low, high = _bounds(graph, name)
    shape = " x ".join(map(str, graph.value(name).shape)) or "one number"
    return [
        f"  - name: {_quoted(name)}   # {shape}",
        "    quantity: score        # FILL IN",
        "    index: 0               # FILL IN: which element of the flattened tensor",
        f"    minimum: {low:.1f}",
        f"    maximum: {high:.1f}",
    ]


def _bounds(graph: Graph, name: str) -> tuple[float, float]:
    """What a squashing function leaves of the numbers, however it was reshaped afterwards."""
    producer = graph.producer(name)
    while producer is not None and producer.op in RESHAPES:
        producer = graph.producer(producer.inputs[0])
    return _BOUNDED.get(producer.op if producer is not None else "", (-_ANY, _ANY))


def _listed(graph: Graph) -> str:
    return ", ".join(f"{value.name} {value.dtype} {list(value.shape)}" for value in graph.inputs.values()) or "none"


def _quoted(name: str) -> str:
    """Names are any text in ONNX; in YAML a JSON string is one too."""
    return msgspec.json.encode(name).decode()
