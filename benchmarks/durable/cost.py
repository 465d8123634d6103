"""What recording costs a frame in CPU, beside a plain file and the MCAP library's own writer with the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from mcap.writer import CompressionType, Writer

from benchmarks.durable.faults import forked
from benchmarks.durable.sets import header_payload, payloads
from runtime.bus.link import LinkSender
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import Config, RecordConfig
from runtime.contracts.link import Payload
from runtime.contracts.topics import find_topic
from runtime.contracts.units import NS_PER_S
from runtime.record import __main__ as recorder
from runtime.record.journal import register
from runtime.seal.keys import ensure_key
from runtime.supervise.plan import make_plan, make_run_dir, write_plan

_INPUT_BYTES = 100_000
_SETS = 400
_RATE_HZ = 200
_SYNC_EVERY = 10  # sets: the recorder's 50 ms at this rate
_PATIENCE_S = 60.0
_PERIOD_NS = NS_PER_S // _RATE_HZ


class Round(msgspec.Struct, frozen=True):
    """CPU of one frame in microseconds, in one run of all, one after the other."""

    plain_us: float
    unchunked_us: float
    zstd_us: float
    hand_over_us: float
    recorder_us: float


class Cost(msgspec.Struct, frozen=True):
    """The medians of several rounds."""

    rounds: int
    set_bytes: int
    median: Round


def measure(rounds: int = 7) -> Cost:
    """Run everything `rounds` times, each in a process of its own."""
    done = [_in_a_process(_round) for _ in range(rounds)]
    middle = {name: statistics.median(getattr(one, name) for one in done) for name in Round.__struct_fields__}
    return Cost(rounds, sum(len(one.data) for one in _a_set(0)), Round(**middle))


def _a_set(frame: int) -> tuple[Payload, ...]:
    return payloads(frame, _PERIOD_NS, _INPUT_BYTES)


def _in_a_process(job: Callable[[], Round]) -> Round:
    ours, theirs = os.pipe()

    def told() -> int:
        os.write(theirs, msgspec.json.encode(job()))
        return 0

    pid = forked(told)
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    return msgspec.json.decode(said, type=Round)


def _round() -> Round:
    folder = Path(tempfile.mkdtemp(prefix="sightline-cost-"))
    try:
        sets = [_a_set(frame) for frame in range(_SETS)]
        plain = _cpu_us(lambda: _plain(folder / "plain", sets))
        unchunked = _cpu_us(lambda: _mcap(folder / "unchunked", sets, chunked=False))
        zstd = _cpu_us(lambda: _mcap(folder / "zstd", sets, chunked=True))
        _, alone_s = _recorded(folder / "alone", sets[:1])
        hand_over_us, recorder_s = _recorded(folder / "recorded", sets)
        recorder_us = (recorder_s - alone_s) / (_SETS - 1) * 1e6
        return Round(plain, unchunked, zstd, hand_over_us, recorder_us)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cpu_us(job: Callable[[], None]) -> float:
    before = time.process_time()
    job()
    return (time.process_time() - before) / _SETS * 1e6


def _plain(path: Path, sets: list[tuple[Payload, ...]]) -> None:
    with path.open("wb", buffering=1 << 20) as file:
        for number, one in enumerate(sets):
            for payload in one:
                file.write(payload.data)
            if number % _SYNC_EVERY == 0:
                file.flush()
                os.fdatasync(file.fileno())


def _mcap(path: Path, sets: list[tuple[Payload, ...]], *, chunked: bool) -> None:
    with path.open("wb", buffering=1 << 20) as file:
        writer = Writer(file, use_chunking=chunked, chunk_size=1 << 20, compression=CompressionType.ZSTD)
        writer.start(profile="", library="")
        channels: dict[str, int] = {}
        for number, one in enumerate(sets):
            for payload in one:
                topic = find_topic(payload.topic)
                assert topic is not None
                if payload.topic not in channels:
                    channels[payload.topic] = register(writer, payload.topic, topic)
                writer.add_message(channels[payload.topic], payload.utc_ns, payload.data, payload.utc_ns, number)
            if number % _SYNC_EVERY == 0:
                file.flush()
                os.fdatasync(file.fileno())
        writer.finish()  # type: ignore[no-untyped-call]  # mcap types only parts


def _recorded(folder: Path, sets: list[tuple[Payload, ...]]) -> tuple[float, float]:
    """The hand-over's CPU a frame in microseconds, and all CPU of the recorder's process in seconds: journal, syncs,
    rewriting, leaves, signatures, reading back.
    """
    key_dir = folder / "keys"
    ensure_key(key_dir)
    (folder / "drive").mkdir()
    plan = make_plan(
        drive_id="drive",
        drive_dir=folder / "drive",
        run_dir=make_run_dir(),
        source_uri="benchmark",
        pacing=None,
        config=Config(record=RecordConfig(key_dir=str(key_dir), segment_s=1.0)),
    )
    path = str(write_plan(plan))

    def record() -> int:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return recorder.main([path])

    pid = forked(record)
    sender = LinkSender(plan.link, plan.session, plan.config.record, SystemClock(), plan.credentials("driver"))
    sender.hand_over((header_payload(),), t_source_ns=0)
    due_ns = time.monotonic_ns()
    before = time.process_time()
    for frame, one in enumerate(sets):
        sender.hand_over(one, t_source_ns=frame * _PERIOD_NS, frame_sequence=frame)
        due_ns += _PERIOD_NS
        time.sleep(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
    hand_over_us = (time.process_time() - before) / len(sets) * 1e6
    why = sender.finish(_PATIENCE_S)
    assert why is None, why
    assert sender.lost == 0
    sender.close()
    os.kill(pid, signal.SIGTERM)
    _, _, usage = os.wait4(pid, 0)
    shutil.rmtree(plan.run_dir, ignore_errors=True)
    return hand_over_us, usage.ru_utime + usage.ru_stime
