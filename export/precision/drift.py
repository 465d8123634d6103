"""What another precision of a network changes: size, speed, decisions, explanations; and the gate that refuses it."""

from __future__ import annotations

import msgspec
import numpy as np

from export.config import DriftGates
from export.frames import Frames
from export.graph.graph import Graph
from export.precision.change import (
    DecisionChange,
    ExplanationChange,
    decided_by,
    decision_change,
    explanation_change,
    maps_of,
    value_of,
)
from export.precision.speed import Speed, speed
from export.precision.stepwise import Stepwise, faithful
from export.session import Session
from runtime.contracts.errors import ModelError
from runtime.contracts.model import manifest_of

_HALF_ON_CPU = "this back-end computes float16 in float32: its time says nothing of a GPU's"
_INT8_ON_CPU = "laid out for TensorRT: this back-end convolves it in float32, so its time says nothing of a GPU's"


class Drift(msgspec.Struct, frozen=True):
    """A candidate measured against the float32 form of the same network, on the frames named by `source` and `sha256`.

    `worst_frame` in the parts is an index into those frames.
    """

    source: str
    frames_sha256: str
    frames: int
    reference_bytes: int
    candidate_bytes: int
    speed: Speed
    decisions: tuple[DecisionChange, ...]
    explanations: tuple[ExplanationChange, ...]

    @property
    def worst_frame(self) -> int:
        """The frame on which the first output, which is what steers where anything does, moves farthest."""
        return self.decisions[0].worst_frame


def drift(reference: bytes, candidate: bytes, frames: Frames) -> Drift:
    """Run both on every frame and measure what changes; a candidate with float16 in it operator by operator, since
    ONNX Runtime would compute it in float32 (see `Stepwise`).

    Args:
        reference: the explained ONNX in float32, with its manifest.
        candidate: another precision of it, with the same inputs and outputs.
        frames: at least one frame, not those of the calibration, or the figures flatter.

    Raises:
        ModelError: either has no manifest or cannot run, or the candidate gives something that is no finite number.
    """
    manifest = manifest_of(reference, "reference")
    manifest_of(candidate, "candidate")
    names = (f"model {manifest.name} in float32", f"the candidate of model {manifest.name}")
    if not frames.inputs:
        raise ModelError(f"model {manifest.name}: its drift cannot be measured on no frame at all; give frames.source")
    before, after = Session(reference), faithful(candidate, names[1])
    outputs = [(before.run(inputs), after.run(inputs)) for inputs in frames.inputs]
    decisions = tuple(
        decision_change(read, [value_of(read, a) for a, _ in outputs], [value_of(read, b) for _, b in outputs], names)
        for read in decided_by(manifest)
    )
    maps = [(maps_of(manifest, a), maps_of(manifest, b)) for a, b in outputs]
    explanations = tuple(
        explanation_change(name, [a[name] for a, _ in maps], [b[name] for _, b in maps], names) for name in maps[0][0]
    )
    return Drift(
        source=frames.source,
        frames_sha256=frames.sha256,
        frames=len(frames),
        reference_bytes=len(reference),
        candidate_bytes=len(candidate),
        speed=speed(before, Session(candidate), frames, _remark(candidate, after)),
        decisions=decisions,
        explanations=explanations,
    )


def refused(found: Drift, gates: DriftGates) -> list[str]:
    """Why the gate does not let it pass, a sentence for each figure beyond its limit; empty where it passes."""
    reasons = []
    for change in found.decisions:
        if change.range is None:
            continue
        for which, value, share in (
            ("in the mean", change.mean, gates.decision_mean),
            ("at its 99th percentile", change.p99, gates.decision_p99),
        ):
            limit = share * change.range
            if value > limit:
                unit = f" {change.unit}" if change.unit else ""
                reasons.append(
                    f"{change.name} moves by {value:.4g}{unit} {which}, more than the {limit:.4g}{unit} allowed "
                    f"({share:.3g} of its range); worst on frame {change.worst_frame}, by {change.max:.4g}{unit}"
                )
    for explained in found.explanations:
        for which, value, limit in (
            ("median", explained.median, gates.explanation_median),
            ("5th percentile", explained.p5, gates.explanation_p5),
        ):
            if value < limit:
                reasons.append(
                    f"the map {explained.name!r} agrees with float32 by a rank correlation of {value:.3f} ({which}), "
                    f"less than the {limit:.3g} asked for; worst on frame {explained.worst_frame}, {explained.min:.3f}"
                )
    return reasons


def _remark(candidate: bytes, runs: Session | Stepwise) -> str:
    if isinstance(runs, Stepwise):
        return _HALF_ON_CPU
    graph = Graph.load(candidate, "candidate")
    grids = {graph.value(node.outputs[0]).dtype for node in graph.nodes if node.op == "QuantizeLinear"}
    return _INT8_ON_CPU if np.dtype(np.int8) in grids else ""
