"""The recorder as a process of its own, killed, frozen, starved."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import zmq
from mcap.reader import make_reader
from msgspec.structs import replace

from review.pictures import PictureDecoder
from runtime.bus.publisher import Subscriber
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Payload
from runtime.contracts.messages import Closing, CompressedVideo
from runtime.contracts.topics import CLOSING, EVENT, LEDGER, MODEL_INPUT, VIDEO
from runtime.incident.index import read_index
from runtime.incident.marks import send_mark
from runtime.record.drive import open_drive
from runtime.supervise.plan import RunPlan, write_plan
from tests.runtime.access.strangers import until
from tests.runtime.record.recording import (
    PATIENCE_S,
    PERIOD_NS,
    UTC_ORIGIN_NS,
    Driver,
    RecorderProcess,
    a_picture,
    a_plan,
    all_acknowledged,
    an_input,
    contents,
    declared_lost,
    over_tcp,
    stored_sets,
)


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[RunPlan]:
    plan = a_plan(tmp_path / "drive", RecordConfig(sync_ms=5.0, credit=8, picture_slots=8))
    yield plan
    shutil.rmtree(plan.run_dir)


def with_record(plan: RunPlan, **changes: object) -> RunPlan:
    return replace(plan, config=replace(plan.config, record=replace(plan.config.record, **changes)))


def test_a_drive_handed_over_in_lockstep_is_read_back_whole_with_the_pictures_of_every_camera(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(40):
            driver.frame_in_lockstep(("front", "left"))
        assert driver.sender.finish(PATIENCE_S) is None
        assert driver.sender.lost == 0
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    frames = list(drive.frames())
    decoder = PictureDecoder()
    assert [frame.sequence for frame in frames] == list(range(40))
    for frame in frames:
        assert frame.t_source_ns == frame.sequence * PERIOD_NS
        assert frame.input == an_input(frame.sequence)
        assert [line.frame_id.camera for line in frame.dispositions] == ["front", "left"]
        assert [picture.frame_id for picture in frame.pictures] == ["front", "left"]
        shown = decoder.decode(frame.pictures[0])
        assert shown is not None
        assert np.abs(shown.astype(int) - a_picture(frame.sequence)).max() < 12
    assert drive.ledger().decided == drive.ledger().frames == 80
    assert list(drive.gaps()) == []


def test_after_sigkills_in_mid_drive_nothing_is_missing_and_nothing_is_there_twice(plan: RunPlan) -> None:
    plan = with_record(plan, segment_s=1.0)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for sequence in range(240):
            driver.frame_in_lockstep()
            if sequence in {17, 95, 96, 200}:
                recorder.kill_and_restart()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    assert stored_sets(drive) == list(range(241))
    assert [frame.sequence for frame in drive.frames(MODEL_INPUT)] == list(range(240))
    tenth = drive.frames(MODEL_INPUT, first=90, last=99)
    assert [frame.input for frame in tenth] == [an_input(sequence) for sequence in range(90, 100)]
    assert list(drive.gaps()) == []
    kinds = [message.decode().kind for message in drive.messages(EVENT)]
    assert "recorder.restarted" in kinds
    for file in drive.segments:
        decoder = PictureDecoder()
        shown = [decoder.decode(frame.pictures[0]) for frame in drive.frames(VIDEO, segment=file.index)]
        assert all(picture is not None for picture in shown), "a video can be decoded from each segment's first picture"
    assert all(file.sealed for file in drive.segments)


def test_what_was_acknowledged_before_a_sigkill_is_in_the_record_that_is_left(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(60):
            driver.frame_in_lockstep()
        acknowledged = driver.frames + 1 - driver.sender.waiting
        recorder.process.kill()
        recorder.process.wait()
    drive = open_drive(Path(plan.drive_dir))
    assert acknowledged > 0
    assert stored_sets(drive)[:acknowledged] == list(range(acknowledged))


def test_a_recorder_frozen_for_longer_than_the_ring_leaves_exactly_the_declared_gap(plan: RunPlan) -> None:
    plan = with_record(plan, link_sets=30)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(20):
            driver.frame_in_lockstep()
        recorder.signal(signal.SIGSTOP)
        for _ in range(200):
            driver.frame()
        lost = driver.sender.lost
        recorder.signal(signal.SIGCONT)
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    missing = sorted(set(range(221)) - set(stored_sets(drive)))
    assert lost > 100
    assert missing == declared_lost(drive)
    assert len(missing) == lost
    assert 220 in stored_sets(drive)  # the newest stay: what happened last matters most


@pytest.mark.parametrize("frames", [20, 100])
def test_of_what_came_before_a_late_recorder_the_ring_arrives_and_the_rest_is_declared(
    plan: RunPlan, frames: int
) -> None:
    plan = with_record(plan, link_sets=30)
    with Driver(plan) as driver:
        for _ in range(frames):
            driver.frame()
        assert driver.sender.lost == max(0, frames + 1 - 30)
        with RecorderProcess(plan) as recorder:
            assert driver.sender.finish(PATIENCE_S) is None
            assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    assert sorted([*stored_sets(drive), *declared_lost(drive)]) == list(range(frames + 1))
    assert len(declared_lost(drive)) == driver.sender.lost


def test_a_drive_that_ends_without_a_farewell_has_an_open_end_in_its_record(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder:
        with Driver(plan) as driver:
            for _ in range(20):
                driver.frame_in_lockstep()
            assert driver.sender.wait_for_credit(PATIENCE_S)
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    (gap,) = drive.gaps()
    assert gap.last is None
    assert gap.first == stored_sets(drive)[-1] + 1
    assert drive.segments[-1].sealed


def end_in_order(driver: Driver) -> None:
    """All but the farewell."""
    t_source_ns, frames = driver.frames * PERIOD_NS, driver.frames
    closing = Closing("drive", frames, frames, 0, 0, "the source ended")
    payload = Payload(CLOSING.name, -1, t_source_ns, UTC_ORIGIN_NS + t_source_ns, CLOSING.encode(closing))
    driver.sender.hand_over((payload,), t_source_ns=t_source_ns)


def assert_over(plan: RunPlan) -> None:
    """The recorder listens, and knows that the drive is over."""
    with pytest.raises(LinkError, match="the drive is over"):
        send_mark(plan.marks, "too late", "", timeout_s=PATIENCE_S, clock=SystemClock())


def test_a_drive_that_ended_in_order_stays_so_while_its_process_lingers_though_the_recorder_is_killed_meanwhile(
    plan: RunPlan,
) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(20):
            driver.frame_in_lockstep()
        end_in_order(driver)
        assert driver.sender.finish(PATIENCE_S) is None
        sealed = contents(Path(plan.drive_dir))
        with pytest.raises(subprocess.TimeoutExpired):  # its end would have it started again, with nobody to hear
            recorder.process.wait(1.5)
        assert_over(plan)
        recorder.kill_and_restart()
        assert_over(plan)
        assert recorder.end() == 0
    assert contents(Path(plan.drive_dir)) == sealed
    assert list(open_drive(Path(plan.drive_dir)).gaps()) == []


def test_a_drive_whose_recorder_is_killed_between_its_last_set_and_the_seal_is_sealed_as_one_that_ended_in_order(
    plan: RunPlan,
) -> None:
    folder = Path(plan.drive_dir)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(20):
            driver.frame_in_lockstep()
        send_mark(plan.marks, "just before", "", timeout_s=PATIENCE_S, clock=SystemClock())
        end_in_order(driver)
        until(lambda: all_acknowledged(driver))
        recorder.kill_and_restart()
        assert_over(plan)
        assert recorder.end() == 0
    drive, index = open_drive(folder), read_index(folder)
    assert drive.closing() is not None
    assert list(drive.gaps()) == []
    assert all(file.sealed for file in drive.segments)
    assert index is not None
    assert [(trigger.kind, one.open) for one in index.incidents for trigger in one.triggers] == [("mark", False)]
    assert next(folder.glob("closing-*"), None) is not None


def test_what_is_left_when_both_processes_were_killed_is_sealed_and_its_end_declared_open(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(20):
            driver.frame_in_lockstep()
        acknowledged = driver.frames + 1 - driver.sender.waiting
        recorder.process.kill()
        recorder.process.wait()
    for _ in range(2):  # doing it again changes nothing that was there
        subprocess.run(
            [sys.executable, "-m", "runtime.record", str(write_plan(plan)), "--seal"], check=True, timeout=60
        )
        drive = open_drive(Path(plan.drive_dir))
        gap = next(iter(drive.gaps()))
        assert gap.last is None
        assert gap.first == stored_sets(drive)[-1] + 1 >= acknowledged
        assert all(file.sealed for file in drive.segments)


def test_over_tcp_with_keys_it_is_the_same(tmp_path: Path, plan: RunPlan) -> None:
    plan = a_plan(tmp_path / "over tcp", plan.config.record, over_tcp())
    assert plan.clients
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for sequence in range(60):
            driver.frame_in_lockstep()
            if sequence == 30:
                recorder.kill_and_restart()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    assert stored_sets(open_drive(Path(plan.drive_dir))) == list(range(61))


def test_strangers_and_garbage_on_the_link_are_counted_and_harm_nobody(plan: RunPlan) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        driver.frame_in_lockstep()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stranger = context.socket(zmq.DEALER)
        stranger.connect(plan.link)
        random = np.random.default_rng(1)
        for size in range(200):
            stranger.send(random.bytes(size))
        stranger.send_multipart([b"a", b"b", b"c"])
        context.destroy(linger=20_000)  # until all is under way, however slow the machine
        for _ in range(50):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    assert drive.ledger().frames == 51
    assert [m.decode().kind for m in drive.messages(EVENT)] == ["recorder.rejected"]


def test_the_official_reader_opens_a_segment_with_crc_checks_and_its_json_fits_its_schemas(
    plan: RunPlan,
) -> None:
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        for _ in range(10):
            driver.frame_in_lockstep()
        assert driver.sender.finish(PATIENCE_S) is None
        recorder.end()
    seen: dict[str, int] = {}
    with (Path(plan.drive_dir) / "segment-0000.mcap").open("rb") as file:
        for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            seen[channel.topic] = seen.get(channel.topic, 0) + 1
            if channel.message_encoding == "json":
                assert schema is not None
                assert schema.encoding == "jsonschema"
                jsonschema.validate(json.loads(message.data), json.loads(schema.data))
            if channel.topic == LEDGER.name:
                assert message.log_time == UTC_ORIGIN_NS + message.sequence * PERIOD_NS
    assert seen["/camera/front/video"] == seen["/ledger"] == seen["/model/input"] == 10
    assert seen["/drive/header"] == 1


def test_viewers_get_the_very_bytes_of_the_recorded_picture(plan: RunPlan) -> None:
    viewer = Subscriber([plan.pictures], ["/camera/"], queue=100)
    with RecorderProcess(plan) as recorder, Driver(plan) as driver:
        message = None
        while message is None:
            driver.frame_in_lockstep()
            message = viewer.receive(20)
        assert driver.sender.finish(PATIENCE_S) is None
        recorder.end()
    viewer.close()
    (frame,) = open_drive(Path(plan.drive_dir)).frames(first=message.header.sequence, last=message.header.sequence)
    assert isinstance(frame.pictures[0], CompressedVideo)
    assert frame.raw(VIDEO) == message.data


def test_a_disk_that_refuses_ends_the_recorder_with_one_clear_line_and_leaves_a_readable_record(plan: RunPlan) -> None:
    limit_bytes = 400_000
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime.record", str(write_plan(plan))],
        stderr=subprocess.PIPE,
    )
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    try:
        with Driver(plan) as driver:
            while process.poll() is None:
                driver.frame(size_bytes=20_000)
                driver.sender.wait_for_credit(0.01)
            assert driver.sender.finish(0.5) is not None
    finally:
        process.kill()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert "cannot be written" in said
    assert "File too large" in said
    assert len(stored_sets(open_drive(Path(plan.drive_dir)))) > 5
