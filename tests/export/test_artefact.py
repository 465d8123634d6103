"""An export's folder is there whole or not at all."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export.artefact import MARK, whole_folder
from runtime.contracts.errors import ExportError, UsageError

INTERRUPTED = """\
import os, signal, sys
from pathlib import Path
from export.artefact import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "model.onnx").write_bytes(b"half of it")
    os.kill(os.getpid(), int(sys.argv[2]))
"""
LIMITED = """\
import resource, sys
from pathlib import Path
from export.artefact import whole_folder
from runtime.contracts.errors import ExportError
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with whole_folder(Path(sys.argv[1])) as folder:
        (folder / "model.onnx").write_bytes(bytes(100_000))
except ExportError as error:
    sys.exit(f"refused: {error}")
"""


def make(out: Path, **files: str) -> None:
    """An export of these files."""
    with whole_folder(out) as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def names(folder: Path) -> list[str]:
    """What a folder shows."""
    return sorted(path.name for path in folder.iterdir() if path.name != MARK)


def test_an_export_appears_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    make(tmp_path / "deep" / "out", a="one", b="two")
    assert names(tmp_path / "deep" / "out") == ["a", "b"]
    assert names(tmp_path / "deep") == ["out"]
    assert oct((tmp_path / "deep" / "out" / "a").stat().st_mode & 0o777) == "0o644"
    assert oct((tmp_path / "deep" / "out").stat().st_mode & 0o777) == "0o755"


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    make(tmp_path / "out", a="old", b="old")
    make(tmp_path / "out", a="new")
    assert names(tmp_path / "out") == ["a"]
    assert (tmp_path / "out" / "a").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_it_is_replaced_where_folders_cannot_be_exchanged_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.artefact._exchanged", lambda work, out: False)
    make(tmp_path / "out", a="old")
    make(tmp_path / "out", a="new")
    assert (tmp_path / "out" / "a").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_the_earlier_export_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", a="old")
    rename = Path.rename

    def busy(path: Path, target: Path) -> Path:
        if target == tmp_path / "out" and (path / "a").read_text() == "new":
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(path, target)

    monkeypatch.setattr("export.artefact._exchanged", lambda work, out: False)
    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(ExportError, match="busy"):
        make(tmp_path / "out", a="new")
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_whatever_goes_wrong_leaves_the_earlier_export(tmp_path: Path) -> None:
    make(tmp_path / "out", a="old")
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), whole_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("half", encoding="utf-8")
            raise error
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_ended_takes_its_half_made_folder_with_it(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "out"), str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_in_full_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert "refused:" in done.stderr
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_the_earlier_export(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    try:
        make(disk / "out", a="old")
        with pytest.raises(ExportError, match="No space left on device"), whole_folder(disk / "out") as folder:
            (folder / "model.onnx").write_bytes(bytes(1 << 20))
        assert (disk / "out" / "a").read_text() == "old"
        assert names(disk) == ["out"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ExportError, match="cannot be written"), whole_folder(tmp_path / "file" / "out"):
        pass


def test_what_no_export_wrote_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.onnx").write_text("mine", encoding="utf-8")
    make(tmp_path / "out", a="old")
    (tmp_path / "out" / "mine.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name, said in (("notes", "thesis.onnx"), ("out", "mine.yaml"), ("file", "no folder")):
        with pytest.raises(UsageError, match=said), whole_folder(tmp_path / name):
            pass
    assert (tmp_path / "out" / "a").read_text() == "old"


def test_a_file_that_was_changed_since_is_only_replaced_where_the_export_was_made_from_it(tmp_path: Path) -> None:
    make(tmp_path / "out", **{"a.yaml": "draft"})
    edited = tmp_path / "out" / "a.yaml"
    edited.write_text("filled in", encoding="utf-8")
    with pytest.raises(UsageError, match=r"changed since \(a.yaml\)"), whole_folder(tmp_path / "out"):
        pass
    with whole_folder(tmp_path / "out", edited) as folder:
        (folder / "a.yaml").write_text("filled in", encoding="utf-8")
    assert edited.read_text() == "filled in"


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(tmp_path / "link", a="one")
    assert names(tmp_path / "real") == ["a"]
    assert (tmp_path / "link").is_symlink()
