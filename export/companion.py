"""The companion of a model: a second ONNX, off the vehicle, that answers the target's gradient at every pixel.

With it the deep methods need no torch and no autograd: integrated gradients (Sundararajan, Taly and Yan, arXiv
1703.01365) and SmoothGrad (Smilkov et al., arXiv 1706.03825) are repeated runs of it. Its metadata says which model it
explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.attribution.target import Target, asked_tensor
from export.graph.graph import Graph
from export.graph.values import Node
from export.reverse.gradient import gradient
from export.session import Session
from runtime.contracts import onnx_file
from runtime.contracts.errors import ModelError

METADATA_KEY = "sightline.companion"
_FLOAT = 1  # ONNX's number for float32
LARGEST = -1  # as an index: the largest element of the pass


class CompanionOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a companion explains, as JSON under the metadata key `sightline.companion`.

    `graph_sha256` is the identity of the model. The scalar output `value` is element `index` of the model's tensor
    `tensor`, times `scale`, in the target's unit; `gradients` names, by picture input, the output with its gradient,
    float32 of the picture's shape, per unit of a pixel (0..255). Where `index` is `argmax`, the input `index_input`
    (int64, one element) says which element, or -1 for the largest of the pass, and `index_output` which one it was.
    """

    graph_sha256: str
    quantity: str
    output: str
    tensor: str
    index: int | Literal["argmax"]
    scale: float
    pixels: Literal["float32", "uint8"]
    value: str
    gradients: dict[str, str]
    index_input: str = ""
    index_output: str = ""
    schema_version: Literal[1] = 1


def input_gradient(
    model: bytes,
    target: Target,
    images: Sequence[str],
    graph_sha256: str,
    *,
    pixels: Literal["float32", "uint8"] = "float32",
) -> bytes:
    """The companion ONNX of a model.

    Args:
        model: with its uint8 pictures at the front, explained or not.
        target: what is differentiated; for a score, what went into its softmax or sigmoid.
        images: the picture inputs to differentiate by.
        graph_sha256: identity of the model that the companion stands beside.
        pixels: how the companion takes its pictures. float32 (0..255, same shape) lets them be blends and noisy copies.

    Raises:
        Impassable: the gradient cannot pass an operator.
        ModelError: the model has no such output, element or picture.
    """
    graph = Graph.load(model, "companion")
    for image in images:
        if image not in graph.inputs:
            raise ModelError(f"companion: the model has no input {image!r}; it takes {', '.join(graph.inputs)}")
    asked = asked_tensor(graph, target)
    if pixels == "float32":
        graph = _taking_floats(graph, images)
    chosen, index_input, index_output = _chosen(graph, asked.tensor, asked.index)
    scaled = graph.emit("Mul", chosen, graph.constant(np.array(target.scale, graph.value(chosen).dtype)))
    found = gradient(graph, scaled, 0, images)
    # An output of its own for each: two may be one tensor, or one a constant.
    outputs = {image: _output(graph, found[image], f"gradient_{image}") for image in images}
    about = CompanionOf(
        graph_sha256=graph_sha256,
        quantity=target.quantity,
        output=target.output,
        tensor=asked.tensor,
        index=asked.index,
        scale=target.scale,
        pixels=pixels,
        value=_output(graph, scaled, "target"),
        gradients=outputs,
        index_input=index_input,
        index_output=_output(graph, index_output, "target_index") if index_output else "",
    )
    graph.outputs = [about.value, *outputs.values(), *([about.index_output] if index_output else [])]
    return onnx_file.with_metadata(graph.to_bytes(), METADATA_KEY, msgspec.json.encode(about).decode())


def companion_of(onnx: bytes, where: str) -> CompanionOf:
    """What a companion explains. Raises ModelError where the bytes are none."""
    try:
        text = onnx_file.metadata(onnx).get(METADATA_KEY)
        if text is None:
            raise ModelError(f"{where} is no companion (no metadata {METADATA_KEY!r}); export it with companion: true")
        return msgspec.json.decode(text, type=CompanionOf)
    except (ValueError, msgspec.DecodeError) as error:
        raise ModelError(f"{where}: what it says of itself cannot be read ({error}); export it again") from error


def _taking_floats(graph: Graph, images: Sequence[str]) -> Graph:
    """The same graph with float32 pictures in place of uint8 ones; a cast of them to float32 is then left out."""
    twin = Graph(graph.opset)
    for value in graph.inputs.values():
        twin.add_input(value.name, np.float32 if value.name in images else value.dtype, value.shape)
    for name, array in graph.constants.items():
        twin.add_constant(name, array)
    same: dict[str, str] = {}
    for node in graph.nodes:
        inputs = tuple(same.get(name, name) for name in node.inputs)
        if node.op == "Cast" and twin.value(inputs[0]).dtype == graph.value(node.outputs[0]).dtype:
            same[node.outputs[0]] = inputs[0]
        else:
            twin.append(Node(node.op, inputs, node.outputs, dict(node.attributes), node.domain))
    for old, new in same.items():
        if old in graph.outputs:
            twin.append(Node("Identity", (new,), (old,)))
    twin.outputs = list(graph.outputs)
    return twin


def _chosen(graph: Graph, tensor: str, index: int | Literal["argmax"]) -> tuple[str, str, str]:
    """The element as a scalar, and for the largest one the input that may name another, and which one it was."""
    flat = graph.emit("Reshape", tensor, graph.constant(np.array([-1])))
    if index != "argmax":
        return graph.emit("Gather", flat, graph.constant(np.array(index))), "", ""
    name = "target_index" if "target_index" not in graph else graph.fresh("target_index")
    wanted = graph.add_input(name, np.int64, (1,))
    largest = graph.emit("ArgMax", flat, keepdims=1)
    which = graph.emit("Where", graph.emit("Less", wanted, graph.constant(np.array(0))), largest, wanted)
    hit = graph.emit("Equal", graph.constant(np.arange(graph.value(flat).size)), which)
    zero = graph.constant(np.zeros((), graph.value(flat).dtype))
    return graph.emit("ReduceSum", graph.emit("Where", hit, flat, zero), keepdims=0), wanted, which


def _output(graph: Graph, tensor: str, name: str) -> str:
    """The tensor as an output of its own, float32 where it is floating point, under that name or one like it."""
    other = np.issubdtype(graph.value(tensor).dtype, np.floating) and graph.value(tensor).dtype != np.float32
    same = graph.emit("Cast", tensor, to=_FLOAT) if other else graph.emit("Identity", tensor)
    name = name if name not in graph else graph.fresh(name)
    graph.rename(same, name)
    return name


@dataclass(frozen=True)
class Slope:
    """The target's value at some pictures, and its gradient at every pixel (float32, the picture's shape)."""

    value: float
    gradient: NDArray[np.float32]


Run = Callable[[NDArray[np.float32]], Slope]


class Companion:
    """A companion opened in ONNX Runtime."""

    def __init__(self, onnx: bytes, where: str = "companion", threads: int = 1) -> None:
        self.about = companion_of(onnx, where)
        self._session = Session(onnx, threads)

    def at(self, inputs: Mapping[str, NDArray[Any]], image: str) -> Run:
        """A run that takes one picture, float32, and all else as it was: the other inputs, and which element is asked.

        Args:
            inputs: of the model at one moment, by name.
            image: the picture input that the run takes.

        Raises:
            ModelError: the companion has no such picture, or takes uint8 ones, which cannot be blended.
        """
        about = self.about
        if about.pixels != "float32" or image not in about.gradients:
            offered = ", ".join(about.gradients) if about.pixels == "float32" else "none, since it takes uint8 ones"
            raise ModelError(f"this companion repeats runs over no float32 picture {image!r}, but over: {offered}")
        fixed = {name: np.asarray(a, np.float32) if name in about.gradients else a for name, a in inputs.items()}
        if about.index_input:
            first = self._session.run({**fixed, about.index_input: np.array([LARGEST])}, [about.index_output])
            fixed[about.index_input] = first[about.index_output]  # along a path the largest may be another one

        def run(picture: NDArray[np.float32]) -> Slope:
            names = [about.value, about.gradients[image]]
            found = self._session.run({**fixed, image: picture}, names)
            return Slope(float(found[about.value]), found[about.gradients[image]])

        return run


@dataclass(frozen=True)
class IntegratedGradients:
    """What each pixel gave to the change of the target from the baseline to the picture.

    The attributions should sum to that change; `gap` is by how much they do not, in the target's unit.
    """

    attribution: NDArray[np.float32]
    value: float
    baseline_value: float
    gap: float


def integrated_gradients(run: Run, image: NDArray[Any], baseline: NDArray[Any], steps: int = 32) -> IntegratedGradients:
    """Integrated gradients along the straight line, by the midpoint rule.

    Args:
        run: answers value and gradient at a picture.
        image: what was seen, any number type.
        baseline: what it is compared with (black, grey, blurred), of the same shape.
        steps: gradients along the way; the gap shrinks with more.

    Raises:
        ValueError: shapes differ, or there is no step.
    """
    seen, start = np.asarray(image, np.float64), np.asarray(baseline, np.float64)
    if seen.shape != start.shape:
        raise ValueError(f"the baseline has shape {start.shape} and the picture {seen.shape}; give them the same")
    if steps < 1:
        raise ValueError(f"{steps} steps; take at least one")
    total = np.zeros(seen.shape)
    for step in range(steps):
        total += run((start + (step + 0.5) / steps * (seen - start)).astype(np.float32)).gradient
    attribution = (seen - start) * total / steps
    value, before = run(seen.astype(np.float32)).value, run(start.astype(np.float32)).value
    return IntegratedGradients(
        attribution.astype(np.float32), value, before, float(attribution.sum()) - (value - before)
    )


def smoothgrad(run: Run, image: NDArray[Any], sigma: float, samples: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """The mean gradient at noisy copies of a picture; the same seed gives the same map.

    Args:
        run: answers value and gradient at a picture.
        image: what was seen, any number type.
        sigma: standard deviation of the noise, in pixel values. Noise may leave 0..255, so that its mean stays zero.
        samples: how many copies.
        seed: of the noise.

    Raises:
        ValueError: no sample, or a negative sigma.
    """
    if samples < 1 or sigma < 0.0:
        raise ValueError(f"{samples} samples with sigma {sigma}; take at least one, and a sigma of 0 or more")
    rng = np.random.default_rng(seed)
    seen = np.asarray(image, np.float64)
    total = np.zeros(seen.shape)
    for _ in range(samples):
        total += run((seen + rng.normal(0.0, sigma, seen.shape)).astype(np.float32)).gradient
    return (total / samples).astype(np.float32)
