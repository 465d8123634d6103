"""Seals a drive's segments as the recorder finishes them, each chained to the one before; closes the drive; signs for
what is deleted from it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from runtime import __version__
from runtime.contracts.clock import SystemClock, tie
from runtime.contracts.errors import SealError
from runtime.contracts.messages import SealHead
from runtime.contracts.regular_file import read_regular
from runtime.contracts.topics import CLOSING, GAP, HEADER
from runtime.record.on_disk import write_whole
from runtime.record.scan import Buffer, mapped
from runtime.seal.envelope import EnvelopeError, envelope_bytes, make_envelope, parse_envelope, public_key_pem
from runtime.seal.keys import VehicleKey
from runtime.seal.leaf import SECRET_BYTES
from runtime.seal.leaves_file import BLOCK_BYTES, Leaves, SealedChunk, SealedMessage, leaves_bytes
from runtime.seal.rotation import ROTATION_PREFIX
from runtime.seal.sealed_file import SealedFileReader, decompress
from runtime.seal.statement import (
    INCIDENTS_NAME,
    LARGEST_SEAL_BYTES,
    PAYLOAD_TYPE,
    SEAL_SUFFIX,
    ClosingSeal,
    Ended,
    FileHash,
    Moment,
    Seal,
    SealedGap,
    SegmentSeal,
    StatementError,
    TombstoneSeal,
    key_name,
    leaves_name,
    parse_seal,
    printable,
    seal_hash,
    seal_name,
    seal_payload,
    segment_of,
)
from runtime.seal.tree import TreeHasher


@dataclass(frozen=True)
class _Survey:
    """A sealed segment, read back: what its seal says of it."""

    leaves: Leaves
    root: bytes
    file: FileHash
    topics: dict[str, int]
    gaps: list[SealedGap]
    drive_id: str
    header_sha256: str
    ended: Ended


class DriveSealer:
    """Seals one drive. One thread uses it at a time. Methods raise OSError where the disk refuses, SealError where a
    seal or a segment that is already there cannot be read.
    """

    def __init__(self, drive_dir: Path, key: VehicleKey) -> None:
        self._dir, self._key = drive_dir, key
        self._drive_id = drive_dir.name
        self._number, self._previous = 0, ""
        self.segments: dict[int, SegmentSeal] = {}
        self.deleted: set[int] = set()
        self._files: dict[str, FileHash] = {}  # those that a seal speaks of
        self._ended: Ended = ""
        self.closed = False  # whether the last seal closes the drive, but for tombstones
        for payload, seal in recorded_seals(drive_dir):
            self._follow(payload, seal)

    @property
    def key_id(self) -> str:
        """The key that signs."""
        return self._key.key_id

    def unsealed(self, indices: list[int]) -> list[int]:
        """Which of the segments have no seal."""
        return [index for index in indices if index not in self.segments]

    def seal_segment(self, index: int, *, recovered: bool, late: bool = False) -> SealHead:
        """Seal the finished file of segment `index`; returns the chain's new head. The seal is written last."""
        name = f"segment-{index:04d}.mcap"
        survey = _survey(self._dir / name)
        self._drive_id = survey.drive_id or self._drive_id
        leaves = leaves_bytes(survey.leaves)
        times = [message.log_time_ns for message in survey.leaves.messages]
        self._show_key()
        seal = SegmentSeal(
            drive_id=self._drive_id,
            number=self._number,
            previous=self._previous,
            key_id=self._key.key_id,
            sightline_version=__version__,
            moment=_now(),
            segment=index,
            file_name=name,
            file=survey.file,
            leaves_file=_hash_of(leaves),
            root=survey.root.hex(),
            messages=len(survey.leaves.messages),
            topics=survey.topics,
            gaps=survey.gaps,
            first_log_time_ns=min(times, default=0),
            last_log_time_ns=max(times, default=0),
            header_sha256=survey.header_sha256,
            ended=survey.ended,
            recovered=recovered,
            late=late,
            files={} if self._number else self._other_files(),
        )
        write_whole(self._dir / leaves_name(index), leaves)
        return self._sign(seal)

    def close(self) -> SealHead | None:
        """Sign that the drive ends here; None where it is closed already, or nothing was sealed."""
        if self.closed or not self._number:
            return None
        seal = ClosingSeal(
            drive_id=self._drive_id,
            number=self._number,
            previous=self._previous,
            key_id=self._key.key_id,
            sightline_version=__version__,
            moment=_now(),
            segments=len(self.segments),
            ended=self._ended,
            files=self._later_files(incidents=True),
        )
        self._show_key()
        return self._sign(seal)

    def bury(self, index: int, reason: str, *, freed_bytes: int, gone: dict[str, FileHash]) -> SealHead:
        """Sign that the sealed segment `index` is deleted, and the files `gone` with it. Deleting comes afterwards: who
        dies in between leaves an intact segment with a tombstone.
        """
        was = self.segments.get(index)
        if was is None:
            raise SealError(
                f"no tombstone can be signed for segment {index} of {self._dir}: none of the seals there is its own; "
                "`sightline verify` names what was changed"
            )
        seal = TombstoneSeal(
            drive_id=self._drive_id,
            number=self._number,
            previous=self._previous,
            key_id=self._key.key_id,
            sightline_version=__version__,
            moment=_now(),
            segment=index,
            file_name=was.file_name,
            file=was.file,
            root=was.root,
            messages=was.messages,
            first_log_time_ns=was.first_log_time_ns,
            last_log_time_ns=was.last_log_time_ns,
            reason=printable(reason),
            freed_bytes=freed_bytes,
            gone=gone,
            files=self._later_files(incidents=False),
        )
        self._show_key()
        return self._sign(seal)

    def _sign(self, seal: Seal) -> SealHead:
        payload = seal_payload(seal)
        envelope = make_envelope(PAYLOAD_TYPE, payload, self._key.key_id, self._key.sign)
        write_whole(self._dir / seal_name(seal), envelope_bytes(envelope))
        self._follow(payload, seal)
        closes = isinstance(seal, ClosingSeal)
        return SealHead(seal.drive_id, seal.number, seal_hash(payload), self._key.key_id, segment_of(seal), closes)

    def _follow(self, payload: bytes, seal: Seal) -> None:
        self._number, self._previous = seal.number + 1, seal_hash(payload)
        self._drive_id = seal.drive_id
        self._files |= seal.files
        if isinstance(seal, TombstoneSeal):
            self.deleted.add(seal.segment)
            return
        self.closed = isinstance(seal, ClosingSeal)
        if isinstance(seal, SegmentSeal):
            self.segments[seal.segment] = seal
            self._ended = seal.ended or self._ended

    def _show_key(self) -> None:
        path = self._dir / key_name(self._key.key_id)
        if not path.exists():
            write_whole(path, public_key_pem(self._key.public_key))

    def _other_files(self) -> dict[str, FileHash]:
        """All that lies in the folder and is neither segment nor seal: what drove. No seal can speak of a name that
        nobody can read, which we give to no file.
        """
        return {
            entry.name: file_hash(entry)
            for entry in sorted(self._dir.iterdir())
            if entry.is_file() and entry.name.isprintable() and not entry.name.startswith(("segment-", INCIDENTS_NAME))
        }

    def _later_files(self, *, incidents: bool) -> dict[str, FileHash]:
        """What came after the first seal, or grew since, and changes no more."""
        rotations = sorted(
            path
            for path in self._dir.glob(f"{ROTATION_PREFIX}*")
            if path.is_file() and path.name.isprintable() and path.name not in self._files
        )
        files = {path.name: file_hash(path) for path in rotations}
        path = self._dir / INCIDENTS_NAME
        return files | ({path.name: file_hash(path)} if incidents and path.is_file() else {})


def recorded_seals(drive_dir: Path) -> list[tuple[bytes, Seal]]:
    """The seals in a drive's folder with their payloads, in their order. No signature is checked: that is verifying.

    Raises SealError where one is none.
    """
    return sorted((read_seal(path) for path in drive_dir.glob(f"*{SEAL_SUFFIX}")), key=lambda one: one[1].number)


def read_seal(path: Path) -> tuple[bytes, Seal]:
    """A seal's file, as its payload and what that says. Raises SealError on one that is none."""
    try:
        payload = parse_envelope(read_regular(path, LARGEST_SEAL_BYTES)).payload
        return payload, parse_seal(payload)
    except OSError as error:
        raise SealError(f"{path} cannot be read: {error.strerror}; the drive cannot be sealed any further") from error
    except (EnvelopeError, StatementError) as error:
        raise SealError(f"{path} is damaged: {error}; the drive cannot be sealed any further") from error


def _survey(path: Path) -> _Survey:
    secret = secrets.token_bytes(SECRET_BYTES)
    reader = SealedFileReader(secret, decompress)
    tree = TreeHasher()
    messages: list[SealedMessage] = []
    chunks: list[SealedChunk] = []
    topics: dict[str, int] = {}
    gaps: list[SealedGap] = []
    drive_id, header_sha256 = "", ""
    ended: Ended = ""
    with mapped(path) as buffer:
        for chunk in reader.chunks(buffer):
            if chunk.state != "whole":
                raise SealError(f"{path} cannot be sealed: its bytes {chunk.start} to {chunk.end} cannot be read back")
            chunks.append(SealedChunk(chunk.start, chunk.end, len(messages)))
            for message in chunk.messages:
                tree.add(message.leaf)
                messages.append(SealedMessage(message.leaf, message.topic, message.sequence, message.log_time_ns))
                topics[message.topic] = topics.get(message.topic, 0) + 1
                if message.topic == HEADER.name:
                    drive_id = str(json.loads(message.payload)["drive_id"])
                    header_sha256 = hashlib.sha256(message.payload).hexdigest()
                elif message.topic == CLOSING.name:
                    ended = "in order"
                elif message.topic == GAP.name:
                    gap = GAP.decode(message.payload)
                    gaps.append(SealedGap(gap.session, gap.first, gap.last, printable(gap.reason)))
                    ended = "open" if gap.last is None else ended
        blocks, file = _blocks(buffer)
    leaves = Leaves(secret, tuple(messages), tuple(chunks), blocks)
    return _Survey(leaves, tree.root(), file, topics, gaps, drive_id, header_sha256, ended)


def _blocks(buffer: Buffer) -> tuple[tuple[bytes, ...], FileHash]:
    whole = hashlib.sha256()
    blocks = []
    for start in range(0, len(buffer), BLOCK_BYTES):
        block = bytes(buffer[start : start + BLOCK_BYTES])
        whole.update(block)
        blocks.append(hashlib.sha256(block).digest())
    return tuple(blocks), FileHash(len(buffer), whole.hexdigest())


def _hash_of(data: bytes) -> FileHash:
    return FileHash(len(data), hashlib.sha256(data).hexdigest())


def file_hash(path: Path) -> FileHash:
    """Size and SHA-256 of a file. Raises OSError."""
    with mapped(path) as buffer:
        return _blocks(buffer)[1]


def _now() -> Moment:
    moment = tie(SystemClock())
    return Moment(moment.boot_id, moment.monotonic_ns, moment.utc_ns, moment.utc_synchronised)
