"""How soon does the command answer, and how soon after its start is the first decision out?

`sightline --help` is timed beside an interpreter that does nothing and one that imports what the vehicle needs. The
first decision is the moment that the record gives for the first command (CLOCK_MONOTONIC, one clock for all processes
of a machine) less the moment before `sightline run` was started, with the reference policy in the proving ground.
Runs of everything take turns, so that a busy moment of the machine hits all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mcap.reader import make_reader

from benchmarks.machine import machine, today
from runtime.contracts.messages import Disposition
from runtime.contracts.topics import LEDGER
from runtime.contracts.units import NS_PER_S

PROMISED_HELP_S = 0.2
PROMISED_FIRST_DECISION_S = 2.0
SIGHTLINE = str(Path(sysconfig.get_path("scripts")) / "sightline")
SOURCE = "proving-ground://lane?seed=7&duration_s=1"


def wall_s(*command: str) -> float:
    """How long a command takes, in seconds."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def first_decision_s() -> float:
    """Seconds from before `sightline run` was started until its first command was out."""
    with tempfile.TemporaryDirectory() as out:
        began_ns = time.monotonic_ns()
        command = [SIGHTLINE, "run", "--source", SOURCE, "--out", out, "--json"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return (_first_command_ns(Path(out)) - began_ns) / NS_PER_S


def _first_command_ns(out: Path) -> int:
    times = []
    for segment in out.glob("*/*.mcap"):
        with segment.open("rb") as stream:
            for _schema, _channel, message in make_reader(stream).iter_messages(topics=[LEDGER.name]):
                line: Disposition = LEDGER.decode(message.data)
                if line.disposition == "decided":
                    times.append(line.t_command_ns)
    return min(times)


QUESTIONS: dict[str, Callable[[], float]] = {
    "python": lambda: wall_s(sys.executable, "-c", "pass"),
    "imports": lambda: wall_s(sys.executable, "-c", "import numpy, cv2, onnxruntime"),
    "help": lambda: wall_s(SIGHTLINE, "--help"),
    "first_decision": first_decision_s,
}
LABELS = {
    "python": "an interpreter that does nothing",
    "imports": "one that imports numpy, cv2 and onnxruntime",
    "help": "sightline --help",
    "first_decision": "first decision of sightline run",
}
PROMISED_S = {"help": PROMISED_HELP_S, "first_decision": PROMISED_FIRST_DECISION_S}


def measure(runs: int) -> dict[str, dict[str, float]]:
    """Median, fastest and slowest of `runs` turns, in seconds, after one turn that nobody counts."""
    taken: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    for turn in range(runs + 1):
        for name, question in QUESTIONS.items():
            value = question()
            if turn:
                taken[name].append(value)
    return {
        name: {
            "median_s": round(statistics.median(values), 4),
            "fastest_s": round(min(values), 4),
            "slowest_s": round(max(values), 4),
        }
        for name, values in taken.items()
    }


def main() -> int:
    """Print the figures; 0 where both promises hold at the median, 1 where one does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=int, default=9, help="turns that count (default 9)")
    arguments = parser.parse_args()
    results = measure(arguments.runs)
    holds = all(results[name]["median_s"] <= promised for name, promised in PROMISED_S.items())
    report = {
        "benchmark": "startup",
        "machine": machine(),
        "date": today(),
        "runs": arguments.runs,
        "help_s": results["help"]["median_s"],
        "first_decision_s": results["first_decision"]["median_s"],
        "results": results,
        "promised_s": PROMISED_S,
        "holds": holds,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0 if holds else 1
    print(f"{report['machine']}, {report['date']}, medians of {arguments.runs}")
    for name, result in results.items():
        promise = f"  promised {PROMISED_S[name]:g} s" if name in PROMISED_S else ""
        print(
            f"{LABELS[name]:44} {result['median_s']:7.3f} s"
            f"  ({result['fastest_s']:.3f} to {result['slowest_s']:.3f}){promise}"
        )
    print(f"promise: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
