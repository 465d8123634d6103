"""What Sightline says, as ROS messages that rosbags reads to the same values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags, the independent CDR, is not installed (extra: test)")

from hypothesis import given, settings
from hypothesis import strategies as st

from ros_bridge import cdr
from ros_bridge.messages import Message
from ros_bridge.outgoing import (
    ERROR,
    OK,
    STALE,
    WARN,
    describe,
    diagnostics_message,
    event_message,
    grid_message,
    overlay_message,
    status_of,
    trigger_message,
)
from runtime.contracts.clock import ClockTie
from runtime.contracts.config import packaged
from runtime.contracts.incident import Trigger
from runtime.contracts.messages import Attribution, Event, Health, Timestamp, recordable
from runtime.contracts.model import read_manifest
from tests.ros_bridge.samples import typestore

STORE = typestore()
TIE = ClockTie("boot", 1, 2, True)
TEXT = st.text(max_size=30)  # zeros and lone surrogates too
TIMES = st.integers(0, 2**31 * 10**9 - 1)


def read_by_rosbags(message: Message) -> Any:
    """The message as an independent reader sees it."""
    return STORE.deserialize_cdr(cdr.encode(message), message.ROS_TYPE)


def cleaned(text: str) -> str:
    return "".join("\ufffd" if one == "\0" else "?" if "\ud800" <= one <= "\udfff" else one for one in text)


@given(
    st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=5),
    TIMES,
    st.sampled_from(["front", ""]),
)
@settings(max_examples=100, deadline=None)
def test_a_map_is_an_image_of_floats_a_cell_a_pixel(rows: list[list[float]], t_ns: int, frame_id: str) -> None:
    values = tuple(tuple(recordable(value) for value in row) for row in rows)
    attribution = Attribution(0, t_ns, "image", "front", "m", "steering", values, 0, 0, 1, 1, 1, 1)
    image = read_by_rosbags(grid_message(attribution, t_ns, frame_id))
    assert (image.encoding, image.height, image.width, image.step) == ("32FC1", len(rows), 3, 12)
    assert image.header.stamp.sec * 10**9 + image.header.stamp.nanosec == t_ns
    assert np.array_equal(image.data.view("<f4").reshape(len(rows), 3), np.array(rows, "<f4"), equal_nan=True)


@given(st.integers(1, 5), st.tuples(TEXT, TEXT, TEXT), st.integers(-5, 2**40), TIMES)
@settings(max_examples=200, deadline=None)
def test_an_event_is_a_line_as_on_rosout(level: Any, texts: tuple[str, str, str], line: int, t_ns: int) -> None:
    text, name, kind = texts
    event = Event(Timestamp(*divmod(t_ns, 10**9)), level, text, name, kind, "a.py", line)
    log = read_by_rosbags(event_message(event))
    assert (log.level, log.msg, log.name, log.function) == (
        level * 10,
        cleaned(text),
        cleaned(f"sightline.{name}"),
        cleaned(kind),
    )
    assert log.stamp.sec * 10**9 + log.stamp.nanosec == t_ns


def test_what_sets_off_an_incident_is_a_warning() -> None:
    log = read_by_rosbags(trigger_message(Trigger("hard-brake", 5, 7, "6.1 m/s2"), 3 * 10**9))
    assert (log.level, log.name, log.function, log.msg) == (30, "sightline.incident", "hard-brake", "6.1 m/s2")


@pytest.mark.parametrize(
    ("before", "now", "silent_s", "level", "words"),
    [
        (None, Health("drive", TIE, decided=5), 0.5, OK, "as it should be"),
        (Health("drive", TIE, late=2), Health("drive", TIE, late=2), 0.5, OK, "as it should be"),
        (Health("drive", TIE, late=2), Health("drive", TIE, late=5, dropped=1), 0.5, WARN, "3 late, 1 dropped"),
        (Health("drive", TIE), Health("drive", TIE, late=1, link_lost=4), 0.5, ERROR, "1 late, 4 link lost"),
        (None, Health("recorder", TIE, degradation=2), 0.5, WARN, "saving room, step 2"),
        (None, Health("recorder", TIE, discarded=9), 0.5, ERROR, "9 discarded"),
        (None, Health("drive", TIE, late=5), 12.0, STALE, "no word for 12 s"),
    ],
)
def test_a_process_is_told_by_what_it_counted_since_its_last_account(
    before: Health | None, now: Health, silent_s: float, level: int, words: str
) -> None:
    told = read_by_rosbags(diagnostics_message((status_of(now, before, silent_s, 3.0),), 10**9))
    [status] = told.status
    assert (status.level, status.message, status.name) == (level, words, f"sightline: {now.process}")
    values = {one.key: one.value for one in status.values}
    assert values["late"] == str(now.late)
    assert "latency_p50_ms" not in values, "what is not known is left out"


def test_a_drives_description_tells_the_model_and_where_its_cells_lie() -> None:
    path = packaged("concepts.onnx")
    assert isinstance(path, Path)
    told = json.loads(read_by_rosbags(describe("drive-1", "a\0b", read_manifest(path))).data)
    assert told["model"]["name"] == "concepts"
    assert told["attribution"]["rows"] > 0
    assert {"origin_x_px", "stride_x_px", "target"} <= told["attribution"].keys()
    assert told["images"][0]["crop"]["bottom"] == 0.9
    assert json.loads(describe("drive-1", "source", None).data) == {"drive_id": "drive-1", "source": "source"}


def test_an_overlay_names_its_format_as_image_transport_does() -> None:
    message = read_by_rosbags(overlay_message(b"\xff\xd8", 5, "camera"))
    assert (message.format, message.header.frame_id, bytes(message.data)) == (
        "bgr8; jpeg compressed bgr8",
        "camera",
        b"\xff\xd8",
    )
