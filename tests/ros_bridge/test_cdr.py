"""Messages as bytes, against rosbags, which has CDR of its own."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

pytest.importorskip("rosbags", reason="rosbags, the independent CDR, is not installed (extra: test)")

from hypothesis import given, settings
from hypothesis import strategies as st

from ros_bridge import cdr
from ros_bridge.foreign import taken_over
from ros_bridge.messages import (
    TOP_LEVEL,
    AckermannDrive,
    AckermannDriveStamped,
    CompressedImage,
    DiagnosticArray,
    Header,
    Image,
    Message,
    Odometry,
    String,
    Time,
    TwistStamped,
)
from runtime.contracts.errors import SourceError
from tests.ros_bridge.samples import messages, typestore

STORE = typestore()
ANY = st.one_of([messages(kind) for kind in TOP_LEVEL])
HEADER = Header(Time(1, 2), "camera")


@given(ANY)
@settings(max_examples=300, deadline=None)
def test_what_we_write_rosbags_reads_and_writes_the_same_bytes(message: Message) -> None:
    data = cdr.encode(message)
    theirs = STORE.deserialize_cdr(data, message.ROS_TYPE)
    assert taken_over(type(message), theirs) == message
    assert bytes(STORE.serialize_cdr(theirs, message.ROS_TYPE)) == data


@given(ANY, st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_rosbags_writes_in_either_byte_order_we_read(message: Message, little: bool) -> None:
    theirs = STORE.deserialize_cdr(cdr.encode(message), message.ROS_TYPE)
    data = STORE.serialize_cdr(theirs, message.ROS_TYPE, little_endian=little)
    assert cdr.decode(type(message), data) == message


def test_numbers_that_are_none_cross_the_wire_as_they_are() -> None:
    sent = AckermannDriveStamped(HEADER, AckermannDrive(math.nan, math.inf, -math.inf))
    drive = cdr.decode(AckermannDriveStamped, cdr.encode(sent)).drive
    assert math.isnan(drive.steering_angle)
    assert (drive.steering_angle_velocity, drive.speed) == (math.inf, -math.inf)


@given(ANY, st.data())
@settings(max_examples=300, deadline=None)
def test_a_message_that_is_cut_anywhere_is_refused(message: Message, data: st.DataObject) -> None:
    whole = cdr.encode(message)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(SourceError, match="this is no"):
        cdr.decode(type(message), whole[:cut])


@given(st.sampled_from(TOP_LEVEL), st.binary(max_size=400), st.booleans())
@settings(max_examples=500, deadline=None)
def test_bytes_that_are_anything_are_refused_or_read_and_never_raise_anything_else(
    kind: type[Message], data: bytes, headed: bool
) -> None:
    try:
        cdr.decode(kind, b"\0\1\0\0" + data if headed else data)
    except SourceError:
        return


@given(ANY, st.data())
@settings(max_examples=300, deadline=None)
def test_a_message_with_one_byte_changed_is_refused_or_read(message: Message, data: st.DataObject) -> None:
    changed = bytearray(cdr.encode(message))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        cdr.decode(type(message), changed)
    except SourceError:
        return


@pytest.mark.parametrize("kind", [TwistStamped, CompressedImage, DiagnosticArray, String, AckermannDriveStamped])
def test_another_type_on_the_topic_is_refused(kind: type[Message]) -> None:
    sent = cdr.encode(Image(HEADER, 2, 2, "bgr8", 0, 6, bytes(range(12))))
    with pytest.raises(SourceError, match=f"this is no {kind.ROS_TYPE}.*another type"):
        cdr.decode(kind, sent)


def test_padding_to_four_bytes_is_taken_and_more_is_refused() -> None:
    data = cdr.encode(String("abcd"))
    assert cdr.decode(String, data + b"\0\0\0") == String("abcd")
    with pytest.raises(SourceError, match="4 of its 17 bytes are left over"):
        cdr.decode(String, data + b"\0\0\0\0")


def test_a_message_beyond_the_bound_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(SourceError, match="a std_msgs/msg/String of 1001 bytes; at most 1000 are taken"):
        cdr.decode(String, bytes(1001), max_bytes=1000)


@pytest.mark.parametrize("kind", [String, Image, DiagnosticArray])
def test_a_length_that_cannot_be_true_takes_no_memory(kind: type[Message]) -> None:
    lie = struct.pack("<4xI", 0xFFFFFFF0)
    with pytest.raises(SourceError, match="this is no"):
        cdr.decode(kind, b"\0\1\0\0" + lie[4:] * 30)


@pytest.mark.parametrize("encapsulation", [b"\0\2\0\0", b"\0\7\0\0", b"\0\x0b\0\0", b"\1\0\0\0"])
def test_an_encapsulation_that_ros_does_not_use_is_refused(encapsulation: bytes) -> None:
    with pytest.raises(SourceError, match="not CDR"):
        cdr.decode(String, encapsulation + cdr.encode(String("a"))[4:])


@pytest.mark.parametrize(
    "message",
    [
        String("a\0b"),
        String("\ud800"),
        Image(HEADER, -1, 1, "", 0, 0, b""),
        Image(HEADER, 1, 1, "", 256, 0, b""),
        AckermannDriveStamped(HEADER, AckermannDrive(1e300)),
    ],
)
def test_a_value_that_its_field_cannot_hold_is_refused(message: Message) -> None:
    with pytest.raises(SourceError):
        cdr.encode(message)


def test_a_message_of_ros_1_is_taken_over_without_its_sequence() -> None:
    from rosbags.typesys import Stores, get_typestore

    noetic = get_typestore(Stores.ROS1_NOETIC)
    types: dict[str, Any] = noetic.types
    header = types["std_msgs/msg/Header"](7, types["builtin_interfaces/msg/Time"](3, 4), "base")
    vector = types["geometry_msgs/msg/Vector3"]
    theirs = types["geometry_msgs/msg/TwistStamped"](
        header, types["geometry_msgs/msg/Twist"](vector(1.0, 2.0, 3.0), vector(4.0, 5.0, 6.0))
    )
    ours = taken_over(TwistStamped, theirs)
    assert ours.header == Header(Time(3, 4), "base")
    assert (ours.twist.linear.x, ours.twist.angular.z) == (1.0, 6.0)


def test_a_foreign_message_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(SourceError, match=r"a str is no nav_msgs/msg/Odometry"):
        taken_over(Odometry, "no message")
