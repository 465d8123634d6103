"""How many pictures a second does one core render? `python -m benchmarks.render [--json]`

The proving ground at 640x360, one OpenCV thread, every frame of a drive (the expert moves the car, outside the clock).
Promise: at least 60 frames/s of one core's time at the median in every scenario. Core time is the thread's own, so that
other work on the machine does not count; the wall's figures stand beside it. The baseline of the same run is a Gaussian
blur of the same picture, so that figures of different machines can be compared.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time

import cv2
import numpy as np

from proving_ground.catalogue import scenario_by_name
from proving_ground.simulation import Simulation

PROMISED_FRAMES_PER_S = 60.0
SCENARIOS = ("lane", "tree-shadows", "low-sun", "stopped-lead", "worn-into-sun")


def measure(name: str, frames: int) -> dict[str, float]:
    """Times of `frames` pictures of one scenario, and of the baseline between them."""
    simulation = Simulation(scenario_by_name(name, 7))
    picture = simulation.observe().picture
    core_s, wall_s, baseline_s = [], [], []
    for _ in range(frames):
        core, wall = time.thread_time(), time.perf_counter()
        picture = simulation.picture_at(simulation.car)
        core_s.append(time.thread_time() - core)
        wall_s.append(time.perf_counter() - wall)
        core = time.thread_time()
        cv2.GaussianBlur(picture, (0, 0), 3.0)
        baseline_s.append(time.thread_time() - core)
        simulation.step(simulation.expert_control())
    median_s = float(np.median(core_s))
    return {
        "frames": frames,
        "frames_per_s": round(1.0 / median_s, 1),
        "median_ms": round(median_s * 1e3, 3),
        "p99_ms": round(float(np.quantile(core_s, 0.99)) * 1e3, 3),
        "wall_median_ms": round(float(np.median(wall_s)) * 1e3, 3),
        "wall_p99_ms": round(float(np.quantile(wall_s, 0.99)) * 1e3, 3),
        "ratio_to_baseline": round(median_s / float(np.median(baseline_s)), 2),
    }


def main() -> int:
    """Print the figures; 0 where the promise holds, 1 where it does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--frames", type=int, default=300, help="pictures per scenario (default 300)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    results = {name: measure(name, arguments.frames) for name in SCENARIOS}
    slowest = min(result["frames_per_s"] for result in results.values())
    holds = slowest >= PROMISED_FRAMES_PER_S
    report = {
        "benchmark": "render",
        "machine": f"{platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}",
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "size": "640x360",
        "threads": 1,
        "scenarios": results,
        "slowest_frames_per_s": slowest,
        "promised_frames_per_s": PROMISED_FRAMES_PER_S,
        "holds": holds,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['machine']}, {report['date']}, 640x360, one thread")
        for name, result in results.items():
            print(
                f"{name:16} {result['frames_per_s']:7.1f} frames/s  median {result['median_ms']:6.2f} ms  "
                f"p99 {result['p99_ms']:6.2f} ms  {result['ratio_to_baseline']:.2f} x a Gaussian blur"
            )
        print(f"promise {PROMISED_FRAMES_PER_S:g} frames/s: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
