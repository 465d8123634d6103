"""The plan of a run."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from runtime.contracts.config import BusConfig, Config
from runtime.contracts.errors import LinkError
from runtime.supervise.plan import RunPlan, make_plan, make_run_dir, read_plan, write_plan


def a_plan(run_dir: Path, config: Config) -> RunPlan:
    return make_plan(
        drive_id="d", drive_dir=run_dir / "drive", run_dir=run_dir, source_uri="x", pacing="lockstep", config=config
    )


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, Config())
    assert read_plan(write_plan(plan)) == plan
    assert plan.link == f"ipc://{tmp_path}/link"
    assert len({plan.link, plan.viewers, plan.pictures}) == 3
    assert a_plan(tmp_path, Config()).session != plan.session


def test_tcp_is_used_where_the_configuration_says_so(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, Config(bus=BusConfig(transport="tcp", tcp_link="tcp://127.0.0.1:7")))
    assert plan.link == "tcp://127.0.0.1:7"


def test_the_run_folder_is_private_and_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 20)))
    folder = make_run_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    a_plan(folder, Config())
    shutil.rmtree(folder)


def test_a_path_too_long_for_a_socket_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"too long for a socket.*XDG_RUNTIME_DIR"):
        a_plan(tmp_path / ("x" * 100), Config())


def test_a_source_whose_name_is_no_text_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"source 'bad.udcff.mp4' is no valid UTF-8; rename it"):
        make_plan(
            drive_id="d",
            drive_dir=tmp_path / "drive",
            run_dir=tmp_path,
            source_uri="bad\udcff.mp4",
            pacing="lockstep",
            config=Config(),
        )


def test_what_is_no_plan_is_a_link_error(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be read"):
        read_plan(tmp_path / "nothing")
    (tmp_path / "plan.json").write_text('{"drive_id": 3}')
    with pytest.raises(LinkError, match="is no plan"):
        read_plan(tmp_path / "plan.json")
