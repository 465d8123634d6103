"""A network under judgement: its target, its map, and its picture, by the manifest inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.precision.change import UNITS
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import AttributionOutput, ImageInput, Manifest, manifest_of

Inputs = Mapping[str, NDArray[Any]]
Map = NDArray[np.float64]
"""float64, rows x columns, in the target's unit."""
Pixels = NDArray[np.uint8]
"""uint8, height x width x 3, as the network's channels are ordered."""


@dataclass(frozen=True)
class View:
    """One pass: the target, the element that it was read from, and the map."""

    target: float
    index: int
    map: Map


class Subject:
    """An explained ONNX, opened. Counts the passes that it was asked for."""

    def __init__(self, onnx: bytes, where: str = "under judgement") -> None:
        """Raises ModelError where it has no manifest, or the manifest no attribution."""
        self.manifest: Manifest = manifest_of(onnx, where)
        if self.manifest.attribution is None:
            raise ModelError(f"model {where} has no attribution that could be judged; export it with one")
        self.attribution: AttributionOutput = self.manifest.attribution
        self.image: ImageInput = next(image for image in self.manifest.images if image.name == self.attribution.image)
        self.passes = 0
        self._tensor, self._index, self._scale, read = _target(onnx, self.manifest, self.attribution)
        self._session = Session(read)

    @property
    def unit(self) -> str:
        """The target's unit, "" for a number without one."""
        return UNITS[self.attribution.target]

    @property
    def element(self) -> str:
        """What is judged, for people: `steering_angle_rad (steering[0])`."""
        return f"{self.attribution.target} ({self._tensor}[{self._index}])"

    def view(self, inputs: Inputs) -> View:
        """Target and map of one frame. The map may hold NaN and infinities, as the network gives them."""
        self.passes += 1
        contract = self.attribution
        found = self._session.run(inputs, (self._tensor, contract.output))
        flat = found[self._tensor].ravel()
        index = int(np.argmax(flat)) if self._index == "argmax" else self._index
        raw = found[contract.output]
        if raw.size != contract.rows * contract.columns:
            raise ModelError(
                f"attribution tensor {contract.output!r} has the shape {raw.shape}; the manifest says "
                f"{contract.rows} x {contract.columns}: mend the manifest's rows and columns"
            )
        grid = raw.reshape(contract.rows, contract.columns).astype(np.float64) * contract.scale
        return View(float(flat[index]) * self._scale, index, grid)

    def target(self, inputs: Inputs, index: int) -> float:
        """Element `index` of the target alone, in its unit."""
        self.passes += 1
        return float(self._session.run(inputs, (self._tensor,))[self._tensor].ravel()[index]) * self._scale

    def pixels(self, inputs: Inputs) -> Pixels:
        """The picture that the map lies over, height x width x 3 whatever the input's layout."""
        tensor = inputs[self.image.name][0]
        return np.ascontiguousarray(tensor.transpose(1, 2, 0) if self.image.layout == "NCHW" else tensor)

    def with_pixels(self, inputs: Inputs, pixels: Pixels) -> dict[str, NDArray[Any]]:
        """The same inputs with another picture; states and other cameras stay as they are."""
        tensor = pixels.transpose(2, 0, 1) if self.image.layout == "NCHW" else pixels
        return {**inputs, self.image.name: np.ascontiguousarray(tensor)[np.newaxis]}


def _target(onnx: bytes, manifest: Manifest, attribution: AttributionOutput) -> tuple[str, Any, float, bytes]:
    """Where the target is read: tensor, element, scale, and the graph that gives that tensor out."""
    output = manifest.output(attribution.target)
    assert output is not None  # the manifest holds that
    if attribution.target_tensor and attribution.target_tensor != output.name:
        given = _with_output(onnx, attribution.target_tensor)
        if given is not None:
            # A tensor within the graph is not yet in the target's unit; the map's scale takes it there.
            return attribution.target_tensor, attribution.target_index, attribution.scale, given
    if attribution.target == "score":
        return output.name, attribution.target_index, output.scale, onnx
    return output.name, output.index, output.scale, onnx


def _with_output(data: bytes, tensor: str) -> bytes | None:
    """The graph with a tensor as an output of its own; None where folding left no such tensor."""
    import onnx

    model = onnx.load_from_string(data)
    if any(value.name == tensor for value in model.graph.output):
        return data
    if all(tensor not in node.output for node in model.graph.node):
        return None
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    found: bytes = model.SerializeToString()
    return found
