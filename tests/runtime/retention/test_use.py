"""What the drives in a folder take on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.retention.listing import entries
from runtime.retention.use import DiskUse

MIB = 1024 * 1024
OVER = ("segment-0000.mcap", "segment-0001.mcap", "closing-0002.seal.json")
LONG_AGO_NS = 1_700_000_000 * 10**9


def a_drive(root: Path, *names: str) -> Path:
    """Files of a MiB, in a folder in which nothing has come or gone for long."""
    drive = root / "drive"
    drive.mkdir()
    for name in names:
        (drive / name).write_bytes(bytes(MIB))
    os.utime(drive, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return drive


def test_room_is_what_is_free_or_what_is_left_of_the_quota(tmp_path: Path) -> None:
    a_drive(tmp_path, *OVER)
    use = DiskUse(tmp_path)
    used = use.used_bytes()
    assert used >= len(OVER) * MIB
    assert use.room_bytes(used + 5) == 5
    assert use.room_bytes(None) == pytest.approx(use.room_bytes(10**18), abs=MIB)


def test_a_drive_that_is_over_is_not_walked_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_drive(tmp_path, *OVER)
    use = DiskUse(tmp_path)
    used = use.used_bytes()
    walked = []

    def counted(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
        walked.append(Path(folder).name)
        return entries(folder)

    monkeypatch.setattr("runtime.retention.use.entries", counted)
    assert [use.used_bytes() for _ in range(3)] == [used] * 3
    assert walked == [tmp_path.name] * 3


def test_what_is_deleted_from_it_is_seen_each_time(tmp_path: Path) -> None:
    drive = a_drive(tmp_path, *OVER)
    use = DiskUse(tmp_path)
    used = use.used_bytes()
    for count, name in enumerate(OVER[:2], 1):
        (drive / name).unlink()
        (drive / f"segment-{count}.seal.json").touch()
        assert use.used_bytes() == used - count * MIB
    (drive / OVER[2]).unlink()
    for path in drive.iterdir():
        path.unlink()
    drive.rmdir()
    assert use.used_bytes() == 0


@pytest.mark.parametrize("names", [OVER[:2], (*OVER, "segment-0002.mcap.journal")], ids=["open", "taken up again"])
def test_what_grows_in_a_drive_that_is_written_is_seen_each_time(tmp_path: Path, names: tuple[str, ...]) -> None:
    drive = a_drive(tmp_path, *names)
    use = DiskUse(tmp_path)
    used = use.used_bytes()
    with (drive / names[-1]).open("ab") as file:
        file.write(bytes(MIB))
    assert drive.stat().st_mtime_ns == LONG_AGO_NS
    assert use.used_bytes() == used + MIB


def test_a_change_in_the_same_tick_as_the_one_before_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.retention.use._SETTLED_NS", 3600 * 10**9)  # the test may take its time
    drive = a_drive(tmp_path, *OVER)
    os.utime(drive)
    just_now_ns = drive.stat().st_mtime_ns
    use = DiskUse(tmp_path)
    used = use.used_bytes()
    (drive / OVER[0]).unlink()
    os.utime(drive, ns=(just_now_ns, just_now_ns))
    assert use.used_bytes() == used - MIB
