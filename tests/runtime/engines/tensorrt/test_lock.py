"""One build at a time, between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.lock import build_lock
from tests.docs.pages import ROOT

HOLDER = """
import sys
from pathlib import Path
from runtime.engines.tensorrt.lock import build_lock
with build_lock(Path(sys.argv[1]), "building big.onnx", print, wait=True):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until it is written to, or killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_who_does_not_wait_is_told_who_builds(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    said = rf"process {holder.pid} \(building big.onnx, since \d\d:\d\d:\d\d\) is building a plan"
    with pytest.raises(EngineError, match=said), build_lock(tmp_path, "mine", print, wait=False):
        pass
    holder.communicate("\n")


def test_who_waits_is_told_once_and_gets_it_when_the_other_is_done(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    told: list[str] = []

    def on_wait(who: str) -> None:
        told.append(who)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()

    with build_lock(tmp_path, "mine", on_wait, wait=True) as waited:
        assert waited
    assert len(told) == 1
    assert f"process {holder.pid} " in told[0]
    assert holder.wait() == 0


def test_a_killed_builder_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with build_lock(tmp_path, "mine", print, wait=False) as waited:
        assert not waited
        assert f"process {os.getpid()} (mine" in (tmp_path / "build.lock").read_text(encoding="utf-8")
