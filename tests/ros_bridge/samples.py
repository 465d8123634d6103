"""Arbitrary ROS messages, and rosbags' own idea of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ros_bridge.messages import Array, DiagnosticStatus, Message

_ACKERMANN = {
    "ackermann_msgs/msg/AckermannDrive": (
        "float32 steering_angle\nfloat32 steering_angle_velocity\nfloat32 speed\nfloat32 acceleration\nfloat32 jerk"
    ),
    "ackermann_msgs/msg/AckermannDriveStamped": "std_msgs/Header header\nackermann_msgs/AckermannDrive drive",
}
_RANGES = {"B": (0, 2**8 - 1), "i": (-(2**31), 2**31 - 1), "I": (0, 2**32 - 1)}


def typestore() -> Any:
    """rosbags' types of ROS 2 Humble, with ackermann_msgs as its own repository defines them."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in _ACKERMANN.items():
        store.register(get_types_from_msg(text, name))
    return store


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Any message of a type that the wire can carry."""
    hints = get_type_hints(kind, include_extras=True)
    drawn = {field.name: _field(hints[field.name]) for field in fields(kind)}  # type: ignore[arg-type]
    if kind is DiagnosticStatus:
        drawn["level"] = st.integers(0, 3)  # all that are defined; rosbags takes `byte` for signed, rosidl for an octet
    return st.builds(kind, **drawn)


def _field(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is Annotated:
        layout = get_args(hint)[1]
        one = _number(layout.code)
        return st.tuples(*[one] * layout.length) if isinstance(layout, Array) else one
    if hint is str:
        return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
    if hint is bytes:
        return st.binary(max_size=100)
    if get_origin(hint) is tuple:
        return st.lists(messages(get_args(hint)[0]), max_size=3).map(tuple)
    return messages(hint)


def _number(code: str) -> st.SearchStrategy[Any]:
    if code in "fd":
        return st.floats(width=32 if code == "f" else 64, allow_nan=False)
    return st.integers(*_RANGES[code])
