"""What a recorder gives up step by step where room gets short, and takes up again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from review.pictures import PictureDecoder
from review.verify.drive import verify_drive
from runtime.bus.ring import PictureRing
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import IncidentConfig, RecordConfig, RetentionConfig
from runtime.contracts.incident import INDEX_NAME
from runtime.contracts.link import Acknowledge, Finish, Finished, Hello, MessageSet, Payload, PictureRef, ToDrive
from runtime.contracts.messages import Attribution, Closing, GroundTruth
from runtime.contracts.topics import ATTRIBUTION, CLOSING, EVENT, INCIDENT, TRUTH
from runtime.incident.index import read_index
from runtime.record.completeness import lacks
from runtime.record.drive import Drive, RecordedFrame, open_drive
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.recover import take_up
from runtime.record.store import DriveStore
from runtime.retention.steps import ESSENTIALS, FEWER_PICTURES, NOTHING, SMALLER_PICTURES
from runtime.retention.sweep import Sweeper
from runtime.retention.use import DiskUse
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import default_key_dir, known_keys, load_key
from tests.runtime.record.recording import (
    PERIOD_NS,
    UTC_ORIGIN_NS,
    a_plan,
    declared_lost,
    frame_payloads,
    header_payload,
    stored_sets,
)
from tests.runtime.record.small_disk import MIB, SmallDisk, mounted

EVERY = 3
MIN_FREE_MIB = 16
LEFT_MIB = {0: 20, SMALLER_PICTURES: 14, FEWER_PICTURES: 10, ESSENTIALS: 6, NOTHING: 2}
"""How much is free where a step is taken."""


@pytest.fixture(params=["h264", "jpeg"])
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk", 40) as found:
        yield found


@dataclass
class TurnedClock(SystemClock):
    """The system's, moved on by hand."""

    ahead_ns: int = field(default=0)

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.ahead_ns


class Bench:
    """A recorder on a small disk, with the test in the place of the socket and of the loop."""

    def __init__(self, disk: SmallDisk, codec: str = "jpeg", segment_s: float = 60.0) -> None:
        self.disk = disk
        retention = RetentionConfig(min_free_mib=MIN_FREE_MIB, degraded_picture_every=EVERY)
        incidents = IncidentConfig(before_s=0.1, after_s=0.1)
        config = RecordConfig(
            picture_codec=codec,  # type: ignore[arg-type]  # one of the two
            segment_s=segment_s,
            retention=retention,
            incidents=incidents,
        )
        self.plan = a_plan(disk.path / "drives" / "drive", config)
        self.folder = Path(self.plan.drive_dir)
        self.ring = PictureRing(4, 200 * 320 * 3)
        self.published: list[Payload] = []
        self.sent = 0
        self.start()

    def start(self) -> None:
        """A recorder; one that was there before is forgotten, as if it had been killed."""
        config, keys = self.plan.config.record, default_key_dir()
        self.replies: list[ToDrive] = []
        self.clock = TurnedClock()
        self.store = DriveStore(self.folder, self.plan.session, config, DriveSealer(self.folder, load_key(keys)))
        self.recorder = Recorder(
            self.plan,
            self.store,
            PictureEncoder(self.published.append, config),
            clock=self.clock,
            reply=lambda data: self.replies.append(link.decode_to_drive(data)),
            publish=self.published.append,
            sweeper=Sweeper(self.folder.parent, config.retention, keys),
        )

    def greet(self) -> None:
        """As the driving process does."""
        ring = self.ring
        hello = Hello(self.plan.session, ring.path, ring.slots, ring.slot_bytes, self.acknowledged())
        self.recorder.take(link.encode(hello))

    def acknowledged(self) -> int:
        """Sets below it were acknowledged."""
        return self.sent

    def hand_over(self, *payloads: Payload) -> None:
        """The next set: the header, then frames with a picture of noise, a map and the simulated truth."""
        number, frame = self.sent, self.sent - 1
        pictures: tuple[PictureRef, ...] = ()
        if number == 0:
            payloads = (header_payload(),)
        elif not payloads:
            noise = np.random.default_rng(frame).integers(0, 255, (180, 320, 3), dtype=np.uint8)
            placed = self.ring.place("front", noise)
            assert isinstance(placed, PictureRef)
            pictures = (placed,)
            payloads = (*frame_payloads(frame), a_map(frame), the_truth(frame))
        at_ns = max(0, frame) * PERIOD_NS
        self.recorder.take(link.encode(MessageSet(self.plan.session, number, frame, at_ns, payloads, pictures)))
        self.ring.release(pictures)
        self.sent += 1

    def look(self) -> int:
        """Two turns of the loop with time for a sweep between them; returns the step."""
        self.clock.ahead_ns += 2_000_000_000
        self.recorder.keep_room()
        while self.store.sealing.busy():
            time.sleep(0.001)
        self.recorder.keep_room()
        return self.recorder.watch.saving.step

    def to_step(self, step: int) -> None:
        """Let there be as much room as makes the recorder take a step."""
        self.disk.free()
        self.disk.fill(LEFT_MIB[step] * MIB)
        assert self.look() == step

    def finish(self) -> Drive:
        """The farewell, up to the last seal."""
        closing = Closing("drive", self.sent - 1, self.sent - 1, 0, 0, "over")
        self.hand_over(Payload(CLOSING.name, -1, 0, UTC_ORIGIN_NS, CLOSING.encode(closing)))
        self.recorder.take(link.encode(Finish(self.plan.session, self.sent)))
        while not self.recorder.finished:
            self.recorder.check_sealed()
        self.store.close()
        assert isinstance(self.replies[-1], Finished)
        return open_drive(self.folder)


def a_map(sequence: int) -> Payload:
    """An attribution."""
    message = Attribution(
        sequence, sequence * PERIOD_NS, "image", "front", "m", "steering", ((0.5,),), 0, 0, 1, 1, 1, 1
    )
    return Payload(ATTRIBUTION.name, sequence, sequence * PERIOD_NS, UTC_ORIGIN_NS, ATTRIBUTION.encode(message))


def the_truth(sequence: int, *, collided: bool = False) -> Payload:
    """What a simulation knows."""
    message = GroundTruth(sequence, sequence * PERIOD_NS, 0.0, 0.0, 0.0, None, 0.0, False, collided, 10.0)
    return Payload(TRUTH.name, sequence, sequence * PERIOD_NS, UTC_ORIGIN_NS, TRUTH.encode(message))


@pytest.fixture
def bench(disk: SmallDisk, codec: str) -> Iterator[Bench]:
    bench = Bench(disk, codec)
    bench.greet()
    bench.hand_over()
    assert bench.look() == 0
    yield bench
    bench.ring.close()


def verified(drive: Drive) -> None:
    """It is whole, and sealed."""
    assert list(lacks(drive)) == []
    found = verify_drive(drive.path, known_keys(default_key_dir()))
    assert (found.verdict, found.findings) == ("intact", ())


def test_each_step_gives_up_what_it_says_and_everything_comes_back(bench: Bench) -> None:
    steps: dict[int, int] = {}  # by frame
    for step in (0, 1, 2, 3, 4, 3, 2, 1, 0):
        bench.to_step(step)
        for _ in range(2 * EVERY):
            steps[bench.sent - 1] = step
            bench.hand_over()
    drive = bench.finish()
    verified(drive)
    frames = {frame.sequence: frame for frame in drive.frames()}
    shown = PictureDecoder()
    for sequence, step in steps.items():
        assert (sequence in frames) == (step < NOTHING)
        if step < NOTHING:
            as_promised(frames[sequence], step, shown)
    assert [gap for gap in declared_lost(drive) if gap - 1 not in steps] == []
    assert declared_lost(drive) == [frame + 1 for frame, step in steps.items() if step == NOTHING]
    kinds = [message.decode().kind for message in drive.messages(EVENT)]
    assert kinds.count("recorder.degraded") == 4
    assert kinds.count("recorder.restored") == 4
    assert bench.recorder.watch.room.discarded == 2 * EVERY


def as_promised(frame: RecordedFrame, step: int, shown: PictureDecoder) -> None:
    """Whether the record holds of a frame what it should at a step, and says what not."""
    [line] = frame.dispositions
    assert frame.input is not None
    wanted = step < FEWER_PICTURES or (step == FEWER_PICTURES and frame.sequence % EVERY == 0)
    assert [picture.sequence for picture in frame.pictures] == ([frame.sequence] if wanted else [])
    assert (line.picture_missing == "") == wanted
    assert (frame.attribution is None) == (frame.truth is None) == (step >= ESSENTIALS)
    assert line.left_out == ((ATTRIBUTION.name, TRUTH.name) if step >= ESSENTIALS else ())
    for picture in frame.pictures:
        assert shown.decode(picture) is not None, "a video goes on from a picture that is recorded"


def test_pictures_of_the_first_step_are_smaller(bench: Bench) -> None:
    sizes = []
    for step in (0, SMALLER_PICTURES):
        bench.to_step(step)
        for _ in range(5):
            bench.hand_over()
    for frame in bench.finish().frames():
        sizes += [len(picture.data) for picture in frame.pictures]
    assert sum(sizes[5:]) < 0.7 * sum(sizes[:5])


def test_viewers_go_on_seeing_some_pictures_where_none_is_recorded(bench: Bench) -> None:
    bench.to_step(NOTHING)
    before = len(bench.published)
    for _ in range(2 * EVERY):
        bench.hand_over()
    seen = [payload for payload in bench.published[before:] if payload.topic.startswith("/camera/")]
    assert len(seen) == 2


def test_what_is_not_recorded_is_acknowledged_so_that_driving_goes_on(bench: Bench) -> None:
    bench.to_step(NOTHING)
    for _ in range(40):
        bench.hand_over()
        bench.recorder.commit_if_due()
    last = [reply for reply in bench.replies if isinstance(reply, Acknowledge)][-1]
    assert last.next_sequence > bench.sent - bench.plan.config.record.credit / 2
    assert not list(bench.folder.glob("*.journal"))


def test_what_happens_where_truth_is_left_out_is_an_incident_all_the_same(bench: Bench) -> None:
    bench.to_step(ESSENTIALS)
    sequence = bench.sent - 1
    bench.hand_over(*frame_payloads(sequence), the_truth(sequence, collided=True))
    drive = bench.finish()
    triggers = [one.kind for message in drive.messages(INCIDENT) for one in message.decode().triggers]
    assert set(triggers) == {"collision"}


@pytest.mark.parametrize("codec", ["jpeg"])
@pytest.mark.parametrize("back_to", [0, NOTHING])
def test_what_became_of_incidents_while_nothing_was_recorded_is_told_once_there_is_room(
    bench: Bench, back_to: int
) -> None:
    def crash() -> None:
        sequence = bench.sent - 1
        bench.hand_over(*frame_payloads(sequence), the_truth(sequence, collided=True))

    crash()
    bench.to_step(NOTHING)
    for _ in range(40):
        bench.hand_over()
    crash()
    bench.to_step(back_to)
    drive = bench.finish()
    told = {message.decode().number: message.decode() for message in drive.messages(INCIDENT)}
    index = read_index(bench.folder)
    assert index is not None
    assert len(index.incidents) == 2
    assert told == {one.number: one for one in index.incidents}
    verified(drive)


@pytest.mark.parametrize("codec", ["jpeg"])
def test_a_drive_is_not_closed_over_a_list_that_cannot_be_written_and_that_is_told_once(bench: Bench) -> None:
    obstacle = bench.folder / f"{INDEX_NAME}.tmp"
    obstacle.mkdir()
    sequence = bench.sent - 1
    bench.hand_over(*frame_payloads(sequence), the_truth(sequence, collided=True))
    for _ in range(40):
        bench.hand_over()
        bench.recorder.commit_if_due()
    drive = bench.finish()
    finished = bench.replies[-1]
    assert isinstance(finished, Finished)
    assert "the list of incidents cannot be written" in finished.unfinished
    assert [message.decode().kind for message in drive.messages(EVENT)] == ["recorder.incidents-unlisted"]
    assert not list(bench.folder.glob("*.seal.json"))
    obstacle.rmdir()
    done = take_up(bench.folder, default_key_dir(), bench.plan.config)
    assert (done.outcome, done.sealed) == ("recovered", True)
    index = read_index(bench.folder)
    assert index is not None
    assert [trigger.kind for one in index.incidents for trigger in one.triggers] == ["collision"]
    verified(open_drive(bench.folder))


def test_a_recorder_that_dies_while_nothing_is_recorded_leaves_a_loss_that_the_next_declares(bench: Bench) -> None:
    bench.to_step(NOTHING)
    for _ in range(10):
        bench.hand_over()
    bench.recorder.commit_if_due()
    while bench.store.sealing.busy():
        time.sleep(0.001)
    bench.disk.free()
    bench.start()
    bench.greet()
    bench.hand_over()
    drive = bench.finish()
    assert sorted([*stored_sets(drive), *declared_lost(drive)]) == list(range(bench.sent))
    assert len(declared_lost(drive)) == 10
    verified(drive)


def test_a_disk_that_is_full_from_one_moment_to_the_next_is_left_alone_until_it_has_room(bench: Bench) -> None:
    bench.hand_over()
    bench.recorder.commit_if_due()
    bench.store.sync()
    assert bench.look() == 0
    bench.disk.fill()
    while not bench.store.discarding:
        bench.hand_over()
        bench.store.sync()
    assert bench.look() == NOTHING
    assert bench.look() == NOTHING
    bench.hand_over()
    bench.disk.free()
    assert bench.look() == 0
    bench.hand_over()
    drive = bench.finish()
    verified(drive)
    assert sorted([*stored_sets(drive), *declared_lost(drive)]) == list(range(bench.sent))
    [gap] = list(drive.gaps())
    assert gap.reason == "there was no room for them on the disk"


def test_what_is_kept_back_for_the_end_is_not_taken_off_the_room_that_a_quota_leaves(tmp_path: Path) -> None:
    bench = Bench(SmallDisk(tmp_path), "jpeg")
    bench.greet()
    bench.hand_over()
    sweeper = bench.recorder.watch._sweeper
    assert sweeper is not None
    sweeper._quota_bytes = DiskUse(bench.folder.parent).used_bytes() + 30 * MIB + MIB // 2
    for _ in range(2):
        assert bench.look() == 0
        assert bench.store.reserve.size_bytes > MIB
        assert bench.recorder.watch.room.free_mib == 30
    bench.finish()
    bench.ring.close()


@pytest.mark.parametrize("codec", ["jpeg"])
def test_segments_that_are_old_enough_go_before_anything_is_given_up(disk: SmallDisk, codec: str) -> None:
    bench = Bench(disk, codec, segment_s=1.0)
    bench.greet()
    for _ in range(200):
        bench.hand_over()
    assert bench.look() == 0
    disk.fill((MIN_FREE_MIB - 1) * MIB)
    assert bench.look() == 0
    for _ in range(40):
        bench.hand_over()
    drive = bench.finish()
    assert [one.index for one in drive.deleted] == list(range(len(drive.deleted)))
    assert drive.deleted
    assert list(drive.gaps()) == []
    verified(drive)
    kinds = [message.decode().kind for message in drive.messages(EVENT)]
    assert kinds == ["recorder.deleted"]
    bench.ring.close()
