"""The Udacity simulator's `driving_log.csv`, line by line: centre, left, right, steering, throttle, brake, speed.

Steering is normalised, 1.0 = 25 degrees of the road wheels to the RIGHT (the simulator's maximum steer angle); speed is
in mph.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PureWindowsPath

from runtime.contracts.errors import SourceError
from runtime.contracts.units import NS_PER_MS, NS_PER_S, mps_from_mph, rad_from_deg
from runtime.sources.timeline import Timeline

_COLUMNS = ("center", "left", "right", "steering", "throttle", "brake", "speed")
_FULL_STEERING_RIGHT_DEG = 25.0
_STAMP = re.compile(r"_(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{1,3})(?=\.[A-Za-z]+$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, converted. Images are base names of center, left and right; "" where the line names none."""

    number: int  # in the file, from 1
    images: tuple[str, str, str]
    stamp_ns: int | None  # the time in the centre image's name; None where it carries none
    steering_angle_rad: float
    throttle_ratio: float
    brake_ratio: float
    speed_mps: float


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is none of a log, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Timed:
    """A line with its time from the log's first; `problem` says why its frame cannot be used, "" where it can."""

    line: LogLine | BadLine
    t_source_ns: int
    problem: str


def parse_log(text: str, where: str) -> list[LogLine | BadLine]:
    """The lines of a log, with or without a header; blank ones are skipped.

    Raises SourceError where not one line can be read, naming what is wrong with the first.
    """
    lines: list[LogLine | BadLine] = []
    order: Sequence[int] = range(len(_COLUMNS))
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip():
            continue
        cells = _cells(raw)
        header = _header_order(cells) if not lines else None
        if header is not None:
            order = header
            continue
        lines.append(_line(number, cells, order))
    if not any(isinstance(line, LogLine) for line in lines):
        first = lines[0] if lines else None
        why = f"line {first.number}: {first.reason}" if isinstance(first, BadLine) else "it has no line of data"
        raise SourceError(f"{where} is no log of the Udacity simulator ({', '.join(_COLUMNS)}): {why}")
    return lines


def timed(lines: Sequence[LogLine | BadLine], period_ns: int) -> list[Timed]:
    """Give every line its time: that in its image's name, from the first one on, as `Timeline` places it.

    Where no line carries a time, all are `period_ns` apart.
    """
    stamps = [line.stamp_ns for line in lines if isinstance(line, LogLine) and line.stamp_ns is not None]
    if not stamps:
        return [Timed(line, i * period_ns, _bad(line)) for i, line in enumerate(lines)]
    timeline = Timeline(period_ns)
    return [_placed(line, stamps[0], timeline) for line in lines]


def _placed(line: LogLine | BadLine, origin_ns: int, timeline: Timeline) -> Timed:
    stamp_ns = line.stamp_ns if isinstance(line, LogLine) else None
    if stamp_ns is None:
        problem = _bad(line) or f"line {line.number}: there is no time in its image's name"
        return Timed(line, timeline.last_ns or 0, problem)
    t_source_ns, problem = timeline.place(stamp_ns - origin_ns)
    return Timed(line, t_source_ns, problem and f"line {line.number}: {problem}")


def _bad(line: LogLine | BadLine) -> str:
    return f"line {line.number}: {line.reason}" if isinstance(line, BadLine) else ""


def _cells(raw: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([raw], skipinitialspace=True))]
    except (csv.Error, StopIteration):
        return []


def _header_order(cells: list[str]) -> Sequence[int] | None:
    names = [cell.lower() for cell in cells]
    return [names.index(column) for column in _COLUMNS] if set(_COLUMNS) <= set(names) else None


def _line(number: int, cells: list[str], order: Sequence[int]) -> LogLine | BadLine:
    if len(cells) <= max(order):
        return BadLine(number, f"{len(cells)} columns of {len(_COLUMNS)}")
    center, left, right, *figures = [cells[i] for i in order]
    values = []
    for column, text in zip(_COLUMNS[3:], figures, strict=True):
        value = _number(text)
        if value is None:
            return BadLine(number, f"{column} is {text[:40]!r}, not a number")
        values.append(value)
    steering, throttle, brake, speed_mph = values
    images = (_base_name(center), _base_name(left), _base_name(right))
    return LogLine(
        number=number,
        images=images,
        stamp_ns=_stamp_ns(images[0]),
        steering_angle_rad=0.0 - steering * rad_from_deg(_FULL_STEERING_RIGHT_DEG),
        throttle_ratio=throttle,
        brake_ratio=brake,
        speed_mps=mps_from_mph(speed_mph),
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _base_name(path: str) -> str:
    # Windows takes both slashes for separators, so this reads the paths of either system.
    return PureWindowsPath(path).name


def _stamp_ns(image: str) -> int | None:
    match = _STAMP.search(image)
    if match is None:
        return None
    *fields, milliseconds = match.groups()
    try:
        moment = datetime(*map(int, fields), tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    return round(moment.timestamp()) * NS_PER_S + int(milliseconds) * NS_PER_MS
