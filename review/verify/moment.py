"""Moments in UTC, for people."""

from __future__ import annotations

from datetime import datetime, timezone

_NS_PER_S = 1_000_000_000
_LAST_S = 253_402_300_799  # of the year 9999


def utc(utc_ns: int) -> str:
    """ISO 8601 to the millisecond, `2026-11-23T21:15:00.123Z`; a moment beyond the year 9999 in nanoseconds."""
    seconds, rest = divmod(utc_ns, _NS_PER_S)
    if not 0 <= seconds <= _LAST_S:
        return f"{utc_ns} ns"
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
