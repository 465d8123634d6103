"""Room that is kept back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from runtime.retention.reserve import Reserve, is_no_room
from tests.runtime.record.small_disk import SmallDisk

MIB = 1024 * 1024


def test_it_holds_room_without_a_name_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    for wanted, held in ((1, 4 * MIB), (9 * MIB, 12 * MIB), (4 * MIB, 4 * MIB)):
        reserve.hold(wanted)
        assert reserve.size_bytes == held
        assert list(tmp_path.iterdir()) == []
    reserve.release()
    reserve.release()
    assert reserve.size_bytes == 0


def test_what_it_holds_nobody_else_has_until_it_is_released(small_disk: SmallDisk) -> None:
    before = small_disk.free_bytes()
    reserve = Reserve(small_disk.path)
    reserve.hold(4 * MIB)
    assert before - small_disk.free_bytes() == 4 * MIB
    small_disk.fill()
    reserve.release()
    assert small_disk.free_bytes() == 4 * MIB


def test_where_there_is_too_little_it_holds_what_it_held(small_disk: SmallDisk) -> None:
    reserve = Reserve(small_disk.path)
    reserve.hold(4 * MIB)
    before = small_disk.free_bytes()
    reserve.hold(before + 8 * MIB)
    assert reserve.size_bytes == 4 * MIB
    assert small_disk.free_bytes() == before


def test_want_of_room_is_told_from_other_refusals() -> None:
    assert is_no_room(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert is_no_room(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)))
    assert not is_no_room(OSError(errno.EIO, os.strerror(errno.EIO)))
    assert not is_no_room(ValueError())
    assert not is_no_room(None)
