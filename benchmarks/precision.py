"""What do float16 and INT8 change? `python -m benchmarks.precision [POLICY …] [--frames 64] [--json]`

Every form of the reference policies' committed weights against float32, on roads that calibrated nothing: size, time on
this CPU (interleaved passes, ratio and 95 % bootstrap interval), change of decision and of explanation. Promise: the
map of INT8 keeps a rank correlation of at least 0.95 (median) with float32's, and no form goes beyond the default drift
gates.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.machine import machine, today
from export.config import DriftGates
from export.frames import Frames, frames_of
from export.precision.drift import Drift, drift, refused
from export.precision.half import to_fp16
from export.precision.int8 import to_int8
from export.session import Session
from runtime.contracts.model import manifest_of

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
CALIBRATION, JUDGED_ON = "proving-ground://lane?seed=7", "proving-ground://lane?seed=9"


def policies() -> dict[str, Path]:
    """The reference policies whose weights are committed, by name."""
    paths = {path.stem: CONFIGS / f"{path.stem}.onnx" for path in sorted((CONFIGS / "models").glob("*.yaml"))}
    return {name: path for name, path in paths.items() if path.exists()}


def forms(onnx: bytes, calibration: Frames) -> Iterator[tuple[str, bytes]]:
    """Every form of a network, by name."""
    yield "float16", to_fp16(onnx, calibration)
    yield "INT8 for TensorRT", to_int8(onnx, calibration)
    yield "INT8 for TensorRT, rest float16", to_int8(onnx, calibration, rest="float16")
    yield "INT8 for ONNX Runtime", to_int8(onnx, calibration, "onnxruntime")


def measured(name: str, onnx: bytes, count: int) -> Iterator[tuple[str, str, Drift]]:
    """Each form of a network and what it changes."""
    manifest, specs = manifest_of(onnx, name), Session(onnx).inputs
    calibration, judged_on = (frames_of(manifest, specs, uri, count) for uri in (CALIBRATION, JUDGED_ON))
    for form, candidate in forms(onnx, calibration):
        yield name, form, drift(onnx, candidate, judged_on)


def line(name: str, form: str, found: Drift) -> str:
    """One row of the table."""
    first, explained = found.decisions[0], found.explanations[0]
    return (
        f"{name:10} {form:32} {found.candidate_bytes / found.reference_bytes:5.2f} "
        f"{found.speed.ratio:6.2f} ({found.speed.ratio_low:.2f} to {found.speed.ratio_high:.2f}) "
        f"{first.mean:9.5f} {first.p99:9.5f} {first.max:9.5f} {explained.median:8.3f} {explained.p5:7.3f}"
    )


def main() -> int:
    """Print the figures; 0 where every form passes the default gates, 1 where one does not."""
    known = policies()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__.partition("\n")[0])
    parser.add_argument("policies", nargs="*", metavar="POLICY", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--frames", type=int, default=64, help="to calibrate on, and as many to judge on (default 64)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.policies) - set(known))
    if unknown:
        parser.error(f"there is no reference policy {', '.join(unknown)}; there are {', '.join(known)}")
    rows = [
        row
        for name in arguments.policies or known
        for row in measured(name, known[name].read_bytes(), arguments.frames)
    ]
    holds = not any(refused(found, DriftGates()) for _, _, found in rows)
    if arguments.json:
        figures = {
            "benchmark": "precision",
            "machine": machine(),
            "date": today(),
            "calibration": CALIBRATION,
            "rows": [{"policy": name, "form": form, "drift": msgspec.to_builtins(found)} for name, form, found in rows],
            "holds": holds,
        }
        print(json.dumps(figures, indent=2))
    else:
        print(f"{machine()}, {today()}; calibrated on {CALIBRATION}, judged on {JUDGED_ON}")
        print(f"{'policy':10} {'form':32} size  time of float32's   mean      p99       max    map: median      p5")
        print("\n".join(line(*row) for row in rows))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
