"""Messages as bytes: CDR as ROS 2 puts it on DDS and into rosbag2 (OMG DDSI-RTPS 10.2, plain CDR of DDS-XTypes 7.4.1).

Four bytes of encapsulation, then the fields in their order, each aligned to its own size from there on. Written
little-endian; both orders are read. Images are one block that is copied, not a list of numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from ros_bridge.messages import Array, M, Message, Primitive
from runtime.contracts.errors import SourceError

_LITTLE, _BIG = b"\x00\x01", b"\x00\x00"
_HEAD_BYTES = 4
_MAX_PADDING_BYTES = 3  # DDS rounds a message up to four bytes

Write = Callable[["_Writer", Any], None]
Read = Callable[["_Reader"], Any]

_CODECS: dict[type[Message], tuple[Write, Read]] = {}


def encode(message: Message) -> bytes:
    """A message's bytes, encapsulation included. Raises SourceError on a value that its field cannot hold."""
    writer = _Writer()
    try:
        _codec(type(message))[0](writer, message)
    except (struct.error, OverflowError, UnicodeEncodeError) as error:
        raise SourceError(f"a {message.ROS_TYPE} cannot be written: {error}") from error
    return bytes(writer.buffer)


def decode(kind: type[M], data: bytes | bytearray | memoryview, *, max_bytes: int = 64 * 2**20) -> M:
    """The message of type `kind` in some bytes.

    Raises:
        SourceError: where there are more than `max_bytes`, or they are no such message: cut, with something left over
            (another type), or in an encoding that ROS 2 does not use.
    """
    if len(data) > max_bytes:
        raise SourceError(f"a {kind.ROS_TYPE} of {len(data)} bytes; at most {max_bytes} are taken")
    reader = _Reader(kind.ROS_TYPE, memoryview(data))
    message: M = _codec(kind)[1](reader)
    reader.refuse_rest()
    return message


class _Writer:
    """Bytes that grow; alignment counts from behind the encapsulation."""

    def __init__(self) -> None:
        self.buffer = bytearray(_LITTLE + b"\0\0")

    def align(self, size: int) -> None:
        self.buffer += bytes(-(len(self.buffer) - _HEAD_BYTES) % size)

    def numbers(self, code: str, *values: Any) -> None:
        self.align(struct.calcsize(f"<{code[-1]}"))
        self.buffer += struct.pack(f"<{code}", *values)

    def block(self, data: bytes) -> None:
        self.numbers("I", len(data))
        self.buffer += data


class _Reader:
    """A place in bytes that may be anything. Every step looks first whether so much is left."""

    def __init__(self, ros_type: str, data: memoryview) -> None:
        self._type = ros_type
        self._data = data
        order = bytes(data[:2])
        if len(data) < _HEAD_BYTES or order not in (_LITTLE, _BIG):
            self.refuse(f"{len(data)} bytes that begin with {bytes(data[:_HEAD_BYTES]).hex() or 'nothing'}, not CDR")
        self._order = "<" if order == _LITTLE else ">"
        self._at = _HEAD_BYTES

    def refuse(self, problem: str) -> NoReturn:
        raise SourceError(f"this is no {self._type}: {problem}; does the topic carry another type?")

    def refuse_rest(self) -> None:
        left = len(self._data) - self._at
        if left > _MAX_PADDING_BYTES:
            self.refuse(f"{left} of its {len(self._data)} bytes are left over")

    def take(self, count: int) -> memoryview:
        if count > len(self._data) - self._at:
            self.refuse(f"it ends after {len(self._data)} bytes, {count} more are wanted at {self._at}")
        start, self._at = self._at, self._at + count
        return self._data[start : self._at]

    def numbers(self, code: str) -> tuple[Any, ...]:
        self._at += -(self._at - _HEAD_BYTES) % struct.calcsize(f"<{code[-1]}")
        layout = f"{self._order}{code}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def count(self, least_bytes: int) -> int:
        """A length that can be true: so many elements of `least_bytes` are left at all."""
        count: int = self.numbers("I")[0]
        if count * least_bytes > len(self._data) - self._at:
            self.refuse(f"it tells of {count} elements where {len(self._data) - self._at} bytes are left")
        return count


def _codec(kind: type[Message]) -> tuple[Write, Read]:
    """How a type is written and read, made once."""
    if kind not in _CODECS:
        _CODECS[kind] = _made(kind)
    return _CODECS[kind]


def _made(kind: type[Any]) -> tuple[Write, Read]:
    hints = get_type_hints(kind, include_extras=True)
    parts = [(field.name, *_codec_of(hints[field.name])) for field in fields(kind)]

    def write(writer: _Writer, message: Any) -> None:
        for name, write_part, _ in parts:
            write_part(writer, getattr(message, name))

    def read(reader: _Reader) -> Any:
        return kind(*[read_part(reader) for _, _, read_part in parts])

    return write, read


def _codec_of(hint: Any) -> tuple[Write, Read]:
    if get_origin(hint) is Annotated:
        layout = get_args(hint)[1]
        return _primitive(layout) if isinstance(layout, Primitive) else _array(layout)
    if hint is str:
        return _write_text, _read_text
    if hint is bytes:
        return _Writer.block, lambda reader: bytes(reader.take(reader.count(1)))
    if get_origin(hint) is tuple:
        return _sequence(get_args(hint)[0])
    return _codec(hint)


def _primitive(layout: Primitive) -> tuple[Write, Read]:
    code = layout.code
    return (lambda writer, value: writer.numbers(code, value)), (lambda reader: reader.numbers(code)[0])


def _array(layout: Array) -> tuple[Write, Read]:
    code = f"{layout.length}{layout.code}"
    return (lambda writer, values: writer.numbers(code, *values)), (lambda reader: reader.numbers(code))


def _sequence(element: type[Message]) -> tuple[Write, Read]:
    write_one, read_one = _codec(element)

    def write(writer: _Writer, values: tuple[Message, ...]) -> None:
        writer.numbers("I", len(values))
        for value in values:
            write_one(writer, value)

    return write, lambda reader: tuple(read_one(reader) for _ in range(reader.count(1)))


def _write_text(writer: _Writer, text: str) -> None:
    data = text.encode()
    if b"\0" in data:
        raise SourceError(f"a text for ROS holds a zero: {text[:80]!r}")
    writer.block(data + b"\0")


def _read_text(reader: _Reader) -> str:
    data = bytes(reader.take(reader.count(1)))
    if data[-1:] not in (b"", b"\0") or b"\0" in data[:-1]:
        reader.refuse(f"a text of {len(data)} bytes that does not end with its only zero")
    return data[:-1].decode(errors="replace")
