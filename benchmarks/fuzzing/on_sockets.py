"""A real recorder under strangers: raw bytes at its tcp ports, and messages of any shape from clients that may connect.

After each case the driving process must still get a frame acknowledged, and the recorder's memory must be what it was.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import zmq

from benchmarks.fuzzing.mutation import deep_msgpack, mutated_bytes, mutated_msgpack
from benchmarks.fuzzing.seeds import PERIOD_NS, a_config, a_plan_of, frame_payloads, header_payload, put_away
from benchmarks.fuzzing.target import BrokenPromiseError, ByBytes, Outcome
from runtime.bus.link import LinkSender
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import LinkError
from runtime.contracts.incident import Mark
from runtime.contracts.link import Finish, Hello, LossNotice, MessageSet
from runtime.contracts.messages import Gap
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.supervise.plan import RunPlan, write_plan

_PATIENCE_S = 8.0
_HELD = 200  # connections that are left hanging at a time
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"
_MIB = 1024.0


class Stream(msgspec.Struct, frozen=True, array_like=True):
    """Bytes for one tcp connection; `held`: it is left open and silent."""

    port: int
    pieces: list[bytes]
    held: bool


class Parts(msgspec.Struct, frozen=True, array_like=True):
    """A multipart message from a client that may connect."""

    door: str
    name: bytes
    parts: list[bytes]


class SocketCase(msgspec.Struct, frozen=True, array_like=True):
    """What strangers do at the same time."""

    streams: list[Stream]
    messages: list[Parts]


class SocketsTarget(ByBytes):
    """`tcp`: CURVE, raw streams and some messages; else sockets in a private folder, and messages only."""

    def __init__(self, work: Path, *, tcp: bool) -> None:
        self._work, self._tcp = work, tcp
        self._plan = _plan(work, tcp=tcp)
        self._ports = [int(one.rpartition(":")[2]) for one in _endpoints(self._plan)] if tcp else []
        argv = [sys.executable, "-m", "runtime.record", str(write_plan(self._plan))]
        self._recorder = subprocess.Popen(argv)
        self._sender = LinkSender(
            self._plan.link,
            self._plan.session,
            self._plan.config.record,
            SystemClock(),
            self._plan.credentials("driver"),
        )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._held: list[socket.socket] = []
        self._frames = 0
        self._sender.hand_over((header_payload(),), t_source_ns=0)
        for _ in range(20):
            self._drive_on()
        self._before_mib = self._rss_mib()

    def case(self, random: Random) -> bytes:
        """Some streams, some messages."""
        streams = [_stream(random, len(self._ports)) for _ in range(random.randrange(4, 24))] if self._tcp else []
        count = random.randrange(3) if self._tcp else random.randrange(4, 60)
        return msgspec.msgpack.encode(SocketCase(streams, [_message(random, self._plan.session) for _ in range(count)]))

    def take(self, case: bytes) -> Outcome:
        """Let them in, and drive on."""
        found = msgspec.msgpack.decode(case, type=SocketCase)
        for stream in found.streams:
            self._pour(stream)
        sockets: dict[tuple[str, bytes], zmq.Socket[bytes]] = {}
        try:
            for message in found.messages:
                key = (message.door, message.name)
                if key not in sockets:
                    sockets[key] = self._client(message)
                with contextlib.suppress(zmq.Again):
                    sockets[key].send_multipart(message.parts, zmq.DONTWAIT)
            self._drive_on()
        finally:
            for one in sockets.values():
                one.close(linger=50)
        if self._recorder.poll() is not None:
            raise BrokenPromiseError(f"the recorder ended with {self._recorder.returncode}")
        inputs = len(found.streams) + len(found.messages)
        return Outcome(inputs, 0, inputs, max(0.0, self._rss_mib() - self._before_mib))

    def _client(self, message: Parts) -> zmq.Socket[bytes]:
        dealer = self._context.socket(zmq.DEALER)
        if message.name:
            dealer.set(zmq.IDENTITY, message.name)
        dealer.set(zmq.SNDHWM, 100)
        marks = message.door == "marks"
        credentials = self._plan.credentials("marker" if marks else "driver")
        if credentials is not None:
            credentials.put_on(dealer)
        dealer.connect(self._plan.marks if marks else self._plan.link)
        return dealer

    def _pour(self, stream: Stream) -> None:
        """Send the pieces as far as the other end takes them."""
        one = socket.socket()
        one.settimeout(1.0)
        try:
            one.connect(("127.0.0.1", self._ports[stream.port % len(self._ports)]))
            for piece in stream.pieces:
                one.sendall(piece)
        except OSError:  # it was cut: that is an answer
            one.close()
            return
        if not stream.held:
            one.close()
            return
        self._held.append(one)
        while len(self._held) > _HELD:
            self._held.pop(0).close()

    def _drive_on(self) -> None:
        if not self._sender.wait_for_credit(_PATIENCE_S):
            raise BrokenPromiseError(f"no set was acknowledged in {_PATIENCE_S:g} s")
        number = self._frames
        self._sender.hand_over(frame_payloads(number), t_source_ns=number * PERIOD_NS, frame_sequence=number)
        self._frames += 1

    def _rss_mib(self) -> float:
        for line in Path(f"/proc/{self._recorder.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / _MIB
        return 0.0

    def close(self) -> None:
        """End the drive in order: every frame that was handed over is there."""
        try:
            why = self._sender.finish(_PATIENCE_S)
            for one in self._held:
                one.close()
            self._recorder.send_signal(signal.SIGTERM)
            code = self._recorder.wait(_PATIENCE_S)
            if why is not None or code:
                raise BrokenPromiseError(f"the drive does not end in order: {why}, exit code {code}")
            drive = open_drive(Path(self._plan.drive_dir))
            if drive.ledger().frames != self._frames or list(lacks(drive)):
                raise BrokenPromiseError(f"{drive.ledger().frames} of {self._frames} frames are there")
        finally:
            self._sender.close()
            self._context.destroy(linger=0)
            if self._recorder.poll() is None:
                os.kill(self._recorder.pid, signal.SIGKILL)
                self._recorder.wait()
            put_away(Path(self._plan.run_dir), self._work)


def _stream(random: Random, ports: int) -> Stream:
    """ZMTP that is none, half of it, or much of it."""
    mechanism = random.choice((b"NULL", b"CURVE", b"PLAIN", random.randbytes(20), b"")).ljust(20, b"\0")[:20]
    greeting = _GREETING[:12] + mechanism + random.choice((b"\0", b"\x01")) + bytes(31)
    ready = _command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER")
    hello = _command(b"HELLO", b"\x01\x00" + bytes(72) + random.randbytes(120))
    frame = random.choice((b"\x00\x05hello", b"\x02" + struct.pack(">Q", random.choice((2**63, 2**31, 2**64 - 1, 5)))))
    wholes: tuple[list[bytes], ...] = (
        [greeting, hello],
        [greeting, ready, frame],
        [greeting, _command(b"INITIATE", random.randbytes(300))],
        [greeting, mutated_bytes(random, hello, 4)],
        [mutated_bytes(random, greeting, 3), ready],
        [b"GET / HTTP/1.1\r\nHost: vehicle\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(40)],
        [random.randbytes(random.choice((1, 10, 64, 4096)))],
        [greeting[: random.randrange(65)]],
        [b"\x00" * random.choice((1, 100_000))],
        [],
    )
    pieces = random.choice(wholes)
    if random.random() < 0.2 and pieces:
        pieces = [bytes([one]) for one in b"".join(pieces)[:100]]  # a byte at a time
    return Stream(random.randrange(max(1, ports)), pieces, random.random() < 0.4)


def _command(name: bytes, body: bytes) -> bytes:
    data = bytes([len(name)]) + name + body
    return (b"\x04" + bytes([len(data)]) if len(data) < 256 else b"\x06" + struct.pack(">Q", len(data))) + data


def _message(random: Random, session: str) -> Parts:
    """From a client whose key is on the list, and whose messages are not what they should be."""
    door = random.choice(("link", "link", "marks"))
    # A name that is taken, or was a moment ago, costs ZeroMQ what came under it: docs/evidence.md says so.
    taken = random.random() < 0.005
    name = (
        random.choice((b"a", b"\x01")) if taken else random.choice((b"", random.randbytes(20), random.randbytes(255)))
    )
    real = link.encode(
        random.choice(
            (
                MessageSet("another", 0, -1, 0, frame_payloads(3)),
                Hello("another", "", 0, 0, 0),
                Finish("another", 0),
                LossNotice("another", Gap("another", 0, 1, "?")),
                MessageSet(session, 0, -1, 0, frame_payloads(3)),
            )
        )
    )
    mark = msgspec.msgpack.encode(Mark(random.choice(("t", "u", random.randbytes(4).hex())), "why", "who"))
    data = mark if door == "marks" else real
    shapes = (
        [data],
        [mutated_msgpack(random, data)],
        [mutated_msgpack(random, data)],
        [b"", data],
        [data] * 50,
        [b""],
        [b""] * 200,
        [deep_msgpack(random.choice((500, 50_000)))],
        [bytes(random.choice((5000, 2_000_000)))],
        [random.randbytes(100)],
    )
    parts = random.choice(shapes)
    return Parts(door, name, parts)


def _plan(work: Path, *, tcp: bool) -> RunPlan:
    for _ in range(5):
        with contextlib.suppress(LinkError):  # somebody else was faster
            return a_plan_of(work / "drive", a_config(tcp=tcp, key_dir=work / "keys"))
    raise BrokenPromiseError("no free ports")


def _endpoints(plan: RunPlan) -> tuple[str, ...]:
    return (plan.link, plan.marks, plan.pictures)
