"""What flows through a graph on real frames: chosen tensors of every pass, and a refusal of what is no number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.frames import Frames
from export.graph.graph import Graph
from export.session import Session
from runtime.contracts.errors import ModelError

_AT_ONCE_BYTES = 256 * 2**20


def observe(
    graph: Graph, tensors: Sequence[str], frames: Frames, where: str
) -> Iterator[tuple[int, str, NDArray[Any]]]:
    """Each of `tensors` on each frame, as (frame, name, values), so that never more than a few hundred MiB are held.

    Raises ModelError where a float input or one of the tensors holds a NaN, naming it and the frame: no range can be
    told from it.
    """
    for frame, inputs in enumerate(frames.inputs):
        for name, values in inputs.items():
            _refuse_nan(name, values, frame, frames, where)
    for group in _groups(graph, tensors):
        tapped = graph.copy()
        tapped.outputs = [name for name in group if name not in tapped.inputs]
        session = Session(tapped.to_bytes()) if tapped.outputs else None
        for frame, inputs in enumerate(frames.inputs):
            seen = session.run(inputs) if session is not None else {}
            for name in group:
                values = seen[name] if name in seen else np.asarray(inputs[name])
                _refuse_nan(name, values, frame, frames, where)
                yield frame, name, values


def _refuse_nan(name: str, values: NDArray[Any], frame: int, frames: Frames, where: str) -> None:
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ModelError(
            f"{where}: tensor {name!r} holds NaN on frame {frame} of {frames.source!r}, in float32 already; take that "
            "frame out of what it is calibrated on, or mend the network"
        )


def _groups(graph: Graph, tensors: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    held = 0
    for name in tensors:
        value = graph.value(name)
        size = value.size * value.dtype.itemsize
        if group and held + size > _AT_ONCE_BYTES:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group
