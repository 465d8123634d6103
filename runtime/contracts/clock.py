"""Time. Control maths runs on `t_source_ns`, latency on the host's monotonic clock; UTC only names moments.

`t_source_ns` is when the light fell in: a driver's timestamp, a file's time, a simulated time. Its zero is the
source's own.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Literal, Protocol

import msgspec

ClockDomain = Literal["real", "file", "simulated"]
"""Where `t_source_ns` comes from: a running camera, times stored in a file, or a simulation."""

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 1024  # larger than struct timex on every Linux; modes = 0 only reads


class Clock(Protocol):
    """The host's clocks, passed in so that a test can hold them."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds: for latency."""
        ...

    def utc_ns(self) -> int:
        """Nanoseconds since the Unix epoch: for naming moments, never for differences."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """CLOCK_REALTIME in nanoseconds."""
        return time.time_ns()


class ClockTie(msgspec.Struct, frozen=True):
    """One moment on all clocks of the host, so that monotonic times of one boot can be named in UTC."""

    boot_id: str  # "" where the kernel does not tell
    monotonic_ns: int
    utc_ns: int
    utc_synchronised: bool | None  # None where the kernel does not tell


def tie(clock: Clock) -> ClockTie:
    """Read the clocks of `clock` together with the boot's identity and whether UTC is disciplined."""
    return ClockTie(_boot_id(), clock.monotonic_ns(), clock.utc_ns(), _utc_synchronised())


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _utc_synchronised() -> bool | None:
    """The kernel's word on whether NTP or PTP disciplines the clock (adjtimex(2)), None where it cannot be asked."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state = int(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return None if state < 0 else state != _TIME_ERROR
