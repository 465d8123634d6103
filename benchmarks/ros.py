"""Does ROS 2's wire keep up? Two processes over DDS: pictures alone, then a car, a drive and a bridge.

On this machine's loopback, which has no link to lose on: what is lost, sockets and queues lost. Latencies are of the
host's CLOCK_MONOTONIC, one clock for all processes. Messages are written by us and by cyclonedds's own code, in turns.
Promise: of the car's pictures every one is decided upon, and the car keeps its lane.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, today
from ros_bridge import cdr
from ros_bridge.dds import DdsTransport
from ros_bridge.dds_types import dds_type
from ros_bridge.messages import (
    CompressedImage,
    Header,
    Image,
    Message,
    Odometry,
    PoseWithCovariance,
    TwistWithCovariance,
    time_of,
)
from ros_bridge.transport import SENSOR_DATA, SYSTEM_DEFAULT, Received
from runtime.contracts.units import NS_PER_MS, NS_PER_S

LOOPBACK = (
    '<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces></General>'
    "<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>"
    '<Peers><Peer address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>'
)
SIGHTLINE = str(Path(sysconfig.get_path("scripts")) / "sightline")
SCENARIO = "proving-ground://lane?seed=7&duration_s={seconds}"
SOURCE = "ros2://camera/image_raw?state=/odom&command=/ackermann_cmd&timeout_s=3&domain={domain}"
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Case:
    """Messages of one kind at one rate."""

    name: str
    kind: type[Message]
    rate_hz: float
    make: Callable[[int], Message]  # from its stamp in ns


def _raw(width: int, height: int) -> Callable[[int], Message]:
    pixels = np.random.default_rng(0).integers(0, 256, height * width * 3, np.uint8).tobytes()
    return lambda t_ns: Image(Header(time_of(t_ns), "camera"), height, width, "bgr8", 0, width * 3, pixels)


def _jpeg(t_ns: int) -> Message:
    return CompressedImage(Header(time_of(t_ns), "camera"), "jpeg", bytes(100_000))


def _odometry(t_ns: int) -> Message:
    return Odometry(Header(time_of(t_ns), "odom"), "base_link", PoseWithCovariance(), TwistWithCovariance())


CASES = (
    Case("odometry", Odometry, 200.0, _odometry),
    Case("JPEG of 100 kB", CompressedImage, 30.0, _jpeg),
    Case("JPEG of 100 kB", CompressedImage, 200.0, _jpeg),
    Case("raw 640x360", Image, 30.0, _raw(640, 360)),
    Case("raw 1280x720", Image, 30.0, _raw(1280, 720)),
)


def wire(case: Case, domain: int, seconds: float) -> dict[str, Any]:
    """Publish from a process of its own and count here."""
    latencies_ms: list[float] = []
    refused: list[str] = []
    told_lost = 0

    def take(received: Received) -> None:
        nonlocal told_lost
        now_ns = time.monotonic_ns()
        told_lost += received.lost
        message: Any = received.message
        if message is None:
            refused.append(received.refusal)
        else:
            latencies_ms.append((now_ns - message.header.stamp.ns) / NS_PER_MS)

    transport = DdsTransport(domain)
    transport.subscribe("/bench", case.kind, SENSOR_DATA, take, _MAX_BYTES)
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    index = CASES.index(case)
    process = context.Process(target=_publish, args=(index, domain, seconds, told))
    process.start()
    sent, cpu_ms = told.get(timeout=60 + seconds)
    process.join()
    transport.close()
    p99 = statistics.quantiles(latencies_ms, n=100)[98] if len(latencies_ms) > 1 else float("nan")
    return {
        "message": case.name,
        "rate_hz": case.rate_hz,
        "sent": sent,
        "received": len(latencies_ms),
        "lost": sent - len(latencies_ms),
        "told_lost": told_lost,
        "refused": len(refused),
        "latency_p50_ms": round(statistics.median(latencies_ms), 2) if latencies_ms else None,
        "latency_p99_ms": round(p99, 2),
        "publish_cpu_ms": round(cpu_ms, 3),
    }


def _publish(index: int, domain: int, seconds: float, told: Any) -> None:
    """The publishing process: on the beat, and a second of rest at the end for what is under way."""
    case = CASES[index]
    transport = DdsTransport(domain)
    publication = transport.advertise("/bench", case.kind, SYSTEM_DEFAULT)
    while not publication.listeners():
        time.sleep(0.01)
    time.sleep(0.3)  # the listener has to have seen us, too
    period_ns, count, cpu_ns = round(NS_PER_S / case.rate_hz), round(seconds * case.rate_hz), 0
    origin_ns = time.monotonic_ns()
    for number in range(count):
        time.sleep(max(0, origin_ns + number * period_ns - time.monotonic_ns()) / NS_PER_S)
        before_ns = time.thread_time_ns()
        publication.publish(case.make(time.monotonic_ns()))
        cpu_ns += time.thread_time_ns() - before_ns
    time.sleep(1.0)
    transport.close()
    told.put((count, cpu_ns / count / NS_PER_MS))


def serialising() -> list[dict[str, Any]]:
    """What it takes to write a message: ours, and cyclonedds's own, in turns."""
    rows = []
    for case in (CASES[1], CASES[4]):
        message: Any = case.make(0)
        ways: tuple[Callable[[], bytes], ...] = (partial(cdr.encode, message), _native(message))
        ours_ms: list[float] = []
        theirs_ms: list[float] = []
        for _ in range(15):
            for taken_ms, write in zip((ours_ms, theirs_ms), ways, strict=True):
                began_ns = time.perf_counter_ns()
                write()
                taken_ms.append((time.perf_counter_ns() - began_ns) / NS_PER_MS)
        rows.append(
            {
                "message": case.name,
                "ours_ms": round(statistics.median(ours_ms), 3),
                "cyclonedds_ms": round(statistics.median(theirs_ms), 3),
            }
        )
    return rows


def _native(message: Any) -> Callable[[], bytes]:
    """cyclonedds's own serialisation of a message: the type's machine, which `dds_type` goes around."""
    described = dds_type(type(message))

    def filled(part: Any) -> Any:
        if not isinstance(part, Message):
            return part
        kind = dds_type(type(part))
        one = kind.__new__(kind)
        for name in part.__dataclass_fields__:  # type: ignore[attr-defined]
            setattr(one, name, filled(getattr(part, name)))
        return one

    sample = filled(message)
    return lambda: bytes(described.__idl__.serialize(sample, use_version_2=False))


def drive(domain: int, seconds: float) -> dict[str, Any]:
    """A car, `sightline run` and `sightline bridge`, each a process (the drive has two)."""
    with tempfile.TemporaryDirectory() as out:
        car = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ros_car", "--domain", str(domain), "--scenario",
             SCENARIO.format(seconds=seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        bridge = subprocess.Popen(
            [SIGHTLINE, "bridge", "--run", out, "--domain", str(domain), "--wait-s", "30", "--json"],
            stdout=subprocess.PIPE,
        )
        command = [SIGHTLINE, "run", "--source", SOURCE.format(domain=domain), "--out", out, "--json"]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        bridged = json.loads(bridge.communicate(timeout=30)[0])
        told = json.loads(car.communicate(timeout=30)[0])
        return {"car": told, "bridge": bridged, "drive": json.loads(run.stdout)}


def report(seconds: float) -> dict[str, Any]:
    """Everything, measured now."""
    domain = 1 + os.getpid() % 230
    wires = [wire(case, domain, seconds) for case in CASES]
    driven = drive(domain, 4 * seconds)
    car, summary = driven["car"], driven["drive"]
    holds = (
        summary["decided"] == car["pictures"] and car["ended"] == "duration" and car["largest_lateral_offset_m"] < 0.9
    )
    return {
        "benchmark": "ros",
        "machine": machine(),
        "date": today(),
        "wire": wires,
        "serialising": serialising(),
        "driven": driven,
        "holds": holds,
    }


def tables(told: dict[str, Any]) -> str:
    """The report in Markdown."""
    lines = [f"{told['machine']}, {told['date']}", ""]
    lines += [
        "| message | Hz | sent | received | lost, and told of | p50 | p99 | publish, CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in told["wire"]:
        count = f"{row['sent']} | {row['received']} | {row['lost']}, {row['told_lost']}"
        times = f"{row['latency_p50_ms']} ms | {row['latency_p99_ms']} ms | {row['publish_cpu_ms']} ms"
        lines.append(f"| {row['message']} | {row['rate_hz']:g} | {count} | {times} |")
    lines += ["", "| to write a message | ours | cyclonedds's own |", "|---|---|---|"]
    lines += [f"| {row['message']} | {row['ours_ms']} ms | {row['cyclonedds_ms']} ms |" for row in told["serialising"]]
    car, summary = told["driven"]["car"], told["driven"]["drive"]
    heard, latency = car["heard"], car["latency_ms"]
    lines += [
        "",
        "| a car of the proving ground | sent | arrived | p50 from the picture | p99 |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| pictures, raw 640x360, {car['pictures'] / car['seconds']:.0f} Hz | {car['pictures']} | "
              f"{summary['frames']}, {summary['decided']} decided upon | | |"]  # fmt: skip
    for name, sent in (
        ("commands", summary["decided"]),
        ("maps", told["driven"]["bridge"]["published"].get("attribution", 0)),
        ("overlays", told["driven"]["bridge"]["published"].get("overlay", 0)),
    ):
        times = latency.get(name, {"p50": float("nan"), "p99": float("nan")})
        lines.append(f"| {name} | {sent} | {heard.get(name, 0)} | {times['p50']:.1f} ms | {times['p99']:.1f} ms |")
    lines += ["", f"The car was at most {car['largest_lateral_offset_m']:.2f} m from its lane's centre; it ended by "
              f"{car['ended']}."]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    """Print the figures; 0 where the promise holds, 1 where it does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ros", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each case; the car drives four times as long (5)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        os.environ.setdefault("CYCLONEDDS_URI", LOOPBACK)
        told = report(arguments.seconds)
        sys.stdout.write((json.dumps(told, indent=2) if arguments.json else tables(told)) + "\n")
        return 0 if told["holds"] else 1
    return 2


if __name__ == "__main__":
    sys.exit(main())
