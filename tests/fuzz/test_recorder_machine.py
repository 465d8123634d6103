"""The recorder's end of the link as a machine: whatever order a sender chooses, the record is what the model says.

Hypothesis, since it makes the sequence shorter that shows something; the fuzz beside it has the numbers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from benchmarks.fuzzing.seeds import UTC_NS, a_plan, frame_payloads, header_payload
from runtime.contracts import link
from runtime.contracts.clock import SystemClock
from runtime.contracts.link import Acknowledge, Finish, Hello, LossNotice, MessageSet, Payload, PictureRef, ToRecorder
from runtime.contracts.messages import Gap, Stored
from runtime.contracts.topics import GAP, STORED
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.record.pictures import PictureEncoder
from runtime.record.recorder import Recorder
from runtime.record.store import DriveStore

ahead = st.integers(1, 5)
far = st.sampled_from((2**31, 2**62 - 1, 2**62, 2**63, 2**64 - 1))


class Link(RuleBasedStateMachine):
    """`expected` is the next sequence by the model; `gaps` the ranges that the record must declare."""

    @initialize()
    def begin(self) -> None:
        """A recorder that was greeted and has the header."""
        self.work = Path(tempfile.mkdtemp())
        self.plan = a_plan(self.work / "drive", sync_ms=1000.0)
        self.replies: list[bytes] = []
        self.store = DriveStore(Path(self.plan.drive_dir), self.plan.session, self.plan.config.record)
        self.recorder = Recorder(
            self.plan,
            self.store,
            PictureEncoder(_nowhere, self.plan.config.record),
            clock=SystemClock(),
            reply=self.replies.append,
            publish=_nowhere,
        )
        self.expected = 0
        self.gaps: list[tuple[int, int]] = []
        self.finished = False
        self.take(Hello(self.plan.session, "", 0, 0, 0), self.a_set(0))
        self.expected = 1

    def take(self, *messages: ToRecorder) -> None:
        for message in messages:
            self.recorder.take(link.encode(message))

    def a_set(self, sequence: int) -> MessageSet:
        payloads = (header_payload(),) if sequence == 0 else frame_payloads(sequence - 1)
        return MessageSet(self.plan.session, sequence, sequence - 1, 0, payloads)

    @precondition(lambda self: not self.finished)
    @rule()
    def next_set(self) -> None:
        self.take(self.a_set(self.expected))
        self.expected += 1

    @rule(back=ahead)
    def a_set_again(self, back: int) -> None:
        self.take(self.a_set(max(0, self.expected - back)))

    @rule(by=ahead)
    def a_set_too_early(self, by: int) -> None:
        self.take(self.a_set(self.expected + by))

    @rule(sequence=far)
    def a_set_from_nowhere(self, sequence: int) -> None:
        self.take(msgspec.structs.replace(self.a_set(self.expected), sequence=sequence))

    @precondition(lambda self: not self.finished)
    @rule(count=ahead)
    def a_loss(self, count: int) -> None:
        first, last = self.expected, self.expected + count - 1
        self.take(LossNotice(self.plan.session, Gap(self.plan.session, first, last, "slow")))
        self.gaps.append((first, last))
        self.expected = last + 1

    @rule(by=ahead)
    def a_loss_that_cannot_be(self, by: int) -> None:
        session = self.plan.session
        self.take(
            LossNotice(session, Gap(session, self.expected + by, self.expected, "no")),
            LossNotice(session, Gap(session, self.expected + by, self.expected + by, "early")),
            LossNotice(session, Gap("another", self.expected, self.expected, "foreign")),
            LossNotice(session, Gap(session, self.expected, None, "open")),
        )

    @rule(path=st.sampled_from(("/dev/zero", "/proc/self/mem", "/proc/1/fd/0", "/proc/999999999/fd/3", "")), size=far)
    def a_ring_that_is_none(self, path: str, size: int) -> None:
        self.take(Hello(self.plan.session, path, min(size, 2**62), min(size, 2**62), 0))

    @precondition(lambda self: not self.finished)
    @rule(by=ahead)
    def a_greeting_of_who_holds_less(self, by: int) -> None:
        self.take(Hello(self.plan.session, "", 0, 0, self.expected + by))
        self.gaps.append((self.expected, self.expected + by - 1))
        self.expected += by

    @rule()
    def another_session(self) -> None:
        self.take(MessageSet("another", self.expected, -1, 0, ()), Hello("another", "", 0, 0, 99), Finish("another", 0))

    @rule(data=st.binary(max_size=40))
    def noise(self, data: bytes) -> None:
        self.recorder.take(data)

    @precondition(lambda self: not self.finished)
    @rule(name=st.sampled_from((STORED.name, GAP.name, "/event", "/unheard/of")), data=st.binary(max_size=20))
    def a_set_with_a_message_that_is_none(self, name: str, data: bytes) -> None:
        bad = Payload(name, 0, 0, UTC_NS, data)
        due = self.a_set(self.expected)
        refs = (PictureRef("front", 9, 60_000, 60_000),)
        self.take(Hello(self.plan.session, "/proc/self/fd/0", 1, 1, 0))
        self.take(msgspec.structs.replace(due, payloads=(bad, *due.payloads), pictures=refs))
        self.expected += self.store.next_sequence - self.expected  # without its ring it waits
        self.take(Hello(self.plan.session, "", 0, 0, 0))

    @rule(early=ahead)
    def a_farewell_out_of_place(self, early: int) -> None:
        self.take(Finish(self.plan.session, self.expected + early), Finish(self.plan.session, self.expected - 1))

    @precondition(lambda self: self.expected > 12 and not self.finished)
    @rule()
    def farewell(self) -> None:
        self.take(Finish(self.plan.session, self.expected))
        self.finished = True

    @invariant()
    def the_recorder_is_where_the_model_is(self) -> None:
        if hasattr(self, "store"):
            assert self.store.next_sequence == self.expected
            answers = [link.decode_to_drive(data) for data in self.replies[-1:]]
            assert all(not isinstance(one, Acknowledge) or one.next_sequence <= self.expected for one in answers)

    def teardown(self) -> None:
        """Finish and read it back."""
        if not hasattr(self, "store"):
            return
        self.take(Finish(self.plan.session, self.expected))
        self.store.close()
        self.recorder.check_sealed()
        assert self.recorder.finished
        drive = open_drive(Path(self.plan.drive_dir))
        marks: list[Stored] = [message.decode() for message in drive.messages(STORED)]
        assert [mark.first for mark in marks] == [0, *(mark.last + 1 for mark in marks[:-1])]
        assert marks[-1].last == self.expected - 1
        assert [(gap.first, gap.last) for gap in drive.gaps()] == self.gaps
        assert [lack for lack in lacks(drive) if not lack.reason.startswith("frames ")] == []
        shutil.rmtree(self.work)
        shutil.rmtree(self.plan.run_dir)


def _nowhere(_: object) -> None:
    """Nobody listens."""


Link.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_a_sender_in_any_order = Link.TestCase
