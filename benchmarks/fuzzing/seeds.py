"""Real messages, a real plan and a real sealed drive: what the fuzz begins from."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import msgspec
from mcap.reader import make_reader

from runtime.contracts.clock import ClockTie
from runtime.contracts.config import BusConfig, Config, RecordConfig, default_config
from runtime.contracts.engine import EngineFingerprint
from runtime.contracts.identity import FrameId
from runtime.contracts.incident import Incident, IncidentIndex, Trigger
from runtime.contracts.link import Payload
from runtime.contracts.messages import Disposition, Event, Header, Stored, Tensor, TensorSet, timestamp
from runtime.contracts.topics import EVENT, HEADER, LEDGER, MODEL_INPUT, STORED, find_topic
from runtime.incident.index import write_index
from runtime.record.drive import open_drive
from runtime.record.journal import Journal
from runtime.record.segment import journal_path, sealed_path
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import default_key_dir, ensure_key, load_key
from runtime.supervise.launch import run_drive
from runtime.supervise.plan import CONFIG_NAME, MODEL_NAME, RunPlan, make_plan, make_run_dir

UTC_NS = 1_795_000_000 * 10**9
PERIOD_NS = 50_000_000
_SETS, _SETS_A_SEGMENT = 9, 3
_AN_INCIDENT = Incident(0, 0, 10**9, (Trigger("mark", 0, 0, "somebody said so", "fuzz"),), (0, 1), False)


def a_header() -> Header:
    """The header of a drive of nothing."""
    fingerprint = EngineFingerprint("onnxruntime", "1", "CPUExecutionProvider", 1, "all", "processor", "linux")
    return Header(
        drive_id="drive",
        sightline_version="0",
        source_uri="fuzz",
        cameras=("front",),
        pacing="lockstep",
        mode="shadow",
        assumed_speed_mps=15.0,
        clock_domain="file",
        clock_tie=ClockTie("", 0, UTC_NS, True),
        utc_origin_ns=UTC_NS,
        t_source_origin_ns=0,
        model_name="model",
        model_sha256="00",
        fingerprint=fingerprint,
        config_sha256="00",
    )


def header_payload(header: Header | None = None) -> Payload:
    """It, as it is handed over."""
    return Payload(HEADER.name, -1, 0, UTC_NS, HEADER.encode(header or a_header()))


def frame_payloads(sequence: int) -> tuple[Payload, ...]:
    """What is handed over of one small frame."""
    t_ns = sequence * PERIOD_NS
    tensors = TensorSet(sequence, t_ns, (Tensor("image", "uint8", (1, 60), bytes(60)),))
    line = Disposition(FrameId("front", sequence), t_ns, "decided")
    event = Event(timestamp(UTC_NS + t_ns), 2, "a frame", "driving", "frame.made")
    rows = ((MODEL_INPUT, tensors), (LEDGER, line), (EVENT, event))
    return tuple(Payload(row.name, sequence, t_ns, UTC_NS + t_ns, row.encode(message)) for row, message in rows)


def a_plan(drive_dir: Path, **record: int | float) -> RunPlan:
    """The plan of a run whose sockets lie in a folder of its own."""
    ensure_key(default_key_dir())
    return a_plan_of(drive_dir, Config(record=msgspec.structs.replace(RecordConfig(), **record)))


def a_plan_of(drive_dir: Path, config: Config) -> RunPlan:
    """The plan of a run."""
    drive_dir.mkdir(parents=True, exist_ok=True)
    return make_plan(
        drive_id="drive",
        drive_dir=drive_dir,
        run_dir=make_run_dir(),
        source_uri="fuzz",
        pacing=None,
        config=config,
    )


def a_config(*, tcp: bool, key_dir: Path) -> Config:
    """The configuration of a vehicle with keys of its own, whose sockets are where they can be had at this moment."""
    ensure_key(key_dir)
    record = msgspec.structs.replace(RecordConfig(), key_dir=str(key_dir))
    if not tcp:
        return Config(record=record)
    viewers, pictures, link, marks = (f"tcp://127.0.0.1:{_free_port()}" for _ in range(4))
    return Config(record=record, bus=BusConfig("tcp", True, viewers, pictures, link, marks))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def a_drive(work: Path) -> Path:
    """A drive of the proving ground, of which a few frames are kept, sealed in three segments: small, so that many
    thousands of changes to it can be looked at.
    """
    config = default_config()
    record = msgspec.structs.replace(config.record, key_dir=str(work / "keys"), jpeg_quality=10)
    config = msgspec.structs.replace(config, record=record)
    made = Path(
        run_drive(config, "proving-ground://lane?seed=3&duration_s=1", work / "made", "lockstep", _quietly).drive
    )
    drive = work / "kept" / made.name
    drive.mkdir(parents=True)
    for path in (made / MODEL_NAME, made / CONFIG_NAME, *made.glob("*.report.json")):
        shutil.copyfile(path, drive / path.name)
    store = DriveStore(drive, session_of(made), record, DriveSealer(drive, load_key(work / "keys")))
    sets = 0
    for one in open_drive(made).messages():
        if one.row is HEADER:
            store.keep_header(one.data)
        elif one.row is not STORED:
            store.append(
                one.topic,
                one.row,
                one.data,
                log_time_ns=one.log_time_ns,
                publish_time_ns=one.publish_time_ns,
                sequence=one.sequence,
            )
        else:
            mark: Stored = one.decode()
            store.mark(
                mark.first,
                mark.last,
                frame_sequence=mark.frame_sequence,
                log_time_ns=one.log_time_ns,
                publish_time_ns=one.publish_time_ns,
            )
            sets += 1
            if sets % _SETS_A_SEGMENT == 0:
                store.rotate()
            if sets == _SETS:
                break
    index = IncidentIndex(made.name, (_AN_INCIDENT,))
    write_index(drive, index)
    store.close()
    return drive


def leave_unfinished(drive: Path, index: int) -> None:
    """Make segment `index` the journal that it was before it was sealed, as a recorder that died leaves it."""
    sealed, path = sealed_path(drive, index), journal_path(drive, index)
    journal = Journal(path)
    with sealed.open("rb") as stream:
        for _, channel, message in make_reader(stream).iter_messages(log_time_order=False):
            row = find_topic(channel.topic)
            assert row is not None
            journal.append(
                channel.topic,
                row,
                message.data,
                log_time_ns=message.log_time,
                publish_time_ns=message.publish_time,
                sequence=message.sequence,
            )
    journal.close()
    sealed.unlink()
    for left in (*drive.glob(f"segment-{index:04d}.leaves"), *drive.glob(f"segment-{index:04d}.seal.json")):
        left.unlink()
    for left in drive.glob("closing-*.seal.json"):
        left.unlink()


def session_of(drive: Path) -> str:
    """The session that a drive's first mark names."""
    with sealed_path(drive, 0).open("rb") as stream:
        for _, _, message in make_reader(stream).iter_messages(topics=[STORED.name]):
            mark: Stored = STORED.decode(message.data)
            return mark.session
    raise AssertionError("the drive has no mark")


def put_away(*folders: Path) -> None:
    """Remove what a target made."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _quietly(_: object) -> None:
    """Progress that nobody watches."""
