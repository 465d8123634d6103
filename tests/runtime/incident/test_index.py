"""The list on the disk: whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.contracts.errors import RecordError
from runtime.contracts.incident import INDEX_NAME, Incident, IncidentIndex, Trigger
from runtime.incident.index import read_index, write_index

INDEX = IncidentIndex(
    "drive",
    (
        Incident(
            0,
            -10,
            20,
            (Trigger("mark", 5, 1, "was \N{LATIN SMALL LETTER U WITH DIAERESIS}bel", "me", "t"),),
            (0, 1),
            True,
        ),
    ),
)


def test_it_is_read_back_as_it_was_written_and_nothing_else_is_left_there(tmp_path: Path) -> None:
    assert read_index(tmp_path) is None
    write_index(tmp_path, IncidentIndex("drive"))
    write_index(tmp_path, INDEX)
    assert read_index(tmp_path) == INDEX
    assert [path.name for path in tmp_path.iterdir()] == [INDEX_NAME]


def test_its_bytes_are_synced_before_it_takes_its_place_and_its_place_before_it_is_said_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGKILL does not test a sync: what a power failure would leave follows from the order of the calls."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append(f"sync {path.name}: {path.stat().st_size > 0}")
        fsync(descriptor)

    def replaced(source: Path, target: Path) -> Path:
        done.append(f"replace {target.name}")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_index(tmp_path, INDEX)
    assert done == [f"sync {INDEX_NAME}.tmp: True", f"replace {INDEX_NAME}", f"sync {tmp_path.name}: True"]


def test_where_it_cannot_be_written_the_one_before_stays(tmp_path: Path) -> None:
    write_index(tmp_path, INDEX)
    (tmp_path / f"{INDEX_NAME}.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_index(tmp_path, IncidentIndex("drive"))
    assert read_index(tmp_path) == INDEX


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"drive_id": 1}', b"\xff" * 40, b"[" * 100_000])
def test_bytes_that_are_no_list_are_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / INDEX_NAME).write_bytes(data)
    with pytest.raises(RecordError, match=INDEX_NAME):
        read_index(tmp_path)
