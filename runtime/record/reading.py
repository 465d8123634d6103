"""One segment, read in the order in which it was handed over: sealed, or a journal up to where it is cut.

The order is that of log_time too, except where something was handed over late.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.stream_reader import StreamReader

from runtime.contracts.errors import RecordError
from runtime.contracts.regular_file import open_regular
from runtime.contracts.topics import HEADER, STORED, Topic, find_topic
from runtime.record import scan
from runtime.record.segment import DAMAGE, SegmentFile, damaged, sealed_path
from runtime.seal.sealed_file import MissingDecompressorError, decompress

_MAX_RECORD_BYTES = scan.LARGEST_CHUNK_BYTES + (1 << 20)


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message of the record with its own bytes. Times are UTC; `sequence` is the frame's where there is one."""

    topic: str
    row: Topic
    log_time_ns: int
    publish_time_ns: int
    sequence: int
    data: bytes
    place: int = 0  # how many messages of all topics lie between the mark before it and this one; headers do not count

    def decode(self) -> Any:
        """The message, as the topics table types it. Raises RecordError."""
        return self.row.decode(self.data)


@dataclass(frozen=True, slots=True)
class TopicCount:
    """What one segment holds of one topic."""

    topic: str
    schema_name: str
    encoding: str
    count: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What one segment holds; times are those of its first and last message (log_time, 0 where it has none)."""

    topics: tuple[TopicCount, ...]
    first_ns: int
    last_ns: int


def read_messages(file: SegmentFile, rows: Collection[Topic] | None = None) -> Iterator[RecordedMessage]:
    """The messages of a segment, of the given rows of the topics table only; CRCs are checked.

    Topics that this version does not know are passed over. Raises RecordError naming a damaged segment.
    """
    reader = _Reader(file.path, rows)
    if file.sealed:
        for content in _chunks(file.path):
            yield from reader.messages(content, 0)
        return
    try:
        with scan.mapped(file.path) as buffer:
            yield from reader.messages(buffer, len(scan.MAGIC))
    except OSError as error:
        sealed = _sealed_meanwhile(file)
        if sealed is None:
            raise RecordError(f"the journal {file.path} cannot be read: {error.strerror}") from error
        yield from read_messages(sealed, rows)


def read_contents(file: SegmentFile) -> Contents:
    """Topics, counts and times of a segment: from its summary where it is sealed. Raises RecordError."""
    if not file.sealed:
        sealed = _sealed_meanwhile(file)
        return _count(file) if sealed is None else read_contents(sealed)
    try:
        with open_regular(file.path) as stream:
            summary = make_reader(stream).get_summary()
    except (OSError, *DAMAGE) as error:
        raise damaged(file.path, error) from error
    if summary is None or summary.statistics is None:
        raise RecordError(f"the segment {file.path} is damaged: it has no summary")
    statistics = summary.statistics
    counts = tuple(
        TopicCount(
            channel.topic,
            summary.schemas[channel.schema_id].name if channel.schema_id in summary.schemas else "",
            channel.message_encoding,
            statistics.channel_message_counts.get(channel.id, 0),
        )
        for channel in summary.channels.values()
    )
    return Contents(counts, statistics.message_start_time, statistics.message_end_time)


def read_header(file: SegmentFile) -> bytes | None:
    """The header's bytes of a segment, None where it holds none. Raises RecordError on damage."""
    return next((message.data for message in read_messages(file, (HEADER,))), None)


def _sealed_meanwhile(file: SegmentFile) -> SegmentFile | None:
    """The sealed file of a journal that is gone: the drive is still written, and it was sealed since it was listed."""
    path = sealed_path(file.path.parent, file.index)
    return SegmentFile(file.index, path, True) if not file.path.exists() and path.exists() else None


def _count(file: SegmentFile) -> Contents:
    counts: dict[str, int] = {}
    rows: dict[str, Topic] = {}
    first_ns = last_ns = 0
    for message in read_messages(file):
        counts[message.topic] = counts.get(message.topic, 0) + 1
        rows[message.topic] = message.row
        first_ns = message.log_time_ns if not first_ns else min(first_ns, message.log_time_ns)
        last_ns = max(last_ns, message.log_time_ns)
    topics = tuple(
        TopicCount(name, rows[name].schema_name, rows[name].encoding, count) for name, count in counts.items()
    )
    return Contents(topics, first_ns, last_ns)


def _chunks(path: Path) -> Iterator[bytes]:
    """The content of each chunk. Raises RecordError where a CRC or the file's structure is broken."""
    try:
        with open_regular(path) as stream:
            reader = StreamReader(stream, emit_chunks=True, validate_crcs=True, record_size_limit=_MAX_RECORD_BYTES)
            for record in reader.records:
                if isinstance(record, Chunk):
                    yield _content(record)
    except (OSError, MissingDecompressorError, *DAMAGE) as error:
        raise damaged(path, error) from error


def _content(chunk: Chunk) -> bytes:
    """What a chunk holds. Raises ValueError."""
    size = chunk.uncompressed_size
    if size > scan.LARGEST_CHUNK_BYTES:
        raise ValueError(f"a chunk claims to hold {size} bytes, and {scan.LARGEST_CHUNK_BYTES} are the most")
    content = decompress(chunk.compression, chunk.data, size)
    if content is None or len(content) != size:
        raise ValueError(f"a chunk of {size} bytes, compressed as {chunk.compression[:16]!r}, does not decompress")
    if chunk.uncompressed_crc not in (0, zlib.crc32(content)):
        raise ValueError("a chunk fails its checksum")
    return content


class _Reader:
    """Goes through one segment's records, chunk after chunk, and keeps its channels and the place in the set."""

    def __init__(self, path: Path, rows: Collection[Topic] | None) -> None:
        self._path, self._rows = path, rows
        self._channels: dict[int, tuple[str, Topic]] = {}
        self._headers: set[int] = set()
        self._marks: set[int] = set()
        self._place = 0

    def messages(self, buffer: scan.Buffer, start: int) -> Iterator[RecordedMessage]:
        """The messages of the wanted rows from `start` to the buffer's end. Raises RecordError."""
        try:
            for found in scan.records(buffer, start, len(buffer)):
                if found.opcode == scan.OP_CHANNEL:
                    self._register(scan.channel(buffer, found))
                elif found.opcode == scan.OP_MESSAGE:
                    channel = scan.channel_id(buffer, found)
                    known = self._channels.get(channel)
                    if known is not None:
                        message = scan.message(buffer, found)
                        yield RecordedMessage(
                            known[0],
                            known[1],
                            message.log_time_ns,
                            message.publish_time_ns,
                            message.sequence,
                            message.data,
                            self._place,
                        )
                    if channel in self._marks:
                        self._place = 0
                    elif channel not in self._headers:
                        self._place += 1
        except (struct.error, UnicodeDecodeError) as error:
            raise damaged(self._path, error) from error

    def _register(self, channel: scan.Channel) -> None:
        row = find_topic(channel.topic)
        if row is STORED:
            self._marks.add(channel.id)
        elif row is HEADER:
            self._headers.add(channel.id)
        if row is not None and (self._rows is None or row in self._rows):
            self._channels[channel.id] = (channel.topic, row)
