"""Incidents kept by the real recorder: marked by the real command, killed, and verified afterwards."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from review.verify.drive import verify_drive
from runtime.bus.publisher import Subscriber
from runtime.contracts.config import IncidentConfig, RecordConfig
from runtime.contracts.incident import INDEX_NAME, Incident, Trigger
from runtime.contracts.link import Payload
from runtime.contracts.messages import Closing
from runtime.contracts.topics import CLOSING, INCIDENT, TRIGGER
from runtime.incident.index import read_index, write_index
from runtime.record.drive import open_drive
from runtime.record.recover import take_up
from runtime.seal.keys import default_key_dir, ensure_key
from runtime.supervise.plan import RunPlan, write_plan
from tests.runtime.record.recording import PATIENCE_S, PERIOD_NS, Driver, RecorderProcess, a_plan

INCIDENTS = IncidentConfig(before_s=1.5, after_s=1.0)
RECORD = RecordConfig(sync_ms=5.0, credit=8, picture_slots=8, segment_s=1.0, incidents=INCIDENTS)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[RunPlan]:
    plan = a_plan(tmp_path / "drive", RECORD)
    yield plan
    shutil.rmtree(plan.run_dir)


def mark(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The real command; its exit code and what it said."""
    command = [sys.executable, "-m", "sightline", "mark", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    return done.returncode, json.loads(done.stdout or done.stderr.splitlines()[-1])


def drive_on(driver: Driver, frames: int) -> None:
    for _ in range(frames):
        driver.frame_in_lockstep()


def triggers_of(plan: RunPlan) -> list[Trigger]:
    index = read_index(Path(plan.drive_dir))
    return [] if index is None else [trigger for one in index.incidents for trigger in one.triggers]


def assert_intact(plan: RunPlan) -> None:
    found = verify_drive(Path(plan.drive_dir), [ensure_key(default_key_dir())[0].public_key])
    assert (found.verdict, found.findings) == ("intact", ())


def assert_pinned(plan: RunPlan, one: Incident) -> None:
    """The segments that hold a frame of the window are the incident's, and are there."""
    drive = open_drive(Path(plan.drive_dir))
    assert set(one.segments) <= {file.index for file in drive.segments}
    for file in drive.segments:
        times = [frame.t_source_ns for frame in drive.frames(segment=file.index)]
        if any(one.t_from_ns <= t_source_ns <= one.t_to_ns for t_source_ns in times):
            assert file.index in one.segments


def test_a_moment_that_was_marked_survives_a_sigkill_right_after_the_answer(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        drive_on(driver, 90)
        code, answer = mark("--run", plan.run_dir, "--reason", "swerved", "--by", "operator")
        recorder.process.kill()
        recorder.process.wait(PATIENCE_S)
        assert (code, answer) == (0, {"drive_id": plan.drive_id, "incident": 0})
        (trigger,) = triggers_of(plan)
        assert (trigger.kind, trigger.reason, trigger.by) == ("mark", "swerved", "operator")
        assert 80 <= trigger.sequence < 90, "the newest frame that the recorder had"
        recorder.kill_and_restart()
        drive_on(driver, 120)
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert triggers_of(plan) == [trigger]
    index = read_index(Path(plan.drive_dir))
    assert index is not None
    (one,) = index.incidents
    assert not one.open
    assert_pinned(plan, one)
    told = [message.decode() for message in open_drive(Path(plan.drive_dir)).messages(INCIDENT)]
    assert told[-1] == one
    assert [message.decode() for message in open_drive(Path(plan.drive_dir)).messages(TRIGGER)] == [trigger]
    assert_intact(plan)


def test_marks_between_many_sigkills_are_all_there_at_the_end(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for count in range(2):
            drive_on(driver, 40 + 7 * count)
            assert mark("--run", plan.run_dir, "--reason", f"mark {count}", "--timeout-s", "15")[0] == 0
            recorder.kill_and_restart()
        drive_on(driver, 20)
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert [trigger.reason for trigger in triggers_of(plan)] == ["mark 0", "mark 1"]
    assert_intact(plan)


def test_the_list_that_was_changed_after_the_drive_is_found(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        drive_on(driver, 20)
        assert mark("--run", plan.run_dir)[0] == 0
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert_intact(plan)
    path = Path(plan.drive_dir) / INDEX_NAME
    path.write_bytes(path.read_bytes().replace(b"marked by hand", b"marked by nobody"))
    found = verify_drive(Path(plan.drive_dir), [ensure_key(default_key_dir())[0].public_key])
    assert [(one.kind, one.file) for one in found.findings] == [("file-changed", INDEX_NAME)]


def test_a_drive_whose_processes_are_all_killed_has_an_incident_around_its_end(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        drive_on(driver, 60)
        recorder.process.kill()
        recorder.process.wait(PATIENCE_S)
    command = [sys.executable, "-m", "runtime.record", str(write_plan(plan)), "--seal"]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    (trigger,) = triggers_of(plan)
    assert trigger.kind == "lost"
    last = max(frame.sequence for frame in open_drive(Path(plan.drive_dir)).frames())
    assert trigger.t_source_ns == last * PERIOD_NS
    index = read_index(Path(plan.drive_dir))
    assert index is not None
    assert not index.incidents[0].open
    assert_pinned(plan, index.incidents[0])
    assert_intact(plan)


def test_what_was_still_open_when_the_recorder_died_after_the_last_segment_is_closed_by_who_takes_it_up(
    plan: RunPlan,
) -> None:
    folder = Path(plan.drive_dir)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        drive_on(driver, 20)
        assert mark("--run", plan.run_dir)[0] == 0
        closing = Closing(plan.drive_id, 20, 20, 0, 0, "the source ended")
        driver.sender.hand_over((Payload(CLOSING.name, -1, 0, 0, CLOSING.encode(closing)),), t_source_ns=20 * PERIOD_NS)
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    index = read_index(folder)
    assert index is not None
    write_index(folder, replace(index, incidents=tuple(replace(one, open=True) for one in index.incidents)))
    next(folder.glob("closing-*")).unlink()
    assert take_up(folder, config=plan.config).outcome == "recovered"
    index = read_index(folder)
    assert index is not None
    assert [one.open for one in index.incidents] == [False]
    assert_intact(plan)


def test_over_tcp_a_moment_is_marked_by_the_endpoint_and_shown_to_whoever_listens(plan: RunPlan) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    plan = replace(plan, marks=endpoint)
    listener = Subscriber([plan.pictures], [TRIGGER.name, INCIDENT.name], queue=100)
    with closing(listener), RecorderProcess(plan), Driver(plan) as driver:
        drive_on(driver, 10)
        heard, count = None, 0
        while heard is None:  # a listener that comes late misses what was before
            assert count < 10
            code, answer = mark("--endpoint", endpoint, "--reason", "from afar", "--timeout-s", "15")
            assert (code, answer["drive_id"]) == (0, plan.drive_id)
            heard, count = listener.receive(200), count + 1
    assert heard.topic in (TRIGGER.name, INCIDENT.name)
    assert [trigger.reason for trigger in triggers_of(plan)] == ["from afar"] * count


def test_a_mark_that_nobody_takes_is_said_within_the_time_that_was_given(plan: RunPlan) -> None:
    code, answer = mark("--endpoint", plan.marks, "--timeout-s", "0.2")
    assert code == 2
    assert "no recorder answered" in answer["error"]
    with RecorderProcess(plan):
        code, answer = mark("--endpoint", plan.marks, "--timeout-s", "15")
    assert code == 2
    assert "the drive has not begun" in answer["error"]
