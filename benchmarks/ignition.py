"""How long does a drive take to end in order when the ignition goes off, and what does it cost to cut it off instead?

A drive in real time is ended at random moments of its segments. *Off*: SIGTERM, as systemd or `docker stop` send it;
the time until the command is gone, with everything sealed. *Cut*: every process of it is killed at once; how many
frames whose decision a viewer had seen are not in the record that is left, and how long it takes to take that up. A
cut of the power loses what was not synced as well, which a kill does not show: `record.sync_ms` bounds it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine, today
from runtime.bus.publisher import Subscriber
from runtime.contracts.topics import LEDGER
from runtime.record.drive import open_drive
from runtime.supervise.plan import RunPlan
from runtime.supervise.running import runs

SOURCE = "proving-ground://lane?seed=7&duration_s=3600&width=640&height=360"
CONFIG = "jetson-orin-csi.yaml"  # its segments and its retention; this machine's engine
LONGEST_START_S = 60.0


class Drive:
    """A drive under way, and a viewer of it."""

    def __init__(self, folder: Path) -> None:
        text = (Path(__file__).parents[1] / "configs" / CONFIG).read_text(encoding="utf-8")
        file = folder / "here.yaml"
        file.write_text(text.replace("backend: tensorrt", "backend: onnxruntime"), encoding="utf-8")
        self.home = {**os.environ, "XDG_DATA_HOME": str(folder)}
        command = [
            sys.executable,
            "-m",
            "sightline",
            "run",
            str(file),
            "--source",
            SOURCE,
            "--out",
            str(folder / "drives"),
        ]
        self.process = subprocess.Popen(command, env=self.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.plan = self._plan(folder)
        self._viewer = Subscriber(
            [self.plan.viewers], [LEDGER.name], LEDGER.viewer_queue, self.plan.credentials("marker")
        )

    def _plan(self, folder: Path) -> RunPlan:
        given_up_s = time.monotonic() + LONGEST_START_S
        while time.monotonic() < given_up_s and self.process.poll() is None:
            for plan in runs():
                if Path(plan.drive_dir).is_relative_to(folder.resolve()):
                    return plan
        self.process.kill()
        raise SystemExit("the drive did not start; try `sightline run` by hand")

    def watch(self, seconds: float) -> int:
        """The sequence of the last frame whose line in the ledger was seen, `seconds` after the first."""
        seen, until_s = -1, time.monotonic() + LONGEST_START_S
        while time.monotonic() < until_s:
            message = self._viewer.receive(100)
            if message is not None and message.topic == LEDGER.name:
                if seen < 0:
                    until_s = time.monotonic() + seconds
                seen = LEDGER.decode(message.data).frame_id.sequence
        return seen

    def switch_off(self) -> float:
        """Seconds from SIGTERM until the command has ended."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return time.monotonic() - began_s

    def cut_off(self) -> None:
        """Kill all of its processes; the supervisor is held first, so that it starts none again."""
        self.process.send_signal(signal.SIGSTOP)
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        for child in (*map(int, children), pid):
            os.kill(child, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Forget it."""
        self._viewer.close()


def off(folder: Path, seconds: float) -> float:
    """One drive, ended in order; seconds until it had."""
    drive = Drive(folder)
    drive.watch(seconds)
    took_s = drive.switch_off()
    drive.close()
    if drive.process.returncode != 0:
        raise SystemExit(f"a drive that was asked to end did so with exit code {drive.process.returncode}")
    return took_s


def cut(folder: Path, seconds: float) -> tuple[int, float]:
    """One drive, killed; the frames that a viewer had seen and the record lacks, and seconds to take up the rest."""
    drive = Drive(folder)
    seen = drive.watch(seconds)
    drive.cut_off()
    drive.close()
    began_s = time.monotonic()
    command = [sys.executable, "-m", "sightline", "recover", str(folder / "drives"), "--json"]
    subprocess.run(command, env=drive.home, stdout=subprocess.DEVNULL, check=False)
    took_s = time.monotonic() - began_s
    lines = (message.decode() for message in open_drive(Path(drive.plan.drive_dir)).messages(LEDGER))
    last = max((line.frame_id.sequence for line in lines), default=-1)
    return max(0, seen - last), took_s


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ignition", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=int, default=10, help="drives for each (default 10)")
    parser.add_argument("--longest-s", type=float, default=40.0, help="a drive takes up to so long (default 40)")
    arguments = parser.parse_args()
    moments = random.Random(7)
    stops, losses, recoveries = [], [], []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            stops.append(off(Path(folder), moments.uniform(1.0, arguments.longest_s)))
        with tempfile.TemporaryDirectory() as folder:
            lost, took_s = cut(Path(folder), moments.uniform(1.0, arguments.longest_s))
            losses.append(lost)
            recoveries.append(took_s)
    report = {
        "benchmark": "ignition",
        "machine": machine(),
        "date": today(),
        "runs": arguments.runs,
        "off_s": {"median": round(sorted(stops)[len(stops) // 2], 2), "longest": round(max(stops), 2)},
        "cut_lost_frames": {"median": sorted(losses)[len(losses) // 2], "most": max(losses)},
        "recovery_s": {
            "median": round(sorted(recoveries)[len(recoveries) // 2], 2),
            "longest": round(max(recoveries), 2),
        },
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0
    print(
        f"{report['machine']}, {report['date']}, {arguments.runs} drives each of 1 to {arguments.longest_s:g} s, 20 Hz"
    )
    print(f"off: ended in order in {report['off_s']} s")
    print(f"cut: frames seen and not in the record {report['cut_lost_frames']}")
    print(f"     taken up again in {report['recovery_s']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
