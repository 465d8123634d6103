"""Who may touch a drive's folder, among real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.contracts.errors import RecordError
from runtime.record.lock import DriveInUseError, exclusive, in_use, shared, unchanged

HOLDER = """
import sys
from pathlib import Path
from runtime.record import lock
with getattr(lock, sys.argv[1])(Path(sys.argv[2])):
    print("has it", flush=True)
    sys.stdin.read()
"""


def holder(kind: str, drive_dir: Path) -> subprocess.Popen[str]:
    """Another process that has the drive, until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, kind, str(drive_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


def test_those_who_write_a_drive_share_it_and_nobody_gets_it_alone_meanwhile(tmp_path: Path) -> None:
    with holder("shared", tmp_path) as other:
        with shared(tmp_path), pytest.raises(DriveInUseError, match="in use"), exclusive(tmp_path):
            pass
        other.kill()
    with exclusive(tmp_path):
        pass


def test_a_drive_that_somebody_has_alone_is_had_by_nobody_else_until_that_process_is_killed(tmp_path: Path) -> None:
    with holder("exclusive", tmp_path) as other:
        with pytest.raises(DriveInUseError), exclusive(tmp_path):
            pass
        other.kill()
    with shared(tmp_path):
        pass


def test_the_lock_is_the_folders_own_and_leaves_no_file(tmp_path: Path) -> None:
    with shared(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be opened"), exclusive(tmp_path / "absent"):
        pass


def test_a_drive_is_in_use_while_somebody_has_it(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    with shared(tmp_path):
        assert in_use(tmp_path)
    with exclusive(tmp_path):
        assert in_use(tmp_path)
    assert not in_use(tmp_path)
    assert not in_use(tmp_path / "absent")


def test_a_drive_in_another_process_is_in_use_until_that_process_is_killed(tmp_path: Path) -> None:
    for kind in ("shared", "exclusive"):
        with holder(kind, tmp_path) as other:
            assert in_use(tmp_path)
            other.kill()
        assert not in_use(tmp_path)


def test_those_who_ask_at_once_do_not_take_each_other_for_one_who_has_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as readers:
        assert not any(readers.map(in_use, [tmp_path] * 4000))


def test_who_asks_keeps_nobody_out(tmp_path: Path) -> None:
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            in_use(tmp_path)

    with ThreadPoolExecutor(2) as readers:
        asked = [readers.submit(ask) for _ in range(2)]
        try:
            for _ in range(2000):
                with exclusive(tmp_path):
                    pass
        finally:
            over.set()
        for one in asked:
            one.result()


def test_a_drive_that_somebody_reads_stays_as_it_is_and_is_not_in_use(tmp_path: Path) -> None:
    with unchanged(tmp_path), shared(tmp_path), pytest.raises(DriveInUseError, match="in use"), exclusive(tmp_path):
        pass
    with unchanged(tmp_path):
        assert not in_use(tmp_path)
        with pytest.raises(DriveInUseError, match="handed over"), exclusive(tmp_path):
            pass
    with exclusive(tmp_path):
        pass
