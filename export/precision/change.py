"""How far two networks differ on the same frames: in what they decide, and in why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.agreement import rank_correlation
from runtime.contracts.errors import ModelError
from runtime.contracts.model import Manifest

Outputs = Mapping[str, NDArray[Any]]
"""What one pass gave, by name of output."""

UNITS = {"steering_angle_rad": "rad", "acceleration_mps2": "m/s²", "score": ""}


class DecisionChange(msgspec.Struct, frozen=True):
    """|a - b| of one quantity over the frames, in `unit`: mean, 99th percentile, largest, and the frame of that.

    `range` is how far the manifest lets the quantity go (maximum - minimum); None for a concept, which has no bounds.
    """

    name: str
    unit: str
    mean: float
    p99: float
    max: float
    worst_frame: int
    range: float | None = None


class ExplanationChange(msgspec.Struct, frozen=True):
    """Spearman's rank correlation of one map with its counterpart, frame by frame: median, 5th percentile, lowest, and
    the frame of that.

    A map that is constant has no ranks: two of them agree (1), one alone does not (0). `constant` counts such frames.
    """

    name: str
    median: float
    p5: float
    min: float
    worst_frame: int
    constant: int = 0


class Read(msgspec.Struct, frozen=True):
    """One number that a network decides, and where it is read: element `index` of output `output`, times `scale`."""

    name: str
    unit: str
    output: str
    index: int
    scale: float
    range: float | None


def decided_by(manifest: Manifest) -> tuple[Read, ...]:
    """What the manifest says is decided: its outputs, then its concepts. Scores are told apart by their place."""
    outputs = [
        Read(
            f"{output.name}[{output.index}]" if output.quantity == "score" else output.quantity,
            UNITS[output.quantity],
            output.name,
            output.index,
            output.scale,
            output.maximum - output.minimum,
        )
        for output in manifest.outputs
    ]
    concepts = [Read(c.name, c.unit, c.output, c.index, c.scale, None) for c in manifest.concepts]
    return (*outputs, *concepts)


def value_of(read: Read, outputs: Outputs) -> float:
    """The number, in its unit."""
    return float(np.asarray(outputs[read.output], np.float64).ravel()[read.index]) * read.scale


def maps_of(manifest: Manifest, outputs: Outputs) -> dict[str, NDArray[Any]]:
    """Every map that explains, rows x columns, by name: the attribution's, and each concept's that has one."""
    maps = {}
    grid = manifest.attribution
    if grid is not None:
        maps["attribution"] = np.asarray(outputs[grid.output]).reshape(grid.rows, grid.columns)
        for concept in manifest.concepts:
            if concept.map:
                planes = np.asarray(outputs[concept.map]).reshape(-1, grid.rows, grid.columns)
                maps[f"concept {concept.name}"] = planes[concept.map_index]
    return maps


def decision_change(read: Read, a: Sequence[float], b: Sequence[float], names: tuple[str, str]) -> DecisionChange:
    """The change of one quantity over at least one frame; `names` say in errors which network is which.

    Raises ModelError where either gives what is no finite number.
    """
    for values, name in zip((a, b), names, strict=True):
        _refuse_not_finite(values, f"{name}: {read.name}")
    moved = np.abs(np.asarray(a) - np.asarray(b))
    return DecisionChange(
        name=read.name,
        unit=read.unit,
        mean=float(moved.mean()),
        p99=float(np.percentile(moved, 99)),
        max=float(moved.max()),
        worst_frame=int(moved.argmax()),
        range=read.range,
    )


def explanation_change(
    map_name: str, a: Sequence[NDArray[Any]], b: Sequence[NDArray[Any]], names: tuple[str, str]
) -> ExplanationChange:
    """The change of one map over at least one frame; as `decision_change`."""
    for values, name in zip((a, b), names, strict=True):
        _refuse_not_finite(values, f"{name}: the map {map_name!r}")
    pairs = list(zip(a, b, strict=True))
    agreement = np.array([_agreement(first, second) for first, second in pairs])
    return ExplanationChange(
        name=map_name,
        median=float(np.median(agreement)),
        p5=float(np.percentile(agreement, 5)),
        min=float(agreement.min()),
        worst_frame=int(agreement.argmin()),
        constant=sum(_is_constant(first) or _is_constant(second) for first, second in pairs),
    )


def _refuse_not_finite(values: Sequence[Any], what: str) -> None:
    for frame, value in enumerate(values):
        if not np.isfinite(value).all():
            raise ModelError(
                f"{what} holds what is no finite number on frame {frame}; a layer overflows there (float16 ends at "
                "65504): have such frames among those that a precision is made with, or mend the network"
            )


def _agreement(a: NDArray[Any], b: NDArray[Any]) -> float:
    if _is_constant(a) or _is_constant(b):
        return 1.0 if _is_constant(a) and _is_constant(b) else 0.0
    return rank_correlation(a, b)


def _is_constant(values: NDArray[Any]) -> bool:
    return bool(np.all(values == values.flat[0]))
