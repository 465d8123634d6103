"""The leaves of one segment, kept beside it (`segment-0000.leaves`), so that a damaged message can be named.

The seal holds the file's SHA-256. Layout, integers little-endian:

    magic "SLLEAVE1" | secret, 32 bytes | u16 topics, each u16 length, UTF-8
    | u64 messages, each: leaf hash, 32 bytes | u16 topic | u32 sequence | u64 log time
    | u32 chunks, each: u64 first byte, u64 end, u64 first message
    | u32 block size | u32 blocks, each the SHA-256 of so many bytes of the segment's file
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from runtime.seal.leaf import SECRET_BYTES

LEAVES_MAGIC = b"SLLEAVE1"
BLOCK_BYTES = 65536

_ENTRY = struct.Struct("<32sHIQ")
_CHUNK_ROW = struct.Struct("<QQQ")
_U16 = struct.Struct("<H")
_U32_LE = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class LeavesError(ValueError):
    """Bytes that are no leaves file."""


@dataclass(frozen=True)
class SealedMessage:
    """What is known of a message without its payload."""

    leaf: bytes
    topic: str
    sequence: int
    log_time_ns: int


@dataclass(frozen=True)
class SealedChunk:
    """Where a chunk lies in the segment's file, and its first message's place among all."""

    start: int
    end: int
    first_message: int


@dataclass(frozen=True)
class Leaves:
    """A segment's leaves, with the secret that their salts come from, and the hashes of its file's blocks."""

    secret: bytes
    messages: tuple[SealedMessage, ...]
    chunks: tuple[SealedChunk, ...]
    blocks: tuple[bytes, ...]


def leaves_bytes(leaves: Leaves) -> bytes:
    """The file."""
    topics = sorted({message.topic for message in leaves.messages})
    numbers = {topic: number for number, topic in enumerate(topics)}
    names = [topic.encode() for topic in topics]
    rows = [_ENTRY.pack(one.leaf, numbers[one.topic], one.sequence, one.log_time_ns) for one in leaves.messages]
    return b"".join(
        (
            LEAVES_MAGIC,
            leaves.secret,
            _U16.pack(len(names)),
            *(_U16.pack(len(name)) + name for name in names),
            _U64.pack(len(rows)),
            *rows,
            _U32_LE.pack(len(leaves.chunks)),
            *(_CHUNK_ROW.pack(chunk.start, chunk.end, chunk.first_message) for chunk in leaves.chunks),
            _U32_LE.pack(BLOCK_BYTES),
            _U32_LE.pack(len(leaves.blocks)),
            *leaves.blocks,
        )
    )


def parse_leaves(data: bytes) -> Leaves:
    """The leaves from their file. Raises LeavesError."""
    if not data.startswith(LEAVES_MAGIC):
        raise LeavesError("it does not begin as a leaves file")
    try:
        position = len(LEAVES_MAGIC)
        secret = data[position : position + SECRET_BYTES]
        position += SECRET_BYTES
        (count,) = _U16.unpack_from(data, position)
        position += _U16.size
        topics = []
        for _ in range(count):
            (length,) = _U16.unpack_from(data, position)
            position += _U16.size
            topics.append(data[position : position + length].decode())
            position += length
        (count,) = _U64.unpack_from(data, position)
        position += _U64.size
        end = position + count * _ENTRY.size
        messages = tuple(
            SealedMessage(leaf, topics[topic], sequence, log_time_ns)
            for leaf, topic, sequence, log_time_ns in _ENTRY.iter_unpack(_part(data, position, end))
        )
        (count,) = _U32_LE.unpack_from(data, end)
        position = end + _U32_LE.size
        end = position + count * _CHUNK_ROW.size
        chunks = tuple(SealedChunk(*row) for row in _CHUNK_ROW.iter_unpack(_part(data, position, end)))
        (block_bytes,) = _U32_LE.unpack_from(data, end)
        (count,) = _U32_LE.unpack_from(data, end + _U32_LE.size)
        position = end + 2 * _U32_LE.size
        rest = _part(data, position, position + 32 * count)
    except (struct.error, IndexError, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise LeavesError(f"it is no leaves file: {error}") from error
    if position + len(rest) != len(data) or block_bytes != BLOCK_BYTES:
        raise LeavesError("its blocks are not those of a leaves file, or it holds more than one")
    blocks = tuple(rest[start : start + 32] for start in range(0, len(rest), 32))
    return Leaves(secret, messages, chunks, blocks)


def _part(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise LeavesError("it ends too early")
    return data[start:end]
