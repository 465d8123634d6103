"""A ROS 2 car for `benchmarks.ros` and the tests: the proving ground's, on DDS, in a process of its own.

It publishes a camera and odometry at the scenario's rate, in real time, and drives on under the newest
AckermannDriveStamped that it hears. It listens to what Sightline publishes, and says at its end what came.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Any

import cv2

from proving_ground.catalogue import scenario_by_uri
from proving_ground.simulation import Simulation
from ros_bridge import messages as ros
from ros_bridge.dds import DdsTransport
from ros_bridge.transport import COMMAND, EVENTS, SENSOR_DATA, STATIC, SYSTEM_DEFAULT, Quality, Received
from runtime.contracts.units import NS_PER_MS, NS_PER_S
from runtime.contracts.vehicle import Control

CAMERA, ODOMETRY, COMMANDS = "/camera/image_raw", "/odom", "/ackermann_cmd"
HEARD: dict[str, tuple[str, type[ros.Message], Quality]] = {
    "overlays": ("/sightline/overlay/compressed", ros.CompressedImage, SENSOR_DATA),
    "maps": ("/sightline/attribution", ros.Image, SENSOR_DATA),
    "diagnostics": ("/diagnostics", ros.DiagnosticArray, SYSTEM_DEFAULT),
    "events": ("/sightline/events", ros.Log, EVENTS),
    "descriptions": ("/sightline/drive", ros.String, STATIC),
}
_MAX_BYTES = 64 * 2**20


class Ears:
    """Counts what comes, with its latency from the picture of the same stamp."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latencies_ms: dict[str, list[float]] = {"commands": [], "overlays": [], "maps": []}
        self.sent_ns: dict[int, int] = {}
        self.newest: ros.AckermannDrive | None = None
        self.refused: Counter[str] = Counter()

    def on(self, name: str, received: Received) -> None:
        """From the transport's thread."""
        message: Any = received.message
        if message is None:
            self.refused[received.refusal] += 1
            return
        self.counts[name] += 1
        if name == "commands":
            self.newest = message.drive
        if name in self.latencies_ms:
            sent_ns = self.sent_ns.get(message.header.stamp.ns)
            if sent_ns is not None:
                self.latencies_ms[name].append((time.monotonic_ns() - sent_ns) / NS_PER_MS)


def main() -> int:
    """Drive the scenario to its end, or to the end of standard input, and print what came."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ros_car", description=__doc__.partition("\n")[0])
    parser.add_argument("--scenario", default="proving-ground://lane?seed=7&duration_s=10")
    parser.add_argument("--domain", type=int, default=0)
    parser.add_argument("--compressed", action="store_true", help="publish JPEG instead of raw pictures")
    parser.add_argument("--wait-s", type=float, default=30.0, help="for somebody who listens to the camera")
    arguments = parser.parse_args()
    ears, transport = Ears(), DdsTransport(arguments.domain)
    for name, (topic, kind, quality) in HEARD.items():
        transport.subscribe(topic, kind, quality, partial(ears.on, name), _MAX_BYTES)
    transport.subscribe(COMMANDS, ros.AckermannDriveStamped, COMMAND, partial(ears.on, "commands"), 1024)
    ended = threading.Event()
    threading.Thread(target=_listen_for_the_end, args=(ended,), daemon=True).start()
    told = _drive(Simulation(scenario_by_uri(arguments.scenario)), transport, ears, ended, arguments)
    ended.wait(arguments.wait_s)  # what is under way arrives; whoever started this says when it has
    transport.close()
    print(json.dumps({**told, **_account(ears)}), flush=True)
    return 0


def _listen_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _drive(
    simulation: Simulation, transport: DdsTransport, ears: Ears, ended: threading.Event, arguments: argparse.Namespace
) -> dict[str, Any]:
    kind: type[ros.Message] = ros.CompressedImage if arguments.compressed else ros.Image
    camera = transport.advertise(CAMERA, kind, SYSTEM_DEFAULT)
    odometry = transport.advertise(ODOMETRY, ros.Odometry, SYSTEM_DEFAULT)
    frame_ns = round(NS_PER_S / simulation.scenario.frame_rate_hz)
    simulation.observe()  # textures are loaded before the clock runs
    given_up_ns = time.monotonic_ns() + round(arguments.wait_s * NS_PER_S)
    while not camera.listeners() and time.monotonic_ns() < given_up_ns and not ended.is_set():
        odometry.publish(_odometry(simulation, time.time_ns()))
        time.sleep(0.02)
    utc_origin_ns, origin_ns = time.time_ns(), time.monotonic_ns()
    pictures, late, largest_m = 0, 0, 0.0
    while simulation.end is None and not ended.is_set():
        seen = simulation.observe()
        stamp_ns = utc_origin_ns + simulation.t_source_ns
        picture = _picture(seen.picture, stamp_ns, arguments.compressed)
        odometry.publish(_odometry(simulation, stamp_ns))
        ears.sent_ns[stamp_ns] = time.monotonic_ns()
        camera.publish(picture)
        pictures += 1
        largest_m = max(largest_m, abs(seen.truth.lateral_offset_m))
        left_ns = origin_ns + simulation.t_source_ns + frame_ns - time.monotonic_ns()
        late += left_ns < 0
        time.sleep(max(0, left_ns) / NS_PER_S)
        simulation.step(_control(ears.newest, simulation.car.speed_mps, frame_ns / NS_PER_S))
    return {
        "pictures": pictures,
        "late": late,
        "seconds": (time.monotonic_ns() - origin_ns) / NS_PER_S,
        "ended": simulation.end or "stopped",
        "largest_lateral_offset_m": largest_m,
    }


def _picture(pixels: Any, stamp_ns: int, compressed: bool) -> ros.Message:
    header = ros.Header(ros.time_of(stamp_ns), "camera_optical_frame")
    if compressed:
        return ros.CompressedImage(header, "jpeg", cv2.imencode(".jpg", pixels)[1].tobytes())
    height, width, _ = pixels.shape
    return ros.Image(header, height, width, "bgr8", 0, width * 3, pixels.tobytes())


def _odometry(simulation: Simulation, stamp_ns: int) -> ros.Odometry:
    twist = ros.Twist(ros.Vector3(simulation.car.speed_mps), ros.Vector3())
    return ros.Odometry(
        ros.Header(ros.time_of(stamp_ns), "odom"), "base_link", ros.PoseWithCovariance(), ros.TwistWithCovariance(twist)
    )


def _control(drive: ros.AckermannDrive | None, speed_mps: float, period_s: float) -> Control:
    """What a controller of ackermann_msgs does: to the speed, by at most the acceleration's magnitude."""
    if drive is None:
        return Control(0.0, 0.0)
    wanted = (drive.speed - speed_mps) / period_s
    return Control(drive.steering_angle, max(-drive.acceleration, min(drive.acceleration, wanted)))


def _account(ears: Ears) -> dict[str, Any]:
    latencies = {
        name: {"p50": statistics.median(values), "p99": statistics.quantiles(values, n=100)[98], "max": max(values)}
        for name, values in ears.latencies_ms.items()
        if len(values) > 1
    }
    return {
        "heard": dict(ears.counts),
        "latency_ms": latencies,
        "refused": dict(ears.refused),
        "last_command": None if ears.newest is None else asdict(ears.newest),
    }


if __name__ == "__main__":
    sys.exit(main())
