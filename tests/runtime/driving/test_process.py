"""The driving process by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.bus.link import LinkSender
from runtime.contracts.clock import ClockDomain
from runtime.contracts.config import DEFAULT_CONFIG, load_config
from runtime.contracts.errors import DriveOverError, LinkError, SightlineError, SourceError
from runtime.contracts.messages import Event
from runtime.contracts.source import Capture, Missing, Pacing, pacing_of
from runtime.contracts.topics import EVENT, LEDGER, TRIGGER
from runtime.contracts.vehicle import Command, Reading, VehiclePort, VehicleState
from runtime.driving import __main__ as driving
from runtime.driving.progress import parse
from runtime.record.drive import open_drive
from runtime.sources import pacing as pacing_module
from runtime.supervise.plan import RunPlan, make_plan, make_run_dir
from tests.runtime.access.strangers import until
from tests.runtime.record.recording import PATIENCE_S, RecorderProcess


def a_plan(tmp_path: Path, source_uri: str, pacing: Pacing) -> RunPlan:
    """A run with its folder, model and configuration."""
    config, drive_dir = load_config(Path(DEFAULT_CONFIG)), tmp_path / "drive"
    drive_dir.mkdir()
    plan = make_plan(
        drive_id="d",
        drive_dir=drive_dir,
        run_dir=make_run_dir(),
        source_uri=source_uri,
        pacing=pacing,
        config=config,
    )
    shutil.copyfile(config.model, plan.model_path)
    plan.config_path.write_text("", encoding="utf-8")
    return plan


class CallingSource:
    """Two captures, or so many; whoever asks for one more gets what a test does then."""

    uri = "calling://"
    clock_domain: ClockDomain = "file"
    expected_captures: int | None = None

    def __init__(self, then: Callable[[], None], vehicle: VehiclePort | None = None, captures: int = 2) -> None:
        self.vehicle = vehicle
        self._then, self._captures, self._next = then, captures, 0

    def read(self) -> Capture | Missing | None:
        sequence, self._next = self._next, self._next + 1
        if sequence == self._captures:
            self._then()
            return None
        return Capture(sequence, sequence, {"front": np.zeros((66, 200, 3), np.uint8)})

    def close(self) -> None:
        """Nothing is held."""


def draw(images: Path, count: int) -> None:
    """So many black pictures of the reference policies' size."""
    for i in range(count):
        cv2.imwrite(str(images / f"{i:03}.png"), np.zeros((66, 200, 3), np.uint8))


def test_in_lockstep_a_recorder_that_never_comes_ends_the_drive_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "_RECORDER_PATIENCE_S", 0.3)
    monkeypatch.setattr(driving, "_LAST_CALL_S", 0.1)
    images = tmp_path / "images"
    images.mkdir()
    plan = a_plan(tmp_path, str(images), "lockstep")
    frames = plan.config.record.credit + 8
    draw(images, frames)
    progress = driving.DrivingProcess(plan).run()
    assert progress.phase == "failed"
    assert "the recorder took nothing for 0.3 s" in progress.error
    assert 0 < progress.frames < frames


@pytest.mark.parametrize("pacing", ["lockstep", "real-time"])
def test_a_defect_in_a_source_ends_the_drive_in_order_with_its_reason_in_the_record(
    pacing: Pacing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by the source")

    plan = a_plan(tmp_path, "calling://", pacing)
    monkeypatch.setattr(driving, "open_source", lambda _: CallingSource(fail))
    with RecorderProcess(plan) as recorder:
        progress = driving.DrivingProcess(plan).run()
        assert recorder.end() == 0
    assert (progress.phase, progress.frames, progress.sealed) == ("failed", 2, True)
    assert "ZeroDivisionError: by the source" in progress.error
    drive = open_drive(Path(plan.drive_dir))
    events: list[Event] = [message.decode() for message in drive.messages(EVENT)]
    assert [event.message for event in events if event.kind == "drive.failed"] == [progress.error]
    closing = drive.closing()
    assert closing is not None
    assert (closing.frames, drive.ledger().frames, list(drive.gaps())) == (2, 2, [])


def test_a_drive_whose_source_gives_nothing_more_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing_module, "_HANG_TIMEOUT_S", 0.05)
    released = threading.Event()
    plan = a_plan(tmp_path, "calling://", "real-time")
    process = driving.DrivingProcess(plan)

    def hang() -> None:
        process.stop(0, None)
        released.wait()

    monkeypatch.setattr(driving, "open_source", lambda _: CallingSource(hang))
    with RecorderProcess(plan) as recorder:
        progress = process.run()
        released.set()
        assert recorder.end() == 0
    assert (progress.phase, progress.frames) == ("done", 2)
    closing = open_drive(Path(plan.drive_dir)).closing()
    assert closing is not None
    assert closing.reason == "stopped"


class OnceOnlySource(CallingSource):
    """It cannot be interrupted once it was closed, nor say so otherwise than as a defect."""

    closed = False

    def interrupt(self) -> None:
        if self.closed:
            raise AttributeError("'NoneType' object has no attribute 'cancel'")

    def close(self) -> None:
        self.closed = True


def test_a_source_that_cannot_be_interrupted_after_its_end_does_not_keep_the_drive_from_ending_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = a_plan(tmp_path, "calling://", "real-time")
    monkeypatch.setattr(driving, "open_source", lambda _: OnceOnlySource(lambda: None))
    with RecorderProcess(plan) as recorder:
        progress = driving.DrivingProcess(plan).run()
        assert recorder.end() == 0
    assert (progress.phase, progress.frames, progress.sealed) == ("done", 2, True)
    closing = open_drive(Path(plan.drive_dir)).closing()
    assert closing is not None
    assert closing.reason == "the source ended"
    told = capfd.readouterr().err
    assert told.count("source 'calling://': its interrupt() failed") == 1, "once, however often it is tried"
    assert "has no attribute 'cancel'" in told


@pytest.mark.parametrize("error", [SourceError("the simulator is gone"), ZeroDivisionError("by the source")])
def test_a_source_that_cannot_be_closed_takes_nothing_from_a_drive_that_ended_in_order(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    source = CallingSource(lambda: None)
    monkeypatch.setattr(source, "close", fail)
    monkeypatch.setattr(driving, "open_source", lambda _: source)
    plan = a_plan(tmp_path, "calling://", "lockstep")
    with RecorderProcess(plan) as recorder:
        progress = driving.DrivingProcess(plan).run()
        assert recorder.end() == 0
    assert (progress.phase, progress.frames, progress.sealed) == ("failed", 2, True)
    assert str(error) in progress.error
    closing = open_drive(Path(plan.drive_dir)).closing()
    assert closing is not None
    assert closing.reason == "the source ended"


def test_in_real_time_a_recorder_that_never_comes_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise AssertionError("waited for the recorder's credit")

    monkeypatch.setattr(LinkSender, "wait_for_credit", refuse)
    monkeypatch.setattr(driving, "_SEAL_WAIT_S", 0.1)
    images = tmp_path / "images"
    images.mkdir()
    plan = a_plan(tmp_path, str(images), "real-time")
    frames = plan.config.record.credit + 8
    draw(images, frames)
    progress = driving.DrivingProcess(plan).run()
    assert (progress.frames, progress.sealed) == (frames, False)
    assert "the recorder acknowledged none of" in progress.error


def test_a_parent_that_takes_nothing_more_does_not_hold_up_the_drive(tmp_path: Path) -> None:
    """It was stopped (Ctrl-Z), or hangs on a terminal that was (Ctrl-S), or on a connection that stalls."""
    images = tmp_path / "images"
    images.mkdir()
    draw(images, 5)
    plan = a_plan(tmp_path, str(images), "lockstep")
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b"\n" * 4096)
    os.set_blocking(theirs, True)
    with RecorderProcess(plan) as recorder, os.fdopen(ours, "rb") as file:
        process = subprocess.Popen([sys.executable, "-m", "runtime.driving", recorder.plan_path], stdout=theirs)
        os.close(theirs)
        try:
            until(lambda: any(Path(plan.drive_dir).glob("segment-*.mcap")))  # sealed behind the drive's farewell
            said = [parse(line) for line in file if line.strip()]
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    last = said[-1]
    assert last is not None
    assert (last.phase, last.frames, last.sealed) == ("done", 5, True)
    assert open_drive(Path(plan.drive_dir)).ledger().decided == 5


class RefusingVehicle:
    """It obeys, and cannot be given its first command."""

    obeys = True

    def __init__(self, error: SightlineError | None = None) -> None:
        self.asked: list[Command] = []
        self._error = error or LinkError("the network took no command")

    def state(self, t_source_ns: int) -> VehicleState:
        return VehicleState(t_source_ns, speed_mps=Reading(5.0, t_source_ns))

    def apply(self, command: Command) -> None:
        self.asked.append(command)
        if len(self.asked) == 1:
            raise self._error


def test_a_command_that_the_vehicle_cannot_be_given_counts_as_late_and_the_drive_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, vehicle = a_plan(tmp_path, "calling://", "lockstep"), RefusingVehicle()
    monkeypatch.setattr(driving, "open_source", lambda _: CallingSource(lambda: None, vehicle))
    with RecorderProcess(plan) as recorder:
        progress = driving.DrivingProcess(plan).run()
        assert recorder.end() == 0
    assert (progress.phase, progress.decided, progress.late) == ("done", 1, 1)
    lines = [message.decode() for message in open_drive(Path(plan.drive_dir)).messages(LEDGER)]
    assert [(line.disposition, line.reason) for line in lines] == [
        ("late", "not commanded: the network took no command"),
        ("decided", ""),
    ]
    assert len(vehicle.asked) == 2


@pytest.mark.parametrize(
    ("error", "missed"), [(LinkError("the network took none"), True), (DriveOverError("the drive was over"), False)]
)
def test_a_command_that_was_not_given_was_missed_but_for_one_behind_the_last(
    error: SightlineError, missed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, vehicle = a_plan(tmp_path, "calling://", "lockstep"), RefusingVehicle(error)
    monkeypatch.setattr(driving, "open_source", lambda _: CallingSource(lambda: None, vehicle))
    with RecorderProcess(plan) as recorder:
        driving.DrivingProcess(plan).run()
        assert recorder.end() == 0
    lines = [message.decode() for message in open_drive(Path(plan.drive_dir)).messages(LEDGER)]
    assert [(line.disposition, line.missed) for line in lines] == [("late", missed), ("decided", False)]


class LosingSource(CallingSource):
    """After the first capture it loses them all."""

    def read(self) -> Capture | Missing | None:
        item = super().read()
        return item if item is None or item.sequence == 0 else Missing(item.sequence, item.sequence, {"front": "lost"})


def test_pictures_that_were_lost_are_no_commands_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_plan(tmp_path, "calling://", "lockstep")
    monkeypatch.setattr(driving, "open_source", lambda _: LosingSource(lambda: None, captures=5))
    with RecorderProcess(plan) as recorder:
        assert driving.DrivingProcess(plan).run().dropped == 4
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    assert {message.decode().missed for message in drive.messages(LEDGER)} == {False}
    assert list(drive.messages(TRIGGER)) == []


class SilentVehicle(RefusingVehicle):
    """It tells its speed for some of the pictures."""

    def __init__(self, tells: set[int]) -> None:
        super().__init__()
        self._tells = tells

    def state(self, t_source_ns: int) -> VehicleState:
        if t_source_ns not in self._tells:
            raise SourceError("the vehicle's speed is not known")
        return super().state(t_source_ns)

    def apply(self, command: Command) -> None:
        """Take it."""


@pytest.mark.parametrize(("tells", "incidents"), [({0}, 1), ({4}, 0), (set(range(5)), 0)])
def test_a_vehicle_whose_speed_is_lost_in_mid_drive_is_an_incident_and_one_that_has_not_told_it_yet_is_none(
    tells: set[int], incidents: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan(tmp_path, "calling://", "lockstep")
    monkeypatch.setattr(driving, "open_source", lambda _: CallingSource(lambda: None, SilentVehicle(tells), 5))
    with RecorderProcess(plan) as recorder:
        progress = driving.DrivingProcess(plan).run()
        assert recorder.end() == 0
    assert (progress.phase, progress.decided, progress.dropped) == ("done", len(tells), 5 - len(tells))
    triggers = [message.decode() for message in open_drive(Path(plan.drive_dir)).messages(TRIGGER)]
    assert [(one.kind, one.sequence) for one in triggers] == [("deadline", 3)] * incidents
    assert all(one.reason.endswith("the last: the vehicle's speed is not known") for one in triggers)


def test_a_running_camera_is_driven_in_real_time_and_cannot_be_asked_to_wait() -> None:
    camera = CallingSource(lambda: None)
    assert pacing_of(camera, None) == "lockstep"
    camera.clock_domain = "real"
    assert pacing_of(camera, None) == "real-time"
    with pytest.raises(SourceError, match="real-time"):
        pacing_of(camera, "lockstep")
