"""Recorded drives, read: whole ones, damaged ones, and what is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import RecordError
from runtime.contracts.topics import HEADER, LEDGER, MODEL_INPUT, PICTURE
from runtime.record.drive import open_drive
from runtime.record.segment import read_note, sealed_path
from runtime.record.store import DriveStore
from tests.runtime.record.recording import PERIOD_NS, UTC_ORIGIN_NS, a_header, an_input
from tests.runtime.record.test_store import SESSION, write


@pytest.fixture
def drive_dir(tmp_path: Path) -> Path:
    """100 frames in four sealed segments."""
    store = DriveStore(tmp_path, SESSION, RecordConfig(segment_s=1.0))
    write(store, range(100))
    store.rotate()
    store.close()
    return tmp_path


def test_topics_are_counted_over_all_segments_with_their_rates(drive_dir: Path) -> None:
    drive = open_drive(drive_dir)
    counts = {topic.topic: topic.count for topic in drive.topics()}
    assert counts == {"/drive/header": 4, "/ledger": 100, "/ledger/stored": 100, "/model/input": 100}
    assert drive.duration_s() == 99 * PERIOD_NS / 1e9
    rates = {topic.topic: topic.rate_hz for topic in drive.topics()}
    assert rates["/ledger"] == pytest.approx(100 / (99 * PERIOD_NS / 1e9))
    assert {topic.encoding for topic in drive.topics() if topic.topic == "/model/input"} == {"msgpack"}


def test_messages_come_in_log_order_and_only_of_the_topics_asked_for(drive_dir: Path) -> None:
    drive = open_drive(drive_dir)
    messages = list(drive.messages(LEDGER, HEADER))
    assert {message.row for message in messages} == {LEDGER, HEADER}
    times = [message.log_time_ns for message in messages]
    assert times == sorted(times)
    assert times[0] == UTC_ORIGIN_NS
    assert [message.sequence for message in messages if message.row is LEDGER] == list(range(100))


def test_a_frame_holds_only_what_was_asked_for(drive_dir: Path) -> None:
    (frame,) = open_drive(drive_dir).frames(MODEL_INPUT, first=40, last=40)
    assert frame.input == an_input(40)
    assert frame.raw(LEDGER) is None
    assert frame.dispositions == ()
    assert frame.decision is None
    assert frame.t_source_ns == 40 * PERIOD_NS


def test_an_unfinished_journal_after_sealed_segments_is_read_too(drive_dir: Path) -> None:
    store = DriveStore(drive_dir, SESSION, RecordConfig())
    write(store, range(100, 110))
    store.sync()
    drive = open_drive(drive_dir)
    assert [file.sealed for file in drive.segments] == [True] * 4 + [False]
    assert [frame.sequence for frame in drive.frames()] == list(range(110))
    assert drive.note(4) is None
    assert {topic.topic: topic.count for topic in drive.topics()}["/ledger"] == 110


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_byte_in_a_segment_is_found_and_the_segment_named(drive_dir: Path, seed: int) -> None:
    path = sealed_path(drive_dir, 1)
    whole = list(open_drive(drive_dir).messages())
    data = bytearray(path.read_bytes())
    position = int(np.random.default_rng(seed).integers(0, int.from_bytes(data[-28:-20], "little")))  # up to the index
    data[position] ^= 1 << (seed % 8)
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"segment-0001\.mcap is damaged"):
        for expected, found in zip(whole, open_drive(drive_dir).messages(), strict=True):
            assert found == expected  # nothing that was changed is ever given out


def test_a_drive_that_is_still_written_can_be_read_while_its_journal_is_sealed(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(10))
    store.sync()
    drive = open_drive(tmp_path)
    (journal,) = drive.segments
    assert not journal.sealed
    store.rotate()
    store.close()
    assert not journal.path.exists()
    assert [frame.sequence for frame in drive.frames()] == list(range(10))
    assert {topic.topic: topic.count for topic in drive.topics()}["/ledger"] == 10


def test_the_other_segments_of_a_damaged_drive_can_be_read(drive_dir: Path) -> None:
    path = sealed_path(drive_dir, 1)
    path.write_bytes(path.read_bytes()[:2000])
    drive = open_drive(drive_dir)
    assert [frame.sequence for frame in drive.frames(segment=2)] == list(range(64, 96))
    with pytest.raises(RecordError, match="damaged"):
        read_note(path)
    with pytest.raises(RecordError, match="damaged"):
        list(drive.frames(segment=1))


@pytest.mark.parametrize("content", [b"", b"nonsense", bytes(100)])
def test_a_file_that_only_has_a_segments_name_is_refused(tmp_path: Path, content: bytes) -> None:
    sealed_path(tmp_path, 0).write_bytes(content)
    with pytest.raises(RecordError, match=r"segment-0000\.mcap is damaged"):
        open_drive(tmp_path)


@pytest.mark.parametrize("index", [4, 9])
def test_a_segment_that_was_copied_under_another_name_is_refused_with_both_names(drive_dir: Path, index: int) -> None:
    shutil.copy(sealed_path(drive_dir, 1), sealed_path(drive_dir, index))
    with pytest.raises(RecordError, match=rf"segment-000{index}\.mcap and .*segment-0001\.mcap both begin with set"):
        open_drive(drive_dir)


def test_segments_that_were_renamed_out_of_their_order_are_refused(drive_dir: Path) -> None:
    sealed_path(drive_dir, 0).rename(sealed_path(drive_dir, 7))
    with pytest.raises(RecordError, match=r"segment-0007\.mcap begins with set 0 .*segment-0003\.mcap before it"):
        open_drive(drive_dir)


@pytest.mark.parametrize(
    ("drive_id", "session", "words"), [("other", SESSION, "of the drive other"), ("drive", "ffff", "another run")]
)
def test_a_segment_of_another_drive_or_run_is_refused_with_both_names(
    drive_dir: Path, tmp_path_factory: pytest.TempPathFactory, drive_id: str, session: str, words: str
) -> None:
    other = tmp_path_factory.mktemp("other")
    store = DriveStore(other, session, RecordConfig(segment_s=1.0))
    store.keep_header(HEADER.encode(msgspec.structs.replace(a_header(), drive_id=drive_id)))
    write(store, range(200, 210))
    store.rotate()
    store.close()
    shutil.copy(sealed_path(other, 0), sealed_path(drive_dir, 4))
    with pytest.raises(RecordError, match=rf"segment-0004\.mcap .*{words}.*") as refused:
        open_drive(drive_dir)
    assert "segment-000" in str(refused.value).replace("segment-0004", "")


def test_a_file_that_ends_too_early_is_damaged_for_a_reason(drive_dir: Path) -> None:
    path = sealed_path(drive_dir, 0)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RecordError, match=r"segment-0000\.mcap is damaged: it ends in the middle of a record"):
        open_drive(drive_dir)


def test_what_is_no_drive_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is no drive"):
        open_drive(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="holds no segment"):
        open_drive(tmp_path)


def test_a_segment_that_is_not_there_is_named_with_those_that_are(drive_dir: Path) -> None:
    with pytest.raises(RecordError, match="no segment 9; there are: 0, 1, 2, 3"):
        list(open_drive(drive_dir).messages(segment=9))


def test_a_drive_without_pictures_has_frames_without_pictures(drive_dir: Path) -> None:
    assert list(open_drive(drive_dir).messages(PICTURE)) == []
    assert next(iter(open_drive(drive_dir).frames())).pictures == ()
