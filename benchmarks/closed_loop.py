"""Do the reference policies keep their lane, and stop? `python -m benchmarks.closed_loop [POLICY …] [--minutes 10]`

`export.closed_loop` on the committed weights of each policy, on the same roads, beside the expert: a policy's largest
offset means something only against what a driver who knows the road leaves. Promise: on every road no departure in ten
simulated minutes, and a stop without contact behind every stopped lead. Deterministic for one engine fingerprint.
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

from export.closed_loop import LANE_SEEDS, STOP_SEEDS, Verdict, judge, table
from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def reference_policies() -> list[str]:
    """The reference policies by name: those whose weights are committed."""
    return sorted(path.stem for path in (CONFIGS / "models").glob("*.yaml") if _weights(path.stem).exists())


def experts_largest_offset_m(seed: int, minutes: float) -> float:
    """The expert's largest absolute lateral offset in m on a `lane` road."""
    simulation = Simulation(replace(scenario_by_name("lane", seed), duration_s=minutes * 60.0))
    largest = 0.0
    while simulation.end is None:
        largest = max(largest, abs(simulation.truth_of(simulation.car).lateral_offset_m))
        simulation.step(simulation.expert_control())
    return largest


def report(verdicts: dict[str, Verdict], minutes: float) -> dict[str, object]:
    """The verdicts by policy, with the machine and the baseline beside them."""
    return {
        "benchmark": "closed_loop",
        "machine": f"{platform.machine()}, Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}",
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "minutes": minutes,
        "experts_largest_lateral_offset_m": {
            str(seed): round(experts_largest_offset_m(seed, minutes), 3) for seed in LANE_SEEDS
        },
        "policies": {name: msgspec.to_builtins(verdict) for name, verdict in verdicts.items()},
        "holds": all(verdict.held for verdict in verdicts.values()),
    }


def main() -> int:
    """Print the figures; 0 where the promise holds for every policy that was asked for, 1 where it does not."""
    known = reference_policies()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__)
    parser.add_argument("policies", nargs="*", metavar="POLICY", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--minutes", type=float, default=10.0, help="simulated minutes per road (default 10)")
    parser.add_argument("--processes", type=int, default=2, help="drives at the same time (default 2)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.policies) - set(known))
    if unknown:
        parser.error(f"there is no reference policy {', '.join(unknown)}; there are {', '.join(known)}")
    verdicts = {
        name: judge(_weights(name), arguments.minutes, LANE_SEEDS, STOP_SEEDS, arguments.processes)
        for name in arguments.policies or known
    }
    figures = report(verdicts, arguments.minutes)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print(f"{figures['machine']}, {figures['date']}")
        for name, verdict in verdicts.items():
            print(f"\n{name}\n{table(verdict)}")
        print(f"\nthe expert's largest offset on the same roads, m: {figures['experts_largest_lateral_offset_m']}")
    return 0 if figures["holds"] else 1


def _weights(name: str) -> Path:
    return CONFIGS / f"{name}.onnx"


if __name__ == "__main__":
    sys.exit(main())
