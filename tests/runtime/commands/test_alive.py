"""`sightline alive`, beside real drives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.record.lock import in_use

ROAD = "proving-ground://lane?seed=3&duration_s=600&width=160&height=90"


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder, for runs of this test alone: a socket's path is bounded."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="alive-") as folder:
        yield Path(folder)


def environment(place: Path) -> dict[str, str]:
    """Where this test's runs and keys lie."""
    return {**os.environ, "XDG_RUNTIME_DIR": str(place), "XDG_DATA_HOME": str(place), "TMPDIR": str(place)}


@contextmanager
def driving(place: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A drive under way; killed at the end with all its processes, and only left once none of them writes any more."""
    command = [sys.executable, "-m", "sightline", "run", *arguments, "--source", ROAD, "--out", str(place / "drives")]
    run = subprocess.Popen(
        command, env=environment(place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        while any(in_use(drive) for drive in (place / "drives").glob("*")):
            pass


def alive(place: Path, within_s: float) -> tuple[int, dict[str, Any]]:
    """The verb's exit code and what it told of the run of `place`: others may be under way in /tmp."""
    drive = next((place / "drives").glob("*"), place / "none")
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "alive", "--run", str(drive), "--within-s", str(within_s), "--json"],
        env=environment(place),
        capture_output=True,
        text=True,
        check=False,
    )
    told: dict[str, Any] = json.loads(done.stdout or done.stderr)
    return done.returncode, told


def until_found(place: Path, run: subprocess.Popen[bytes], word: str) -> tuple[int, dict[str, Any]]:
    """What `alive` says as soon as it says `word`."""
    while True:
        code, told = alive(place, 2.0)
        if word in told.get("found", ""):
            return code, told
        assert run.poll() is None, "the drive has ended"


def test_a_drive_that_decides_is_alive_and_a_killed_one_is_not(place: Path) -> None:
    with driving(place, "--pacing", "real-time") as run:
        code, told = until_found(place, run, "is decided")
        assert code == 0
        assert told["alive"]
        [drive] = told["drives"]
        assert drive in told["found"]
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    code, told = alive(place, 0.5)
    assert code == 1
    assert not told["alive"]


def test_a_drive_whose_every_command_is_late_is_not_alive(place: Path) -> None:
    config = place / "impossible.yaml"
    config.write_text("decision:\n  deadline_ms: 0.001\n", encoding="utf-8")
    with driving(place, str(config), "--pacing", "real-time") as run:
        code, told = until_found(place, run, "was late")
    assert code == 1
    assert "nothing was decided" in told["found"]


def test_a_stretch_of_time_that_is_none_is_refused(place: Path) -> None:
    code, told = alive(place, 0.0)
    assert code == 2
    assert "--within-s" in told["error"]
