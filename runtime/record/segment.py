"""Sealed segments: a closed journal rewritten as indexed, compressed, CRC-checked MCAP and swapped in atomically."""

from __future__ import annotations

import os
import re
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard
from mcap.exceptions import EndOfFile, McapError
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Stored
from runtime.contracts.regular_file import open_regular
from runtime.contracts.topics import STORED, find_topic
from runtime.record import scan
from runtime.record.journal import LIBRARY, SUFFIX, register, sync_directory
from runtime.record.on_disk import replacing
from runtime.seal.part_file import BUNDLE_DRIVE, BUNDLE_MANIFEST, part_name

METADATA_NAME = "sightline.segment"
TEMPORARY = ".tmp"
_NAME = re.compile(r"segment-([0-9]{4,})(?:\.mcap(\.journal)?|(\.part)\.mcap)")
_CHUNK_BYTES = 1024 * 1024
_SALT_BYTES, _SALT_PADDING_BYTES = 32, 4096

DAMAGE = (
    McapError,
    zstandard.ZstdError,
    msgspec.ValidationError,
    struct.error,
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
)
"""What the MCAP library raises on bytes that a damaged file may hold."""


def damaged(path: Path, error: BaseException) -> RecordError:
    """The error of a segment whose bytes are not what was written, with a reason in words."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, EndOfFile):
        reason = "it ends in the middle of a record"
    words = reason or type(error).__name__
    return RecordError(
        f"the segment {path} is damaged: {words}; other segments of the drive may be whole, and `sightline verify` "
        "names what was changed"
    )


class SegmentNote(msgspec.Struct, frozen=True):
    """A sealed segment's own account, as the MCAP metadata record `sightline.segment` (values are text there).

    Link sequences `first_set` to `last_set` and frames `first_frame` to `last_frame`, both ends included (-1: none).
    """

    index: int
    session: str
    first_set: int
    last_set: int
    first_frame: int
    last_frame: int
    sets: int
    recovered: bool = False  # the recorder died before it could close this segment
    salt: str = ""  # random, of random length: neither hash nor size of the file tells what is in it (runtime.seal)


_NOTE = msgspec.json.Decoder(SegmentNote, strict=False)  # made at once: see runtime.contracts.topics


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment of a drive's folder: sealed, or the journal of one that is not. `part`: of a bundle, where only some
    of its messages were handed over.
    """

    index: int
    path: Path
    sealed: bool
    part: bool = False


def segment_files(drive_dir: Path) -> tuple[SegmentFile, ...]:
    """The segments of a drive in order; a journal or part whose sealed file is there is left out, and so is what is no
    file.

    Raises RecordError.
    """
    found: dict[int, SegmentFile] = {}
    try:
        names, before = _names(drive_dir), [""]
        while names != before:  # a listing may miss a file that is given its new name meanwhile
            names, before = _names(drive_dir), names
    except OSError as error:
        raise RecordError(f"the drive {drive_dir} cannot be read: {error.strerror}; give a drive's folder") from error
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            index, sealed, part = int(match.group(1)), match.group(2) is None, match.group(3) is not None
            own = part_path(drive_dir, index) if part else sealed_path(drive_dir, index)
            if (own if sealed else journal_path(drive_dir, index)).name != name:
                continue  # more zeros than we write: it would stand for another file
            if (sealed and not part) or index not in found:
                found[index] = SegmentFile(index, drive_dir / name, sealed, part)
    return tuple(found[index] for index in sorted(found))


def _names(drive_dir: Path) -> list[str]:
    return sorted(entry.name for entry in drive_dir.iterdir() if _NAME.fullmatch(entry.name) and entry.is_file())


def sealed_path(drive_dir: Path, index: int) -> Path:
    """Where segment `index` lies once it is sealed."""
    return drive_dir / f"segment-{index:04d}.mcap"


def part_path(drive_dir: Path, index: int) -> Path:
    """Where a bundle has the part of segment `index` that was handed over."""
    return drive_dir / part_name(index)


def in_bundle(drive_dir: Path) -> bool:
    """Whether the folder is a bundle's: what is not there was not handed over."""
    return drive_dir.name == BUNDLE_DRIVE and (drive_dir.parent / BUNDLE_MANIFEST).is_file()


def journal_path(drive_dir: Path, index: int) -> Path:
    """Where segment `index` grows."""
    return drive_dir / f"segment-{index:04d}{SUFFIX}"


def seal(drive_dir: Path, index: int, *, recovered: bool = False) -> Path:
    """Rewrite the closed journal of segment `index`; returns the sealed file. Raises OSError where the disk refuses.

    A crash at any moment leaves the journal, the sealed file, or both (then the sealed one is whole).
    """
    journal, sealed = journal_path(drive_dir, index), sealed_path(drive_dir, index)
    with replacing(sealed, sealed.with_name(sealed.name + TEMPORARY)) as output, scan.mapped(journal) as buffer:
        _rewrite(buffer, output, index, recovered)
        output.flush()
        os.fsync(output.fileno())
    sync_directory(drive_dir)
    journal.unlink()  # one that comes back after a power failure lies beside its sealed file, and counts for nothing
    return sealed


def _rewrite(buffer: scan.Buffer, output: object, index: int, recovered: bool) -> None:
    writer = Writer(
        output,  # type: ignore[arg-type]  # any binary stream
        chunk_size=_CHUNK_BYTES,
        compression=CompressionType.ZSTD,
        enable_data_crcs=True,
    )
    writer.start(profile="", library=LIBRARY)
    channels: dict[int, int] = {}
    stored_channel = -1
    note = SegmentNote(index, "", -1, -1, -1, -1, 0, recovered, _salt())
    for found in scan.records(buffer, len(scan.MAGIC), len(buffer)):
        if found.opcode == scan.OP_CHANNEL:
            channel = scan.channel(buffer, found)
            topic = find_topic(channel.topic)
            if topic is None:
                raise RecordError(
                    f"segment {index} holds the topic {channel.topic!r}, which this version does not know"
                )
            channels[channel.id] = register(writer, channel.topic, topic)
            if topic is STORED:
                stored_channel = channel.id
        elif found.opcode == scan.OP_MESSAGE:
            message = scan.message(buffer, found)
            data = message.data
            if message.channel_id == stored_channel:
                mark = STORED.decode(data)
                note = _noted(note, mark)
                # The checksum is a journal's. In a part it would confirm guesses of what was left out of the set.
                data = STORED.encode(msgspec.structs.replace(mark, crc32=None))
            writer.add_message(
                channels[message.channel_id], message.log_time_ns, data, message.publish_time_ns, message.sequence
            )
    writer.add_metadata(METADATA_NAME, {key: str(value) for key, value in msgspec.to_builtins(note).items()})
    writer.finish()  # type: ignore[no-untyped-call]  # mcap types only parts


def _salt() -> str:
    """The seal has the file's hash and size, and goes with every part of the segment. Who had all of its messages but
    one could write the file with their guess, and see whether it is the one that was sealed.
    """
    return secrets.token_hex(_SALT_BYTES + secrets.randbelow(_SALT_PADDING_BYTES))


def _noted(note: SegmentNote, mark: Stored) -> SegmentNote:
    frames = (
        {}
        if mark.frame_sequence < 0
        else {
            "first_frame": mark.frame_sequence if note.first_frame < 0 else min(note.first_frame, mark.frame_sequence),
            "last_frame": max(note.last_frame, mark.frame_sequence),
        }
    )
    return msgspec.structs.replace(
        note,
        session=mark.session,
        first_set=mark.first if note.first_set < 0 else note.first_set,
        last_set=mark.last,
        sets=note.sets + 1,
        **frames,
    )


def read_note(path: Path) -> SegmentNote:
    """A sealed segment's account of itself. Raises RecordError where the file is damaged or not Sightline's."""
    note = find_note(path)
    if note is None:
        raise RecordError(f"the segment {path} has no {METADATA_NAME} record: Sightline did not seal it")
    return note


def find_note(path: Path) -> SegmentNote | None:
    """As `read_note`; None where an MCAP tool has rewritten the file without the note."""
    try:
        with open_regular(path) as file:
            for metadata in make_reader(file).iter_metadata():
                if metadata.name == METADATA_NAME:
                    values = {**metadata.metadata, "recovered": metadata.metadata.get("recovered") == "True"}
                    return _NOTE.decode(msgspec.json.encode(values))
    except (OSError, *DAMAGE) as error:
        raise damaged(path, error) from error
    return None
