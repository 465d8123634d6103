"""The benchmark of the start, as a script would use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_it_reports_both_promises_beside_their_baselines_and_where_they_were_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.startup", "--runs", "1", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert set(report["results"]) == {"python", "imports", "help", "first_decision"}
    assert 0.0 < report["results"]["python"]["median_s"] < report["results"]["first_decision"]["median_s"]
    assert report["promised_s"] == {"help": 0.2, "first_decision": 2.0}
    assert report["holds"] is (report["help_s"] <= 0.2 and report["first_decision_s"] <= 2.0)
    assert report["machine"]
    assert report["date"]
