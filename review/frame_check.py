"""One recorded frame through the engine and the chain again, and how it hangs together with its neighbours.

The engine's outputs are compared with the recorded ones, and the recorded decision with what the chain makes of the
recorded outputs: so a decision is held against its own outputs on any machine, whatever the engine does there.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import msgspec

from review.compare import Difference, Verdict, control_distance, message_difference, tensor_differences
from runtime.contracts.errors import SightlineError
from runtime.contracts.messages import (
    Decision,
    DispositionKind,
    TensorSet,
    VehicleSample,
)
from runtime.contracts.model import Manifest
from runtime.contracts.topics import ATTRIBUTION, DECISION, Topic
from runtime.decision.policy import Memory, Policy
from runtime.decision.tensors import unpack

Links = tuple[tuple[str, bytes], ...]
"""What a frame was given of its past, or leaves to its future: name and digest of each part of the memory."""


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What the record holds of one decision."""

    sequence: int
    t_source_ns: int
    disposition: DispositionKind
    inputs: TensorSet
    outputs: TensorSet
    vehicle: VehicleSample
    decision: bytes  # as recorded
    attribution: bytes | None
    attribution_left_out: bool = False  # the recorder had no room for it, and said so


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """One frame's answer: `difference` is the first that counts, `max_abs_diff` is of output tensors' elements."""

    sequence: int
    verdict: Verdict
    max_abs_diff: float
    difference: Difference | None
    before: Links  # the memory that the record says the decision was made on
    after: Links  # the memory that the next frame must be made on
    after_gap: Links  # the same where a dropped frame lies between


def check(frame: RecordedDecision, policy: Policy, manifest: Manifest, *, same_fingerprint: bool) -> FrameCheck:
    """Replay one frame and judge it.

    Args:
        frame: what was recorded.
        policy: the recorded model in an engine opened as it was recorded, with the recorded configuration.
        manifest: the recorded model's.
        same_fingerprint: whether that engine has the recorded fingerprint; then every differing bit is a divergence.
    """
    try:
        return _checked(frame, policy, manifest, same_fingerprint=same_fingerprint)
    except KeyError as error:
        return broken(frame.sequence, f"there is no tensor {error}")
    except SightlineError as error:
        return broken(frame.sequence, str(error))


def broken(sequence: int, why: str) -> FrameCheck:
    """The answer for a frame whose record cannot be what the vehicle wrote: bytes that are no message, tensors that no
    engine takes. Nothing is said of its outputs or of the memory that it leaves."""
    difference = Difference("record", math.inf, "not what the vehicle wrote", why)
    return FrameCheck(sequence, "diverged", 0.0, difference, (), (), ())


def first_broken_link(expected: Links, found: Links) -> str | None:
    """The name of the first part of the memory that is not what the frame before left; None where all is."""
    left = dict(expected)
    return next((name for name, digest in found if left.get(name, digest) != digest), None)


def _checked(frame: RecordedDecision, policy: Policy, manifest: Manifest, *, same_fingerprint: bool) -> FrameCheck:
    inputs, recorded = unpack(frame.inputs), unpack(frame.outputs)
    decision: Decision = DECISION.decode(frame.decision)
    state = frame.vehicle.state
    memory = policy.recorded_memory(inputs, decision.steps)
    images = {image.name: inputs[image.name] for image in manifest.images}
    of_inputs = tensor_differences("input", inputs, policy.network_inputs(images, state, memory))
    replayed = policy.decide(frame.sequence, frame.t_source_ns, inputs, state, memory)
    of_outputs = tensor_differences("output", recorded, replayed.outputs)
    followed = policy.conclude(frame.sequence, frame.t_source_ns, recorded, state, memory) if of_outputs else replayed
    of_decision = _unlike(DECISION, frame.decision, followed.decision)
    of_map = []
    if frame.attribution is not None or not frame.attribution_left_out:
        of_map = _unlike(ATTRIBUTION, frame.attribution, followed.attribution)
    differences = [*of_inputs, *of_outputs, *of_decision, *of_map]
    close = not same_fingerprint and not of_inputs and _close(of_outputs + of_map, manifest.tolerance)
    close = close and control_distance(decision, replayed.decision) <= manifest.tolerance
    after = memory.unused(followed.memory) if frame.disposition == "late" else followed.memory
    return FrameCheck(
        sequence=frame.sequence,
        verdict="identical" if not differences else "within_tolerance" if close else "diverged",
        max_abs_diff=max((difference.distance for difference in of_outputs), default=0.0),
        difference=differences[0] if differences else None,
        before=links_of(memory),
        after=links_of(after, chain=not of_decision),
        after_gap=links_of(policy.after_gap(after), chain=not of_decision),
    )


def _close(differences: list[Difference], tolerance: float) -> bool:
    return all(difference.distance <= tolerance for difference in differences)


def links_of(memory: Memory, *, chain: bool = True) -> Links:
    """A memory's parts and their digests. `chain` is off where the chain's state is not known: another machine's
    mathematics made it."""
    hidden = [(f"hidden state {name}", _digest(array.tobytes())) for name, array in sorted(memory.hidden.items())]
    if not chain:
        return tuple(hidden)
    steps = [(f"state of {state.__struct_config__.tag}", msgspec.json.encode(state)) for state in memory.chain]
    return (*hidden, *steps)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _unlike(topic: Topic, recorded: bytes | None, replayed: msgspec.Struct | None) -> list[Difference]:
    if recorded is None and replayed is None:
        return []
    if recorded is not None and replayed is not None and topic.encode(replayed) == recorded:
        return []
    before = None if recorded is None else topic.decode(recorded)
    return [message_difference(topic.type.__name__.lower(), before, replayed)]
