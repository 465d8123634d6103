"""What the recorder answers to each message of the link."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from runtime.bus.publisher import Publisher
from runtime.bus.ring import PictureRing
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import RecordConfig
from runtime.contracts.incident import INDEX_NAME, Mark
from runtime.contracts.link import (
    Acknowledge,
    Finish,
    Finished,
    Hello,
    LossNotice,
    MessageSet,
    Payload,
    PictureRef,
    ToDrive,
    ToRecorder,
)
from runtime.contracts.messages import Gap
from runtime.contracts.topics import EVENT, GAP
from runtime.record.drive import Drive, open_drive
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.store import DriveStore
from runtime.supervise.plan import RunPlan
from tests.runtime.record.recording import (
    PERIOD_NS,
    a_picture,
    a_plan,
    declared_lost,
    frame_payloads,
    header_payload,
    stored_sets,
)

CREDIT = 4


class Bench:
    """A recorder on a real folder, with the test in the place of the socket."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan
        self.replies: list[ToDrive] = []
        self.store = DriveStore(Path(plan.drive_dir), plan.session, plan.config.record)
        self.publisher = Publisher(plan.pictures, plan.session, 2)
        self.recorder = Recorder(
            plan,
            self.store,
            PictureEncoder(self.publisher.publish, plan.config.record),
            clock=SystemClock(),
            reply=lambda data: self.replies.append(link.decode_to_drive(data)),
            publish=self.publisher.publish,
        )

    def take(self, *messages: ToRecorder) -> list[ToDrive]:
        """Hand messages to the recorder; returns what it answered to them."""
        before = len(self.replies)
        for message in messages:
            self.recorder.take(link.encode(message))
        return self.replies[before:]

    def a_set(self, sequence: int, *extra: Payload, pictures: tuple[PictureRef, ...] = ()) -> MessageSet:
        """Set 0 holds the header; set n + 1 frame n."""
        payloads = (header_payload(),) if sequence == 0 else frame_payloads(sequence - 1)
        at_ns = max(0, sequence - 1) * PERIOD_NS
        return MessageSet(self.plan.session, sequence, sequence - 1, at_ns, (*payloads, *extra), pictures)

    def hello(self, oldest: int = 0) -> Hello:
        return Hello(self.plan.session, "", 0, 0, oldest)

    def acknowledged(self, sequence: int, *, resend: bool = False) -> Acknowledge:
        return Acknowledge(self.plan.session, sequence, CREDIT, resend)

    def finish(self, sequence: int) -> Drive:
        self.take(Finish(self.plan.session, sequence))
        self.store.close()
        self.recorder.check_sealed()
        assert self.replies[-1] == Finished(self.plan.session)
        return open_drive(Path(self.plan.drive_dir))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    plan = a_plan(tmp_path / "drive", RecordConfig(credit=CREDIT, sync_ms=1000.0))
    bench = Bench(plan)
    yield bench
    bench.publisher.close()
    shutil.rmtree(plan.run_dir)


def test_it_acknowledges_a_group_when_half_of_the_credit_is_used(bench: Bench) -> None:
    assert bench.take(bench.hello()) == [bench.acknowledged(0, resend=True)]
    bench.take(bench.a_set(0))
    bench.recorder.commit_if_due()
    assert len(bench.replies) == 1
    bench.take(bench.a_set(1))
    bench.recorder.commit_if_due()
    assert bench.replies[1:] == [bench.acknowledged(2)]


def test_it_takes_nothing_before_it_was_greeted_because_it_could_not_find_the_pictures(bench: Bench) -> None:
    assert bench.take(bench.a_set(0), bench.a_set(1)) == []
    assert bench.store.next_sequence == 0
    bench.take(bench.hello(), bench.a_set(0), bench.a_set(1, pictures=(PictureRef("front", 0, 4, 4),)))
    assert bench.store.next_sequence == 1  # the ring has no name yet


def test_a_set_that_comes_twice_is_written_once(bench: Bench) -> None:
    bench.take(bench.hello(), bench.a_set(0), bench.a_set(1), bench.a_set(1), bench.a_set(0), bench.a_set(2))
    assert (bench.recorder.misplaced, bench.recorder.rejected) == (2, 0)
    drive = bench.finish(3)
    assert stored_sets(drive) == [0, 1, 2]
    assert drive.ledger().frames == 2


def test_a_hole_in_the_order_is_asked_for_again_once_and_not_written_over(bench: Bench) -> None:
    bench.take(bench.hello(), bench.a_set(0))
    assert bench.take(bench.a_set(2), bench.a_set(3)) == [bench.acknowledged(1, resend=True)]
    assert (bench.recorder.misplaced, bench.recorder.rejected) == (2, 0)
    bench.take(bench.a_set(1), bench.a_set(2), bench.a_set(3))
    assert stored_sets(bench.finish(4)) == [0, 1, 2, 3]


def test_a_loss_is_written_as_a_gap_and_an_event_in_its_place(bench: Bench) -> None:
    session = bench.plan.session
    bench.take(bench.hello(), bench.a_set(0), LossNotice(session, Gap(session, 1, 5, "slow")), bench.a_set(6))
    drive = bench.finish(7)
    assert list(drive.gaps()) == [Gap(session, 1, 5, "slow")]
    assert stored_sets(drive) == [0, 6]
    assert declared_lost(drive) == [1, 2, 3, 4, 5]
    assert [message.decode().kind for message in drive.messages(EVENT)] == ["link.gap"]


@pytest.mark.parametrize("gap", [(1, None), (3, 2), (3, 9)])
def test_a_loss_notice_that_cannot_be_is_not_written(bench: Bench, gap: tuple[int, int | None]) -> None:
    session = bench.plan.session
    bench.take(bench.hello(), bench.a_set(0), LossNotice(session, Gap(session, *gap, "nonsense")))
    bench.take(bench.a_set(1), bench.a_set(2))
    assert stored_sets(bench.finish(3)) == [0, 1, 2]


def test_what_the_driving_process_holds_no_more_and_the_record_lacks_is_declared(bench: Bench) -> None:
    bench.take(bench.hello(), bench.a_set(0), bench.hello(oldest=4), bench.a_set(4))
    drive_gaps = [message.decode() for message in bench.finish(5).messages(GAP)]
    assert [(gap.first, gap.last) for gap in drive_gaps] == [(1, 3)]


def test_a_message_on_an_unknown_topic_is_not_written_but_said_and_the_rest_of_its_set_is(bench: Bench) -> None:
    bench.take(bench.hello(), bench.a_set(0), bench.a_set(1, Payload("/unheard/of", 0, 0, 0, b"?")))
    drive = bench.finish(2)
    assert drive.ledger().frames == 1
    events = [message.decode() for message in drive.messages(EVENT)]
    assert "'/unheard/of'" in events[0].message
    assert bench.recorder.rejected == 1


def test_no_bytes_on_the_link_bring_it_down(bench: Bench) -> None:
    session, random = bench.plan.session, np.random.default_rng(20261123)
    extremes = (0, -1, 2**31, 2**32, -(2**62), 2**62, -(2**63), 2**63 - 1, 2**63, 2**64 - 1)
    bench.take(bench.hello(), bench.a_set(0))
    for _ in range(3000):
        sequence, far = bench.store.next_sequence, extremes[random.integers(len(extremes))]
        messages = (
            bench.hello(),
            bench.a_set(sequence, Payload("/event", far, 0, 0, b"")),
            replace(bench.a_set(sequence), t_source_ns=far, frame_sequence=far),
            replace(bench.a_set(sequence), payloads=(Payload("/ledger", 0, 0, far, b""),)),
            replace(bench.a_set(sequence), payloads=(Payload("/drive/header", 0, 0, 0, random.bytes(40)),)),
            LossNotice(session, Gap(session, sequence, sequence + 3, "slow")),
            Hello(session, "/proc/self/mem", 3, 99, 0),
            Hello(session, "/proc/1/fd/0", 2**40, 2**40, 0),
        )
        data = bytearray(link.encode(messages[random.integers(len(messages))]))
        for _ in range(random.integers(3)):
            data[random.integers(len(data))] = random.integers(256)
        bench.recorder.take(bytes(data[: random.integers(len(data))] if random.integers(4) == 0 else data))
    assert bench.recorder.rejected > 300
    assert bench.store.next_sequence > 300


def test_another_session_is_not_listened_to(bench: Bench) -> None:
    bench.take(bench.hello())
    assert bench.take(MessageSet("stranger", 0, -1, 0, ()), Hello("stranger", "", 0, 0, 9), Finish("stranger", 0)) == []
    assert (bench.recorder.rejected, bench.store.next_sequence) == (3, 0)


def test_a_picture_that_cannot_be_had_is_said_and_its_frame_is_recorded(bench: Bench) -> None:
    ring = PictureRing(1, 4096)
    ref = ring.place("front", a_picture(0, 8, 8))
    assert isinstance(ref, PictureRef)
    bench.take(Hello(bench.plan.session, ring.path, ring.slots, ring.slot_bytes, 0), bench.a_set(0))
    bench.take(bench.a_set(1, pictures=(ref,)), bench.a_set(2, pictures=(PictureRef("front", 7, 8, 8),)))
    frames = list(bench.finish(3).frames())
    assert [len(frame.pictures) for frame in frames] == [1, 0]
    kinds = [message.decode().kind for message in open_drive(Path(bench.plan.drive_dir)).messages(EVENT)]
    assert kinds == ["recorder.picture-missing"]
    ring.close()


def test_what_nothing_could_be_written_of_is_told_once_it_can_and_only_then(bench: Bench) -> None:
    bench.take(bench.hello(), bench.a_set(0), bench.a_set(1))
    obstacle = Path(bench.plan.drive_dir) / f"{INDEX_NAME}.tmp"
    obstacle.mkdir()
    bench.store.discarding = True
    assert bench.recorder.incidents.mark([Mark("token", "look at this")])[0].refusal
    bench.take(bench.hello())
    bench.store.discarding = False
    for _ in range(2):
        bench.take(bench.hello())
    obstacle.rmdir()
    events = [message.decode() for message in bench.finish(2).messages(EVENT)]
    assert [event.kind for event in events].count("recorder.incidents-unlisted") == 1


def test_a_drive_that_never_began_leaves_nothing(bench: Bench) -> None:
    bench.take(bench.hello())
    bench.recorder.end_open("gone")
    bench.store.close()
    assert list(Path(bench.plan.drive_dir).iterdir()) == []
    bench.recorder.check_sealed()
    assert bench.recorder.finished
