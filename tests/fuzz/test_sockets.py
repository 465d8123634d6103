"""A tenth, and less, of `python -m benchmarks.fuzz`: every socket under inputs that nobody meant to send."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.fuzzing.targets import BOUNDS, open_target
from benchmarks.fuzzing.worker import Job, Tally, drive_target, finding_path, read_progress


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("target", "inputs"), [("recorder", 1000), ("sender", 2000), ("viewer", 1500), ("ipc", 800), ("tcp", 200)]
)
def test_no_input_brings_a_socket_down(target: str, inputs: int, tmp_path: Path) -> None:
    work, progress = tmp_path / "w", tmp_path / "case"
    work.mkdir()
    progress.write_bytes(bytes(8))
    with closing(open_target(target, work)) as opened:
        tally = drive_target(opened, Job(target, 20261124, 0, inputs, tmp_path, progress), BOUNDS[target])
    assert tally.findings == []
    assert tally.inputs >= inputs
    assert tally.refused > tally.inputs // 10
    assert read_progress(progress) == tally.cases - 1


class Breaking:
    """A target that keeps no promise from its third case on."""

    def case(self, random: object) -> bytes:
        return b"case"

    def take(self, case: bytes) -> object:
        raise ValueError("broken")

    def keep(self, case: bytes, path: Path) -> None:
        path.write_bytes(case)


def test_what_is_wrong_is_kept_with_the_case_that_showed_it(tmp_path: Path) -> None:
    progress = tmp_path / "case"
    progress.write_bytes(bytes(8))
    job = Job("recorder", 5, 7, 1, tmp_path, progress)
    tally: Tally = drive_target(Breaking(), job, BOUNDS["recorder"])  # type: ignore[arg-type]  # what is asked of it
    path = finding_path(tmp_path, "recorder", 5, 7)
    assert path.read_bytes() == b"case"
    assert "ValueError: broken" in path.with_suffix(".txt").read_text()
    assert tally.findings == ["recorder-5-7: ValueError: broken"]
