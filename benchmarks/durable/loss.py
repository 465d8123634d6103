"""A power failure while a drive is recorded: the real recorder on a disk that remembers what was synced.

The recorder of a drive, with its sealing and its incidents, is in this process and on `Disk`; the test stands in the
place of its socket and notes every promise that it makes: a set acknowledged, a mark answered, a head published, the
farewell. Then the power fails, behind each promise and at any moment; what may be left is taken up as the next run
does, and held against the promises. The recorder may have been killed before: what it wrote and did not sync, the next
one finds, and builds its own promises upon.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from benchmarks.durable.disk import Death, Disk, KilledError, Place
from benchmarks.durable.sets import UTC_ORIGIN_NS, header_payload, payloads
from benchmarks.durable.survivor import Keep
from review.verify.drive import parse_head, verify_drive
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import Config, RecordConfig
from runtime.contracts.errors import RecordError
from runtime.contracts.incident import INDEX_NAME, Mark
from runtime.contracts.link import Acknowledge, Finish, Finished, Hello, MessageSet, Payload
from runtime.contracts.messages import Closing, SealHead
from runtime.contracts.topics import CLOSING, MODEL_INPUT, SEAL_HEAD, STORED
from runtime.incident.index import read_index
from runtime.record.drive import open_drive
from runtime.record.journal import SUFFIX
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.recover import Recovery, take_up
from runtime.record.segment import segment_files
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import VehicleKey, ensure_key
from runtime.seal.statement import SEAL_SUFFIX
from runtime.supervise.furnish import furnish, make_folder
from runtime.supervise.plan import RunPlan

SESSION = "5" * 32
DRIVE = "drives/drive"
_PERIOD_NS = 33_000_000


@dataclass(frozen=True)
class Scenario:
    """How a drive is recorded: `frames` of about `set_bytes`, in segments of `segment_s`."""

    frames: int = 75
    set_bytes: int = 6_000
    credit: int = 8
    segment_s: float = 1.0
    ends: bool = True  # in order; else nothing comes after the last frame
    deaths: tuple[Death, ...] = ()  # behind each a new recorder begins
    by_the_next_run: bool = False  # the driving process dies with the first recorder: the next run takes the drive up
    deaf: frozenset[Place] = frozenset()


@dataclass(frozen=True)
class Promises:
    """What was promised up to a moment."""

    acknowledged: int  # sets below it
    marks: frozenset[str]
    head: SealHead | None
    finished: bool


def config_of(scenario: Scenario, key_dir: Path) -> Config:
    """The configuration of such a drive."""
    return Config(
        record=RecordConfig(segment_s=scenario.segment_s, credit=scenario.credit, sync_ms=1000.0, key_dir=str(key_dir))
    )


def record(root: Path, key_dir: Path, scenario: Scenario) -> Disk:
    """Record a drive below `root` from its folder's making to its farewell; returns the disk with all that was done."""
    key, _ = ensure_key(key_dir)
    config = config_of(scenario, key_dir)
    disk = Disk(root, scenario.deaf)
    with disk.recording():
        drive_dir = disk.root / DRIVE
        make_folder(drive_dir)
        furnish(drive_dir, msgspec.structs.replace(config, model=str(_model(disk))), None, key)
        for number, death in enumerate((*scenario.deaths, None)):
            disk.dies(death)
            try:
                if number and scenario.by_the_next_run:
                    _take_up(disk, key_dir)
                else:
                    _record(disk, key, config, scenario)
                break
            except (KilledError, RecordError):
                if not disk.dead:
                    raise
            disk.revive()
    return disk


def _record(disk: Disk, key: VehicleKey, config: Config, scenario: Scenario) -> None:
    """A recorder from its start on, and the driving process, which hands over what was not acknowledged."""
    drive_dir = disk.root / DRIVE
    store = DriveStore(drive_dir, SESSION, config.record, DriveSealer(drive_dir, key))
    recorder = Recorder(
        _plan(drive_dir, config),
        store,
        PictureEncoder(lambda _: None, config.record),
        clock=SystemClock(),
        reply=lambda data: disk.note(link.decode_to_drive(data)),
        publish=lambda payload: _published(disk, payload),
    )

    def take(message: link.ToRecorder) -> None:
        recorder.take(link.encode(message))
        recorder.commit_if_due()
        recorder.check_sealed()

    take(Hello(SESSION, "", 0, 0, promises(disk, len(disk.ops)).acknowledged))
    for one in list(_sets(scenario))[promises(disk, len(disk.ops)).acknowledged :]:
        take(one)
        if one.frame_sequence % 20 == 10:
            for answer in recorder.incidents.mark([Mark(f"token-{one.frame_sequence}", "somebody said so")]):
                assert not answer.refusal
                disk.note(answer)
    if not scenario.ends:
        store.sync()
        return
    take(Finish(SESSION, scenario.frames + 2))
    store.sealing._thread.submit(lambda: None).result()  # until all is sealed
    recorder.check_sealed()
    assert recorder.finished
    store.close()


def _sets(scenario: Scenario) -> Iterator[MessageSet]:
    """What is handed over, in its order."""
    yield MessageSet(SESSION, 0, -1, 0, (header_payload(),))
    for frame in range(scenario.frames):
        messages = payloads(frame, _PERIOD_NS, scenario.set_bytes)
        yield MessageSet(SESSION, frame + 1, frame, frame * _PERIOD_NS, messages)
    if scenario.ends:
        closing = Closing("drive", scenario.frames, scenario.frames, 0, 0, "the source ended")
        last_ns = scenario.frames * _PERIOD_NS
        end = Payload(CLOSING.name, -1, last_ns, UTC_ORIGIN_NS + last_ns, CLOSING.encode(closing))
        yield MessageSet(SESSION, scenario.frames + 1, -1, last_ns, (end,))


def _take_up(disk: Disk, key_dir: Path) -> None:
    """As the next run does, which tells what it found."""
    done = take_up(disk.root / DRIVE, key_dir)
    disk.note(done)
    assert done.sealed or done.outcome == "empty", done


def _model(disk: Disk) -> Path:
    model = disk.root.parent / "model.onnx"
    model.write_bytes(b"what drove" * 1000)
    return model


def _published(disk: Disk, payload: Payload) -> None:
    if payload.topic == SEAL_HEAD.name:
        disk.note(SEAL_HEAD.decode(payload.data))


def _plan(drive_dir: Path, config: Config) -> RunPlan:
    return RunPlan(
        drive_id="drive",
        drive_dir=str(drive_dir),
        run_dir="",
        source_uri="",
        pacing=None,
        session=SESSION,
        viewers="",
        pictures="",
        link="",
        marks="",
        config=config,
    )


def fast_folder() -> str | None:
    """Where thousands of small drives are made and thrown away: in memory, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


def promises(disk: Disk, count: int) -> Promises:
    """What was promised in the first `count` operations."""
    notes = [op.note for op in disk.ops[:count] if op.kind == "note"]
    heads = [note for note in notes if isinstance(note, SealHead)]
    taken_up = [note for note in notes if isinstance(note, Recovery)]
    for one in (done for done in taken_up if done.head):
        number, _, seal_sha256 = one.head.partition(":")
        heads.append(SealHead("drive", int(number), seal_sha256, "", None, closes=True))
    return Promises(
        acknowledged=max((note.next_sequence for note in notes if isinstance(note, Acknowledge)), default=0),
        marks=frozenset(note.token for note in notes if hasattr(note, "token")),
        head=heads[-1] if heads else None,
        finished=bool(taken_up) or any(isinstance(note, Finished) for note in notes),
    )


def moments(disk: Disk, chance: random.Random, anywhere: int) -> list[int]:
    """Behind each promise, behind each change of a name, and at `anywhere` other moments."""
    telling = [place + 1 for place, op in enumerate(disk.ops) if op.kind in ("note", "rename", "unlink")]
    return [*telling, *(chance.randrange(len(disk.ops) + 1) for _ in range(anywhere))]


@dataclass(frozen=True)
class Failure:
    """The power fails behind the first `count` operations; of what was not synced, so much is kept."""

    count: int
    keep: Keep
    seed: int = 0


def broken(disk: Disk, key_dir: Path, failure: Failure, scenario: Scenario) -> list[str]:
    """Which promises a power failure breaks."""
    kept = promises(disk, failure.count)
    key, _ = ensure_key(key_dir)
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        disk.survivor(failure.count, Path(folder), failure.keep, random.Random(failure.seed))
        drive_dir = Path(folder) / DRIVE
        if not drive_dir.is_dir():
            return ["the drive's folder is gone"] if kept.acknowledged else []
        done = take_up(drive_dir, key_dir)
        if done.outcome in ("damaged", "empty"):
            return [f"the drive is {done.outcome}: {done.why}"] if kept.acknowledged else []
        if not segment_files(drive_dir):
            return ["sets were acknowledged and none is there"] if kept.acknowledged else []
        lacks = [] if done.sealed else [f"it could not be sealed: {done.why}"]
        if kept.finished and done.outcome != "whole":
            lacks.append("it was finished, and something was left to recover")
        return [*lacks, *_lacking(drive_dir, kept, key, scenario)]


def _lacking(drive_dir: Path, kept: Promises, key: VehicleKey, scenario: Scenario) -> Iterator[str]:
    drive = open_drive(drive_dir)
    sets = [message.decode().first for message in drive.messages(STORED)]
    if sets != list(range(len(sets))):
        yield f"the sets are {sets}"
    if len(sets) < kept.acknowledged:
        yield f"{kept.acknowledged} sets were acknowledged, {len(sets)} are there"
    inputs = [message.data for message in drive.messages(MODEL_INPUT)]
    right = [payloads(frame, _PERIOD_NS, scenario.set_bytes)[1].data for frame in range(len(inputs))]
    yield from (f"frame {frame} is not what was handed over" for frame, one in enumerate(inputs) if one != right[frame])
    head = None if kept.head is None else parse_head(f"{kept.head.number}:{kept.head.seal_sha256}")
    found = verify_drive(drive_dir, [key.public_key], head)
    yield from (str(one) for one in found.findings)
    index = read_index(drive_dir)
    tokens = {trigger.token for one in (index.incidents if index else ()) for trigger in one.triggers}
    yield from (f"the mark {token} is gone" for token in sorted(kept.marks - tokens))


def failures(counts: Iterable[int], unsynced_kept: int, seed: int = 0) -> Iterator[Failure]:
    """At each moment: nothing is kept of what was not synced; all is; and, so many times, anything."""
    for count in counts:
        yield Failure(count, "nothing")
        yield Failure(count, "all")
        for one in range(unsynced_kept):
            yield Failure(count, "some", hash((seed, count, one)))


def killed(scenario: Scenario) -> Iterator[Scenario]:
    """The same drive with its recorder killed where something is written or named and not synced: in a journal, a
    segment's swap, the list of incidents, a seal, and the taking up itself. Another recorder goes on, or the next run.
    """
    written, swapped = Death("write", SUFFIX, 9), Death("rename", ".mcap")
    for deaths in (
        (swapped,),
        (written,),
        (Death("rename", INDEX_NAME),),
        (Death("rename", SEAL_SUFFIX),),
        (Death("write", SUFFIX, 7), Death("any", "", 5)),
        (swapped, Death("unlink", SUFFIX), Death("rename", SEAL_SUFFIX)),
    ):
        yield replace(scenario, deaths=deaths)
        yield replace(scenario, deaths=deaths, by_the_next_run=True)


def soon_after(disk: Disk, unsynced_kept: int, seed: int = 0) -> list[Failure]:
    """Power failures behind each of the next operations after each death."""
    counts = {death + more for death in disk.deaths for more in range(1, 21) if death + more <= len(disk.ops)}
    return list(failures(sorted(counts), unsynced_kept, seed))


def need(place: Place, scenarios: Iterable[Scenario], folder: Path, key_dir: Path) -> list[str]:
    """What breaks, in the first of these drives where anything does, where the call of sync at `place` is left out;
    empty: nobody would miss it. The drives are recorded below `folder`.
    """
    for number, scenario in enumerate(scenarios):
        root = folder / f"{place.module}-{place.line}-{number}" / "root"
        root.mkdir(parents=True)
        lacks = _missed(place, root, key_dir, scenario)
        if lacks:
            return lacks
    return []


def _missed(place: Place, root: Path, key_dir: Path, scenario: Scenario) -> list[str]:
    deaf = replace(scenario, deaf=frozenset({place}))
    disk = record(root, key_dir, deaf)
    notes = [number + 1 for number, op in enumerate(disk.ops) if op.kind == "note"]
    near: dict[int, None] = {}
    for left_out in disk.unsynced:
        near |= dict.fromkeys(range(left_out + 1, min(left_out + 12, len(disk.ops)) + 1))
        near |= dict.fromkeys([note for note in notes if note > left_out][:4])
    for failure in failures(near, unsynced_kept=3):
        lacks = broken(disk, key_dir, failure, deaf)
        if lacks:
            return lacks
    return []
