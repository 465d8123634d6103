"""What an engine's library tells the world: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PASS = """
import sys
if "of ours" in sys.argv:
    import runtime
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""


def left_behind(home: Path, *arguments: str) -> list[str]:
    """The files that a session leaves in the home folder of whoever opens it."""
    home.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    model = str(ROOT / "configs" / "concepts.onnx")
    command = [sys.executable, "-c", PASS, model, *arguments]
    subprocess.run(command, cwd=ROOT, env={**clean, "HOME": str(home)}, check=True, capture_output=True)
    return [path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def test_onnx_runtime_reports_nothing_of_a_vehicle_and_leaves_no_identifier(tmp_path: Path) -> None:
    if not left_behind(tmp_path / "by itself"):
        pytest.skip("this version of ONNX Runtime has no telemetry in it")
    assert left_behind(tmp_path / "with us", "of ours") == []
