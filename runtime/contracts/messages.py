"""Every message on the bus and in the record, as frozen Structs.

Evolution: a new field carries a default, a field never changes its meaning, and a field is never renamed. Which topic
carries which message, and in which encoding, stands in `runtime.contracts.topics`.

JSON has no NaN and no infinity. Where a number may be one (a network's raw word), its type is `float | NonFinite`, in
the spelling of protobuf's JSON mapping; the exact bits are in the tensors beside it.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from runtime.contracts.clock import ClockDomain, ClockTie
from runtime.contracts.engine import EngineFingerprint
from runtime.contracts.identity import FrameId
from runtime.contracts.units import NS_PER_S
from runtime.contracts.vehicle import Control, VehicleState

NonFinite = Literal["NaN", "Infinity", "-Infinity"]
DispositionKind = Literal["decided", "late", "dropped"]
Mode = Literal["closed-loop", "shadow"]


def recordable(value: float) -> float | NonFinite:
    """A float as a message carries it. `float()` of the answer is the value again."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


class Header(msgspec.Struct, frozen=True):
    """First message of every segment: what drove, on what, from what, and how its clocks relate.

    MCAP's log_time of a message is `utc_origin_ns + (t_source_ns - t_source_origin_ns)`: the source's time laid over
    UTC.
    """

    drive_id: str
    sightline_version: str
    source_uri: str
    cameras: tuple[str, ...]
    pacing: Literal["lockstep", "real-time"]
    mode: Mode
    assumed_speed_mps: float | None  # None where the vehicle tells its own
    clock_domain: ClockDomain
    clock_tie: ClockTie
    utc_origin_ns: int
    t_source_origin_ns: int
    model_name: str
    model_sha256: str  # of the ONNX without its metadata
    fingerprint: EngineFingerprint
    config_sha256: str  # of the config file in the drive's folder
    schema_version: int = 1
    model_file_sha256: str = ""  # of the whole model file in the drive's folder, manifest included; "": not told
    attribution_worth: str = ""  # the verdict of the model's report (runtime.contracts.worth); "": not told


class Tensor(msgspec.Struct, frozen=True):
    """A tensor that entered or left the network, exactly: little-endian, C order, numpy's dtype name."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class TensorSet(msgspec.Struct, frozen=True):
    """All tensors of one side of one pass."""

    sequence: int
    t_source_ns: int
    tensors: tuple[Tensor, ...]


class Proposal(msgspec.Struct, frozen=True):
    """What the network asked for, before any check: rad (positive left) and m/s2, possibly not a finite number."""

    steering_angle_rad: float | NonFinite
    acceleration_mps2: float | NonFinite


class ConceptValue(msgspec.Struct, frozen=True):
    """What the network took a quantity to be that it decides through; `unit` as its manifest tells it."""

    name: str
    unit: str
    value: float | NonFinite


class ValidityState(msgspec.Struct, frozen=True, tag="validity"):
    """What the validity step remembers: the last valid control (None before the first) and the invalid proposals
    since.
    """

    last_valid: Control | None = None
    invalid_count: int = 0


class EnvelopeState(msgspec.Struct, frozen=True, tag="envelope"):
    """What the envelope step remembers: its last output and when that was (None before the first)."""

    last: Control | None = None
    t_source_ns: int | None = None


StepState = ValidityState | EnvelopeState


class StepRecord(msgspec.Struct, frozen=True):
    """One step of the decision chain: what it remembered, what came in, what went out, whether it changed anything,
    and why.
    """

    step: str
    state: StepState  # before the step
    input: Proposal
    output: Control
    acted: bool
    reason: str


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One decision, a pure function of tensors, vehicle state and chain state: replay makes the same bytes again.

    `reason` is one sentence for people: what pulled the steering, what the network took the road to be where it tells
    that, and what the chain changed.
    """

    decision_id: str
    sequence: int
    t_source_ns: int
    mode: Mode
    proposal: Proposal
    steps: tuple[StepRecord, ...]
    control: Control  # the last step's output
    reason: str
    concepts: tuple[ConceptValue, ...] = ()  # of a network that decides through named quantities


class Attribution(msgspec.Struct, frozen=True):
    """The signed map of one decision: `values[row][column]`, positive where the place pulled the target up (steering:
    left).

    Absolute scale, in the target's unit, comparable between frames. Cell (row, column) is centred in the model input at
    (origin_y_px + row * stride_y_px, origin_x_px + column * stride_x_px) and sees field_y_px x field_x_px pixels
    around it.
    """

    sequence: int
    t_source_ns: int
    image: str  # the model's image input that the map lies over
    camera: str
    method: str
    target: str
    values: tuple[tuple[float | NonFinite, ...], ...]
    origin_y_px: float
    origin_x_px: float
    stride_y_px: float
    stride_x_px: float
    field_y_px: float
    field_x_px: float


class Disposition(msgspec.Struct, frozen=True):
    """The ledger's line for one frame. Every frame that the source produced has exactly one."""

    frame_id: FrameId
    t_source_ns: int
    disposition: DispositionKind
    reason: str = ""  # why late or dropped
    t_capture_ns: int = 0  # host monotonic: the frame reached this process
    t_command_ns: int = 0  # host monotonic: the command was out; 0 where there was none
    picture_missing: str = ""  # why the record holds no picture of a frame that was seen
    left_out: tuple[str, ...] = ()  # topics that the recorder left out of this frame to save room
    missed: bool | None = None  # whether a command was due and was late, not given or not decided; None: not told


class GroundTruth(msgspec.Struct, frozen=True):
    """What a simulation knows and a camera does not. Lateral offset and heading error positive to the left of the
    lane.
    """

    sequence: int
    t_source_ns: int
    lateral_offset_m: float
    heading_error_rad: float
    curvature_per_m: float
    gap_m: float | None  # to the lead vehicle's rear bumper; None without one
    s_m: float  # arc length along the lane
    departed: bool  # a wheel is beyond the lane's edge
    collided: bool
    speed_mps: float


class Timestamp(msgspec.Struct, frozen=True):
    """foxglove.Timestamp: seconds and nanoseconds since the Unix epoch."""

    sec: int
    nsec: int


def timestamp(utc_ns: int) -> Timestamp:
    """The foxglove timestamp of a moment in UTC."""
    return Timestamp(utc_ns // NS_PER_S, utc_ns % NS_PER_S)


class CompressedImage(msgspec.Struct, frozen=True):
    """foxglove.CompressedImage: a picture for people. Lossy; the exact model input lies beside it."""

    timestamp: Timestamp
    frame_id: str  # the camera
    data: bytes
    format: str
    sequence: int = -1


class CompressedVideo(msgspec.Struct, frozen=True):
    """foxglove.CompressedVideo: one picture of a video for people, as an Annex B access unit. No picture refers to a
    later one, and each segment begins with one that refers to none.
    """

    timestamp: Timestamp
    frame_id: str  # the camera
    data: bytes
    format: str
    sequence: int = -1


class Event(msgspec.Struct, frozen=True):
    """foxglove.Log with a machine-readable kind. Levels: 1 debug, 2 info, 3 warning, 4 error, 5 fatal."""

    timestamp: Timestamp
    level: Literal[1, 2, 3, 4, 5]
    message: str
    name: str  # the process that says it
    kind: str  # dotted, e.g. `link.gap`, `recorder.restarted`
    file: str = ""
    line: int = 0
    t_source_ns: int | None = None
    sequence: int | None = None


class Gap(msgspec.Struct, frozen=True):
    """A declared loss: message sets of the link that the record does not hold, both ends included.

    `last` is None while the end is open: the sender died, and nobody knows how many more there were.
    """

    session: str
    first: int
    last: int | None
    reason: str


class Stored(msgspec.Struct, frozen=True):
    """The recorder's mark behind the messages of each set of the link: sets `first` to `last` end here.

    `last` is beyond `first` only where the recorder declared a gap in their place. Messages behind the last mark of a
    journal that a crash cut are no whole set and are sent again.
    """

    session: str
    first: int
    last: int
    frame_sequence: int  # -1: belongs to no frame
    messages: int  # how many messages before this mark belong to it
    crc32: int | None = (
        None  # only in a journal, of all since the mark before: it tells a set that a power failure tore
    )


class SealHead(msgspec.Struct, frozen=True):
    """The newest seal of a drive's chain. Whoever keeps it can tell later that nothing was cut off before it."""

    drive_id: str
    number: int  # of the seal, from 0
    seal_sha256: str  # of the seal's payload, which names the seal before it
    key_id: str
    segment: int | None  # the segment that was sealed; None: the drive was closed
    closes: bool = False


class Health(msgspec.Struct, frozen=True):
    """A process's own account, about once a second: counters since its start and its newest tie of the clocks.

    The driving process fills the fields of driving, the recorder those of recording.
    """

    process: str
    clock_tie: ClockTie
    decided: int = 0
    late: int = 0
    dropped: int = 0
    link_waiting: int = 0  # message sets handed over and not acknowledged
    link_lost: int = 0  # message sets given up
    latency_p50_ms: float | None = None  # capture to command, since the last account
    latency_max_ms: float | None = None
    malformed: int = 0  # messages on this process's sockets that were none
    refused: int = 0  # connections that the allow-list turned away
    degradation: int = 0  # which step of saving room the recorder has taken; 0: everything is recorded
    discarded: int = 0  # message sets that there was no room for, each within a declared gap
    free_mib: int | None = None  # what may still be written; None: not this process's affair
    misplaced: int = 0  # message sets that came twice or before their turn and were not taken, as after a reconnection


class Closing(msgspec.Struct, frozen=True):
    """Last message of a drive that ended in order: the drive's own totals, for comparison with what was recorded."""

    drive_id: str
    frames: int
    decided: int
    late: int
    dropped: int
    reason: str  # why the drive ended


class VehicleSample(msgspec.Struct, frozen=True):
    """The vehicle's state as sampled for one decision, each reading with its age."""

    sequence: int
    t_source_ns: int
    state: VehicleState
