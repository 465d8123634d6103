"""A sealed segment's bytes, gone through as far as they can be read: chunks, and the messages in them.

What is damaged is passed over and said, never raised: sealing asks that nothing is, verifying wants to know what.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from runtime.record.scan import (
    LARGEST_CHUNK_BYTES,
    MAGIC,
    OP_CHANNEL,
    OP_DATA_END,
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
_RECORD_HEAD = struct.Struct("<BQ")
_RECORD_HEAD_BYTES = _RECORD_HEAD.size
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_FOOTER = struct.Struct("<QQI")

_MORE_CHUNKS = 100  # that look like a sealed one

_DATA_END_HEAD = _RECORD_HEAD.pack(OP_DATA_END, 4)
_DATA_END_BYTES = _RECORD_HEAD_BYTES + 4
_LARGEST_SUMMARY_BYTES = 4 << 20  # that is looked for where it is not at its place

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


@dataclass
class Limits:
    """How much of a file may still be read that may hold anything: messages, and bytes of chunks' content. A few
    kilobytes decompress to as many as somebody likes. What lies beyond is unreadable.
    """

    messages: int
    content_bytes: int


class MissingDecompressorError(Exception):
    """This Python has nothing that decompresses the chunk; its bytes may be whole."""


class SealedFileReader:
    """Reads one segment. `secret` is what its leaves' salts come from; of a part, whose secret is not handed over,
    `salts` has each by the digest of its message.

    `chunks` is where the chunks lay when it was sealed, start by end: where the file's own framing is damaged, reading
    goes on at the next, which is looked for where it is not at its place. `loose`: whether messages outside of chunks
    count, which no recorder writes; where the file has its sealed size they are damage that looks like messages.
    `limits` None: it is our own file.
    """

    def __init__(
        self,
        secret: bytes,
        decompress: Decompress,
        chunks: Mapping[int, int] | None = None,
        *,
        loose: bool = False,
        salts: Mapping[bytes, bytes] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._secret, self._decompress, self._loose, self._salts = secret, decompress, loose, salts
        self._limits = limits
        self._ends = dict(chunks or {})
        self._starts = sorted(self._ends)
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, tuple[str, bytes]] = {}
        self._unknown = False  # whether a message was met of a channel that nothing declares

    def chunks(self, buffer: Buffer) -> Iterator[ReadChunk]:
        """Every chunk in the order of the file, and every stretch that cannot be followed as an unreadable one."""
        self._learn_from_summary(buffer)
        self._look_for_moved(buffer)
        position, size = len(MAGIC), len(buffer)
        while position < size:
            for found in records(buffer, position, size):
                start, position = found.start - _RECORD_HEAD_BYTES, found.end
                swallowed = self._next_chunk(buffer, start + 1, found.end)
                if found.opcode == _OP_CHUNK:
                    chunk = self._chunk(buffer, found)
                    yield chunk
                    if chunk.state == "unreadable" and self._ends.get(start, position) != position:
                        position = self._ends[start]  # its own length cannot be believed
                        break
                elif swallowed is not None or start in self._ends:
                    position = self._ends.get(start, found.end) if swallowed is None else swallowed
                    yield ReadChunk(start, position, "unreadable", ())
                    break
                elif self._loose and found.opcode in (OP_SCHEMA, OP_CHANNEL, OP_MESSAGE):
                    messages, _ = self._messages(buffer, [found])
                    if messages:
                        yield ReadChunk(start, found.end, "whole", messages)
            else:
                if _is_data_end(buffer, position):
                    return
                following = self._next_chunk(buffer, position + 1, size)
                start, position = position, self._ends.get(position, size if following is None else following)
                if start < size:
                    yield ReadChunk(start, position, "unreadable", ())

    def _look_for_moved(self, buffer: Buffer) -> None:
        """Where the sealed chunks lie now, if some are not where they were: bytes before them were put in or taken out.
        In a file of another size, no place says anything by itself.
        """
        lengths = {self._head(start): end - start for start, end in self._ends.items()}
        moved = [start for start in self._starts if not self._is_in_place(buffer, start)]
        if not moved:
            return
        if self._loose:
            self._ends = {start: end for start, end in self._ends.items() if start not in set(moved)}
        heads = re.compile(b"|".join(re.escape(head) for head in lengths), re.DOTALL)
        for match in islice(heads.finditer(buffer), 2 * len(self._starts) + _MORE_CHUNKS):
            self._ends[match.start()] = match.start() + lengths[match.group()]
        self._starts = sorted(self._ends)

    def _head(self, start: int) -> bytes:
        return _RECORD_HEAD.pack(_OP_CHUNK, self._ends[start] - start - _RECORD_HEAD_BYTES)

    def _is_in_place(self, buffer: Buffer, start: int) -> bool:
        return bytes(buffer[start : start + _RECORD_HEAD_BYTES]) == self._head(start)

    def _next_chunk(self, buffer: Buffer, first: int, end: int) -> int | None:
        """Where the next chunk begins that was sealed, by its record's head; None: none before `end`."""
        starts = self._starts[bisect_left(self._starts, first) : bisect_left(self._starts, end)]
        return next((start for start in starts if self._is_in_place(buffer, start)), None)

    def _chunk(self, buffer: Buffer, found: Found) -> ReadChunk:
        start = found.start - _RECORD_HEAD_BYTES
        try:
            _, _, size, crc = _CHUNK_HEAD.unpack_from(buffer, found.start)
            position = found.start + _CHUNK_HEAD.size
            (length,) = struct.unpack_from("<I", buffer, position)
            name = bytes(buffer[position + 4 : position + 4 + min(length, 16)]).decode()
            position += 4 + length
            (length,) = struct.unpack_from("<Q", buffer, position)
            position += 8
            if position + length != found.end or size > LARGEST_CHUNK_BYTES or not self._take(size):
                return ReadChunk(start, found.end, "unreadable", ())
            content = self._decompress(name, bytes(buffer[position : found.end]), size)
        except (struct.error, UnicodeDecodeError):
            return ReadChunk(start, found.end, "unreadable", ())
        except MissingDecompressorError:
            return ReadChunk(start, found.end, "no decompressor", ())
        if content is None or len(content) != size:
            return ReadChunk(start, found.end, "unreadable", ())
        sound = crc == 0 or zlib.crc32(content) == crc
        known = (dict(self._schemas), dict(self._channels))
        self._unknown = False
        messages, to_the_end = self._messages(content, records(content, 0, len(content)))
        if sound and to_the_end == len(content) and not self._unknown:
            return ReadChunk(start, found.end, "whole", messages)
        self._schemas, self._channels = known  # what a damaged chunk declares must not spoil those behind it
        return ReadChunk(start, found.end, "crc", messages)

    def _take(self, content_bytes: int) -> bool:
        """Whether as much may still be read; then it is."""
        if self._limits is None:
            return True
        self._limits.content_bytes -= content_bytes
        return self._limits.content_bytes >= 0 and self._limits.messages > 0

    def _learn_from_summary(self, buffer: Buffer) -> None:
        """The channels once more, from the end of the file, for where the chunk that declared them is damaged."""
        foot = len(buffer) - len(MAGIC) - _FOOTER.size
        if foot < len(MAGIC):
            return
        (start,) = struct.unpack_from("<Q", buffer, foot)
        if not len(MAGIC) <= start < foot or not _is_data_end(buffer, start - _DATA_END_BYTES):
            first = max(len(MAGIC), foot - _LARGEST_SUMMARY_BYTES)  # bytes before it were put in or taken out
            place = bytes(buffer[first:foot]).rfind(_DATA_END_HEAD)
            start = foot if place < 0 else first + place + _DATA_END_BYTES
        self._messages(buffer, records(buffer, start, foot))

    def _messages(self, buffer: Buffer, found_records: Iterable[Found]) -> tuple[tuple[ReadMessage, ...], int]:
        messages: list[ReadMessage] = []
        position = 0
        for found in found_records:
            if found.opcode == OP_MESSAGE:
                if self._limits is not None:
                    if self._limits.messages <= 0:
                        break
                    self._limits.messages -= 1
                message = self._message(buffer, found)
                if message is not None:
                    messages.append(message)
            elif found.opcode in (OP_SCHEMA, OP_CHANNEL):
                self._learn(buffer, found)
            position = found.end
        return tuple(messages), position

    def _learn(self, buffer: Buffer, found: Found) -> None:
        """Take a schema or a channel; a damaged one is none, so that its messages are missed."""
        with contextlib.suppress(struct.error, UnicodeDecodeError):
            if found.opcode == OP_SCHEMA:
                one = schema(buffer, found)
                self._schemas[one.id] = (one.name, one.encoding, one.data)
                return
            about = channel(buffer, found)
            schema_sha256 = schema_hash(about.encoding, *self._schemas.get(about.schema_id, ("", "", b"")))
            self._channels[about.id] = (about.topic, channel_prefix(about.topic, schema_sha256))

    def _message(self, buffer: Buffer, found: Found) -> ReadMessage | None:
        """A message with its leaf; None where the record is too short, or of a channel that nothing declares."""
        if found.end - found.start < _MESSAGE_HEAD.size:
            return None
        number, sequence, log_time_ns, publish_time_ns = _MESSAGE_HEAD.unpack_from(buffer, found.start)
        payload = bytes(buffer[found.start + _MESSAGE_HEAD.size : found.end])
        topic, prefix = self._channels.get(number, ("", b""))
        if not topic:
            self._unknown = True
            return None
        digest = message_digest(prefix, log_time_ns, publish_time_ns, sequence, payload)
        return ReadMessage(leaf_hash(self._salt(digest), digest), topic, sequence, log_time_ns, payload)

    def _salt(self, digest: bytes) -> bytes:
        return salt_of(self._secret, digest) if self._salts is None else self._salts.get(digest, b"")


def _is_data_end(buffer: Buffer, position: int) -> bool:
    """Whether the data section ends here: its last record has four bytes, and the summary or the footer follows."""
    head = bytes(buffer[position : position + _RECORD_HEAD_BYTES])
    after = bytes(buffer[position + _RECORD_HEAD_BYTES + 4 : position + _RECORD_HEAD_BYTES + 5])
    return head == _DATA_END_HEAD and after != b"" and 0 < after[0] < OP_DATA_END


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
        if zstandard.frame_content_size(data) not in (-1, size):  # a damaged one may ask for any amount of memory
            return None
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except (zstandard.ZstdError, MemoryError, ValueError, OverflowError):
        return None
