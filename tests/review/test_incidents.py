"""What a drive's incidents are: of real drives, and of a record whose list is gone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from review.incidents import incidents, listed_incidents
from runtime.commands.main import main
from runtime.contracts.errors import ExitCode
from runtime.contracts.incident import INDEX_NAME
from runtime.record.drive import open_drive
from runtime.record.segment import segment_files


def sightline(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command with --json; its exit code and the object that it printed."""
    command = [sys.executable, "-m", "sightline", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def braking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy comes upon a car that stands in its lane, and brakes hard for it."""
    out = tmp_path_factory.mktemp("braking")
    source = "proving-ground://stopped-lead?seed=1&duration_s=7"
    code, summary = sightline("run", "--source", source, "--out", str(out))
    assert (code, summary["incidents"]) == (0, 1)
    return Path(summary["drive"])


def test_a_calm_drive_has_no_incident(tmp_path: Path) -> None:
    source = "proving-ground://lane?seed=7&duration_s=5"
    assert sightline("run", "--source", source, "--out", str(tmp_path))[0] == 0
    code, found = sightline("incidents", str(tmp_path), "--expect-none")
    assert code == 0
    assert found["incidents"] == []
    assert not list(tmp_path.glob(f"*/{INDEX_NAME}"))
    assert sightline("info", str(tmp_path))[1]["incidents"] == 0


def test_a_hard_braking_is_an_incident_with_its_value_its_window_and_its_segments(braking: Path) -> None:
    code, found = sightline("incidents", str(braking))
    assert code == 0
    (one,) = found["incidents"]
    (trigger,) = one["triggers"]
    assert trigger["kind"] == "hard-brake"
    assert "bound -4 m/s2" in trigger["reason"]
    assert one["from_s"] == pytest.approx(trigger["t_s"] - 10.0)
    assert one["to_s"] == pytest.approx(trigger["t_s"] + 5.0)
    assert (one["segments"], one["missing"], one["open"]) == ([0], [], False)
    assert sightline("incidents", str(braking), "--expect-none")[0] == 1
    assert sightline("info", str(braking))[1]["incidents"] == 1
    assert sightline("verify", str(braking))[0] == 0


def test_where_the_list_is_gone_the_record_tells_and_that_is_said(braking: Path) -> None:
    drive = open_drive(braking)
    listed, note = listed_incidents(drive)
    assert note == ""
    path = braking / INDEX_NAME
    kept = path.read_bytes()
    try:
        for damage in (b"", kept[: len(kept) // 2], kept.replace(braking.name.encode(), b"another")):
            path.write_bytes(damage)
            again, note = listed_incidents(drive)
            assert again == listed
            assert INDEX_NAME in note
        path.unlink()
        again, note = listed_incidents(drive)
        assert again == listed
        assert "is not there" in note
    finally:
        path.write_bytes(kept)


def test_every_verb_takes_an_incident_from_where_the_listing_has_it(
    braking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(braking, tmp_path / braking.name))
    (copy / INDEX_NAME).unlink()
    assert [one.number for one in incidents(copy).incidents] == [0]
    few = ["--incident", "0", "--every", "60"]
    assert main(["overlay", str(copy), *few, "--out", str(tmp_path / "pictures")]) == ExitCode.YES
    assert main(["clip", str(copy), *few, "--out", str(tmp_path / "clip.mp4")]) == ExitCode.YES
    capsys.readouterr()
    assert main(["bundle", str(copy), "--incident", "0", "--out", str(tmp_path / "bundles"), "--json"]) == ExitCode.NO
    said = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in said["findings"]] == ["file-missing"], "of the list, and of nothing else"
    for verb in ("overlay", "clip", "bundle"):
        assert main([verb, str(copy), "--incident", "1", "--out", str(tmp_path / "none.mp4")]) == ExitCode.COULD_NOT
        assert "no incident 1; there are: 0 (incidents.json is not there" in capsys.readouterr().err


def test_a_segment_that_was_pinned_and_is_gone_is_named(braking: Path) -> None:
    (file,) = segment_files(braking)
    (braking / "segment-0001.mcap").write_bytes(file.path.read_bytes())
    away = braking.parent / "away.mcap"
    file.path.rename(away)
    try:
        assert incidents(braking).incidents[0].missing == (0,)
    finally:
        away.rename(file.path)
        (braking / "segment-0001.mcap").unlink()
