"""No verb puts what it makes into evidence, a drive or a bundle: where it is told to, and where it is told nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from review.bundle.choice import Request
from runtime.commands.main import main
from runtime.contracts.errors import ExitCode

SOME = ("--to", "1")  # frames: it is where they go that is asked


@pytest.fixture(params=["drive", "bundle"])
def evidence(request: pytest.FixtureRequest, drive: Path, made: Callable[[Request], Path], tmp_path: Path) -> Path:
    source = drive if request.param == "drive" else made(Request(segments=(0,)))
    return Path(shutil.copytree(source, tmp_path / "kept" / "mine"))


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("named", ["by its path", "from within", "by a link"])
def test_what_nobody_named_a_place_for_lies_beside_the_whole_of_the_evidence(
    evidence: Path, tmp_path: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_under(evidence)
    path = evidence
    if named == "from within":
        monkeypatch.chdir(evidence)
        path = Path()
    elif named == "by a link":
        path = tmp_path / "link"
        path.symlink_to(evidence)
    assert main(["overlay", str(path), *SOME]) == ExitCode.YES
    assert main(["clip", str(path), *SOME]) == ExitCode.YES
    assert files_under(evidence) == before
    assert {entry.name for entry in evidence.parent.iterdir()} == {"mine", "mine-overlay", "mine.mp4"}


@pytest.mark.parametrize("where", [".", "new", "drive", "new/and/deeper"])
def test_a_place_in_the_evidence_is_refused_before_anything_is_made(
    evidence: Path, drive: Path, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_under(evidence)
    there = evidence / where
    link = tmp_path / "link"
    link.symlink_to(evidence)
    verbs = [
        ["overlay", str(drive), *SOME, "--out", str(there)],
        ["clip", str(drive), *SOME, "--out", str(there / "clip.mp4")],
        ["bundle", str(drive), "--segment", "1", "--out", str(there)],
        ["bundle", str(drive), "--segment", "1", "--zip", "--out", str(link / where)],
        ["verify", "--standalone", str(there / "sightline_verify.py")],
        ["run", "--source", "proving-ground://lane?duration_s=1", "--out", str(there)],
        ["demo", "--out", str(there)],
        ["export", "absent.onnx", "--out", str(there)],
    ]
    for verb in verbs:
        assert main(verb) == ExitCode.COULD_NOT
        assert f"{evidence}, which is evidence" in capsys.readouterr().err
    assert files_under(evidence) == before


def test_what_lies_beside_evidence_or_only_looks_like_it_is_no_evidence(drive: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "drive").mkdir()
    assert main(["overlay", str(drive), *SOME, "--out", str(tmp_path / "drive")]) == ExitCode.YES
    shutil.copytree(drive, tmp_path / "mine")
    assert main(["verify", "--standalone", str(tmp_path / "sightline_verify.py")]) == ExitCode.YES
