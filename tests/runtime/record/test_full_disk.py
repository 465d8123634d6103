"""Whole runs on a disk that runs full in mid-drive: driving goes on, and the record says what it could not hold."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from review.replay import replay
from review.verify.drive import verify_drive
from runtime.commands.run import describe
from runtime.contracts.messages import Health
from runtime.contracts.topics import EVENT, HEALTH, LEDGER, PICTURE, VIDEO
from runtime.record.completeness import lacks
from runtime.record.drive import Drive, open_drive
from runtime.record.recover import recover
from runtime.seal.keys import default_key_dir, known_keys
from runtime.supervise.launch import DriveSummary
from tests.runtime.record.recording import PATIENCE_S, declared_lost, stored_sets
from tests.runtime.record.small_disk import MIB, SmallDisk, mounted

pytestmark = pytest.mark.once

ROAD = "proving-ground://lane?seed=11&duration_s=3000&width=160&height=90"
CONFIG = """
record:
  segment_s: 1.0
  incidents: {before_s: 1.0, after_s: 1.0}
  retention: {min_free_mib: %d}
"""


@dataclass
class Run:
    """`sightline run`, on its way."""

    process: subprocess.Popen[str]
    out: Path

    def drive(self) -> Path:
        """The drive's folder."""
        [drive] = self.out.iterdir()
        return drive

    def end(self, code: int | None = 0) -> dict[str, Any]:
        """Stop it as Ctrl-C does; its summary. `code` None: whichever."""
        self.process.send_signal(signal.SIGINT)
        told, said = self.process.communicate(timeout=120)
        assert code in (None, self.process.returncode), said + told
        summary: dict[str, Any] = json.loads(told)
        return summary

    def wait_until(self, done: Callable[[Path], bool]) -> None:
        """Until the drive's folder is so; the run must be alive then."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not any(done(drive) for drive in self.out.glob("*")):
            assert self.process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


@pytest.fixture(params=["real-time", "lockstep"])
def pacing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk", 64) as found:
        yield found


def start(disk: SmallDisk, tmp_path: Path, pacing: str, min_free_mib: int = 16) -> Run:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG % min_free_mib, encoding="utf-8")
    out = disk.path / "drives"
    command = [sys.executable, "-m", "sightline", "run", str(config), "--source", ROAD]
    command += ["--pacing", pacing, "--out", str(out), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return Run(process, out)


def writes_nothing(drive: Path) -> bool:
    """Whether no journal grows: none is there, also a moment later, or one that waits for room to be sealed."""

    def journals() -> dict[str, int]:
        return {path.name: path.stat().st_size for path in drive.glob("*.journal")}

    before = journals()
    time.sleep(0.5)
    return journals() == before


def healths(drive: Drive) -> list[Health]:
    """What the processes said of themselves."""
    return [message.decode() for message in drive.messages(HEALTH)]


def segments(drive: Path) -> int:
    """How many were sealed."""
    return len(list(drive.glob("segment-*.seal.json")))


def kinds(drive: Drive) -> list[str]:
    """The events of the record."""
    return [message.decode().kind for message in drive.messages(EVENT)]


def assert_all_is_accounted_for(drive: Drive, summary: dict[str, Any]) -> None:
    """Every set is in the record, declared, or was deleted with the oldest segments; each frame was driven, and the
    seals hold.
    """
    told = sorted([*stored_sets(drive), *declared_lost(drive)])
    assert told == list(range(told[0] if drive.deleted else 0, told[-1] + 1))
    assert [one.index for one in drive.deleted] == list(range(len(drive.deleted)))
    assert list(lacks(drive)) == []
    assert summary["decided"] + summary["late"] + summary["dropped"] == summary["frames"]
    assert summary["restarts"] == []
    found = verify_drive(drive.path, known_keys(default_key_dir()))
    assert (found.verdict, found.findings) == ("intact", ())


def test_a_disk_that_runs_full_and_has_room_again_costs_a_declared_gap_and_nothing_else(
    disk: SmallDisk, tmp_path: Path, pacing: str
) -> None:
    run = start(disk, tmp_path, pacing)
    run.wait_until(lambda drive: segments(drive) >= 2)
    disk.fill()
    run.wait_until(writes_nothing)
    before = segments(run.drive())
    disk.free()
    run.wait_until(lambda drive: segments(drive) >= before + 2)
    summary = run.end()
    drive = open_drive(run.drive())
    assert_all_is_accounted_for(drive, summary)
    assert declared_lost(drive)
    assert summary["gaps"] >= 1
    assert summary["recorded"] < summary["frames"]
    assert {"link.gap", "recorder.restored"} <= set(kinds(drive))
    recorder = [health for health in healths(drive) if health.process == "recorder"]
    assert recorder[-1].discarded == len(declared_lost(drive))
    closing = drive.closing()
    assert closing is not None
    assert closing.frames == summary["frames"]


def test_a_disk_that_stays_full_leaves_a_drive_that_is_whole_up_to_there_and_ends_in_order(
    disk: SmallDisk, tmp_path: Path, pacing: str
) -> None:
    run = start(disk, tmp_path, pacing)
    run.wait_until(lambda drive: segments(drive) >= 2)
    disk.fill()
    run.wait_until(writes_nothing)
    summary = run.end()
    drive = open_drive(run.drive())
    assert_all_is_accounted_for(drive, summary)
    assert declared_lost(drive)
    assert drive.closing() is not None, "its room was kept back"
    assert summary["warning"] == ""
    assert summary["gap_reason"] == "there was no room for them on the disk"
    assert "gap       there was no room" in describe(DriveSummary(**summary))


def test_with_no_room_for_the_end_the_run_says_so_and_recovery_ends_the_drive_once_there_is(
    disk: SmallDisk, tmp_path: Path
) -> None:
    run = start(disk, tmp_path, "lockstep")
    run.wait_until(lambda drive: segments(drive) >= 2)
    stolen = threading.Event()

    def take_all_room() -> None:
        while not stolen.wait(0.001):
            disk.fill()

    thief = threading.Thread(target=take_all_room)
    thief.start()
    try:
        run.wait_until(writes_nothing)
        told = run.end(code=None)
    finally:
        stolen.set()
        thief.join()
    assert "no room" in told["warning"]
    disk.free()
    done = recover(run.drive())
    assert (done.outcome, done.sealed) == ("recovered", True)
    drive = open_drive(run.drive())
    assert drive.closing() is not None or list(drive.gaps())[-1].last is None
    found = verify_drive(drive.path, known_keys(default_key_dir()))
    assert (found.verdict, found.findings) == ("intact", ())


def test_where_room_is_short_the_oldest_goes_and_then_pictures_do_and_the_ledger_says_which(
    disk: SmallDisk, tmp_path: Path
) -> None:
    run = start(disk, tmp_path, "lockstep", min_free_mib=40)
    run.wait_until(lambda drive: segments(drive) >= 4)
    disk.fill(leave_bytes=22 * MIB)  # from 20 to 30 MiB one picture in five is recorded; a segment is less than one MiB
    run.wait_until(lambda drive: len(list(drive.glob("tombstone-*"))) >= 3)
    before = segments(run.drive())
    run.wait_until(lambda drive: segments(drive) >= before + 2)
    summary = run.end()
    drive = open_drive(run.drive())
    found = verify_drive(drive.path, known_keys(default_key_dir()))
    assert (found.verdict, found.findings) == ("intact", ())
    assert len(found.deleted) >= 3
    assert [one.index for one in drive.deleted] == list(range(len(drive.deleted)))
    assert list(lacks(drive)) == []
    assert summary["gaps"] == 0
    assert {"recorder.deleted", "recorder.degraded"} <= set(kinds(drive))
    without = 0
    for frame in drive.frames(LEDGER, PICTURE, VIDEO):
        [line] = frame.dispositions
        assert bool(frame.pictures) == (line.picture_missing == "")
        without += not frame.pictures
        assert line.picture_missing in ("", "to save room one picture in 5 is recorded")
    assert without
    assert {health.degradation for health in healths(drive) if health.process == "recorder"} & {1, 2}
    assert replay(drive.path).verdict == "identical"
