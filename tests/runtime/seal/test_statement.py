"""Seals and leaves files as bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.seal.leaves_file import (
    Leaves,
    LeavesError,
    SealedChunk,
    SealedMessage,
    leaves_bytes,
    parse_leaves,
)
from runtime.seal.statement import (
    ClosingSeal,
    FileHash,
    Moment,
    Seal,
    SealedGap,
    SegmentSeal,
    StatementError,
    TombstoneSeal,
    parse_seal,
    printable,
    seal_payload,
)

MOMENT = Moment("boot", 1, 2, None)
SEGMENT = SegmentSeal(
    drive_id="drive",
    number=0,
    previous="",
    key_id="ab",
    sightline_version="0",
    moment=MOMENT,
    segment=3,
    file_name="segment-0003.mcap",
    file=FileHash(10, "cd"),
    leaves_file=FileHash(20, "ef"),
    root="00",
    messages=4,
    topics={"/decision": 4},
    gaps=[SealedGap("session", 1, None, "lost")],
    first_log_time_ns=5,
    last_log_time_ns=6,
    header_sha256="",
    ended="open",
    recovered=True,
    late=False,
    files={"model.onnx": FileHash(1, "aa")},
)
CLOSING = ClosingSeal("drive", 1, "ff", "ab", "0", MOMENT, 1, "in order")
TOMBSTONE = TombstoneSeal(
    drive_id="drive",
    number=2,
    previous="ff",
    key_id="ab",
    sightline_version="0",
    moment=MOMENT,
    segment=3,
    file_name="segment-0003.mcap",
    file=FileHash(10, "cd"),
    root="00",
    messages=4,
    first_log_time_ns=5,
    last_log_time_ns=6,
    reason="room was short",
    freed_bytes=30,
    gone={"model.onnx": FileHash(1, "aa")},
)
LEAVES = Leaves(
    b"s" * 32,
    tuple(SealedMessage(bytes([n]) * 32, f"/topic/{n % 2}", n, 1000 + n) for n in range(5)),
    (SealedChunk(8, 100, 0), SealedChunk(100, 180, 3)),
    (b"b" * 32,),
)


@pytest.mark.parametrize("seal", [SEGMENT, CLOSING, TOMBSTONE], ids=["segment", "closing", "tombstone"])
def test_a_seal_is_read_as_it_was_written_in_one_spelling(seal: Seal) -> None:
    payload = seal_payload(seal)
    assert parse_seal(payload) == seal
    assert payload == json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "0"),
        ("number", True),
        ("number", 10**400),
        ("messages", 1.5),
        ("drive_id", None),
        ("drive_id", "\ud800"),
        ("drive_id", "drive\x1b[2J"),
        ("ended", "perhaps"),
        ("file", [1, 2]),
        ("gaps", {"a": 1}),
        ("files", {"model.onnx": 3}),
        ("kind", "other"),
        ("moment", None),
    ],
)
def test_a_field_that_is_of_another_type_is_refused(field: str, value: object) -> None:
    fields = dataclasses.asdict(SEGMENT)
    with pytest.raises(StatementError):
        parse_seal(json.dumps({**fields, field: value}).encode())
    del fields[field]
    if field != "files":  # the one with a default
        with pytest.raises(StatementError):
            parse_seal(json.dumps(fields).encode())


def test_a_seal_with_a_field_of_a_later_version_is_read() -> None:
    fields = {**dataclasses.asdict(CLOSING), "added_later": [1]}
    assert parse_seal(json.dumps(fields).encode()) == CLOSING


@given(st.binary(max_size=300))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StatementError):
        parse_seal(data)
    with pytest.raises(LeavesError):
        parse_leaves(data)


def test_leaves_are_read_as_they_were_written() -> None:
    assert parse_leaves(leaves_bytes(LEAVES)) == LEAVES


@given(st.data())
def test_a_leaves_file_with_a_changed_byte_is_refused_or_another(data: st.DataObject) -> None:
    sealed = bytearray(leaves_bytes(LEAVES))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(LeavesError):
        assert parse_leaves(bytes(sealed)) != LEAVES
    cut = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(LeavesError):
        parse_leaves(leaves_bytes(LEAVES)[:cut])


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("/decision é") == "/decision é"
    assert printable("a\x1b[2Jb\ud800") == "a\\x1b[2Jb\\ud800"
