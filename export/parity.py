"""Does the exported file compute what the network computes? Held on real frames, on noise and on extremes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.agreement import cosine, max_abs
from export.front import as_network_takes
from export.session import Session
from runtime.contracts.errors import ExportError
from runtime.engines.check import image_shape

if TYPE_CHECKING:
    from export.config import ModelConfig, ParityGates
    from export.frames import Frames

Tensors = Mapping[str, NDArray[Any]]
Run = Callable[[Tensors], Mapping[str, NDArray[Any]]]

_EXTREMES = {
    "speed_mps": (0.0, 70.0),
    "steering_angle_rad": (-0.7, 0.7),
    "acceleration_mps2": (-10.0, 5.0),
    "yaw_rate_radps": (-1.5, 1.5),
}
_NOISES, _SQUARES_PX = 4, (1, 16)


class OutputParity(msgspec.Struct, frozen=True):
    """One output over all inputs: the largest difference and where, what is allowed, and the cosine of all values."""

    name: str
    max_abs: float
    allowed: float
    largest: float  # |reference|
    cosine: float
    worst_input: str
    passed: bool


class Parity(msgspec.Struct, frozen=True):
    """The exported file against `reference`, on `frames` real frames (none where no source was given) and others."""

    reference: str
    frames_source: str | None
    frames_sha256: str | None
    frames: int
    others: tuple[str, ...]
    outputs: tuple[OutputParity, ...]

    @property
    def passed(self) -> bool:
        """Whether every output did."""
        return all(output.passed for output in self.outputs)


def parity(reference: Run, name: str, exported: bytes, config: ModelConfig, frames: Frames | None) -> Parity:
    """Run both on the same inputs.

    Args:
        reference: the network itself; takes pictures in its own type and layout.
        name: of the reference, for the report.
        exported: the ONNX that is to stand for it.
        config: names, gates and how pictures are normalised.
        frames: real inputs of the exported file, if there are any.

    Raises:
        ModelError: one of the two cannot run.
    """
    session = Session(exported)
    inputs = [(f"frame {i}", tensors) for i, tensors in enumerate(frames.inputs if frames is not None else ())]
    others = list(unreal_inputs(config, session))
    pairs = []
    for label, tensors in [*inputs, *others]:
        expected = reference(as_network_takes(tensors, config))
        found = session.run(tensors, config.output_names)
        pairs.append((label, expected, found))
    return Parity(
        reference=name,
        frames_source=frames.source if frames is not None else None,
        frames_sha256=frames.sha256 if frames is not None else None,
        frames=len(inputs),
        others=tuple(label for label, _ in others),
        outputs=tuple(_compared(output, pairs, config.parity) for output in config.output_names),
    )


def refuse(found: Parity, model: str) -> None:
    """Raise ExportError with the figures where an output is beyond its gates."""
    if found.passed:
        return
    said = "; ".join(
        f"{output.name} differs by {output.max_abs:.3g} on {output.worst_input} (allowed {output.allowed:.3g}, its "
        f"largest is {output.largest:.3g}), cosine {output.cosine:.6f}"
        for output in found.outputs
        if not output.passed
    )
    raise ExportError(
        f"model {model}: the exported file does not compute what {found.reference} does: {said}. Where that is good "
        "enough, say so in parity (max_abs, relative, cosine)"
    )


def unreal_inputs(config: ModelConfig, session: Session) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Inputs that no camera gives: black, white, checkerboards, noise; states at both ends; the same every time."""
    rng = np.random.default_rng(0x9A817)
    pictures: list[tuple[str, Callable[[tuple[int, ...]], NDArray[np.uint8]]]] = [
        ("all 0", lambda shape: np.zeros(shape, np.uint8)),
        ("all 255", lambda shape: np.full(shape, 255, np.uint8)),
        *((f"checkerboard of {px} px", lambda shape, px=px: _checkerboard(shape, px)) for px in _SQUARES_PX),
        *((f"noise {i}", lambda shape: rng.integers(0, 256, shape, np.uint8)) for i in range(_NOISES)),
    ]
    for place, (label, picture) in enumerate(pictures):
        tensors: dict[str, NDArray[Any]] = {image.name: picture(image_shape(image)) for image in config.images}
        for state in config.states:
            value = _EXTREMES[state.quantity][place % 2] * state.scale
            tensors[state.name] = np.full(session.inputs[state.name].shape, value, np.float32)
        for memory in config.recurrent:
            spec = session.inputs[memory.input]
            drawn = rng.normal(0.0, 1.0, spec.shape) if place % 2 else np.full(spec.shape, memory.initial)
            tensors[memory.input] = drawn.astype(spec.dtype)
        yield label, tensors


def _checkerboard(shape: tuple[int, ...], square_px: int) -> NDArray[np.uint8]:
    rows, columns = (np.arange(size) // square_px for size in (shape[1:3] if shape[3] == 3 else shape[2:4]))
    board = ((rows[:, np.newaxis] + columns) % 2 * 255).astype(np.uint8)
    placed = board[np.newaxis, :, :, np.newaxis] if shape[3] == 3 else board[np.newaxis, np.newaxis]
    return np.ascontiguousarray(np.broadcast_to(placed, shape))


def _compared(name: str, pairs: Sequence[tuple[str, Tensors, Tensors]], gates: ParityGates) -> OutputParity:
    labels = [label for label, _, _ in pairs]
    expected = [np.asarray(reference[name], np.float64) for _, reference, _ in pairs]
    found = [np.asarray(tensors[name], np.float64) for _, _, tensors in pairs]
    largest = max(float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0)) for values in expected)
    allowed = gates.max_abs + gates.relative * largest
    differences = [max_abs(b, a) if a.shape == b.shape else float("nan") for a, b in zip(expected, found, strict=True)]
    worst = max(range(len(pairs)), key=lambda i: differences[i] if differences[i] == differences[i] else np.inf)
    # Over all inputs at once: of one number the cosine would only be its sign.
    every, each = np.concatenate([v.ravel() for v in expected]), np.concatenate([v.ravel() for v in found])
    alike = every.shape == each.shape
    finite = np.isfinite(every) & np.isfinite(each) if alike else np.zeros(0, bool)
    angle = cosine(each[finite], every[finite]) if alike else 0.0
    passed = differences[worst] <= allowed and angle >= gates.cosine
    return OutputParity(name, differences[worst], allowed, largest, angle, labels[worst], passed)
