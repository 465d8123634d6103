"""Message sets as a drive hands them over: what the network saw and said, the vehicle, the ledger's line."""

from __future__ import annotations

import random

import numpy as np

from runtime.contracts.clock import ClockTie
from runtime.contracts.engine import EngineFingerprint
from runtime.contracts.identity import FrameId
from runtime.contracts.link import Payload
from runtime.contracts.messages import Disposition, Header, Tensor, TensorSet, VehicleSample
from runtime.contracts.source import Picture
from runtime.contracts.topics import HEADER, LEDGER, MODEL_INPUT, MODEL_OUTPUT, VEHICLE
from runtime.contracts.vehicle import VehicleState

UTC_ORIGIN_NS = 1_700_000_000_000_000_000
INPUT_BYTES = 66 * 200 * 3  # what the packaged pilotnet takes
_NOISE = random.Random(1).randbytes(1 << 20)


def header_payload(drive_id: str = "drive") -> Payload:
    """What opens a record."""
    header = Header(
        drive_id=drive_id,
        sightline_version="0",
        source_uri="benchmark",
        cameras=("front",),
        pacing="real-time",
        mode="shadow",
        assumed_speed_mps=15.0,
        clock_domain="file",
        clock_tie=ClockTie("", 0, UTC_ORIGIN_NS, True),
        utc_origin_ns=UTC_ORIGIN_NS,
        t_source_origin_ns=0,
        model_name="model",
        model_sha256="00",
        fingerprint=EngineFingerprint("onnxruntime", "1", "CPUExecutionProvider", 1, "all", "processor", "linux"),
        config_sha256="00",
    )
    return Payload(HEADER.name, -1, 0, UTC_ORIGIN_NS, HEADER.encode(header))


def payloads(frame: int, period_ns: int, input_bytes: int = INPUT_BYTES) -> tuple[Payload, ...]:
    """A frame's messages without its picture: the same bytes for the same frame, and others for each other."""
    t_source_ns = frame * period_ns
    start = frame * 7919 % (len(_NOISE) - input_bytes)
    image = Tensor("image", "uint8", (1, input_bytes), _NOISE[start : start + input_bytes])
    angle = Tensor("steering", "float32", (1, 1), np.float32(frame).tobytes())
    rows = (
        (VEHICLE, VehicleSample(frame, t_source_ns, VehicleState(t_source_ns))),
        (MODEL_INPUT, TensorSet(frame, t_source_ns, (image,))),
        (MODEL_OUTPUT, TensorSet(frame, t_source_ns, (angle,))),
        (LEDGER, Disposition(FrameId("front", frame), t_source_ns, "decided")),
    )
    utc_ns = UTC_ORIGIN_NS + t_source_ns
    return tuple(Payload(row.name, frame, t_source_ns, utc_ns, row.encode(message)) for row, message in rows)


def picture(frame: int, height: int = 180, width: int = 320) -> Picture:
    """A picture with something in it: BGR, uint8."""
    rows, columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    return np.broadcast_to(rows + columns + 31 * frame, (height, width, 3)).astype(np.uint8)
