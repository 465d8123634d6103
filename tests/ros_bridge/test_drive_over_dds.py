"""A car, a drive with its recorder, and a bridge: processes that know one another by DDS and the bus alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed (extra: dds; wheels for x86_64 only)")

from runtime.contracts.topics import DECISION, LEDGER, VEHICLE
from runtime.record.drive import open_drive

ROOT = Path(__file__).parent.parent.parent
SIGHTLINE = str(Path(sysconfig.get_path("scripts")) / "sightline")
# Of a video, a bridge that hears the second picture first has nothing to show up to the next key picture.
CONFIG = "record: {picture_codec: jpeg}\n"
SCENARIO = "proving-ground://lane?seed=7&duration_s=2&frame_rate_hz=10&width=320&height=180"
PATIENCE_S = 120


def driven(tmp_path: Path, domain: int, options: str, *car: str) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """What the car heard, what the bridge gave on, and the drive's folder."""
    out, config = tmp_path / "drives", tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    scenario = (sys.executable, "-m", "benchmarks.ros_car", "--domain", str(domain), "--scenario", SCENARIO, *car)
    bridge = (SIGHTLINE, "bridge", "--run", str(out), "--domain", str(domain), "--wait-s", "60", "--json")
    source = f"ros2://camera/image_raw?domain={domain}&timeout_s=4{options}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        subprocess.Popen(
            scenario, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as the_car,
        subprocess.Popen(bridge, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as the_bridge,
    ):
        try:
            run = (SIGHTLINE, "run", str(config), "--source", source, "--out", str(out), "--json")
            drive = subprocess.run(
                run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
            given = json.loads(the_bridge.communicate(timeout=PATIENCE_S)[0])
            told = json.loads(the_car.communicate(timeout=PATIENCE_S)[0])
        finally:
            the_car.kill()
            the_bridge.kill()
    summary = json.loads(drive.stdout)
    assert "was silent for 4 s" in summary["warning"], "the car's way ended, and the drive said why it did"
    return told, given, Path(summary["drive"])


def test_a_car_is_driven_over_dds_and_sees_why_and_is_stopped_at_the_end(tmp_path: Path, domain: int) -> None:
    told, given, folder = driven(tmp_path, domain, "&state=/odom&command=/ackermann_cmd&stop_mps2=2")
    drive = open_drive(folder)
    lines = [message.decode() for message in drive.messages(LEDGER)]
    assert len(lines) == told["pictures"] == 20
    decided = [line for line in lines if line.disposition == "decided"]
    assert decided
    assert told["heard"]["commands"] == len(decided) + 1, "one for each decision that was in time, and one to stand"
    assert (told["last_command"]["speed"], told["last_command"]["acceleration"]) == (0.0, 2.0)
    assert told["heard"]["descriptions"] == 1
    assert told["heard"]["maps"] == given["published"]["attribution"] > 0
    assert told["heard"]["overlays"] == given["published"]["overlay"] > 0
    assert told["heard"]["diagnostics"] > 0
    assert told["refused"] == {}
    assert (given["refused"], given["malformed"]) == (0, 0)
    assert drive.header.mode == "closed-loop"
    speeds = [message.decode().state.speed_mps for message in drive.messages(VEHICLE)]
    assert all(speed is not None and 5 < speed.value < 25 for speed in speeds)


def test_without_a_topic_for_commands_the_car_hears_none(tmp_path: Path, domain: int) -> None:
    told, _, folder = driven(tmp_path, domain, "&state=/odom", "--compressed")
    drive = open_drive(folder)
    assert drive.header.mode == "shadow"
    assert [message.decode().mode for message in drive.messages(DECISION)]
    assert "commands" not in told["heard"]
