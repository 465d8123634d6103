"""`sightline bridge`: show a running drive to another world: ROS 2."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.commands import console
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.bus.publisher import Subscriber
    from runtime.bus.viewed import BridgeReport, ViewedRun
    from runtime.supervise.plan import RunPlan

SUMMARY = "give a running drive's overlay, map, events and health to ROS 2"
EXAMPLE = "sightline bridge --domain 0"
_LOOK_AGAIN_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--run",
        type=Path,
        metavar="DRIVE",
        help="the drive's folder or that of its drives, where several runs are under way",
    )
    parser.add_argument(
        "--over", default="dds", metavar="NAME", help="dds, or what a package registers, as rclpy (dds)"
    )
    parser.add_argument("--domain", type=int, metavar="N", help="the DDS domain (default: ROS_DOMAIN_ID, else 0)")
    parser.add_argument("--namespace", default="sightline", metavar="NAME", help="before the topics (sightline)")
    parser.add_argument(
        "--frame-id", default="", metavar="NAME", help="of pictures and maps (default: the camera's name)"
    )
    parser.add_argument("--sim-time", action="store_true", help="take the time of diagnostics from /clock")
    parser.add_argument("--wait-s", type=float, default=0.0, metavar="S", help="wait so long for a run to begin (0)")


def run(args: argparse.Namespace) -> int:
    """Bridge until the run is over or Ctrl-C."""
    import signal
    import threading

    from runtime.bus.viewed import BridgeOptions
    from runtime.contracts import registry

    bridge = registry.load("sightline.bridges", args.over)
    options = BridgeOptions(args.namespace, args.frame_id, args.domain, args.sim_time)
    plan = _plan(args.run, args.wait_s)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    report: BridgeReport = bridge(_viewed(plan), options, over.is_set)
    if args.json:
        console.emit_json(report)
    else:
        given = ", ".join(f"{count} {name}" for name, count in sorted(report.published.items()))
        console.emit(f"gave on {given}; {report.refused} could not be, {report.malformed} were no messages")
    return ExitCode.YES


def _viewed(plan: RunPlan) -> ViewedRun:
    from contextlib import suppress

    from runtime.bus.publisher import Subscriber
    from runtime.bus.viewed import ViewedRun
    from runtime.contracts.errors import SourceError
    from runtime.sources.location import without_password
    from runtime.sources.open import source_name
    from runtime.supervise.running import is_over

    def listen(topics: Iterable[str], queue: int) -> Subscriber:
        return Subscriber((plan.viewers, plan.pictures), topics, queue, plan.credentials("marker"))

    source_uri = without_password(plan.source_uri)  # bridges tell it to their world
    name = ""
    with suppress(SourceError):  # a path that was named from another folder, or is gone
        name = source_name(plan.source_uri)
    return ViewedRun(plan.drive_id, source_uri, name, plan.model_path, listen, lambda: is_over(plan))


def _plan(wanted: Path | None, wait_s: float) -> RunPlan:
    """The run, once it is there. Raises LinkError where there is none in time."""
    import time

    from runtime.contracts.errors import LinkError

    given_up_s = time.monotonic() + wait_s
    while True:
        try:
            return _find(wanted)
        except LinkError:
            if time.monotonic() >= given_up_s:
                raise
        time.sleep(_LOOK_AGAIN_S)


def _find(wanted: Path | None) -> RunPlan:
    """As `find_run`; a folder that holds drives names the newest run that records into it."""
    from runtime.supervise.running import find_run, runs

    folder = None if wanted is None else wanted.resolve()
    within = [plan for plan in runs() if Path(plan.drive_dir).parent == folder]
    return within[-1] if within else find_run(wanted)
