"""The active segment: an append-only, unchunked MCAP file that is readable up to wherever a crash cuts it.

Behind the messages of each set stands a `Stored` mark. Whatever follows the last mark is no whole set: it was never
acknowledged, so recovery cuts it away and the driving process sends it again.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from mcap.writer import Writer

from runtime import __version__
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Stored
from runtime.contracts.topics import CLOSING, HEADER, STORED, Topic
from runtime.record import scan
from runtime.record.schema import json_schema

SUFFIX = ".mcap.journal"
LIBRARY = f"sightline {__version__}"
_BUFFER_BYTES = 1024 * 1024
_RECORD_OVERHEAD_BYTES = 31  # opcode, length and a message's fixed fields
_FIELDS = struct.Struct("<IQQ")  # of a message record, behind its channel: sequence, log_time, publish_time


class Journal:
    """Appends messages to a new file. Every method raises OSError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self.first_log_time_ns: int | None = None
        self.last_log_time_ns = 0
        self.crc32 = 0  # of the messages since the last mark, with their topics
        self._synced_bytes = 0
        self._file = path.open("xb", buffering=_BUFFER_BYTES)
        try:
            sync_directory(path.parent)
        except OSError:
            self.abandon()
            raise
        self._writer = Writer(self._file, use_chunking=False)
        self._writer.start(profile="", library=LIBRARY)
        self._channels: dict[str, int] = {}

    def append(
        self, name: str, topic: Topic, data: bytes, *, log_time_ns: int, publish_time_ns: int, sequence: int
    ) -> None:
        """Add one message; `sequence` below 0 means none. On the disk only after `sync`."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = register(self._writer, name, topic)
        sequence = max(0, sequence) & 0xFFFFFFFF
        self._writer.add_message(channel, log_time_ns, data, publish_time_ns, sequence)
        if topic is STORED:
            self.crc32 = 0
        else:
            fields = _FIELDS.pack(sequence, log_time_ns, publish_time_ns)
            self.crc32 = zlib.crc32(data, zlib.crc32(fields, zlib.crc32(name.encode(), self.crc32)))
        self.size_bytes += len(data) + _RECORD_OVERHEAD_BYTES
        if self.first_log_time_ns is None:
            self.first_log_time_ns = log_time_ns
        self.last_log_time_ns = max(self.last_log_time_ns, log_time_ns)

    def sync(self) -> None:
        """Bring everything appended to the disk: fdatasync(2)."""
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._synced_bytes = self._file.tell()

    def abandon(self) -> bool:
        """Close without writing any more: the file is cut to what was synced, and is gone where nothing was. Returns
        whether it is there. What the disk refused must not be tried again, so the buffer is emptied into nothing.
        """
        kept = os.dup(self._file.fileno())
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._file.fileno())
            os.close(nothing)
            self._file.close()
            if self._synced_bytes == 0:
                self.path.unlink()
                return False
            os.ftruncate(kept, self._synced_bytes)
            os.fsync(kept)
        finally:
            os.close(kept)
        return True

    def close(self) -> None:
        """Bring everything to the disk and close."""
        self.sync()
        self._file.close()


def register(writer: Writer, name: str, topic: Topic) -> int:
    """Register a topic's channel and schema with an MCAP writer; returns the channel's number."""
    if topic.encoding == "json":
        schema = writer.register_schema(topic.schema_name, "jsonschema", json_schema(topic))
    else:
        schema = writer.register_schema(topic.schema_name, "", b"")
    return writer.register_channel(name, topic.encoding, schema)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a journal holds up to its first damage: where its last whole set ends, that set's mark, the header's bytes,
    and whether the drive's closing is among its whole sets.
    """

    size_bytes: int
    whole_bytes: int
    mark: Stored | None
    header: bytes | None
    last_log_time_ns: int
    first_log_time_ns: int = 0
    closes: bool = False


def survey(path: Path) -> Survey:
    """Read a journal up to its cut. Raises RecordError where it cannot be read at all."""
    mark, header, whole, first_log_time_ns, last_log_time_ns = None, None, 0, 0, 0
    closing = closes = False
    topics: dict[int, str] = {}
    crc32 = 0
    try:
        with scan.mapped(path) as buffer:
            size = len(buffer)
            if bytes(buffer[: len(scan.MAGIC)]) != scan.MAGIC:
                return Survey(size, 0, None, None, 0)
            for found in scan.records(buffer, len(scan.MAGIC), size):
                if found.opcode == scan.OP_CHANNEL:
                    channel = scan.channel(buffer, found)
                    topics[channel.id] = channel.topic
                elif found.opcode == scan.OP_MESSAGE:
                    topic = topics.get(scan.channel_id(buffer, found), "")
                    if topic == STORED.name:
                        message = scan.message(buffer, found)
                        read: Stored = STORED.decode(message.data)
                        if read.crc32 not in (None, crc32):
                            break  # a power failure left the mark and not all of its set
                        mark, whole, closes, crc32 = read, found.end, closing, 0
                        first_log_time_ns = first_log_time_ns or message.log_time_ns
                        last_log_time_ns = max(last_log_time_ns, message.log_time_ns)
                        continue
                    content = bytes(buffer[found.start + scan.CHANNEL_BYTES : found.end])
                    crc32 = zlib.crc32(content, zlib.crc32(topic.encode(), crc32))
                    if topic == CLOSING.name:
                        closing = True
                    elif topic == HEADER.name and header is None:
                        header = scan.message(buffer, found).data
    except OSError as error:
        raise RecordError(f"the journal {path} cannot be read: {error.strerror}") from error
    except (struct.error, UnicodeDecodeError, RecordError):
        pass  # a damaged record: what stands before it counts
    return Survey(size, whole, mark, header, last_log_time_ns, first_log_time_ns, closes)


def sync_file(path: Path) -> None:
    """Bring a file's content to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Bring a folder's own entries (new names, renames) to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
