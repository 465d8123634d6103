"""Real drives for tests: the policy decides, the recorder's own store writes, nothing runs beside the test."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection
from pathlib import Path

import cv2
import msgspec
import numpy as np
from mcap.reader import make_reader
from mcap.writer import Writer

from runtime.contracts.clock import SystemClock, tie
from runtime.contracts.config import Config, RecordConfig, dump_config
from runtime.contracts.engine import EngineRequest
from runtime.contracts.identity import FrameId
from runtime.contracts.messages import (
    Closing,
    CompressedImage,
    CompressedVideo,
    Disposition,
    DispositionKind,
    Event,
    Gap,
    Header,
    VehicleSample,
    timestamp,
)
from runtime.contracts.model import read_manifest
from runtime.contracts.source import Picture
from runtime.contracts.topics import (
    ATTRIBUTION,
    CLOSING,
    DECISION,
    EVENT,
    GAP,
    HEADER,
    LEDGER,
    MODEL_INPUT,
    MODEL_OUTPUT,
    PICTURE,
    VEHICLE,
    VIDEO,
    Topic,
)
from runtime.contracts.vehicle import Reading, VehicleState
from runtime.decision.policy import Policy
from runtime.decision.tensors import pack
from runtime.engines.onnx import open_engine
from runtime.preprocess import preprocess
from runtime.record.drive import open_drive
from runtime.record.h264 import FORMAT, H264Encoder
from runtime.record.journal import Journal
from runtime.record.segment import METADATA_NAME, SegmentNote, journal_path, sealed_path
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import VehicleKey
from runtime.supervise.plan import CONFIG_NAME, MODEL_NAME

FRAME_NS = 50_000_000
UTC_NS = 1_795_000_000 * 10**9
Change = Callable[[Topic, int, msgspec.Struct], msgspec.Struct | None]
"""What the record says instead of a message of a frame; None: nothing."""


def picture(sequence: int, width: int = 320, height: int = 160) -> Picture:
    """A noisy gradient that differs from frame to frame."""
    random = np.random.default_rng(sequence)
    noise = random.integers(0, 80, (height, width, 3), dtype=np.uint8)
    return noise + np.linspace(0, 150, width, dtype=np.uint8)[np.newaxis, :, np.newaxis]


def record_drive(
    folder: Path,
    onnx: bytes,
    frames: int,
    *,
    dropped: Collection[int] = (),
    late: Collection[int] = (),
    unrecorded: Collection[int] = (),
    change: Change | None = None,
    config: Config | None = None,
    segment_s: float = 60.0,
    fingerprint_backend: str = "",
    key: VehicleKey | None = None,
    video: bool = False,
) -> Path:
    """Record `frames` frames into `folder`; returns it.

    Some can be dropped or late, others be lost on the link and declared; `change` alters what is recorded after it was
    decided. With a `key` it is sealed. Pictures are JPEG, or with `video` H.264.
    """
    folder.mkdir(parents=True)
    config = config or Config()
    (folder / MODEL_NAME).write_bytes(onnx)
    (folder / CONFIG_NAME).write_text(dump_config(config), encoding="utf-8")
    manifest = read_manifest(folder / MODEL_NAME)
    request = EngineRequest(folder / MODEL_NAME, config.engine.providers, config.engine.threads, "all")
    engine = open_engine(request)
    fingerprint = engine.fingerprint
    if fingerprint_backend:
        fingerprint = msgspec.structs.replace(fingerprint, backend=fingerprint_backend)
    header = Header(
        drive_id=folder.name,
        sightline_version="test",
        source_uri="test",
        cameras=manifest.cameras,
        pacing="lockstep",
        mode="shadow",
        assumed_speed_mps=None,
        clock_domain="file",
        clock_tie=tie(SystemClock()),
        utc_origin_ns=UTC_NS,
        t_source_origin_ns=0,
        model_name=manifest.name,
        model_sha256=manifest.graph_sha256,
        fingerprint=fingerprint,
        config_sha256=hashlib.sha256((folder / CONFIG_NAME).read_bytes()).hexdigest(),
        model_file_sha256=hashlib.sha256(onnx).hexdigest(),
    )
    signer = None if key is None else DriveSealer(folder, key)
    store = DriveStore(folder, "session", RecordConfig(segment_s=segment_s), signer)
    writer = _Writer(store, change)
    store.keep_header(HEADER.encode(header))
    writer.event("the drive begins")
    policy = Policy(manifest, engine, config, header.drive_id, header.mode)
    memory = policy.initial_memory()
    films = _Films(video)
    for sequence in range(frames):
        t_source_ns = sequence * FRAME_NS
        kind: DispositionKind = "decided"
        messages: list[tuple[Topic, msgspec.Struct]] = []
        pictures = {camera: picture(sequence) for camera in manifest.cameras}
        if sequence in dropped:
            kind, memory = "dropped", policy.after_gap(memory)
        else:
            state = VehicleState(t_source_ns, speed_mps=Reading(10.0 + 0.01 * sequence, t_source_ns))
            images = {image.name: preprocess(pictures[image.camera], image) for image in manifest.images}
            inputs = policy.network_inputs(images, state, memory)
            outcome = policy.decide(sequence, t_source_ns, inputs, state, memory)
            messages = [
                (MODEL_INPUT, pack(inputs, sequence, t_source_ns)),
                (MODEL_OUTPUT, pack(outcome.outputs, sequence, t_source_ns)),
                (VEHICLE, VehicleSample(sequence, t_source_ns, state)),
                (DECISION, outcome.decision),
            ]
            if outcome.attribution is not None:
                messages.append((ATTRIBUTION, outcome.attribution))
            kind = "late" if sequence in late else "decided"
            memory = memory.unused(outcome.memory) if kind == "late" else outcome.memory
            messages += [
                films.message(camera, seen, sequence, segment=store.segment) for camera, seen in pictures.items()
            ]
        reason = {"decided": "", "late": "decided 120.0 ms after capture", "dropped": "the image is absent"}[kind]
        for camera in manifest.cameras:
            line = Disposition(FrameId(camera, sequence), t_source_ns, kind, reason)
            messages.append((LEDGER, line))
        if sequence in unrecorded:
            writer.lose()
        else:
            writer.write(messages, sequence, t_source_ns)
    writer.close(header.drive_id, frames, frames - len(dropped) - len(late), len(late), len(dropped))
    engine.close()
    return folder


class _Films:
    """Pictures as messages: JPEG, or video with one encoder a camera and a key picture at the begin of each segment."""

    def __init__(self, video: bool) -> None:
        self._video = video
        self._encoders: dict[str, H264Encoder] = {}
        self._begun: set[tuple[str, int]] = set()

    def message(self, camera: str, seen: Picture, sequence: int, *, segment: int) -> tuple[Topic, msgspec.Struct]:
        """The next picture."""
        moment = timestamp(UTC_NS + sequence * FRAME_NS)
        if not self._video:
            jpeg = cv2.imencode(".jpg", seen)[1].tobytes()
            return PICTURE, CompressedImage(moment, camera, jpeg, "jpeg", sequence)
        height, width = seen.shape[:2]
        encoder = self._encoders.setdefault(camera, H264Encoder(height, width, 20))
        key = (camera, segment) not in self._begun
        self._begun.add((camera, segment))
        return VIDEO, CompressedVideo(moment, camera, encoder.encode(seen, key=key), FORMAT, sequence)


class _Writer:
    def __init__(self, store: DriveStore, change: Change | None) -> None:
        self._store, self._change = store, change
        self._t_source_ns = 0

    def write(self, messages: list[tuple[Topic, msgspec.Struct]], sequence: int, t_source_ns: int) -> None:
        """One set, whole."""
        self._t_source_ns = t_source_ns
        utc_ns = UTC_NS + t_source_ns
        for topic, message in messages:
            said = message if self._change is None else self._change(topic, sequence, message)
            if said is None:
                continue
            camera = message.frame_id if isinstance(message, CompressedImage | CompressedVideo) else ""
            self._store.append(
                topic.name.format(camera=camera),
                topic,
                topic.encode(said),
                log_time_ns=utc_ns,
                publish_time_ns=utc_ns,
                sequence=max(sequence, 0),
            )
        number = self._store.next_sequence
        self._store.mark(number, number, frame_sequence=sequence, log_time_ns=utc_ns, publish_time_ns=utc_ns)

    def lose(self) -> None:
        """A set that never came, as the recorder declares it."""
        number = self._store.next_sequence
        self.write([(GAP, Gap("session", number, number, "the link was full"))], -1, self._t_source_ns)

    def event(self, words: str) -> None:
        """A line between frames."""
        self.write([(EVENT, Event(timestamp(UTC_NS), 2, words, "drive", "drive.began"))], -1, self._t_source_ns)

    def close(self, drive_id: str, frames: int, decided: int, late: int, dropped: int) -> None:
        """The totals, and the last seal."""
        closing = Closing(drive_id, frames, decided, late, dropped, "the source ended")
        self.write([(CLOSING, closing)], -1, self._t_source_ns)
        self._store.rotate()
        self._store.close()


def rewrite(
    segment: Path, change: Callable[[str, int, bytes], bytes | None], *, note: SegmentNote | None = None
) -> None:
    """What any MCAP tool can do: read all messages, write them again changed (None: not), without what it does not
    know. With a `note` it is told what the segment holds."""
    output = io.BytesIO()
    writer = Writer(output)
    writer.start()
    channels: dict[int, int] = {}
    with segment.open("rb") as stream:
        for schema, channel, message in make_reader(stream).iter_messages():
            if channel.id not in channels:
                assert schema is not None
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
            data = change(channel.topic, message.sequence, message.data)
            if data is not None:
                writer.add_message(channels[channel.id], message.log_time, data, message.publish_time, message.sequence)
    if note is not None:
        writer.add_metadata(METADATA_NAME, {key: str(value) for key, value in msgspec.to_builtins(note).items()})
    writer.finish()  # type: ignore[no-untyped-call]
    segment.write_bytes(output.getvalue())


def unseal(drive: Path, index: int) -> None:
    """A segment as it was before it was sealed: its journal, whole."""
    journal = Journal(journal_path(drive, index))
    for message in open_drive(drive).messages(segment=index):
        assert message.row is not None
        journal.append(
            message.topic,
            message.row,
            message.data,
            log_time_ns=message.log_time_ns,
            publish_time_ns=message.publish_time_ns,
            sequence=message.sequence,
        )
    journal.close()
    sealed_path(drive, index).unlink()
