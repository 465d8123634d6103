"""The recorder's end of the link: whole sessions of messages, most of them wrong, on a store in a folder."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from random import Random

import msgspec

from benchmarks.fuzzing.mutation import EXTREMES, HOSTILE_TEXTS, mutated_json, mutated_msgpack
from benchmarks.fuzzing.seeds import PERIOD_NS, UTC_NS, a_header, a_plan, frame_payloads, header_payload, put_away
from benchmarks.fuzzing.target import BrokenPromiseError, ByBytes, Outcome
from runtime.bus.ring import PictureRing
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.link import Acknowledge, Finish, Hello, LossNotice, MessageSet, Payload, PictureRef
from runtime.contracts.messages import Gap
from runtime.contracts.topics import STORED, TOPICS
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import default_key_dir, load_key

_RING = b"@"
_MESSAGES = 40
_PIXELS = (48, 64)


class RecorderTarget(ByBytes):
    """A case is one session: a list of messages, as MessagePack. An item that begins with `@` is a greeting that names
    a picture ring of the kind which its second byte says, since no path of one process can be kept for another.
    """

    def __init__(self, work: Path) -> None:
        self._work, self._number = work, 0
        self._plan = a_plan(work / "drive", segment_s=0.4, sync_ms=1000.0)
        self._key = load_key(default_key_dir())
        self._rings = Rings(work)
        self.session = self._plan.session

    def case(self, random: Random) -> bytes:
        """A session that begins in order, mostly, and goes wrong at some message."""
        script = _Script(random, self._plan.session)
        messages = [script.ring(0)] if random.random() < 0.9 else []
        messages += [script.next() for _ in range(random.randrange(4, _MESSAGES))]
        return msgspec.msgpack.encode(messages)

    def take(self, case: bytes) -> Outcome:
        """Feed the session, finish the record, and read it back: whatever was sent, what is written can be read."""
        self._number += 1
        folder = self._work / f"drive-{self._number}"
        folder.mkdir()
        plan = msgspec.structs.replace(self._plan, drive_dir=str(folder))
        messages: list[bytes] = msgspec.msgpack.decode(case, type=list[bytes])
        replies: list[bytes] = []
        store = DriveStore(folder, plan.session, plan.config.record, DriveSealer(folder, self._key))
        recorder = Recorder(
            plan,
            store,
            PictureEncoder(_nowhere, plan.config.record),
            clock=SystemClock(),
            reply=replies.append,
            publish=_nowhere,
        )
        try:
            for message in messages:
                recorder.take(self._rings.greeting(message, plan.session) if message[:1] == _RING else message)
                recorder.commit_if_due()
                recorder.check_sealed()
            recorder.take(link.encode(Finish(plan.session, store.next_sequence)))
            store.close()
            recorder.check_sealed()
        finally:
            self._rings.release()
        if not recorder.finished:
            raise BrokenPromiseError("a recorder that was told to finish did not")
        _prove_readable(folder, store, replies)
        put_away(folder)
        rejected = min(len(messages), recorder.rejected)
        return Outcome(len(messages), len(messages) - rejected, rejected)

    def smaller(self, case: bytes) -> list[bytes]:
        """Fewer messages."""
        messages: list[bytes] = msgspec.msgpack.decode(case, type=list[bytes])
        size = len(messages)
        shorter = [messages[: size // 2], *(messages[:at] + messages[at + 1 :] for at in reversed(range(size)))]
        return [msgspec.msgpack.encode(one) for one in shorter if len(one) < size]

    def close(self) -> None:
        """Remove the folders."""
        self._rings.close()
        put_away(Path(self._plan.run_dir), self._work)


def _prove_readable(folder: Path, store: DriveStore, replies: list[bytes]) -> None:
    """Everything below the next sequence is in the record, as a set or as a gap; every message decodes."""
    for data in replies:
        answer = link.decode_to_drive(data)
        if isinstance(answer, Acknowledge) and answer.next_sequence > store.next_sequence:
            raise BrokenPromiseError(f"{answer} acknowledges what is not there")
    if store.header is None or not list(folder.glob("segment-*")):
        return
    drive = open_drive(folder)
    held = 0
    for message in drive.messages():
        decoded = message.decode()
        if message.row is STORED:
            if decoded.first != held:
                raise BrokenPromiseError(f"{decoded} follows set {held - 1}")
            held = decoded.last + 1
    if held != store.next_sequence:
        raise BrokenPromiseError(f"the record holds sets up to {held}, and {store.next_sequence} were taken")
    for lack in lacks(drive):
        if not lack.reason.startswith("frames "):  # which frames there are is the sender's word
            raise BrokenPromiseError(f"the record lacks something: {lack}")
    if drive.topics() == ():
        raise BrokenPromiseError("a record without topics")


class _Script:
    """Messages of a session, one after the other; `sequence` is the set that is due where all went well."""

    def __init__(self, random: Random, session: str) -> None:
        self._random, self._session = random, session
        self._sequence = 0

    def next(self) -> bytes:
        """One message more."""
        random = self._random
        fate = random.random()
        if fate < 0.35:
            return link.encode(self._due())
        if fate < 0.45:
            return mutated_msgpack(random, link.encode(self._any()))
        if fate < 0.6:
            return link.encode(self._with_payload())
        if fate < 0.66:
            return self.ring(random.randrange(64))
        return _encoded(self._any())

    def ring(self, kind: int) -> bytes:
        """A greeting with a ring of a kind."""
        slots, size = self._random.choice(((3, 3 * _PIXELS[0] * _PIXELS[1]), (3, 4096), (1, 1), (2**32, 2**40), (0, 0)))
        return _RING + struct.pack("<BQQ", kind, slots % 2**64, size % 2**64)

    def _due(self) -> MessageSet:
        sequence, self._sequence = self._sequence, self._sequence + 1
        return self._set(sequence)

    def _set(self, sequence: int) -> MessageSet:
        payloads = (header_payload(),) if sequence == 0 else frame_payloads(sequence - 1)
        pictures = (PictureRef("front", sequence % 3, *_PIXELS),) if sequence and self._random.random() < 0.3 else ()
        return MessageSet(self._session, sequence, sequence - 1, max(0, sequence - 1) * PERIOD_NS, payloads, pictures)

    def _with_payload(self) -> MessageSet:
        """The set that is due with a payload more that is none."""
        random, due = self._random, self._due()
        row = random.choice(TOPICS)
        name = row.name.format(camera=random.choice(("front", "no such", "..", "")))
        name = name if random.random() < 0.9 else random.choice(HOSTILE_TEXTS) or "/x"
        real = random.choice((*frame_payloads(1), header_payload())).data
        data = random.choice(
            (b"", b"{}", random.randbytes(20), mutated_json(random, real), mutated_msgpack(random, real))
        )
        if random.random() < 0.2:
            changed = random.choice(
                (
                    {"drive_id": "another"},
                    {"utc_origin_ns": random.choice(EXTREMES) % 2**63},
                    {"t_source_origin_ns": -random.choice(EXTREMES)},
                    {"cameras": ()},
                )
            )
            name, data = "/drive/header", msgspec.json.encode({**msgspec.to_builtins(a_header()), **changed})
        times = (random.choice((0, UTC_NS, 2**62, -(2**62))), random.choice((0, UTC_NS, 2**63 - 1)))
        extra = Payload(name[:128], random.choice(EXTREMES), *times, data)
        place = random.randrange(len(due.payloads) + 1)
        return msgspec.structs.replace(due, payloads=(*due.payloads[:place], extra, *due.payloads[place:]))

    def _any(self) -> link.ToRecorder:
        random, session, sequence = self._random, self._session, self._sequence
        far = random.choice(EXTREMES) % 2**64
        if random.random() < 0.1:
            session = random.choice(("another", session.upper(), session[:-1] or "x"))
        kinds: tuple[link.ToRecorder, ...] = (
            self._set(random.choice((max(0, sequence - 1), 0, sequence + 1, sequence + 7))),
            msgspec.structs.replace(self._set(sequence), sequence=far),
            msgspec.structs.replace(self._set(sequence), frame_sequence=random.choice((far, -5, 0)), session=session),
            msgspec.structs.replace(self._set(sequence), pictures=(PictureRef("front", far, 65_500, 65_500),) * 9),
            LossNotice(session, Gap(session, sequence, sequence + random.choice((0, 1, 5)), "slow")),
            LossNotice(
                session, Gap(random.choice((session, "x")), far, random.choice((None, far, sequence)), "?\x1b[2J")
            ),
            LossNotice(session, Gap(session, sequence, far, "far")),
            Hello(session, "", 0, 0, random.choice((0, sequence, sequence + 2, far))),
            Hello(session, random.choice(HOSTILE_TEXTS), far, far, 0),
            Finish(session, random.choice((sequence + 1, far, 0) if random.random() < 0.9 else (sequence,))),
        )
        return random.choice(kinds)


def _encoded(message: link.ToRecorder) -> bytes:
    return link.encode(message)


class Rings:
    """Descriptors that a sender may name as its picture ring: one that is one, and all else that a path can open."""

    def __init__(self, work: Path) -> None:
        self._ring = PictureRing(3, 3 * _PIXELS[0] * _PIXELS[1])
        self._open: list[int] = []
        self._work = work
        self._made: list[str] = []

    def greeting(self, item: bytes, session: str) -> bytes:
        """The greeting that an item stands for."""
        kind, slots, size = struct.unpack("<BQQ", item[1:18].ljust(17, b"\0"))
        paths = (self._ring.path, *self._others())
        if kind == 0:
            slots, size = self._ring.slots, self._ring.slot_bytes
        return link.encode(Hello(session, paths[kind % len(paths)], slots, size, 0))

    def _others(self) -> list[str]:
        if not self._made:
            short = os.memfd_create("short", os.MFD_ALLOW_SEALING)
            os.ftruncate(short, 4096)
            plain = self._work / "a-file"
            plain.write_bytes(bytes(8192))
            fifo = self._work / "a-fifo"
            os.mkfifo(fifo)
            pair = socket.socketpair()
            pipe = os.pipe()
            self._open = [
                short,
                os.open(plain, os.O_RDWR),
                os.open(fifo, os.O_RDWR),
                os.open("/dev/zero", os.O_RDONLY),
                os.open("/dev/urandom", os.O_RDONLY),
                os.open(self._work, os.O_RDONLY),
                *(one.detach() for one in pair),
                *pipe,
                os.eventfd(0),
            ]
            self._made = [f"/proc/{os.getpid()}/fd/{fd}" for fd in self._open]
            self._made += ["/proc/1/fd/0", "/proc/999999999/fd/3", f"/proc/{os.getpid()}/fd/999999", "/proc/0/fd/0"]
        return self._made

    def release(self) -> None:
        """Between two sessions."""
        self._ring.release(())

    def close(self) -> None:
        """Close them all."""
        self._ring.close()
        for fd in self._open:
            os.close(fd)


def _nowhere(_: object) -> None:
    """Nobody listens."""
