"""What a figure was measured on, and when: every report carries both."""

from __future__ import annotations

import datetime
import os
import platform

from runtime.engines.processor import cpu


def machine() -> str:
    """Processor, cores that this process may use, system, and Python's version."""
    model = cpu().partition(" [")[0]
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def today() -> str:
    """The date in UTC, e.g. 2026-11-23."""
    return datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
