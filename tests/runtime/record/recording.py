"""Small real drives for the recorder's tests: a plan, messages, a recorder process, a sender."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from runtime.bus.link import LinkSender
from runtime.contracts.clock import ClockTie, SystemClock
from runtime.contracts.config import BusConfig, Config, RecordConfig
from runtime.contracts.engine import EngineFingerprint
from runtime.contracts.identity import FrameId
from runtime.contracts.link import Payload
from runtime.contracts.messages import Disposition, Header, Tensor, TensorSet
from runtime.contracts.source import Picture
from runtime.contracts.topics import GAP, HEADER, LEDGER, MODEL_INPUT, STORED
from runtime.record.drive import Drive
from runtime.seal.keys import default_key_dir, ensure_key
from runtime.supervise.plan import RunPlan, make_plan, make_run_dir, write_plan

UTC_ORIGIN_NS = 1_700_000_000_000_000_000
PERIOD_NS = 33_000_000
PATIENCE_S = 20.0


def a_header(cameras: tuple[str, ...] = ("front",)) -> Header:
    fingerprint = EngineFingerprint("onnxruntime", "1", "CPUExecutionProvider", 1, "all", "processor", "linux")
    return Header(
        drive_id="drive",
        sightline_version="0",
        source_uri="test",
        cameras=cameras,
        pacing="lockstep",
        mode="shadow",
        assumed_speed_mps=15.0,
        clock_domain="file",
        clock_tie=ClockTie("", 0, UTC_ORIGIN_NS, True),
        utc_origin_ns=UTC_ORIGIN_NS,
        t_source_origin_ns=0,
        model_name="model",
        model_sha256="00",
        fingerprint=fingerprint,
        config_sha256="00",
    )


def header_payload() -> Payload:
    return Payload(HEADER.name, -1, 0, UTC_ORIGIN_NS, HEADER.encode(a_header()))


def an_input(sequence: int, size_bytes: int = 300) -> TensorSet:
    data = np.random.default_rng(sequence).bytes(size_bytes)
    return TensorSet(sequence, sequence * PERIOD_NS, (Tensor("image", "uint8", (1, size_bytes), data),))


def frame_payloads(sequence: int, cameras: Iterable[str] = ("front",), size_bytes: int = 300) -> tuple[Payload, ...]:
    t_source_ns = sequence * PERIOD_NS
    utc_ns = UTC_ORIGIN_NS + t_source_ns
    dispositions = [Disposition(FrameId(name, sequence), t_source_ns, "decided") for name in cameras]
    lines = [Payload(LEDGER.name, sequence, t_source_ns, utc_ns, LEDGER.encode(line)) for line in dispositions]
    tensors = MODEL_INPUT.encode(an_input(sequence, size_bytes))
    return (Payload(MODEL_INPUT.name, sequence, t_source_ns, utc_ns, tensors), *lines)


def a_picture(sequence: int, height: int = 48, width: int = 64) -> Picture:
    return np.full((height, width, 3), (sequence * 7 % 200, 40, 90), np.uint8)


def over_tcp() -> BusConfig:
    """Free ports on loopback, with keys."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        viewers, pictures, link, marks = (f"tcp://127.0.0.1:{server.getsockname()[1]}" for server in servers)
    return BusConfig("tcp", True, viewers, pictures, link, marks)


def a_plan(drive_dir: Path, record: RecordConfig, bus: BusConfig | None = None) -> RunPlan:
    drive_dir.mkdir(parents=True, exist_ok=True)
    ensure_key(default_key_dir())  # as a run does before its first drive
    return make_plan(
        drive_id="drive",
        drive_dir=drive_dir,
        run_dir=make_run_dir(),
        source_uri="test",
        pacing=None,
        config=Config(record=record, bus=bus or BusConfig()),
    )


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, whole."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class RecorderProcess:
    """The real recorder, started as the supervisor starts it, and killed at the end of the test."""

    def __init__(self, plan: RunPlan, stdout: int | None = None) -> None:
        self.plan_path = str(write_plan(plan))
        self._argv = [sys.executable, "-m", "runtime.record", self.plan_path]
        self.process = subprocess.Popen(self._argv, stdout=stdout)

    def kill_and_restart(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process = subprocess.Popen(self._argv)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Ask it to end, as the supervisor does after the drive."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> RecorderProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Driver:
    """Hands over a header and then frames, as the driving process does."""

    def __init__(self, plan: RunPlan) -> None:
        self.sender = LinkSender(plan.link, plan.session, plan.config.record, SystemClock(), plan.credentials("driver"))
        self.sender.hand_over((header_payload(),), t_source_ns=0)
        self.frames = 0

    def frame(self, cameras: tuple[str, ...] = ("front",), size_bytes: int = 300) -> None:
        sequence = self.frames
        placed = self.sender.place({name: a_picture(sequence) for name in cameras})
        self.sender.hand_over(
            frame_payloads(sequence, cameras, size_bytes),
            t_source_ns=sequence * PERIOD_NS,
            frame_sequence=sequence,
            pictures=placed.refs,
        )
        self.frames += 1

    def frame_in_lockstep(self, cameras: tuple[str, ...] = ("front",)) -> None:
        assert self.sender.wait_for_credit(PATIENCE_S)
        self.frame(cameras)

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.close()


def all_acknowledged(driver: Driver) -> bool:
    driver.sender.poll()
    return driver.sender.waiting == 0


def stored_sets(drive: Drive) -> list[int]:
    """The link sequences in the record, gaps left out."""
    marks = [message.decode() for message in drive.messages(STORED)]
    gaps = {(gap.first, gap.last) for gap in drive.gaps()}
    return [mark.first for mark in marks if (mark.first, mark.last) not in gaps]


def declared_lost(drive: Drive) -> list[int]:
    """The link sequences that the record declares as lost."""
    gaps = [message.decode() for message in drive.messages(GAP)]
    return [sequence for gap in gaps if gap.last is not None for sequence in range(gap.first, gap.last + 1)]
