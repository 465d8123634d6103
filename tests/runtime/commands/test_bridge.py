"""`sightline bridge`, up to the bridge itself."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime.bus.viewed import BridgeOptions, BridgeReport, ViewedRun
from runtime.commands import bridge as verb
from runtime.contracts import registry
from runtime.contracts.config import RecordConfig
from runtime.record.lock import shared
from runtime.supervise.plan import RunPlan, write_plan
from tests.runtime.record.recording import a_plan


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPlan:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = a_plan(tmp_path / "drives" / "one", RecordConfig())
    plan = replace(made, source_uri="rtsp://driver:secret@192.0.2.7/front?channel=1")
    write_plan(plan)
    return plan


@pytest.fixture(autouse=True)
def _handlers_stay() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handed_over(plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> ViewedRun:
    """What the verb hands to a bridge of the plan's run."""
    handed: list[ViewedRun] = []

    def bridge(run: ViewedRun, options: BridgeOptions, _stopped: Callable[[], bool]) -> BridgeReport:
        handed.append(run)
        assert options == BridgeOptions(domain=7)
        return BridgeReport({"drive": 1}, 0, 0)

    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    arguments = parser.parse_args(["--run", str(Path(plan.drive_dir).parent), "--domain", "7"])
    arguments.json = True
    with monkeypatch.context() as patched, shared(Path(plan.drive_dir)):
        patched.setattr(registry, "load", lambda _group, _name: bridge)
        assert verb.run(arguments) == 0
    [run] = handed
    return run


def test_a_bridge_is_handed_the_run_and_no_password(
    plan: RunPlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = handed_over(plan, monkeypatch)
    assert (run.source_uri, run.source_name) == ("rtsp://driver:***@192.0.2.7/front?channel=1", "rtsp")
    assert json.loads(capsys.readouterr().out)["published"] == {"drive": 1}
    shutil.rmtree(plan.run_dir)


def test_a_bridge_is_told_what_lies_at_a_plain_path_while_it_lies_there(
    plan: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "monday.bag").touch()
    for name, known in (("monday.bag", "rosbag"), ("tuesday.bag", "")):
        there = replace(plan, source_uri=str(tmp_path / name))
        write_plan(there)
        run = handed_over(there, monkeypatch)
        assert (run.source_uri, run.source_name) == (there.source_uri, known)
    shutil.rmtree(plan.run_dir)
