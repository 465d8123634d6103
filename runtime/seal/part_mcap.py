"""The MCAP file of a part of a segment. Its every byte follows from the messages that are in it.

A message is proven by its leaf; an index, a statistic or an attachment is not, and a reader that goes by the index
shows what the index says. So a part has one spelling only (channels and schemas numbered as they come, chunks of 1 MiB
without compression, a full index, nothing else), and whoever verifies writes it once more and compares. Plain MCAP:
any reader opens it (https://mcap.dev/spec).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from runtime.record.scan import (
    MAGIC,
    OP_CHANNEL,
    OP_DATA_END,
    OP_FOOTER,
    OP_HEADER,
    OP_MESSAGE,
    OP_SCHEMA,
    Buffer,
    channel,
    message,
    records,
    schema,
)
from runtime.seal.leaf import channel_prefix, message_digest, schema_hash

PART_LIBRARY = "sightline part 1"
_CHUNK_CONTENT_BYTES = 1 << 20
_OP_CHUNK_OF_PART, _OP_MESSAGE_INDEX, _OP_CHUNK_INDEX, _OP_STATISTICS, _OP_SUMMARY_OFFSET = 0x06, 0x07, 0x08, 0x0B, 0x0E
_U64_PAIR = struct.Struct("<QQ")


class PartError(ValueError):
    """Bytes that are no part's file."""


@dataclass(frozen=True)
class PartChannel:
    """How a channel's messages are to be read. `schema_name`, `schema_encoding` and `schema_data` all empty: no
    schema.
    """

    topic: str
    encoding: str
    schema_name: str
    schema_encoding: str
    schema_data: bytes

    def prefix(self) -> bytes:
        """What the digests of its messages begin with."""
        sha256 = schema_hash(self.encoding, self.schema_name, self.schema_encoding, self.schema_data)
        return channel_prefix(self.topic, sha256)


@dataclass(frozen=True)
class PartMessage:
    """One message, exactly as it was sealed."""

    channel: PartChannel
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    payload: bytes

    def digest(self, prefix: bytes) -> bytes:
        """Its digest; `prefix` is its channel's."""
        return message_digest(prefix, self.log_time_ns, self.publish_time_ns, self.sequence, self.payload)


def write_part(messages: Iterable[PartMessage], write: Callable[[bytes], object]) -> None:
    """Write the file of these messages, in their order, piece by piece."""
    writer = _Writer(write)
    for one in messages:
        writer.add(one)
    writer.finish()


def read_part(buffer: Buffer) -> Iterator[PartMessage]:
    """The messages of a part's file. Raises PartError on anything but what `write_part` writes, as far as it is met."""
    schemas: dict[int, tuple[str, str, bytes]] = {0: ("", "", b"")}
    channels: dict[int, PartChannel] = {}
    for chunk in records(buffer, len(MAGIC), len(buffer)):
        if chunk.opcode != _OP_CHUNK_OF_PART:
            continue
        content = _content(bytes(buffer[chunk.start : chunk.end]))
        try:
            for found in records(content, 0, len(content)):
                if found.opcode == OP_SCHEMA:
                    about = schema(content, found)
                    schemas[about.id] = (about.name, about.encoding, about.data)
                elif found.opcode == OP_CHANNEL:
                    one = channel(content, found)
                    channels[one.id] = PartChannel(one.topic, one.encoding, *schemas[one.schema_id])
                elif found.opcode == OP_MESSAGE:
                    read = message(content, found)
                    yield PartMessage(
                        channels[read.channel_id], read.sequence, read.log_time_ns, read.publish_time_ns, read.data
                    )
        except (struct.error, UnicodeDecodeError, KeyError) as error:
            raise PartError(f"a chunk of it cannot be read: {error!r}") from error


def _content(chunk: bytes) -> bytes:
    head = struct.calcsize("<QQQIIQ")
    if len(chunk) < head:
        raise PartError("it has a chunk without a head")
    _, _, size, _, name_bytes, length = struct.unpack_from("<QQQIIQ", chunk)
    if name_bytes or size != length or head + size != len(chunk):
        raise PartError("it has a chunk that is compressed, or of another size than it says")
    return chunk[head:]


@dataclass
class _Chunk:
    """A chunk as it grows: its content, and of each channel the messages' times and places in it."""

    content: bytearray = field(default_factory=bytearray)
    index: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    span: tuple[int, int] | None = None  # first and last log time


class _Writer:
    """MCAP's records in their order. Holds one chunk and the summary."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._position = 0
        self._data_crc = 0
        self._chunk = _Chunk()
        self._schemas: dict[tuple[str, str, bytes], bytes] = {}
        self._channels: dict[PartChannel, tuple[int, bytes]] = {}
        self._counts: dict[int, int] = {}
        self._chunk_indexes: list[bytes] = []
        self._span: tuple[int, int] | None = None
        self._put(MAGIC + _record(OP_HEADER, _prefixed("") + _prefixed(PART_LIBRARY)))

    def add(self, one: PartMessage) -> None:
        """The next message."""
        chunk = self._chunk
        number = self._channel(one.channel)
        places = chunk.index.setdefault(number, [])
        chunk.span, self._span = _wider(chunk.span, one.log_time_ns), _wider(self._span, one.log_time_ns)
        places.append((one.log_time_ns, len(chunk.content)))
        self._counts[number] = self._counts.get(number, 0) + 1
        fields = struct.pack("<HIQQ", number, one.sequence, one.log_time_ns, one.publish_time_ns)
        chunk.content += _record(OP_MESSAGE, fields + one.payload)
        if len(chunk.content) >= _CHUNK_CONTENT_BYTES:
            self._end_chunk()

    def finish(self) -> None:
        """The rest: data's end, summary, footer."""
        self._end_chunk()
        self._put(_record(OP_DATA_END, struct.pack("<I", self._data_crc)))
        groups = (
            (OP_SCHEMA, list(self._schemas.values())),
            (OP_CHANNEL, [record for _, record in self._channels.values()]),
            (_OP_STATISTICS, [self._statistics()]),
            (_OP_CHUNK_INDEX, self._chunk_indexes),
        )
        start, summary, offsets = self._position, b"", b""
        for opcode, found in groups:
            group = b"".join(found)
            if group:
                offsets += _record(_OP_SUMMARY_OFFSET, struct.pack("<BQQ", opcode, start + len(summary), len(group)))
                summary += group
        foot = _U64_PAIR.pack(start, start + len(summary))
        crc = zlib.crc32(summary + offsets + struct.pack("<BQ", OP_FOOTER, len(foot) + 4) + foot)
        self._write(summary + offsets + _record(OP_FOOTER, foot + struct.pack("<I", crc)) + MAGIC)

    def _put(self, data: bytes) -> None:
        self._write(data)
        self._position += len(data)
        self._data_crc = zlib.crc32(data, self._data_crc)

    def _channel(self, one: PartChannel) -> int:
        known = self._channels.get(one)
        if known is None:
            number = len(self._channels) + 1
            fields = struct.pack("<HH", number, self._schema(one)) + _prefixed(one.topic) + _prefixed(one.encoding)
            known = self._channels[one] = number, _record(OP_CHANNEL, fields + struct.pack("<I", 0))
            self._chunk.content += known[1]
        return known[0]

    def _schema(self, one: PartChannel) -> int:
        key = (one.schema_name, one.schema_encoding, one.schema_data)
        if key == ("", "", b""):
            return 0
        if key not in self._schemas:
            number = struct.pack("<H", len(self._schemas) + 1)
            data = struct.pack("<I", len(one.schema_data)) + one.schema_data
            self._schemas[key] = _record(
                OP_SCHEMA, number + _prefixed(one.schema_name) + _prefixed(one.schema_encoding) + data
            )
            self._chunk.content += self._schemas[key]
        return list(self._schemas).index(key) + 1

    def _end_chunk(self) -> None:
        chunk, self._chunk = self._chunk, _Chunk()
        if chunk.span is None:
            return
        content = bytes(chunk.content)
        span, size = _U64_PAIR.pack(*chunk.span), len(content)
        head = span + struct.pack("<QI", size, zlib.crc32(content)) + _prefixed("") + struct.pack("<Q", size)
        record, start = _record(_OP_CHUNK_OF_PART, head + content), self._position
        self._put(record)
        begin, offsets = self._position, b""
        for number, places in chunk.index.items():
            offsets += struct.pack("<HQ", number, self._position)
            rows = b"".join(_U64_PAIR.pack(*place) for place in places)
            self._put(_record(_OP_MESSAGE_INDEX, struct.pack("<HI", number, len(rows)) + rows))
        fields = span + struct.pack("<QQI", start, len(record), len(offsets)) + offsets
        fields += struct.pack("<Q", self._position - begin) + _prefixed("") + struct.pack("<QQ", size, size)
        self._chunk_indexes.append(_record(_OP_CHUNK_INDEX, fields))

    def _statistics(self) -> bytes:
        counts = b"".join(struct.pack("<HQ", *pair) for pair in self._counts.items())
        sizes = (sum(self._counts.values()), len(self._schemas), len(self._channels), 0, 0, len(self._chunk_indexes))
        fields = struct.pack("<QHIIII", *sizes) + _U64_PAIR.pack(*(self._span or (0, 0)))
        return _record(_OP_STATISTICS, fields + struct.pack("<I", len(counts)) + counts)


def _wider(span: tuple[int, int] | None, log_time_ns: int) -> tuple[int, int]:
    first, last = span or (log_time_ns, log_time_ns)
    return min(first, log_time_ns), max(last, log_time_ns)


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _prefixed(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data
