"""What the real recorder seals, killed and not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from review.verify.drive import parse_head, verify_drive
from runtime.bus.publisher import Subscriber
from runtime.contracts.config import RecordConfig
from runtime.contracts.messages import SealHead
from runtime.contracts.topics import EVENT, SEAL_HEAD
from runtime.record.drive import open_drive
from runtime.seal.keys import VehicleKey, default_key_dir, ensure_key, load_key
from runtime.supervise.plan import RunPlan, write_plan
from tests.runtime.record.recording import PATIENCE_S, Driver, RecorderProcess, a_plan, stored_sets


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[RunPlan]:
    plan = a_plan(tmp_path / "drive", RecordConfig(sync_ms=5.0, credit=8, picture_slots=8, segment_s=1.0))
    yield plan
    shutil.rmtree(plan.run_dir)


@pytest.fixture
def key() -> VehicleKey:
    return ensure_key(default_key_dir())[0]


def mend(plan: RunPlan) -> None:
    """What the supervisor does where nobody is left."""
    command = [sys.executable, "-m", "runtime.record", str(write_plan(plan)), "--seal"]
    subprocess.run(command, check=True, timeout=PATIENCE_S)


def test_a_drive_is_sealed_and_its_heads_are_told_to_whoever_listens(plan: RunPlan, key: VehicleKey) -> None:
    listener = Subscriber([plan.pictures], [SEAL_HEAD.name], queue=100)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(100):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        heads: list[SealHead] = []
        while not heads or not heads[-1].closes:
            message = listener.receive(int(PATIENCE_S * 1000))
            assert message is not None, f"heads so far: {heads}"
            heads.append(SEAL_HEAD.decode(message.data))
        assert recorder.end() == 0
    listener.close()
    # A listener that comes late misses what was before, as on every PUB socket; from then on none is left out.
    assert [head.number for head in heads] == list(range(heads[0].number, 5))
    for head in heads:
        kept = parse_head(msgspec.json.encode(head).decode())
        found = verify_drive(Path(plan.drive_dir), [key.public_key], kept)
        assert (found.verdict, found.findings) == ("intact", ())


def test_a_recorder_that_is_killed_again_and_again_leaves_a_drive_that_verifies(plan: RunPlan, key: VehicleKey) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for sequence in range(200):
            driver.frame_in_lockstep()
            if sequence % 37 == 36:
                recorder.kill_and_restart()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    found = verify_drive(Path(plan.drive_dir), [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())
    assert found.segments > 5


def test_a_segment_that_the_disk_damaged_does_not_keep_a_recorder_that_starts_again_from_recording(
    plan: RunPlan, key: VehicleKey
) -> None:
    folder = Path(plan.drive_dir)
    damaged = folder / "segment-0000.mcap"
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for sequence in range(200):
            driver.frame_in_lockstep()
            if sequence == 100:
                data = bytearray(damaged.read_bytes())
                data[-100:] = bytes(100)
                damaged.write_bytes(data)
                recorder.kill_and_restart()
        assert driver.sender.finish(PATIENCE_S) is None
        assert driver.sender.lost == 0
        assert recorder.end() == 0
    found = verify_drive(folder, [key.public_key])
    assert {finding.segment for finding in found.findings} == {0}
    damaged.unlink()
    drive = open_drive(folder)
    assert [frame.sequence for frame in drive.frames()][-1] == 199
    stored = stored_sets(drive)
    assert stored == list(range(stored[0], 201)), "all but the damaged segment is there, once"
    [told] = [event for event in drive.messages(EVENT) if event.decode().kind == "recorder.segment-damaged"]
    assert "segment-0000.mcap is damaged" in told.decode().message


def test_a_drive_whose_processes_were_all_killed_verifies_once_it_is_taken_up(plan: RunPlan, key: VehicleKey) -> None:
    folder = Path(plan.drive_dir)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(80):
            driver.frame_in_lockstep()
        recorder.process.kill()
        recorder.process.wait(PATIENCE_S)
    found = verify_drive(folder, [key.public_key])
    assert "journal-open" in {one.kind for one in found.findings}
    mend(plan)
    found = verify_drive(folder, [key.public_key])
    assert (found.verdict, found.findings) == ("intact", ())
    assert (found.ended, found.gaps) == ("open", 1)
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    mend(plan)
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir()) == before


def test_without_its_key_a_recorder_goes_on_and_says_that_nothing_is_signed(tmp_path: Path) -> None:
    config = RecordConfig(sync_ms=5.0, credit=8, picture_slots=8, key_dir=str(tmp_path / "gone"))
    plan = a_plan(tmp_path / "drive", config)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(20):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    shutil.rmtree(plan.run_dir)
    drive = open_drive(Path(plan.drive_dir))
    assert "recorder.not-signed" in {message.decode().kind for message in drive.messages(EVENT)}
    assert len(list(drive.frames())) == 20
    assert load_key(default_key_dir()), "another key was at hand and was not taken"
    assert verify_drive(Path(plan.drive_dir), []).verdict == "damaged"
