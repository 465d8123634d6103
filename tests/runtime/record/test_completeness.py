"""A record is held against its own marks: what was written and is not there is found, what was declared is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.contracts.config import RecordConfig
from runtime.contracts.messages import Gap
from runtime.contracts.topics import EVENT, GAP, LEDGER
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.record.segment import read_note, sealed_path
from runtime.record.store import DriveStore
from tests.runtime.record.recording import UTC_ORIGIN_NS
from tests.runtime.record.test_store import SESSION, write


def found(drive_dir: Path) -> list[str]:
    return [str(lack) for lack in lacks(open_drive(drive_dir))]


def mark(store: DriveStore, first: int, last: int, frame: int = -1) -> None:
    store.mark(first, last, frame_sequence=frame, log_time_ns=UTC_ORIGIN_NS, publish_time_ns=UTC_ORIGIN_NS)


def append_gap(store: DriveStore, first: int, last: int) -> None:
    data = GAP.encode(Gap(SESSION, first, last, "the link was full"))
    store.append(GAP.name, GAP, data, log_time_ns=UTC_ORIGIN_NS, publish_time_ns=UTC_ORIGIN_NS, sequence=-1)


def test_whole_drives_and_growing_journals_lack_nothing(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig(segment_s=1.0))
    write(store, range(100))
    store.append(EVENT.name, EVENT, b"{}", log_time_ns=0, publish_time_ns=0, sequence=-1)  # of a set that is not whole
    store.sync()
    assert found(tmp_path) == []
    store.rotate()
    store.close()
    assert found(tmp_path) == []


def test_a_segment_that_is_gone_is_found_wherever_it_lay(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig(segment_s=1.0))
    write(store, range(100))
    store.rotate()
    store.close()
    sealed_path(tmp_path, 1).unlink()
    (lack,) = lacks(open_drive(tmp_path))
    assert (lack.frame, lack.segment) == (read_note(sealed_path(tmp_path, 0)).last_frame + 1, "segment-0002.mcap")
    sealed_path(tmp_path, 0).unlink()
    (lack,) = lacks(open_drive(tmp_path))
    assert (lack.frame, lack.segment) == (0, "segment-0002.mcap")


@pytest.mark.parametrize("declared", [True, False])
def test_a_hole_is_a_lack_where_no_gap_declares_it(tmp_path: Path, declared: bool) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(10))
    first = store.next_sequence
    if declared:
        append_gap(store, first, first + 4)
        mark(store, first, first + 4)
    mark(store, first + 5, first + 5, frame=15)
    store.rotate()
    store.close()
    assert bool(found(tmp_path)) is not declared


def test_frames_that_skip_without_a_hole_in_the_sets_are_a_lack(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(1))
    mark(store, 1, 1, frame=3)
    store.rotate()
    store.close()
    (lack,) = lacks(open_drive(tmp_path))
    assert (lack.frame, lack.reason) == (1, "frames 1 to 2 are not there, and no gap declares their loss")


def test_a_set_that_is_there_twice_is_a_lack(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(3))
    mark(store, 1, 1, frame=1)
    store.rotate()
    store.close()
    assert found(tmp_path) == ["frame 1 (segment-0000.mcap): set 1 of the link is there twice, or out of its order"]


def test_every_message_counts_be_it_of_a_topic_that_was_not_asked_for(tmp_path: Path) -> None:
    store = DriveStore(tmp_path, SESSION, RecordConfig())
    write(store, range(3))
    store.sync()
    places = [message.place for message in open_drive(tmp_path).messages(LEDGER)]
    assert places == [1, 1, 1]
