"""What changed between two model files: the manifest field by field, the graph, the decisions, the explanations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.frames import Frames, frames_of
from export.precision.change import (
    DecisionChange,
    ExplanationChange,
    Outputs,
    decided_by,
    decision_change,
    explanation_change,
    maps_of,
    value_of,
)
from export.precision.stepwise import faithful
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import AttributionOutput, Manifest, manifest_of

Map = NDArray[Any]
Manifests = tuple[Manifest, Manifest]

_CELLS_AT_LEAST = 4  # fewer have no ranks worth the name


class FieldChange(msgspec.Struct, frozen=True):
    """A field of the manifest by its path, as the first file has it and as the second; "" where one lacks it."""

    field: str
    first: str
    second: str


class OperatorChange(msgspec.Struct, frozen=True):
    """How many nodes of one operator the graphs have, where that differs."""

    operator: str
    first: int
    second: int


class ModelDiff(msgspec.Struct, frozen=True):
    """Two model files compared on the same moments of `source`.

    `not_compared` says of each decision and map that only one of them has, or that cannot be laid over its
    counterpart, why. `worst_frame` of the parts counts the frames from 0.
    """

    first_sha256: str
    second_sha256: str
    first_bytes: int
    second_bytes: int
    manifest: tuple[FieldChange, ...]
    operators: tuple[OperatorChange, ...]
    source: str
    frames: int
    decisions: tuple[DecisionChange, ...]
    explanations: tuple[ExplanationChange, ...]
    not_compared: tuple[str, ...]


def diff(first: bytes, second: bytes, uri: str, count: int, names: tuple[str, str] = ("first", "second")) -> ModelDiff:
    """Compare two ONNX files with manifests on up to `count` frames of `uri`, each fed as its own manifest says.

    `names` say which is which in errors. Raises ModelError where a file has no manifest or cannot run, SourceError or
    RecordError where the frames cannot be had.
    """
    manifests = (manifest_of(first, names[0]), manifest_of(second, names[1]))
    sessions = (Session(first), Session(second))
    fed = _frames(manifests, sessions, uri, count)
    runs = (faithful(first, names[0]), faithful(second, names[1]))
    a, b = ([run.run(inputs) for inputs in frames.inputs] for run, frames in zip(runs, fed, strict=True))
    decisions, silent = _decisions(manifests, a, b, names)
    explanations, uncompared = _explanations(manifests, a, b, names)
    return ModelDiff(
        first_sha256=manifests[0].graph_sha256,
        second_sha256=manifests[1].graph_sha256,
        first_bytes=len(first),
        second_bytes=len(second),
        manifest=tuple(_field_changes(*manifests)),
        operators=tuple(_operator_changes(first, second)),
        source=uri,
        frames=len(fed[0]),
        decisions=tuple(decisions),
        explanations=tuple(explanations),
        not_compared=(*silent, *uncompared),
    )


def _frames(manifests: Manifests, sessions: tuple[Session, Session], uri: str, count: int) -> tuple[Frames, Frames]:
    """The same moments for both: the same tensors, where both take the same."""
    first = frames_of(manifests[0], sessions[0].inputs, uri, count)
    alike = all(
        getattr(manifests[0], part) == getattr(manifests[1], part) for part in ("images", "states", "recurrent")
    )
    second = first if alike else frames_of(manifests[1], sessions[1].inputs, uri, count)
    if len(first) != len(second):
        raise ModelError(f"{uri!r} gave {len(first)} frames for one network and {len(second)} for the other")
    return first, second


def _decisions(
    manifests: Manifests, a: Sequence[Outputs], b: Sequence[Outputs], names: tuple[str, str]
) -> tuple[list[DecisionChange], list[str]]:
    mine, theirs = ({read.name: read for read in decided_by(manifest)} for manifest in manifests)
    changes: list[DecisionChange] = []
    silent = _alone(mine, theirs, "{}")
    for name in mine:
        one, other = mine[name], theirs.get(name)
        if other is not None and other.unit != one.unit:
            silent.append(f"{name}: one gives it in {one.unit or 'no unit'}, the other in {other.unit or 'no unit'}")
        elif other is not None:
            changes.append(decision_change(one, [value_of(one, x) for x in a], [value_of(other, x) for x in b], names))
    return changes, silent


def _explanations(
    manifests: Manifests, a: Sequence[Outputs], b: Sequence[Outputs], names: tuple[str, str]
) -> tuple[list[ExplanationChange], list[str]]:
    maps_a, maps_b = [maps_of(manifests[0], x) for x in a], [maps_of(manifests[1], x) for x in b]
    changes: list[ExplanationChange] = []
    silent = _alone(maps_a[0], maps_b[0], "the map {!r}")
    one, other = manifests[0].attribution, manifests[1].attribution
    if one is None or other is None:
        return changes, silent
    for name in maps_a[0]:
        if name not in maps_b[0]:
            continue
        why = _other_picture(manifests, one, other)
        pairs = [] if why else [_laid_over(x[name], one, y[name], other) for x, y in zip(maps_a, maps_b, strict=True)]
        if why or pairs[0][0].size < _CELLS_AT_LEAST:
            silent.append(f"the map {name!r}: {why or 'the two grids share too few places'}")
        else:
            changes.append(explanation_change(name, [p[0] for p in pairs], [p[1] for p in pairs], names))
    return changes, silent


def _alone(mine: Mapping[str, object], theirs: Mapping[str, object], form: str) -> list[str]:
    first = [f"{form.format(name)}: only the first has it" for name in mine if name not in theirs]
    return first + [f"{form.format(name)}: only the second has it" for name in theirs if name not in mine]


def _other_picture(manifests: Manifests, one: AttributionOutput, other: AttributionOutput) -> str:
    """Why two maps do not lie over the same picture, "" where they do."""
    pictures = [
        next(image for image in manifest.images if image.name == grid.image)
        for manifest, grid in zip(manifests, (one, other), strict=True)
    ]
    for part in ("camera", "crop", "width", "height"):
        first, second = (getattr(picture, part) for picture in pictures)
        if first != second:
            return f"they lie over other pictures ({part} {first} and {second})"
    return ""


def _laid_over(a: Map, one: AttributionOutput, b: Map, other: AttributionOutput) -> tuple[Map, Map]:
    """Both maps where they can be compared: cell by cell on one grid, or else, on the coarser grid, each cell beside
    the mean of the finer map's cells that are centred in it.
    """
    if _grid(one) == _grid(other):
        return a, b
    if one.stride_y_px * one.stride_x_px >= other.stride_y_px * other.stride_x_px:
        coarse, fine = _averaged(a, one, b, other)
        return coarse, fine
    coarse, fine = _averaged(b, other, a, one)
    return fine, coarse


def _averaged(coarse: Map, wide: AttributionOutput, fine: Map, narrow: AttributionOutput) -> tuple[Map, Map]:
    y_px = narrow.origin_y_px + narrow.stride_y_px * np.arange(narrow.rows)
    x_px = narrow.origin_x_px + narrow.stride_x_px * np.arange(narrow.columns)
    row = np.rint((y_px - wide.origin_y_px) / wide.stride_y_px).astype(int)
    column = np.rint((x_px - wide.origin_x_px) / wide.stride_x_px).astype(int)
    rows, columns = np.meshgrid(row, column, indexing="ij")
    inside = (rows >= 0) & (rows < wide.rows) & (columns >= 0) & (columns < wide.columns)
    place = rows[inside] * wide.columns + columns[inside]
    count = np.bincount(place, minlength=coarse.size)
    total = np.bincount(place, np.asarray(fine, np.float64)[inside], minlength=coarse.size)
    seen = count > 0
    return coarse.ravel()[seen], total[seen] / count[seen]


def _grid(grid: AttributionOutput) -> tuple[float, ...]:
    return (
        grid.rows,
        grid.columns,
        grid.origin_y_px,
        grid.origin_x_px,
        grid.stride_y_px,
        grid.stride_x_px,
    )


def _field_changes(first: Manifest, second: Manifest) -> Iterator[FieldChange]:
    """Every field that differs, but for the hash of the graph, which stands by itself."""
    mine, theirs = (
        dict(_flat("", msgspec.to_builtins(msgspec.structs.replace(manifest, graph_sha256=""))))
        for manifest in (first, second)
    )
    for field in dict.fromkeys((*mine, *theirs)):
        if mine.get(field) != theirs.get(field):
            yield FieldChange(field, mine.get(field, ""), theirs.get(field, ""))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flat(f"{path}.{key}" if path else key, part)
    elif isinstance(value, list | tuple) and value:
        for at, part in enumerate(value):
            yield from _flat(f"{path}[{at}]", part)
    else:
        yield path, msgspec.json.encode(value).decode()


def _operator_changes(first: bytes, second: bytes) -> Iterator[OperatorChange]:
    mine, theirs = (_operators(onnx_bytes) for onnx_bytes in (first, second))
    for operator in sorted({*mine, *theirs}):
        if mine[operator] != theirs[operator]:
            yield OperatorChange(operator, mine[operator], theirs[operator])


def _operators(onnx_bytes: bytes) -> Counter[str]:
    import onnx

    nodes = onnx.load_model_from_string(onnx_bytes).graph.node
    return Counter(f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in nodes)
