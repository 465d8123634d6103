"""The durable link's messages as bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts import link
from runtime.contracts.errors import LinkError
from runtime.contracts.link import (
    Acknowledge,
    Finish,
    Finished,
    Hello,
    LossNotice,
    MessageSet,
    Payload,
    PictureRef,
    ToDrive,
    ToRecorder,
)
from runtime.contracts.messages import Gap

A_SET = MessageSet("s", 7, 5, -3, (Payload("/event", -1, -3, 9, b"\x00\xff"),), (PictureRef("front", 0, 2, 3),))


@pytest.mark.parametrize(
    "message",
    [A_SET, LossNotice("s", Gap("s", 3, 9, "slow")), Hello("s", "/proc/1/fd/3", 8, 4096, 0), Finish("s", 12)],
)
def test_what_is_sent_to_the_recorder_arrives(message: ToRecorder) -> None:
    assert link.decode_to_recorder(link.encode(message)) == message


@pytest.mark.parametrize("message", [Acknowledge("s", 3, 32, True), Finished("s")])
def test_what_is_sent_to_the_driving_process_arrives(message: ToDrive) -> None:
    assert link.decode_to_drive(link.encode(message)) == message


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_a_link_error_and_nothing_else(data: bytes) -> None:
    for decode in (link.decode_to_recorder, link.decode_to_drive):
        with pytest.raises(LinkError, match="no message"):
            decode(data)


@given(st.data())
def test_a_set_that_was_damaged_on_the_way_is_a_link_error_or_another_set(data: st.DataObject) -> None:
    damaged = bytearray(link.encode(A_SET))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        link.decode_to_recorder(bytes(damaged))
    except LinkError:
        return


@pytest.mark.parametrize("kept_bytes", range(len(link.encode(A_SET))))
def test_a_set_that_was_cut_is_refused(kept_bytes: int) -> None:
    with pytest.raises(LinkError):
        link.decode_to_recorder(link.encode(A_SET)[:kept_bytes])


@pytest.mark.parametrize(
    "fields",
    [
        ["set", "s", -1, 0, 0, [], []],
        ["set", "", 0, 0, 0, [], []],
        ["set", "s" * 129, 0, 0, 0, [], []],
        ["set", "s", 0, 0, 0, [], [["front", -1, 2, 3]]],
        ["set", "s", 0, 0, 0, [], [["front", 0, 2, 1 << 40]]],
        ["set", "s", 0, 0, 0, [["", 0, 0, 0, b""]], []],
        ["hello", "s", "", -1, 0, 0],
        ["finish", "s", -1],
    ],
)
def test_numbers_and_names_out_of_bounds_are_refused(fields: list[object]) -> None:
    with pytest.raises(LinkError):
        link.decode_to_recorder(msgspec.msgpack.encode(fields))


def test_deeply_nested_garbage_is_refused() -> None:
    with pytest.raises(LinkError):
        link.decode_to_recorder(b"\x91" * 100_000)
