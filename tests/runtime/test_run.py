"""The main job with real processes, sockets and files: every frame gets one disposition, whatever happens."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from runtime.contracts import topics
from runtime.contracts.model import attach_manifest, manifest_of, read_manifest
from runtime.record.drive import open_drive
from tests import models

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ROAD = "proving-ground://lane?seed=11&duration_s={seconds}&width=160&height=90"


def sightline(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command with --json; its exit code and the object that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "sightline", *arguments, "--json"], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout or done.stderr.splitlines()[-1])


def assert_whole(summary: dict[str, Any], frames: int) -> None:
    """Every frame has one disposition, in the drive's count and in the record."""
    assert summary["frames"] == frames
    assert summary["decided"] + summary["late"] + summary["dropped"] == frames
    assert summary["recorded"] == frames
    assert summary["warning"] == ""


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real drives are not beside this checkout")
@pytest.mark.parametrize(("source", "frames"), [("highway.mp4", 221), ("udacity_sim", 2000)])
def test_a_real_drive_is_decided_and_recorded_whole(source: str, frames: int, tmp_path: Path) -> None:
    code, summary = sightline("run", "--source", str(SHARED / source), "--out", str(tmp_path))
    assert code == 0
    assert_whole(summary, frames)
    assert summary["decided"] == frames
    drive = open_drive(Path(summary["drive"]))
    assert drive.header.mode == "shadow"
    assert (drive.header.assumed_speed_mps is not None) == (source == "highway.mp4")


def test_the_proving_ground_repeats_itself_bit_for_bit_in_lockstep(tmp_path: Path) -> None:
    def drive_once(name: str) -> list[tuple[bytes | None, ...]]:
        code, summary = sightline("run", "--source", ROAD.format(seconds=3), "--out", str(tmp_path / name))
        assert code == 0
        assert_whole(summary, 60)
        return [
            (frame.raw(topics.MODEL_INPUT), frame.raw(topics.MODEL_OUTPUT), frame.raw(topics.ATTRIBUTION))
            for frame in open_drive(Path(summary["drive"])).frames()
        ]

    assert drive_once("a") == drive_once("b")


def test_in_real_time_a_slow_engine_makes_late_and_dropped_frames_and_the_sums_hold(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the slow network is made with the onnx package")
    model = tmp_path / "slow.onnx"
    model.write_bytes(models.slow_policy(passes=300))
    source = ROAD.format(seconds=4)
    config = tmp_path / "tight.yaml"
    config.write_text(f"model: {model}\ndecision:\n  deadline_ms: 1.0\n", encoding="utf-8")
    code, summary = sightline("run", str(config), "--source", source, "--out", str(tmp_path), "--pacing", "real-time")
    assert code == 0
    assert_whole(summary, 80)
    assert summary["late"] > 0
    assert summary["dropped"] > 0
    reasons = {
        line.disposition: line.reason
        for frame in open_drive(Path(summary["drive"])).frames()
        for line in frame.dispositions
    }
    assert "deadline 1.0 ms" in reasons["late"]
    assert reasons["dropped"]


def test_the_recorder_killed_in_mid_drive_does_not_stop_the_drive_and_nothing_goes_missing_unsaid(
    tmp_path: Path,
) -> None:
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sightline",
            "run",
            "--source",
            ROAD.format(seconds=20),
            "--out",
            str(tmp_path),
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    recorder = _child_of(running.pid, "runtime.record", tmp_path)
    os.kill(recorder, signal.SIGKILL)
    said, _ = running.communicate(timeout=120)
    summary = json.loads(said)
    assert running.returncode == 0
    assert [restart["returncode"] for restart in summary["restarts"]] == [-signal.SIGKILL]
    assert summary["frames"] == 400
    drive = open_drive(Path(summary["drive"]))
    declared = sum((gap.last - gap.first + 1) for gap in drive.gaps() if gap.last is not None)
    assert summary["recorded"] + declared >= 400
    assert summary["recorded"] <= 400


def _child_of(pid: int, module: str, out: Path) -> int:
    """The pid of the child that runs a module, once its first segment is there: it is in mid-drive."""
    watched = Path(f"/proc/{pid}/task/{pid}/children")
    never = select.poll()
    while True:
        for child in watched.read_text(encoding="ascii").split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            grown = [path for path in out.glob("*/segment-*") if path.stat().st_size > 100_000]
            if module.encode() in words and grown:
                return int(child)
        never.poll(5)


def test_a_vehicle_that_obeys_is_moved_by_the_recorded_command_alone(tmp_path: Path) -> None:
    code, summary = sightline("run", "--source", ROAD.format(seconds=2), "--out", str(tmp_path))
    assert code == 0
    drive = open_drive(Path(summary["drive"]))
    assert drive.header.mode == "closed-loop"
    commands = [frame.decision.control.steering_angle_rad for frame in drive.frames() if frame.decision]
    states = [frame.vehicle.state for frame in drive.frames() if frame.vehicle]
    measured = [state.steering_angle_rad.value for state in states if state.steering_angle_rad]
    assert len(commands) == len(measured) == 40
    # The wheels follow the command of the frame before through the actuator's lag: always some way towards it.
    towards = [
        (after - before) * (command - before) >= 0.0
        for command, before, after in zip(commands[:-1], measured[:-1], measured[1:], strict=True)
    ]
    assert np.mean(towards) == 1.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "absent.mp4"], "absent.mp4"),
        (["--source", "proving-ground://nowhere"], "nowhere"),
        (["--source", "warp://1"], "warp"),
        ([], "--source"),
        (["--source", "x.mp4", "--model", "absent.onnx"], "absent.onnx"),
        (["--source", "bad\udcff.mp4"], "udcff"),
        (["--source", "x.mp4", "--model", "bad\udcff.onnx"], "udcff"),
    ],
)
def test_what_cannot_be_driven_is_said_in_one_line_and_leaves_no_drive(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    out = tmp_path / "drives"
    code, answer = sightline("run", *arguments, "--out", str(out))
    assert code == 2
    assert said in answer["error"]
    assert not list(out.glob("*"))


def test_ctrl_c_ends_a_drive_in_order(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sightline",
            "run",
            "--source",
            ROAD.format(seconds=600),
            "--out",
            str(tmp_path),
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    _child_of(running.pid, "runtime.record", tmp_path)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=120)
    summary = json.loads(said)
    assert running.returncode == 0
    assert summary["stopped_by"] == "SIGINT"
    assert 0 < summary["frames"] < 12_000
    assert_whole(summary, summary["frames"])
    assert open_drive(Path(summary["drive"])).closing() is not None


def test_a_recurrent_network_runs_and_replays_and_starts_again_after_a_missing_frame(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the recurrent network is made with the onnx package")
    model, images = tmp_path / "recurrent.onnx", tmp_path / "images"
    model.write_bytes(models.recurrent_policy())
    images.mkdir()
    for number in range(12):
        cv2.imwrite(str(images / f"{number:03}.png"), np.full((90, 160, 3), 10 * number, np.uint8))
    (images / "006.png").write_bytes(b"no picture")
    code, summary = sightline("run", "--model", str(model), "--source", str(images), "--out", str(tmp_path))
    assert code == 0
    assert_whole(summary, 12)
    assert summary["dropped"] == 1
    code, report = sightline("replay", summary["drive"])
    assert (code, report["frames"], report["identical"]) == (0, 11, 11)
    [hidden] = read_manifest(model).recurrent
    frames = {frame.sequence: frame for frame in open_drive(Path(summary["drive"])).frames()}

    def bits(sequence: int, side: str, name: str) -> bytes:
        tensors = getattr(frames[sequence], side).tensors
        data: bytes = next(tensor.data for tensor in tensors if tensor.name == name)
        return data

    assert bits(5, "input", hidden.input) == bits(4, "output", hidden.output) != bits(0, "input", hidden.input)
    assert bits(7, "input", hidden.input) == bits(0, "input", hidden.input)


def test_a_drive_that_decides_nothing_says_why(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(3):
        (images / f"{number}.png").write_bytes(b"no picture")
    code, summary = sightline("run", "--source", str(images), "--out", str(tmp_path))
    assert code == 2
    assert (summary["frames"], summary["dropped"], summary["recorded"]) == (3, 3, 3)
    assert "no frame was decided upon" in summary["warning"]


def test_a_port_that_is_taken_is_refused_before_there_is_a_drive(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "tcp.yaml"
        config.write_text(f"bus:\n  transport: tcp\n  tcp_link: tcp://127.0.0.1:{port}\n", encoding="utf-8")
        out = tmp_path / "drives"
        code, answer = sightline("run", str(config), "--source", ROAD.format(seconds=1), "--out", str(out))
    assert code == 2
    assert f"tcp://127.0.0.1:{port}" in answer["error"]
    assert not out.exists()


def test_the_verdict_of_the_models_report_goes_with_the_drive(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the network is made with the onnx package")
    model = tmp_path / "tiny.onnx"
    model.write_bytes(models.tiny_policy())
    worth = {"verdict": "not worth showing", "reasons": ["edges do better"]}
    report = {"graph_sha256": read_manifest(model).graph_sha256, "worth": worth}
    (tmp_path / "tiny.report.json").write_text(json.dumps(report), encoding="utf-8")
    config = tmp_path / "bench.yaml"
    config.write_text("model: tiny.onnx\n", encoding="utf-8")
    code, summary = sightline("run", str(config), "--source", ROAD.format(seconds=1), "--out", str(tmp_path))
    assert code == 0
    drive = Path(summary["drive"])
    assert open_drive(drive).header.attribution_worth == "not worth showing"
    assert json.loads((drive / "model.report.json").read_text(encoding="utf-8")) == report


def test_a_network_that_does_not_steer_is_refused_before_there_is_a_drive(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the network is made with the onnx package")
    manifest = manifest_of(models.tiny_policy(), "tiny")
    score = msgspec.structs.replace(manifest.outputs[0], quantity="score")
    scores = msgspec.structs.replace(manifest, outputs=(score,), attribution=None)
    (tmp_path / "tiny.onnx").write_bytes(attach_manifest(models.tiny_policy(), scores))
    config = tmp_path / "bench.yaml"
    config.write_text("model: tiny.onnx\n", encoding="utf-8")
    code, answer = sightline("run", str(config), "--source", ROAD.format(seconds=1), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "no steering_angle_rad" in answer["error"]
    assert not (tmp_path / "out").exists()
