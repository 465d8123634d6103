"""Does the reference policy keep its lane, and stop? `python -m benchmarks.closed_loop [--minutes 10] [--json]`

`export.closed_loop` on the committed weights, beside the expert on the same roads: the policy's largest offset means
something only against what a driver who knows the road leaves. Promise: on every road no departure in ten simulated
minutes, and a stop without contact behind every stopped lead. Deterministic for one engine fingerprint.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import onnxruntime

from export.closed_loop import DEFAULT_MODEL, LANE_SEEDS, STOP_SEEDS, Verdict, judge, table
from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation


def experts_largest_offset_m(seed: int, minutes: float) -> float:
    """The expert's largest absolute lateral offset in m on a `lane` road."""
    simulation = Simulation(replace(scenario_by_name("lane", seed), duration_s=minutes * 60.0))
    largest = 0.0
    while simulation.end is None:
        largest = max(largest, abs(simulation.truth_of(simulation.car).lateral_offset_m))
        simulation.step(simulation.expert_control())
    return largest


def report(verdict: Verdict, minutes: float) -> dict[str, object]:
    """The verdict with the machine and the baseline beside it."""
    return {
        "benchmark": "closed_loop",
        "machine": f"{platform.machine()}, Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}",
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "minutes": minutes,
        "experts_largest_lateral_offset_m": {
            str(drive.seed): round(experts_largest_offset_m(drive.seed, minutes), 3) for drive in verdict.lanes
        },
        **msgspec.to_builtins(verdict),
        "holds": verdict.held,
    }


def main() -> int:
    """Print the figures; 0 where the promise holds, 1 where it does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--minutes", type=float, default=10.0, help="simulated minutes per road (default 10)")
    parser.add_argument("--processes", type=int, default=2, help="drives at the same time (default 2)")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    verdict = judge(arguments.model, arguments.minutes, LANE_SEEDS, STOP_SEEDS, arguments.processes)
    figures = report(verdict, arguments.minutes)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print(f"{figures['machine']}, {figures['date']}")
        print(table(verdict))
        print(f"the expert's largest offset on the same roads, m: {figures['experts_largest_lateral_offset_m']}")
    return 0 if verdict.held else 1


if __name__ == "__main__":
    sys.exit(main())
