"""Which runs are under way on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import LinkError
from runtime.record.lock import shared
from runtime.supervise.plan import PLAN_NAME, RunPlan, write_plan
from runtime.supervise.running import find_run, is_over, runs
from tests.runtime.record.recording import a_plan


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunPlan]]:
    """Two runs of this user, in a place where runs are looked for."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = []
    with ExitStack() as held:
        for name in ("one", "two"):
            plan = replace(a_plan(tmp_path / name, RecordConfig()), drive_id=f"{tmp_path.name}-{name}")
            write_plan(plan)
            held.enter_context(shared(Path(plan.drive_dir)))
            made.append(plan)
        yield made
    for plan in made:
        shutil.rmtree(plan.run_dir, ignore_errors=True)


def ours(tmp_path: Path) -> list[str]:
    """Other runs may be under way on the machine that runs the tests."""
    return [plan.drive_id for plan in runs() if Path(plan.drive_dir).parent == tmp_path]


def test_every_run_of_this_user_is_found_once(plans: list[RunPlan], tmp_path: Path) -> None:
    assert ours(tmp_path) == [plan.drive_id for plan in plans]


def test_a_folder_that_others_can_write_is_not_believed(plans: list[RunPlan], tmp_path: Path) -> None:
    Path(plans[0].run_dir).chmod(0o770)
    assert ours(tmp_path) == [plans[1].drive_id]


def test_what_is_no_plan_is_passed_over(plans: list[RunPlan], tmp_path: Path) -> None:
    (Path(plans[0].run_dir) / PLAN_NAME).write_text("{}")
    (tmp_path / "sightline-empty").mkdir(mode=0o700)
    hidden = tmp_path / "hidden"
    shutil.copytree(plans[1].run_dir, hidden)
    write_plan(replace(plans[1], drive_id="led-astray", run_dir=str(hidden)))
    (tmp_path / "sightline-elsewhere").symlink_to(hidden)
    assert ours(tmp_path) == [plans[1].drive_id]


def test_what_a_run_left_that_was_killed_is_passed_over(plans: list[RunPlan], tmp_path: Path) -> None:
    left = replace(a_plan(tmp_path / "left", RecordConfig()), drive_id="left")
    write_plan(left)
    assert ours(tmp_path) == [plan.drive_id for plan in plans]
    with shared(Path(left.drive_dir)):
        assert len(ours(tmp_path)) == 3
    shutil.rmtree(left.run_dir)


def test_a_run_is_found_by_its_drives_folder_its_name_and_its_own_folder(plans: list[RunPlan]) -> None:
    for plan in plans:
        for named in (Path(plan.drive_dir), Path(plan.drive_id), Path(plan.run_dir)):
            assert find_run(named) == plan


def test_of_several_none_is_guessed_and_all_are_named(plans: list[RunPlan]) -> None:
    with pytest.raises(LinkError, match="--run") as refused:
        find_run(None)
    assert all(plan.drive_dir in str(refused.value) for plan in plans)


def test_a_run_that_is_not_there_is_said(plans: list[RunPlan], tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="records into"):
        find_run(tmp_path / "three")


def test_a_run_is_over_when_its_folder_is_gone_and_when_nobody_writes_its_drive(tmp_path: Path) -> None:
    plan = a_plan(tmp_path / "drive", RecordConfig())
    write_plan(plan)
    with shared(Path(plan.drive_dir)):
        assert not is_over(plan)
    assert is_over(plan), "all its processes were killed, and the folder was left"
    with shared(Path(plan.drive_dir)):
        shutil.rmtree(plan.run_dir)
        assert is_over(plan)
