"""One segment's file held against its seal: intact, or what exactly is not as it was sealed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from review.verify.align import Deviation, Fate, ReadPart, deviations
from review.verify.plain_file import hash_blocks, hash_plain, is_as, is_plain, read_plain
from review.verify.report import Finding, FindingKind
from runtime.contracts.errors import RecordError
from runtime.record.scan import mapped
from runtime.seal.leaves_file import BLOCK_BYTES, Leaves, LeavesError, parse_leaves
from runtime.seal.sealed_file import Limits, ReadChunk, ReadMessage, SealedFileReader, decompress
from runtime.seal.statement import FileHash, SegmentSeal, leaves_name, printable
from runtime.seal.tree import TreeHasher

_HEADER_TOPIC = "/drive/header"
_MORE_MESSAGES, _LEAST_CONTENT_BYTES, _MOST_COMPRESSED = 10_000, 1 << 30, 256
_KINDS: dict[Fate, FindingKind] = {
    "changed": "message-changed",
    "removed": "message-removed",
    "inserted": "message-inserted",
    "moved": "message-moved",
    "unreadable": "chunk-unreadable",
}


class SegmentCheck:
    """Checks one segment. `findings` may be gone through once; `by_message` is known afterwards."""

    def __init__(self, folder: Path, seal: SegmentSeal, others: Mapping[FileHash, str]) -> None:
        self._folder, self._seal = folder, seal
        self._others = others  # names of other sealed files
        self._path = folder / seal.file_name
        self.by_message = True  # False: no decompressor; the file's hash was compared and nothing more

    def findings(self) -> Iterator[Finding]:
        """What is not as it was sealed. Raises RecordError where the disk does not give the file."""
        seal, name = self._seal, self._seal.file_name
        leaves, problem = self._leaves()
        if problem is not None:
            yield problem
        if not is_plain(self._path):
            text = f"segment {seal.segment} is not there; {seal.messages} messages were sealed in it"
            yield Finding("segment-missing", name, text, segment=seal.segment)
            return
        if is_as(self._path, seal.file):
            if leaves is not None:
                yield from self._root_of_intact(leaves)
            return
        size_bytes = self._path.lstat().st_size
        alike = size_bytes in {was.size_bytes for was in self._others}
        other = self._others.get(hash_plain(self._path)) if alike else None
        if other is not None:
            text = f"it is not the segment that was sealed under this name: it is {other}"
            yield Finding("segment-foreign", name, text, segment=seal.segment)
        elif leaves is None:
            text = "it is not as it was sealed, and without its leaves the place cannot be told"
            yield Finding("bytes-changed", name, text, seal.segment, first_byte=0, last_byte=size_bytes - 1)
        else:
            yield from self._damaged(leaves, size_bytes)

    def _leaves(self) -> tuple[Leaves | None, Finding | None]:
        seal, name = self._seal, leaves_name(self._seal.segment)
        path = self._folder / name
        if not is_plain(path):
            return None, Finding("file-missing", name, "the segment's leaves are not there", seal.segment)
        if not is_as(path, seal.leaves_file):
            return None, Finding("file-changed", name, "the segment's leaves are not as they were sealed", seal.segment)
        try:
            return parse_leaves(read_plain(path, seal.leaves_file.size_bytes)), None
        except LeavesError as error:
            return None, Finding("file-changed", name, f"sealed as it is, but {error}", seal.segment)

    def _root_of_intact(self, leaves: Leaves) -> Iterator[Finding]:
        tree = TreeHasher()
        for chunk in self._chunks(leaves):
            if chunk.state == "no decompressor":
                self.by_message = False
                return
            for message in chunk.messages:
                tree.add(message.leaf)
        if (tree.count, tree.root().hex()) != (self._seal.messages, self._seal.root):
            text = "the file is the one that was sealed, but the sealed tree is not that of its messages"
            yield Finding("seal-damaged", self._seal.file_name, text, segment=self._seal.segment)

    def _damaged(self, leaves: Leaves, size_bytes: int) -> Iterator[Finding]:
        seal = self._seal
        parts: list[ReadPart] = []
        header: ReadMessage | None = None
        for chunk in self._chunks(leaves, limits_for(seal.messages, seal.file.size_bytes)):
            self.by_message = self.by_message and chunk.state != "no decompressor"
            header = header or next((one for one in chunk.messages if one.topic == _HEADER_TOPIC), None)
            parts += parts_of([chunk])
        drive_id = "" if header is None else _drive_id(header.payload)
        if drive_id not in ("", seal.drive_id):
            text = f"it is a segment of another drive, {printable(drive_id)}"
            yield Finding("segment-foreign", seal.file_name, text, segment=seal.segment)
            return
        if self.by_message:
            yield from findings_of(deviations(leaves.messages, parts), seal.file_name, seal.segment)
        yield from self._bytes(leaves, hash_blocks(self._path, BLOCK_BYTES, len(leaves.blocks)), size_bytes)

    def _chunks(self, leaves: Leaves, limits: Limits | None = None) -> Iterator[ReadChunk]:
        ends = {chunk.start: chunk.end for chunk in leaves.chunks}
        try:
            with mapped(self._path) as buffer:
                loose = len(buffer) != self._seal.file.size_bytes
                reader = SealedFileReader(leaves.secret, decompress, ends, loose=loose, limits=limits)
                yield from reader.chunks(buffer)
        except OSError as error:
            raise RecordError(f"{self._path} cannot be read: {error.strerror}") from error

    def _bytes(self, leaves: Leaves, blocks: tuple[bytes, ...], size_bytes: int) -> Iterator[Finding]:
        """The ranges of bytes that differ; where the file's length does too, all from the first on."""
        seal, size = self._seal, BLOCK_BYTES
        differ = [number for number, pair in enumerate(zip(blocks, leaves.blocks, strict=False)) if pair[0] != pair[1]]
        was = seal.file.size_bytes
        if size_bytes != was:
            first = size * differ[0] if differ else size * min(len(blocks), len(leaves.blocks))
            text = f"its bytes differ from {first} on; it has {size_bytes} bytes and had {was} when it was sealed"
            yield self._range(text, first, max(first, size_bytes - 1))
            return
        start = 0
        while start < len(differ):
            end = start
            while end + 1 < len(differ) and differ[end + 1] == differ[end] + 1:
                end += 1
            first, last = size * differ[start], min(size * (differ[end] + 1), was) - 1
            yield self._range(f"its bytes {first} to {last} are not as they were sealed", first, last)
            start = end + 1

    def _range(self, text: str, first: int, last: int) -> Finding:
        name = self._seal.file_name
        return Finding("bytes-changed", name, text, self._seal.segment, first_byte=first, last_byte=last)


def limits_for(messages: int, size_bytes: int) -> Limits:
    """How much is read of a damaged file, of which so many messages in so many bytes were sealed."""
    return Limits(2 * messages + _MORE_MESSAGES, max(_LEAST_CONTENT_BYTES, _MOST_COMPRESSED * size_bytes))


def parts_of(chunks: Iterable[ReadChunk]) -> Iterator[ReadPart]:
    """The messages in the file's order, without their payloads, and a hole where some may lie that cannot be read."""
    for chunk in chunks:
        for message in chunk.messages:
            yield ReadPart(dataclasses.replace(message, payload=b""), chunk.state != "whole", chunk.start, chunk.end)
        if chunk.state != "whole":
            yield ReadPart(None, True, chunk.start, chunk.end)


def findings_of(found: Iterable[Deviation], file: str, segment: int) -> Iterator[Finding]:
    """One finding a message; those of one unreadable stretch together."""
    unreadable: list[Deviation] = []
    for one in found:
        if unreadable and (one.fate != "unreadable" or one.index != unreadable[-1].index + 1):
            yield _unreadable(unreadable, file, segment)
            unreadable = []
        if one.fate == "unreadable":
            unreadable.append(one)
            continue
        what = {
            "changed": f"message {one.index} was changed",
            "removed": f"message {one.index} was removed",
            "moved": f"message {one.index} was moved to another place",
            "inserted": f"a message was inserted before message {one.index}",
        }[one.fate]
        text = f"{what}: {printable(one.topic)}, sequence {one.sequence}, log time {one.log_time_ns} ns"
        yield Finding(
            _KINDS[one.fate],
            file,
            text,
            segment=segment,
            message=one.index,
            last_message=one.index,
            topic=printable(one.topic),
            sequence=one.sequence,
            log_time_ns=one.log_time_ns,
        )
    if unreadable:
        yield _unreadable(unreadable, file, segment)


def _unreadable(found: list[Deviation], file: str, segment: int) -> Finding:
    first, last, part = found[0], found[-1], found[0].part
    assert part is not None
    which = f"message {first.index}" if first is last else f"messages {first.index} to {last.index}"
    text = f"the chunk in its bytes {part.start} to {part.end - 1} is damaged; {which} cannot be read"
    return Finding(
        "chunk-unreadable",
        file,
        text,
        segment=segment,
        message=first.index,
        last_message=last.index,
        first_byte=part.start,
        last_byte=part.end - 1,
    )


def _drive_id(payload: bytes) -> str:
    try:
        drive_id = json.loads(payload)["drive_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return drive_id if isinstance(drive_id, str) else ""
