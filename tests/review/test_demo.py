"""The demonstration: a real incident, recorded, replayed bit for bit, and drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from review.commands.demo import called, what_happened
from review.demo import find_incident
from runtime.record.drive import open_drive


def test_the_demo_drives_into_an_incident_and_its_record_repeats_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "demo", "--out", str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    drive = report["drive"]
    assert drive["frames"] == drive["decided"] == drive["recorded"]
    assert report["replay"]["identical"] == report["replay"]["frames"] == drive["frames"]
    incident = find_incident(open_drive(Path(drive["drive"])))
    assert incident is not None, "the reference policy kept its lane: the demonstration has no incident"
    assert report["incident"]["sequence"] == incident.sequence
    assert incident.reason
    for picture in report["pictures"]:
        assert cv2.imread(picture) is not None
    clip = cv2.VideoCapture(report["clip"])
    assert clip.get(cv2.CAP_PROP_FRAME_COUNT) > 100


def test_a_drive_in_its_lane_has_no_incident(tmp_path: Path) -> None:
    source = "proving-ground://lane?seed=4&duration_s=1&width=160&height=90"
    command = [sys.executable, "-m", "sightline", "run", "--source", source, "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert find_incident(open_drive(Path(json.loads(done.stdout)["drive"]))) is None
    assert "to the end" in what_happened(None, None)[0]
    assert "stopped by SIGINT" in what_happened(None, "SIGINT")[0], "nobody knows how it would have ended"


def test_what_to_type_next_can_be_typed_in_this_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert called(Path(".venv/bin/sightline")) == ".venv/bin/sightline"
    assert called(Path("sightline.py")) == "sightline"
    (tmp_path / "sightline").touch(mode=0o755)
    assert called(Path(".venv/bin/sightline")) == "sightline"
