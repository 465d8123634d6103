"""What does everything around the network cost a decision: capture to command beside bare preprocessing and inference?

Both sides read the same video in real time, one frame each 50 ms, so that caches and clocks are as cold as on a
vehicle. The bare side crops, resizes and runs the network with its attribution; the other side is `sightline run` as it
is: decision chain, viewers' socket, durable link, recorder. They take turns, a few seconds each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import machine, today
from proving_ground.catalogue import scenario_by_uri
from proving_ground.simulation import Simulation
from runtime.contracts.clock import SystemClock
from runtime.contracts.config import default_config
from runtime.contracts.engine import EngineRequest
from runtime.contracts.messages import Disposition
from runtime.contracts.model import read_manifest
from runtime.contracts.source import Capture, SourceRequest
from runtime.contracts.topics import LEDGER
from runtime.engines.check import zeros
from runtime.engines.onnx import open_engine
from runtime.preprocess import preprocess
from runtime.record.drive import open_drive
from runtime.sources.open import open_source
from runtime.sources.pacing import paced

PROMISED_RATIO = 1.25
FRAME_RATE_HZ = 20
WARM_UP_FRAMES = 20  # caches, clocks and queues settle; nobody counts them


def write_video(path: Path, seconds: int) -> None:
    """A drive of the expert's road, rendered at 640x360."""
    simulation = Simulation(scenario_by_uri(f"proving-ground://lane?seed=5&duration_s={seconds}"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FRAME_RATE_HZ, (640, 360))
    while simulation.end is None:
        writer.write(simulation.observe().picture)
        simulation.step(simulation.expert_control())
    writer.release()


def bare_us(video: str) -> list[float]:
    """Capture to outputs of the network, in microseconds, frame by frame."""
    cv2.setNumThreads(1)
    config = default_config()
    model = Path(config.model)
    manifest = read_manifest(model)
    engine = open_engine(
        EngineRequest(model, config.engine.providers, config.engine.threads, config.engine.optimisation)
    )
    inputs = zeros(engine.inputs)
    clock = SystemClock()
    taken = []
    source = open_source(SourceRequest(video, manifest.cameras, "real-time"))
    for delivery in paced(source, manifest.cameras, "real-time", clock):
        if isinstance(delivery.item, Capture):
            for image in manifest.images:
                inputs[image.name] = preprocess(delivery.item.pictures[image.camera], image)
            engine.run(inputs)
            taken.append((clock.monotonic_ns() - delivery.t_capture_ns) / 1000)
    return taken[WARM_UP_FRAMES:]


def drive_us(video: str, out: Path) -> list[float]:
    """Capture to command of `sightline run`, in microseconds, as the ledger has it."""
    command = [sys.executable, "-m", "sightline", "run", "--source", video, "--pacing", "real-time", "--json"]
    done = subprocess.run([*command, "--out", str(out)], stdout=subprocess.PIPE, check=True)
    lines: list[Disposition] = [
        message.decode() for message in open_drive(Path(json.loads(done.stdout)["drive"])).messages(LEDGER)
    ]
    decided = [line for line in lines if line.disposition == "decided"]
    return [(line.t_command_ns - line.t_capture_ns) / 1000 for line in decided][WARM_UP_FRAMES:]


def measure(turns: int, seconds: int) -> dict[str, list[float]]:
    """Latencies of both sides over all turns, in microseconds."""
    bare: list[float] = []
    drive: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "road.mp4"
        write_video(video, seconds)
        for turn in range(turns):
            asked = [sys.executable, "-m", "benchmarks.overhead", "--bare", str(video)]
            bare += json.loads(subprocess.run(asked, stdout=subprocess.PIPE, check=True).stdout)
            drive += drive_us(str(video), Path(folder) / str(turn))
    return {"bare": bare, "drive": drive}


def main() -> int:
    """Print the figures; 0 where the promise holds at the median, 1 where it does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--seconds", type=int, default=6, help="length of a turn (default 6)")
    parser.add_argument("--bare", metavar="VIDEO", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(bare_us(arguments.bare)))
        return 0
    taken = measure(arguments.turns, arguments.seconds)
    figures = {
        side: {
            "p50_us": round(statistics.median(us), 1),
            "p99_us": round(float(np.percentile(us, 99)), 1),
            "n": len(us),
        }
        for side, us in taken.items()
    }
    ratio = figures["drive"]["p50_us"] / figures["bare"]["p50_us"]
    report = {
        "benchmark": "overhead",
        "machine": machine(),
        "date": today(),
        "results": figures,
        "ratio_p50": round(ratio, 3),
        "promised_ratio_p50": PROMISED_RATIO,
        "holds": ratio <= PROMISED_RATIO,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['machine']}, {report['date']}")
        for side, row in figures.items():
            print(f"{side:6} p50 {row['p50_us']:8.1f} us   p99 {row['p99_us']:8.1f} us   n {row['n']}")
        verdict = "holds" if report["holds"] else "does not hold"
        print(f"ratio of the medians {ratio:.3f}, promised {PROMISED_RATIO}: {verdict}")
    return 0 if report["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
