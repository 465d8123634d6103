"""A tenth of `python -m benchmarks.tampering`: every change is found, and nothing that was left as it was is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tampering import measure

pytestmark = pytest.mark.once


def test_every_change_to_a_sealed_drive_is_found_and_named_where_it_can_be_decoded(tmp_path: Path) -> None:
    rows, wrong = measure(tmp_path, (44, 25, 4), seed=20, seconds=2.0)
    assert wrong == []
    tally = {row.kind: row for row in rows}
    assert all(row.found == row.done and row.falsely_named == 0 for row in rows)
    assert sum(row.done for row in rows) >= 100
    for kind in ("message changed", "message removed", "messages swapped", "message inserted", "message doubled"):
        assert tally[kind].named == tally[kind].done > 0
    assert tally["byte changed"].named > 12, "where a chunk is damaged, its messages are named"
