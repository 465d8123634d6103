"""A store on a disk that refuses at any moment: what is there stays whole, what is not there is known."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from review.verify.drive import verify_drive
from runtime.contracts.config import RecordConfig
from runtime.contracts.messages import Gap
from runtime.contracts.topics import EVENT, GAP, HEADER
from runtime.record.completeness import lacks
from runtime.record.drive import open_drive
from runtime.record.store import DriveStore
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import VehicleKey, new_key
from tests.runtime.record.recording import a_header, declared_lost, stored_sets
from tests.runtime.record.small_disk import MIB, SmallDisk, mounted

SETS = 240
PAYLOAD = b"x" * 8000
SECOND_NS = 10**9


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> VehicleKey:
    return new_key(tmp_path_factory.mktemp("vehicle") / "keys")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with mounted(tmp_path_factory.mktemp("small") / "disk", 16) as found:
        yield found


def a_store(folder: Path, key: VehicleKey) -> DriveStore:
    store = DriveStore(folder, "session", RecordConfig(segment_s=3.0), DriveSealer(folder, key))
    store.keep_header(HEADER.encode(a_header()))
    return store


def write_set(store: DriveStore) -> None:
    """One set, 20 of them a second."""
    number = store.next_sequence
    at_ns = 1 + number * SECOND_NS // 20
    store.append(EVENT.name, EVENT, PAYLOAD, log_time_ns=at_ns, publish_time_ns=at_ns, sequence=number)
    store.mark(number, number, frame_sequence=number, log_time_ns=at_ns, publish_time_ns=at_ns)
    if number % 7 == 6:
        store.sync()


def declare(store: DriveStore) -> None:
    """What the recorder does once there is room again."""
    first, last = store.kept_sequence, store.next_sequence - 1
    store.resume()
    if first <= last:
        at_ns = store.last_log_time_ns
        gap = GAP.encode(Gap("session", first, last, "no room"))
        store.append(GAP.name, GAP, gap, log_time_ns=at_ns, publish_time_ns=at_ns, sequence=-1)
        store.mark(first, last, frame_sequence=-1, log_time_ns=at_ns, publish_time_ns=at_ns)
    store.sync()


@given(
    left_bytes=st.integers(0, 3 * MIB),
    full_from=st.integers(0, SETS - 40),
    full_for=st.integers(1, 80),
    reserve=st.booleans(),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_the_disk_runs_full_every_set_is_there_or_declared_and_the_drive_verifies(
    disk: SmallDisk, key: VehicleKey, *, left_bytes: int, full_from: int, full_for: int, reserve: bool
) -> None:
    folder = disk.path / "drive"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store = a_store(folder, key)
    if reserve:
        store.reserve.hold(1)
    acknowledged = 0
    for number in range(SETS):
        if number == full_from:
            disk.fill(left_bytes)
        if number == full_from + full_for:
            disk.free()
            if store.discarding:
                declare(store)
        write_set(store)
        if not store.discarding:
            acknowledged = store.kept_sequence
    disk.free()
    if store.discarding:
        declare(store)
    store.rotate()
    store.close()
    assert not store.sealing.unfinished
    assert store.kept_sequence == SETS >= acknowledged
    drive = open_drive(folder)
    assert sorted([*stored_sets(drive), *declared_lost(drive)]) == list(range(SETS))
    assert list(lacks(drive)) == []
    found = verify_drive(folder, [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())


@given(left_bytes=st.integers(0, 2 * MIB), full_from=st.integers(8, SETS - 40))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_synced_before_the_disk_ran_full_is_there_though_its_recorder_dies_then(
    disk: SmallDisk, key: VehicleKey, *, left_bytes: int, full_from: int
) -> None:
    folder = disk.path / "drive"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store = a_store(folder, key)
    for number in range(SETS):
        if number == full_from:
            disk.fill(left_bytes)
        write_set(store)
    while store.sealing.busy():
        time.sleep(0.001)
    kept = store.kept_sequence
    disk.free()
    again = a_store(folder, key)
    assert again.next_sequence == kept
    again.close()
    assert stored_sets(open_drive(folder)) == list(range(kept))
    assert verify_drive(folder, [key.public_key]).verdict == "intact"


def test_a_segment_that_there_is_no_room_to_seal_waits_and_stays_readable(disk: SmallDisk, key: VehicleKey) -> None:
    folder = disk.path / "drive"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store = a_store(folder, key)
    for _ in range(50):
        write_set(store)
    store.sync()
    disk.fill()
    store.rotate()
    while store.sealing.busy():
        time.sleep(0.001)
    assert "segment 0" in store.sealing.unfinished
    assert stored_sets(open_drive(folder)) == list(range(50))
    disk.free()
    store.sealing.retry()
    store.close()
    assert store.sealing.unfinished == ""
    assert verify_drive(folder, [key.public_key]).verdict == "intact"


def test_with_a_reserve_a_segment_is_sealed_and_the_drive_closed_on_a_disk_that_is_full(
    disk: SmallDisk, key: VehicleKey
) -> None:
    folder = disk.path / "drive"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    store = a_store(folder, key)
    store.reserve.hold(1)
    for _ in range(50):
        write_set(store)
    disk.fill()
    write_set(store)
    store.sync()
    assert store.discarding
    store.close()
    assert store.sealing.unfinished == ""
    assert verify_drive(folder, [key.public_key]).verdict == "intact"
    assert stored_sets(open_drive(folder)) == list(range(49)), "what was synced, and nothing else"
    disk.free()
