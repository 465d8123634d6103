"""Moments in UTC, for people, and how long a record lasts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

_NS_PER_S = 1_000_000_000
_LAST_S = 253_402_300_799  # of the year 9999


@dataclass(frozen=True)
class Span:
    """The log times of one segment's messages, both ends included."""

    segment: int
    first_ns: int
    last_ns: int


def lasting_s(spans: Iterable[Span]) -> float:
    """How long these segments last. What lies between two of which one follows the other counts; of what was between
    others nothing is there.
    """
    total_ns, before = 0, None
    for one in sorted(spans, key=lambda span: span.segment):
        follows = before is not None and one.segment == before.segment + 1
        begin_ns = before.last_ns if follows and before is not None else one.first_ns
        total_ns += max(0, one.last_ns - begin_ns)
        before = one
    return total_ns / _NS_PER_S


def utc(utc_ns: int) -> str:
    """ISO 8601 to the millisecond, `2026-11-23T21:15:00.123Z`; a moment beyond the year 9999 in nanoseconds."""
    seconds, rest = divmod(utc_ns, _NS_PER_S)
    if not 0 <= seconds <= _LAST_S:
        return f"{utc_ns} ns"
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
