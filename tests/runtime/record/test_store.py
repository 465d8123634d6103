"""A drive's folder while it is written, and after a crash at any byte."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader

from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Header
from runtime.contracts.topics import MODEL_INPUT, STORED, find_topic
from runtime.record import segment
from runtime.record.drive import open_drive
from runtime.record.journal import survey
from runtime.record.segment import SegmentFile, read_note, segment_files
from runtime.record.store import DriveStore
from tests.runtime.record.recording import (
    PERIOD_NS,
    UTC_ORIGIN_NS,
    a_header,
    an_input,
    frame_payloads,
    header_payload,
    stored_sets,
)

SESSION = "session"


def write(store: DriveStore, frames: range) -> None:
    """Sets as the recorder writes them: link sequence 0 is the header's, frame n is in set n + 1."""
    if store.header is None:
        store.keep_header(header_payload().data)
    for frame in frames:
        log_time_ns = UTC_ORIGIN_NS + frame * PERIOD_NS
        for payload in frame_payloads(frame):
            topic = find_topic(payload.topic)
            assert topic is not None
            store.append(
                payload.topic,
                topic,
                payload.data,
                log_time_ns=log_time_ns,
                publish_time_ns=payload.utc_ns,
                sequence=frame,
            )
        store.mark(frame, frame, frame_sequence=frame, log_time_ns=log_time_ns, publish_time_ns=log_time_ns)


def frames_of(path: Path) -> list[int]:
    return [frame.sequence for frame in open_drive(path).frames()]


def test_segments_rotate_by_source_time_and_every_one_begins_with_the_header(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig(segment_s=1.0))
    write(store, range(100))
    store.rotate()
    store.close()
    files = segment_files(tmp_path)
    assert [file.index for file in files] == [0, 1, 2, 3]
    for file in files:
        assert file.sealed
        with file.path.open("rb") as stream:
            _, channel, message = next(
                iter(make_reader(stream, validate_crcs=True).iter_messages(log_time_order=False))
            )
        assert channel.topic == "/drive/header"
        assert message.log_time == UTC_ORIGIN_NS + read_note(file.path).first_frame * PERIOD_NS
    notes = [read_note(file.path) for file in files]
    assert [(note.first_frame, note.last_frame) for note in notes] == [(0, 31), (32, 63), (64, 95), (96, 99)]
    drive = open_drive(tmp_path)
    assert [frame.sequence for frame in drive.frames(segment=2)] == list(range(64, 96))
    assert [frame.sequence for frame in drive.frames(first=30, last=65)] == list(range(30, 66))
    assert drive.header == a_header()


def test_segments_rotate_by_size(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig(segment_mib=1))
    store.keep_header(header_payload().data)
    for frame in range(5):
        data = MODEL_INPUT.encode(an_input(frame, 400_000))
        at_ns = UTC_ORIGIN_NS + frame
        store.append("/model/input", MODEL_INPUT, data, log_time_ns=at_ns, publish_time_ns=at_ns, sequence=frame)
        store.mark(frame, frame, frame_sequence=frame, log_time_ns=at_ns, publish_time_ns=at_ns)
    store.rotate()
    store.close()
    assert [read_note(file.path).sets for file in segment_files(tmp_path)] == [3, 2]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of 12 frames as a killed recorder leaves it, synced."""
    folder = tmp_path_factory.mktemp("drive")
    store = DriveStore(folder, SESSION, RecordConfig())
    write(store, range(12))
    store.sync()
    return (folder / "segment-0000.mcap.journal").read_bytes()


def test_a_journal_cut_at_any_byte_gives_a_prefix_of_whole_frames_and_is_taken_up(
    journal: bytes, tmp_path: Path
) -> None:
    random = np.random.default_rng(20261123)
    cuts = sorted({0, 1, 8, 9, len(journal) - 1, len(journal), *random.integers(0, len(journal), 60).tolist()})
    before = 0
    for cut in cuts:
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "segment-0000.mcap.journal").write_bytes(journal[:cut])
        store = DriveStore(folder, SESSION, RecordConfig())
        kept = store.next_sequence
        assert store.recovered is not None
        write(store, range(kept, 14))
        store.rotate()
        store.close()
        assert frames_of(folder) == list(range(14))
        assert stored_sets(open_drive(folder)) == list(range(14))
        counts = {topic.topic: topic.count for topic in open_drive(folder).topics()}
        assert counts["/ledger"] == counts["/model/input"] == 14
        files = segment_files(folder)
        assert all(file.sealed for file in files)
        assert [file.index for file in files] == list(range(len(files)))  # no number is left out
        assert kept >= before
        before = kept
        shutil.rmtree(folder)
    assert before == 12


def test_a_cut_journal_can_be_read_as_it_lies(journal: bytes, tmp_path: Path) -> None:
    path = tmp_path / "segment-0000.mcap.journal"
    path.write_bytes(journal[: len(journal) - 700])
    found = survey(path)
    assert found.mark is not None
    assert frames_of(tmp_path) == list(range(found.mark.last + 1))
    assert open_drive(tmp_path).ledger().frames >= found.mark.last + 1


def test_garbage_behind_the_cut_is_not_taken_for_a_record(journal: bytes, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for tail in (bytes(5000), random.bytes(5000), b"\x05" + b"\xff" * 100, b"\x05\x02" + bytes(9), journal[-40:]):
        path = tmp_path / "segment-0000.mcap.journal"
        path.write_bytes(journal + tail)
        assert frames_of(tmp_path) == list(range(12))
        assert survey(path).mark is not None


def test_the_journal_is_mcap_for_the_official_stream_reader(journal: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(journal + b"\x0f" + (4).to_bytes(8, "little") + bytes(4))  # an end of data, which a cut takes away
    marks = 0
    with path.open("rb") as file:
        for record in StreamReader(file).records:
            marks += type(record).__name__ == "Message"
            if type(record).__name__ == "DataEnd":
                break
    assert marks == 1 + 12 * 3


def test_a_crash_between_the_swap_and_the_removal_leaves_one_segment(journal: bytes, tmp_path: Path) -> None:
    (tmp_path / "segment-0000.mcap.journal").write_bytes(journal)
    segment.seal(tmp_path, 0)
    (tmp_path / "segment-0000.mcap.journal").write_bytes(journal[:500])
    (tmp_path / "segment-0001.mcap.tmp").write_bytes(b"half")
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    assert store.next_sequence == 12
    assert store.header == a_header()
    assert isinstance(store.header, Header)
    store.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["segment-0000.mcap"]


def test_another_runs_drive_is_not_written_on(journal: bytes, tmp_path: Path) -> None:
    (tmp_path / "segment-0000.mcap.journal").write_bytes(journal)
    with pytest.raises(RecordError, match="recorded by another run"):
        DriveStore(tmp_path, "a new session", RecordConfig())


def test_a_segment_that_cannot_be_sealed_stays_readable_and_is_said_at_the_end(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(5))
    (tmp_path / "segment-0000.mcap.tmp").mkdir()  # where the sealed file would be written first
    store.rotate()
    write(store, range(5, 8))
    store.sync()
    with pytest.raises(RecordError, match="could not be sealed"):
        store.close()
    assert frames_of(tmp_path) == list(range(8))


def test_what_a_broken_disk_refused_to_sync_is_not_taken_up_although_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux tells of a failed write once, to who syncs first, and shows its pages to readers as if all were well."""

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(5))
    store.sync()
    write(store, range(5, 8))
    with monkeypatch.context() as patched, pytest.raises(RecordError, match="cannot be written"):
        patched.setattr(os, "fdatasync", broken)
        store.sync()
    again = DriveStore(tmp_path, SESSION, RecordConfig())
    assert again.next_sequence == 5
    again.close()


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data[:5000] + bytes(20) + data[5020:]])
def test_a_damaged_segment_costs_itself_and_not_the_rest_of_the_drive(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(5))
    store.rotate()
    write(store, range(5, 8))
    store.sync()
    store.close()
    damaged = tmp_path / "segment-0000.mcap"
    damaged.write_bytes(damage(damaged.read_bytes()))
    again = DriveStore(tmp_path, SESSION, RecordConfig())
    assert (again.next_sequence, again.segment, again.header) == (8, 2, a_header())
    again.sealing.retry()
    write(again, range(8, 10))
    again.rotate()
    again.close()
    assert [file.sealed for file in segment_files(tmp_path)] == [True] * 3
    damaged.unlink()
    assert frames_of(tmp_path) == list(range(5, 10))


def test_what_only_a_damaged_segment_held_is_not_known_any_more(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(5))
    store.rotate()
    store.close()
    path = tmp_path / "segment-0000.mcap"
    path.write_bytes(path.read_bytes()[:-40])
    again = DriveStore(tmp_path, SESSION, RecordConfig())
    assert again.recovered is not None
    assert ["segment-0000.mcap is damaged" in one for one in again.recovered.damaged] == [True]
    assert (again.next_sequence, again.segment) == (0, 1)
    again.close()


def test_marks_say_how_many_messages_belong_to_a_set(journal: bytes, tmp_path: Path) -> None:
    (tmp_path / "segment-0000.mcap.journal").write_bytes(journal)
    marks = [message.decode() for message in open_drive(tmp_path).messages(STORED)]
    assert [mark.messages for mark in marks] == [2] * 12


def test_no_checksum_of_a_set_goes_into_a_sealed_segment(journal: bytes, tmp_path: Path) -> None:
    """It knows no salt: of a part that was handed over it would tell whether a guess of what was left out is right."""
    (tmp_path / "segment-0000.mcap.journal").write_bytes(journal)
    assert None not in [message.decode().crc32 for message in open_drive(tmp_path).messages(STORED)]
    segment.seal(tmp_path, 0)
    assert {message.decode().crc32 for message in open_drive(tmp_path).messages(STORED)} == {None}


def test_the_next_segments_number_does_not_hang_on_a_listing_of_a_folder_that_is_being_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing may miss a file that is renamed meanwhile; its number was given again, and the segment written over."""
    config = RecordConfig()
    first = DriveStore(tmp_path, SESSION, config)
    write(first, range(2))
    first.sync()
    listings = []

    def listed_once(folder: Path) -> tuple[SegmentFile, ...]:
        listings.append(segment_files(folder))
        return listings[0] if len(listings) == 1 else ()

    monkeypatch.setattr("runtime.record.recovered.segment_files", listed_once)
    second = DriveStore(tmp_path, SESSION, config)
    assert second.segment == 1
    second.close()


def test_neither_hash_nor_size_of_a_sealed_segment_follow_from_its_messages(tmp_path: Path) -> None:
    """Both are signed, and handed over with any part of it: they must not tell what was left out."""
    files = []
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        store = DriveStore(folder, SESSION, RecordConfig())
        write(store, range(2))
        store.rotate()
        store.close()
        files.append((folder / "segment-0000.mcap").read_bytes())
    assert len(set(files)) == 8
    assert len({len(data) for data in files}) > 1
