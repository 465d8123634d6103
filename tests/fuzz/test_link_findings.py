"""What the fuzz of the link once found, each with the smallest input that showed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.fuzzing.mutation import deep_json, deep_msgpack
from benchmarks.fuzzing.on_recorder import RecorderTarget
from benchmarks.fuzzing.seeds import UTC_NS, a_header, frame_payloads, header_payload
from runtime.contracts import link
from runtime.contracts.errors import RecordError
from runtime.contracts.link import Finish, Hello, LossNotice, MessageSet, Payload, ToRecorder
from runtime.contracts.messages import Gap, Stored
from runtime.contracts.topics import EVENT, GAP, HEADER, LEDGER, MODEL_INPUT, STORED, VEHICLE, Topic


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RecorderTarget]:
    """It proves, after each session, that the record can be read and holds what was acknowledged."""
    target = RecorderTarget(tmp_path)
    yield target
    target.close()


def session(target: RecorderTarget, *messages: ToRecorder) -> int:
    """Feed one session; how many messages were refused."""
    hello = Hello(target.session, "", 0, 0, 0)
    return target.take(msgspec.msgpack.encode([link.encode(one) for one in (hello, *messages)])).refused


def a_set(target: RecorderTarget, sequence: int, *extra: Payload) -> MessageSet:
    payloads = (header_payload(),) if sequence == 0 else frame_payloads(sequence - 1)
    return MessageSet(target.session, sequence, sequence - 1, 0, (*payloads, *extra))


@pytest.mark.parametrize("row", [EVENT, VEHICLE, LEDGER, MODEL_INPUT], ids=lambda row: row.schema_name)
def test_a_message_that_is_none_of_its_topic_is_not_recorded(recorder: RecorderTarget, row: Topic) -> None:
    bad = Payload(row.name, 0, 0, UTC_NS, b"\x00")
    assert session(recorder, a_set(recorder, 0), a_set(recorder, 1, bad), a_set(recorder, 2)) == 1


def test_the_marks_and_gaps_of_the_record_are_not_taken_from_the_link(recorder: RecorderTarget) -> None:
    mark = Payload(STORED.name, 0, 0, UTC_NS, STORED.encode(Stored(recorder.session, 0, 99, -1, 0)))
    gap = Payload(GAP.name, 0, 0, UTC_NS, GAP.encode(Gap(recorder.session, 0, 99, "no")))
    assert session(recorder, a_set(recorder, 0, mark, gap), a_set(recorder, 1)) == 2


@pytest.mark.parametrize("sequence", [2**62, 2**63, 2**64 - 1])
def test_a_sequence_whose_successor_has_no_spelling_is_refused(recorder: RecorderTarget, sequence: int) -> None:
    beyond = (Hello(recorder.session, "", 0, 0, sequence + 1) if sequence < 2**64 - 1 else Finish("x", 0),)
    loss = LossNotice(recorder.session, Gap(recorder.session, 1, sequence, "far"))
    far = msgspec.structs.replace(a_set(recorder, 1), sequence=sequence)
    assert session(recorder, a_set(recorder, 0), far, loss, *beyond) == 3


def test_the_last_sequence_that_there_is_can_still_be_acknowledged(recorder: RecorderTarget) -> None:
    loss = LossNotice(recorder.session, Gap(recorder.session, 1, link.LAST_SEQUENCE, "far"))
    assert session(recorder, a_set(recorder, 0), loss) == 0


def test_a_second_header_does_not_make_the_record_another_drives(recorder: RecorderTarget) -> None:
    other = header_payload(msgspec.structs.replace(a_header(), drive_id="another"))
    later = [a_set(recorder, sequence) for sequence in range(1, 12)]
    assert session(recorder, a_set(recorder, 0), *later, a_set(recorder, 12, other), a_set(recorder, 13)) == 1


def test_a_header_that_comes_late_is_found_by_readers(recorder: RecorderTarget) -> None:
    bad = Payload(HEADER.name, -1, 0, UTC_NS, b"{}")
    first = msgspec.structs.replace(a_set(recorder, 0), payloads=(bad,))
    assert session(recorder, first, a_set(recorder, 1, header_payload()), a_set(recorder, 2)) == 1


def test_nothing_is_written_behind_the_end(recorder: RecorderTarget) -> None:
    lost_ring = Hello(recorder.session, "/proc/self/mem", 1, 1, 0)
    assert session(recorder, a_set(recorder, 0), Finish(recorder.session, 1), lost_ring, a_set(recorder, 1)) == 0


def test_a_farewell_that_speaks_of_fewer_sets_than_there_are_is_refused(recorder: RecorderTarget) -> None:
    assert session(recorder, a_set(recorder, 0), a_set(recorder, 1), Finish(recorder.session, 1)) == 1


@pytest.mark.parametrize(("row", "data"), [(EVENT, deep_json()), (MODEL_INPUT, deep_msgpack())])
def test_a_message_that_goes_deeper_than_the_stack_is_a_record_error(row: Topic, data: bytes) -> None:
    field = b'{"deep":' + data + b"}" if row is EVENT else b"\x81\xa4deep" + data
    with pytest.raises(RecordError, match="does not decode"):
        row.decode(field)
