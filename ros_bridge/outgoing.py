"""What Sightline says, as ROS messages. Pure: one message in, one out."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ros_bridge.messages import (
    CompressedImage,
    DiagnosticArray,
    DiagnosticStatus,
    Header,
    Image,
    KeyValue,
    Log,
    String,
    time_of,
)
from ros_bridge.overlay import grid_of
from runtime.contracts.incident import Trigger
from runtime.contracts.messages import Attribution, Event, Health
from runtime.contracts.model import Manifest

OK, WARN, ERROR, STALE = 0, 1, 2, 3
_WARN_LEVEL = 30  # of rcl_interfaces/Log
_COUNTED = ("late", "dropped", "link_lost", "malformed", "refused", "discarded")
_LOST = ("link_lost", "discarded")  # what the record will lack


def overlay_message(jpeg: bytes, t_ns: int, frame_id: str) -> CompressedImage:
    """A drawn picture, coded as JPEG."""
    return CompressedImage(Header(time_of(t_ns), clean(frame_id)), "bgr8; jpeg compressed bgr8", jpeg)


def grid_message(attribution: Attribution, t_ns: int, frame_id: str) -> Image:
    """The map itself: an Image of 32FC1, a cell a pixel, row by row from the top, in the target's unit. Where the cells
    lie stands in the drive's description (`describe`).
    """
    values = grid_of(attribution).astype("<f4")
    rows, columns = values.shape
    return Image(
        Header(time_of(t_ns), clean(frame_id)), rows, columns, "32FC1", 0, columns * values.itemsize, values.tobytes()
    )


def event_message(event: Event) -> Log:
    """A line as on /rosout; its `function` is the event's kind."""
    t_ns = event.timestamp.sec * 1_000_000_000 + event.timestamp.nsec
    return Log(
        stamp=time_of(t_ns),
        level=event.level * 10,
        name=clean(f"sightline.{event.name}"),
        msg=clean(event.message),
        file=clean(event.file),
        function=clean(event.kind),
        line=max(0, min(event.line, 2**32 - 1)),
    )


def trigger_message(trigger: Trigger, t_ns: int) -> Log:
    """What sets off an incident, as a warning."""
    return Log(time_of(t_ns), _WARN_LEVEL, "sightline.incident", clean(trigger.reason), "", clean(trigger.kind), 0)


def status_of(health: Health, before: Health | None, silent_s: float, stale_s: float) -> DiagnosticStatus:
    """A process's account of itself. What was counted up since the account before it makes a warning; what the record
    will lack makes an error; silence makes it stale.
    """
    grown = {
        name: getattr(health, name) - (getattr(before, name) if before is not None else 0)
        for name in _COUNTED
        if getattr(health, name) > (getattr(before, name) if before is not None else 0)
    }
    level, words = OK, "as it should be"
    if grown or health.degradation:
        told = [f"{count} {name.replace('_', ' ')}" for name, count in grown.items()]
        told += [f"saving room, step {health.degradation}"] if health.degradation else []
        level, words = (ERROR if set(grown) & set(_LOST) else WARN), ", ".join(told)
    if silent_s > stale_s:
        level, words = STALE, f"no word for {silent_s:.0f} s"
    told_values = {
        name: value
        for name in health.__struct_fields__
        if name not in ("process", "clock_tie") and (value := getattr(health, name)) is not None
    }
    return DiagnosticStatus(level, clean(f"sightline: {health.process}"), words, "sightline", values_of(told_values))


def values_of(told: dict[str, Any]) -> tuple[KeyValue, ...]:
    """Names and values as a diagnostic's lines."""
    return tuple(
        KeyValue(name, f"{value:g}" if isinstance(value, float) else clean(str(value))) for name, value in told.items()
    )


def diagnostics_message(statuses: tuple[DiagnosticStatus, ...], t_ns: int) -> DiagnosticArray:
    """All processes together."""
    return DiagnosticArray(Header(time_of(t_ns)), statuses)


def describe(drive_id: str, source_uri: str, manifest: Manifest | None) -> String:
    """What does not change in a drive, as JSON: its name and source, the model, and where its map's cells lie."""
    told: dict[str, Any] = {"drive_id": drive_id, "source": source_uri}
    if manifest is not None:
        told["model"] = {"name": manifest.name, "graph_sha256": manifest.graph_sha256}
        told["attribution"] = msgspec.to_builtins(manifest.attribution)
        told["images"] = msgspec.to_builtins(manifest.images)
    return String(clean(json.dumps(told)))


def clean(text: str) -> str:
    """A text that ROS can carry: without zeros, and valid UTF-8."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
