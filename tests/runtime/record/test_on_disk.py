"""Files that are whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from runtime.record.on_disk import make_folders, write_whole
from tests.runtime.record.small_disk import a_disk_that_takes


@pytest.mark.parametrize("contended", [False, True])
def test_where_the_disk_refuses_the_one_before_stays_and_nothing_else(contended: bool, tmp_path: Path) -> None:
    write_whole(tmp_path / "it", b"before", contended=contended)
    with a_disk_that_takes(10), pytest.raises(OSError, match="large") as caught:
        write_whole(tmp_path / "it", b"x" * 1000, contended=contended)
    assert caught.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    assert (tmp_path / "it").read_bytes() == b"before"
    write_whole(tmp_path / "it", b"after", contended=contended)
    assert (tmp_path / "it").read_bytes() == b"after"


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "it.tmp").write_bytes(b"half of what was to")
    write_whole(tmp_path / "it", b"all")
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_folder_that_is_there_is_made_again_only_where_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_folders(Path("a/b/c"), 0o700)
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        make_folders(Path("a/b/c"))
    make_folders(Path("a/b/c"), exist_ok=True)
