"""A tenth of what `benchmarks.durability` does with real processes that are killed and frozen at random moments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.durable.faults import FAULTS, RATES_HZ
from benchmarks.durable.sender import account

pytestmark = pytest.mark.once

RUNS = 10


def test_whoever_is_killed_or_frozen_nothing_acknowledged_is_missing_and_what_is_missing_is_declared() -> None:
    command = [sys.executable, "-m", "benchmarks.durability", "--parts", "faults", "--json"]
    done = subprocess.run(
        [*command, "--runs", str(RUNS), "--at-once", "6"], capture_output=True, text=True, check=False, timeout=280
    )
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert done.returncode == 0
    rows = {(row["fault"], row["rate_hz"]): row for row in report["faults"]}
    assert set(rows) == {(fault, rate_hz) for fault in FAULTS for rate_hz in RATES_HZ}
    for row in rows.values():
        assert (row["runs"], row["lost"], row["wrong"]) == (RUNS, 0, 0)
        assert row["missing"] == row["declared"]
        assert row["acknowledged"] > 0
    # The faults do what they say: a ring that is too small loses, and so does a driving process that dies.
    for fault in ("recorder frozen", "driving process killed"):
        assert rows[fault, 200]["missing"] > 0


def test_a_senders_account_outlives_it(tmp_path: Path) -> None:
    with account(tmp_path / "account") as kept:
        kept.tell(7, 9)
        kept.give_up(3)
    with account(tmp_path / "account") as kept:
        assert (kept.acknowledged, kept.handed_over) == (7, 9)
        assert [number for number in range(9) if kept.given_up(number)] == [3]
