"""MCAP records straight from bytes: of a journal, or of a chunk's content.

The library's readers build an object per field; a replay at 20 times real time and a recovery want offsets. Layout:
one byte opcode, eight bytes length, content (https://mcap.dev/spec).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.regular_file import open_regular

MAGIC = b"\x89MCAP0\r\n"
OP_HEADER, OP_FOOTER, OP_SCHEMA, OP_CHANNEL, OP_MESSAGE = 0x01, 0x02, 0x03, 0x04, 0x05
OP_DATA_END = 0x0F
LARGEST_CHUNK_BYTES = 1 << 28  # decompressed; a damaged or forged chunk may claim, and hold, any amount
LARGEST_MESSAGE_BYTES = LARGEST_CHUNK_BYTES - (1 << 21)  # so that a chunk has room for it and those before it

CHANNEL_BYTES = 2  # what a message record begins with

_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_U16_U16 = struct.Struct("<HH")
_U32 = struct.Struct("<I")
_FIRST_PRIVATE = 0x80

Buffer = bytes | memoryview | mmap.mmap


@dataclass(frozen=True, slots=True)
class Found:
    """One record: its opcode and where its content lies in the buffer."""

    opcode: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel record, without its metadata."""

    id: int
    schema_id: int
    topic: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema record."""

    id: int
    name: str
    encoding: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message record."""

    channel_id: int
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: bytes


def records(buffer: Buffer, start: int, end: int) -> Iterator[Found]:
    """The whole records between two offsets, up to the data's end, a cut, or bytes that are no record."""
    position = start
    while position + _RECORD.size <= end:
        opcode, length = _RECORD.unpack_from(buffer, position)
        content = position + _RECORD.size
        position = content + length
        if position > end or opcode in (0, OP_DATA_END, OP_FOOTER):
            return
        if opcode > OP_DATA_END and opcode < _FIRST_PRIVATE:
            return
        yield Found(opcode, content, position)


def channel_id(buffer: Buffer, found: Found) -> int:
    """The channel of a message record, without reading more of it."""
    return int.from_bytes(buffer[found.start : found.start + 2], "little")


def message(buffer: Buffer, found: Found) -> Message:
    """A message record's fields. Raises struct.error on a record too short for them."""
    channel, sequence, log_time_ns, publish_time_ns = _MESSAGE.unpack_from(buffer, found.start)
    return Message(
        channel, sequence, log_time_ns, publish_time_ns, bytes(buffer[found.start + _MESSAGE.size : found.end])
    )


def channel(buffer: Buffer, found: Found) -> Channel:
    """A channel record's fields. Raises struct.error or UnicodeDecodeError on bytes that are none."""
    number, schema_id = _U16_U16.unpack_from(buffer, found.start)
    topic, position = _text(buffer, found.start + 4)
    encoding, _ = _text(buffer, position)
    return Channel(number, schema_id, topic, encoding)


def schema(buffer: Buffer, found: Found) -> Schema:
    """A schema record's fields. Raises struct.error or UnicodeDecodeError on bytes that are none."""
    number = int.from_bytes(buffer[found.start : found.start + 2], "little")
    name, position = _text(buffer, found.start + 2)
    encoding, position = _text(buffer, position)
    (size,) = _U32.unpack_from(buffer, position)
    return Schema(number, name, encoding, bytes(buffer[position + 4 : position + 4 + size]))


def _text(buffer: Buffer, position: int) -> tuple[str, int]:
    (size,) = _U32.unpack_from(buffer, position)
    end = position + 4 + size
    return bytes(buffer[position + 4 : end]).decode(), end


@contextmanager
def mapped(path: Path) -> Iterator[Buffer]:
    """A file's bytes as of now, mapped and not read. Empty files give empty bytes. Raises OSError."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        if size == 0:
            yield b""
            return
        memory = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    try:
        yield memory
    finally:
        memory.close()
