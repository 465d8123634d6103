"""A sealed segment's bytes, gone through as far as they can be read: chunks, and the messages in them.

What is damaged is passed over and said, never raised: sealing asks that nothing is, verifying wants to know what.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.record.scan import (
    MAGIC,
    OP_CHANNEL,
    OP_MESSAGE,
    OP_SCHEMA,
    Buffer,
    Found,
    channel,
    records,
    schema,
)
from runtime.seal.leaf import channel_prefix, leaf_hash, message_digest, salt_of, schema_hash

_OP_CHUNK = 0x06
_CHUNK_HEAD = struct.Struct("<QQQI")
_CHUNK_FIELDS_BYTES = 9 + _CHUNK_HEAD.size
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_FOOTER = struct.Struct("<QQI")
_MAX_CHUNK_BYTES = 1 << 31

ChunkState = Literal["whole", "crc", "unreadable", "no decompressor"]
Decompress = Callable[[str, bytes, int], bytes | None]


@dataclass(frozen=True)
class ReadMessage:
    """One message as the file holds it, with its leaf."""

    leaf: bytes
    topic: str
    sequence: int
    log_time_ns: int
    payload: bytes


@dataclass(frozen=True)
class ReadChunk:
    """One chunk: where it lies, whether it can be read, and the messages that could be."""

    start: int
    end: int
    state: ChunkState
    messages: tuple[ReadMessage, ...]


class MissingDecompressorError(Exception):
    """This Python has nothing that decompresses the chunk; its bytes may be whole."""


class SealedFileReader:
    """Reads one segment. `secret` is what its leaves' salts come from."""

    def __init__(self, secret: bytes, decompress: Decompress) -> None:
        self._secret, self._decompress = secret, decompress
        self._schemas: dict[int, bytes] = {}
        self._names: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, tuple[str, bytes]] = {}

    def chunks(self, buffer: Buffer, known_starts: Sequence[int] = ()) -> Iterator[ReadChunk]:
        """Every chunk in the order of the file; where the records cannot be followed, on from the next known start."""
        self._learn_from_summary(buffer)
        position, end = len(MAGIC), len(buffer)
        while True:
            for found in records(buffer, position, end):
                position = found.end
                if found.opcode == _OP_CHUNK:
                    yield self._chunk(buffer, found)
                elif found.opcode in (OP_SCHEMA, OP_CHANNEL, OP_MESSAGE):
                    # An unchunked file: none of ours, but its messages are there to be seen.
                    messages, _ = self._messages(buffer, [found])
                    if messages:
                        yield ReadChunk(found.start - 9, found.end, "whole", messages)
            following = [start for start in known_starts if start >= position and start < end]
            following = [start for start in following if bytes(buffer[start : start + 1]) == bytes([_OP_CHUNK])]
            if not following or following[0] == position:
                return
            position = following[0]

    def _chunk(self, buffer: Buffer, found: Found) -> ReadChunk:
        start = found.start - 9
        try:
            _, _, size, crc = _CHUNK_HEAD.unpack_from(buffer, found.start)
            position = found.start + _CHUNK_HEAD.size
            (length,) = struct.unpack_from("<I", buffer, position)
            name = bytes(buffer[position + 4 : position + 4 + min(length, 16)]).decode()
            position += 4 + length
            (length,) = struct.unpack_from("<Q", buffer, position)
            position += 8
            if position + length != found.end or size > _MAX_CHUNK_BYTES:
                return ReadChunk(start, found.end, "unreadable", ())
            content = self._decompress(name, bytes(buffer[position : found.end]), size)
        except (struct.error, UnicodeDecodeError):
            return ReadChunk(start, found.end, "unreadable", ())
        except MissingDecompressorError:
            return ReadChunk(start, found.end, "no decompressor", ())
        if content is None or len(content) != size:
            return ReadChunk(start, found.end, "unreadable", ())
        messages, to_the_end = self._messages(content, records(content, 0, len(content)))
        whole = to_the_end == len(content) and (crc == 0 or zlib.crc32(content) == crc)
        return ReadChunk(start, found.end, "whole" if whole else "crc", messages)

    def _learn_from_summary(self, buffer: Buffer) -> None:
        """The channels once more, from the end of the file, for where the chunk that declared them is damaged."""
        foot = len(buffer) - len(MAGIC) - _FOOTER.size
        if foot < len(MAGIC):
            return
        (start,) = struct.unpack_from("<Q", buffer, foot)
        if len(MAGIC) <= start < foot:
            self._messages(buffer, records(buffer, start, foot))

    def _messages(self, buffer: Buffer, found_records: Iterable[Found]) -> tuple[tuple[ReadMessage, ...], int]:
        messages: list[ReadMessage] = []
        position = 0
        for found in found_records:
            position = found.end
            if found.opcode == OP_MESSAGE:
                message = self._message(buffer, found)
                if message is not None:
                    messages.append(message)
            elif found.opcode in (OP_SCHEMA, OP_CHANNEL):
                self._learn(buffer, found)
        return tuple(messages), position

    def _learn(self, buffer: Buffer, found: Found) -> None:
        """Take a schema or a channel; a damaged one is none, so that its messages are missed."""
        with contextlib.suppress(struct.error, UnicodeDecodeError):
            if found.opcode == OP_SCHEMA:
                one = schema(buffer, found)
                self._names[one.id] = (one.name, one.encoding, one.data)
                return
            about = channel(buffer, found)
            schema_sha256 = schema_hash(about.encoding, *self._names.get(about.schema_id, ("", "", b"")))
            self._channels[about.id] = (about.topic, channel_prefix(about.topic, schema_sha256))

    def _message(self, buffer: Buffer, found: Found) -> ReadMessage | None:
        """A message with its leaf; None where the record is too short, or of a channel that nothing declares."""
        if found.end - found.start < _MESSAGE_HEAD.size:
            return None
        number, sequence, log_time_ns, publish_time_ns = _MESSAGE_HEAD.unpack_from(buffer, found.start)
        payload = bytes(buffer[found.start + _MESSAGE_HEAD.size : found.end])
        topic, prefix = self._channels.get(number, ("", b""))
        if not topic:
            return None
        digest = message_digest(prefix, log_time_ns, publish_time_ns, sequence, payload)
        return ReadMessage(leaf_hash(salt_of(self._secret, digest), digest), topic, sequence, log_time_ns, payload)


def decompress(name: str, data: bytes, size: int) -> bytes | None:
    """A chunk's content, None where the bytes are damaged. Raises MissingDecompressorError."""
    if name == "":
        return data
    if name != "zstd":
        return None
    try:
        import zstandard
    except ImportError as error:
        raise MissingDecompressorError("zstandard is not installed") from error
    try:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except (zstandard.ZstdError, MemoryError, ValueError, OverflowError):
        return None
