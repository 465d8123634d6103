"""cyclonedds's types of ROS messages.

Bytes are ours (`ros_bridge.cdr`): cyclonedds's own code takes hundreds of times as long for a raw picture. It is told
the true fields all the same, since participants compare them before they talk.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

from cyclonedds.idl import make_idl_struct, types

from ros_bridge.messages import Message, Primitive

_PRIMITIVES: dict[str, Any] = {
    "B": types.uint8,
    "i": types.int32,
    "I": types.uint32,
    "f": types.float32,
    "d": types.float64,
}
# Made generic by a metaclass, which type checkers do not see.
_ARRAY: Any = types.array
_SEQUENCE: Any = types.sequence
_TYPES: dict[type[Message], Any] = {}


def dds_type_name(type_name: str) -> str:
    """`sensor_msgs/msg/Image` as DDS writes it."""
    package, _, name = type_name.split("/")
    return f"{package}::msg::dds_::{name}_"


def ros_type(type_name: str) -> str:
    """A DDS type name as ROS writes it; one that is none of ROS's stays as it is."""
    match = re.fullmatch(r"(\w+)::msg::dds_::(\w+)_", type_name)
    return f"{match.group(1)}/msg/{match.group(2)}" if match else type_name


def dds_type(kind: type[Message]) -> Any:
    """cyclonedds' type of a message: its name and fields for the handshake; its instances carry bytes (`payload`) that
    are written already, or not yet read.
    """
    if kind in _TYPES:
        return _TYPES[kind]
    hints = get_type_hints(kind, include_extras=True)
    fields = {name: _field(hint) for name, hint in hints.items() if get_origin(hint) is not ClassVar}
    described: Any = make_idl_struct(kind.__name__, dds_type_name(kind.ROS_TYPE), fields)
    described.serialize = lambda sample, **_version: sample.payload
    described.deserialize = staticmethod(lambda data, **_version: carrying(described, data))
    _TYPES[kind] = described
    return described


def carrying(described: Any, payload: bytes) -> Any:
    """An instance of such a type that carries these bytes."""
    sample = described.__new__(described)
    sample.payload = payload
    return sample


def _field(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        layout = get_args(hint)[1]
        number = _PRIMITIVES[layout.code]
        return number if isinstance(layout, Primitive) else _ARRAY[number, layout.length]
    if hint is str:
        return str
    if hint is bytes:
        return _SEQUENCE[types.uint8]
    if get_origin(hint) is tuple:
        return _SEQUENCE[dds_type(get_args(hint)[0])]
    return dds_type(hint)
