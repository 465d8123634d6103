"""The bridge over DDS, without ROS: what `sightline bridge` runs by default."""

from __future__ import annotations

from collections.abc import Callable

from ros_bridge.address import domain_of_environment
from ros_bridge.bridge import Bridge
from runtime.bus.viewed import BridgeOptions, BridgeReport, ViewedRun
from runtime.contracts.clock import SystemClock
from runtime.contracts.errors import UsageError


def bridge(run: ViewedRun, options: BridgeOptions, stopped: Callable[[], bool]) -> BridgeReport:
    """Bridge a run until it is over or `stopped`. Raises UsageError without cyclonedds, LinkError without a network."""
    try:
        from ros_bridge.dds import DdsTransport
    except ImportError as error:
        raise UsageError(
            f"bridging over DDS needs cyclonedds, which is not here ({error}); in a checkout of Sightline: python -m "
            "pip install '.[dds]'"
        ) from error
    domain = domain_of_environment() if options.domain is None else options.domain
    one = Bridge(run, options, DdsTransport(domain, sim_time=options.sim_time), SystemClock())
    try:
        return one.serve(stopped)
    finally:
        one.close()
