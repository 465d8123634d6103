"""What becomes of a drive's folder, whatever its driving process says at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.contracts.clock import Clock
from runtime.contracts.config import default_config
from runtime.contracts.errors import SightlineError
from runtime.driving.progress import Progress
from runtime.record.drive import open_drive
from runtime.supervise import launch
from runtime.supervise.plan import RunPlan
from runtime.supervise.run import DRIVING, supervise
from runtime.supervise.supervisor import OnLine, RunResult

SOURCE = "proving-ground://lane?seed=11&duration_s=0.5&width=160&height=90"
FAILED = Progress("failed", error="what it drove could not be closed")


@pytest.mark.parametrize("told", [True, False], ids=["frames were told of", "no line of it came through"])
def test_a_drive_whose_process_fails_behind_its_end_is_kept(
    told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_at_the_end(plan: RunPlan, on_line: OnLine, clock: Clock) -> RunResult:
        result = supervise(plan, lambda name, line: on_line(name, line) if told else None, clock)
        on_line(DRIVING, FAILED.line().decode())
        return result

    monkeypatch.setattr(launch, "supervise", fail_at_the_end)
    summary = launch.run_drive(default_config(), SOURCE, tmp_path, "lockstep", lambda _: None)
    assert (summary.frames, summary.decided, summary.recorded, summary.gaps) == (10, 10, 10, 0)
    assert summary.warning == FAILED.error
    assert open_drive(Path(summary.drive)).closing() is not None


SOURCES = """
import numpy as np
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture

class Source:
    clock_domain, vehicle = "file", None

    def __init__(self, request, captures):
        self.uri, self.cameras, self.expected_captures, self.read_so_far = request.uri, request.cameras, captures, 0

    def read(self):
        if self.expected_captures == 0:
            raise SourceError("there was no first picture")
        if self.read_so_far == self.expected_captures:
            return None
        self.read_so_far += 1
        sequence = self.read_so_far - 1
        return Capture(sequence, 50_000_000 * sequence, {one: np.zeros((66, 200, 3), np.uint8) for one in self.cameras})

    def close(self):
        if self.expected_captures:
            raise SourceError("the simulator is gone")

def not_closing(request):
    return Source(request, 3)

def not_beginning(request):
    return Source(request, 0)
"""


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of a package from outside."""
    (tmp_path / "sources_of_the_test.py").write_text(SOURCES, encoding="utf-8")
    about = tmp_path / "sources_of_the_test-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sources-of-the-test\nVersion: 1\n", encoding="utf-8")
    entries = "".join(
        f"{name} = sources_of_the_test:{name.replace('-', '_')}\n" for name in ("not-closing", "not-beginning")
    )
    (about / "entry_points.txt").write_text(f"[sightline.sources]\n{entries}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.usefixtures("registered")
def test_a_source_that_cannot_be_closed_leaves_its_drive_whole_and_the_summary_tells_of_both(tmp_path: Path) -> None:
    summary = launch.run_drive(default_config(), "not-closing://", tmp_path / "drives", None, lambda _: None)
    assert (summary.frames, summary.recorded, summary.gaps, summary.incidents) == (3, 3, 0, 0)
    assert "the simulator is gone" in summary.warning


@pytest.mark.usefixtures("registered")
def test_a_drive_that_broke_off_before_its_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SightlineError, match="there was no first picture"):
        launch.run_drive(default_config(), "not-beginning://", tmp_path / "drives", None, lambda _: None)
    assert list((tmp_path / "drives").iterdir()) == []
