"""What is signed: one seal for each segment, one that closes the drive, one for each segment that was deleted to make
room. Canonical JSON, numbered, chained.

A later reader knows older seals: a new field carries a default, and a field never changes its meaning.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

PAYLOAD_TYPE = "application/vnd.sightline.seal.v1+json"
SEAL_SUFFIX = ".seal.json"
LEAVES_SUFFIX = ".leaves"
LARGEST_SEAL_BYTES = 64 * 1024 * 1024
KEY_PREFIX, KEY_SUFFIX = "key-", ".pub"
INCIDENTS_NAME = "incidents.json"  # grows while the drive does: the closing seal covers it, the first cannot

Ended = Literal["", "in order", "open"]
_OPTIONAL: dict[Any, type] = {int | None: int, bool | None: bool}
_TOO_LARGE = 1 << 64


class StatementError(ValueError):
    """A payload that is no seal of this version."""


@dataclass(frozen=True)
class FileHash:
    """A file of the drive as it was when it was sealed."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class SealedGap:
    """A loss that the segment declares; `last` None: its end is not known."""

    session: str
    first: int
    last: int | None
    reason: str


@dataclass(frozen=True)
class Moment:
    """When it was sealed, by the clocks of the machine that sealed it."""

    boot_id: str
    monotonic_ns: int
    utc_ns: int
    utc_synchronised: bool | None


@dataclass(frozen=True)
class SegmentSeal:
    """One segment. Seals of a drive are numbered from 0 as they were made; each names the SHA-256 of the payload
    before it.

    `files` (in seal 0) are the drive's other files: the model, its report, its plan, the configuration. `late`: the
    segment lay there without a seal, because the recorder had died, and was sealed by a later one.
    """

    drive_id: str
    number: int
    previous: str  # "": the first
    key_id: str
    sightline_version: str
    moment: Moment
    segment: int
    file_name: str
    file: FileHash
    leaves_file: FileHash
    root: str
    messages: int
    topics: dict[str, int]
    gaps: list[SealedGap]
    first_log_time_ns: int
    last_log_time_ns: int
    header_sha256: str  # of the header message's payload; "": the segment has none
    ended: Ended  # whether the drive's end lies in this segment, and how it ended
    recovered: bool
    late: bool
    files: dict[str, FileHash] = field(default_factory=dict)
    kind: str = "segment"


@dataclass(frozen=True)
class ClosingSeal:
    """Here the drive ends; only tombstones come after it. `files` are those that came or grew after the first seal: the
    index of incidents, statements of a changed key.
    """

    drive_id: str
    number: int
    previous: str
    key_id: str
    sightline_version: str
    moment: Moment
    segments: int
    ended: Ended  # "": the record does not say
    files: dict[str, FileHash] = field(default_factory=dict)
    kind: str = "closing"


@dataclass(frozen=True)
class TombstoneSeal:
    """A segment was deleted by the vehicle itself, to make room: what it was, and why it went.

    What its seal says of it is repeated, so that the two can be held against each other. `gone` are files of the drive
    that went with its last segment (the model), as they were; `files` those that came with this seal.
    """

    drive_id: str
    number: int
    previous: str
    key_id: str
    sightline_version: str
    moment: Moment
    segment: int
    file_name: str
    file: FileHash
    root: str
    messages: int
    first_log_time_ns: int
    last_log_time_ns: int
    reason: str
    freed_bytes: int
    gone: dict[str, FileHash] = field(default_factory=dict)
    files: dict[str, FileHash] = field(default_factory=dict)
    kind: str = "tombstone"


Seal = SegmentSeal | ClosingSeal | TombstoneSeal
_SEAL_KINDS: dict[str, type[Seal]] = {"segment": SegmentSeal, "closing": ClosingSeal, "tombstone": TombstoneSeal}


def seal_payload(seal: Seal) -> bytes:
    """The seal's bytes, those that are signed."""
    return json.dumps(dataclasses.asdict(seal), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def parse_seal(payload: bytes) -> Seal:
    """A seal from its bytes. Raises StatementError."""
    try:
        fields = json.loads(payload)
        kind = fields["kind"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StatementError(f"it is no seal: {error!r}") from error
    if not isinstance(kind, str) or kind not in _SEAL_KINDS:
        raise StatementError(f"it is a seal of the unknown kind {kind!r}")
    seal: Seal = _build(_SEAL_KINDS[kind], fields)
    if not _is_of_one_folder(seal):
        raise StatementError("it speaks of files outside of the drive")
    return seal


def _is_of_one_folder(seal: Seal) -> bool:
    """Whether it speaks of its own segment and of files in the folder only: a forger's seal may name any path, and who
    goes by it would read, copy or delete that.
    """
    own = isinstance(seal, ClosingSeal) or (seal.file_name == f"segment-{seal.segment:04d}.mcap" and seal.segment >= 0)
    gone = seal.gone if isinstance(seal, TombstoneSeal) else {}
    return own and not any("/" in name or name in ("", ".", "..") for name in (seal.drive_id, *seal.files, *gone))


def seal_hash(payload: bytes) -> str:
    """What the next seal, and a head, name a seal by."""
    return hashlib.sha256(payload).hexdigest()


def seal_name(seal: Seal) -> str:
    """The name of a seal's file: beside its segment, or by its own number."""
    number = seal.segment if isinstance(seal, SegmentSeal) else seal.number
    return f"{seal.kind}-{number:04d}{SEAL_SUFFIX}"


def segment_of(seal: Seal) -> int | None:
    """The segment that a seal speaks of, None for a closing one."""
    return None if isinstance(seal, ClosingSeal) else seal.segment


def leaves_name(segment: int) -> str:
    """The name of a segment's leaves."""
    return f"segment-{segment:04d}{LEAVES_SUFFIX}"


def key_name(key_id: str) -> str:
    """The name of the public key's file in a drive."""
    return f"{KEY_PREFIX}{key_id[:16]}{KEY_SUFFIX}"


def printable(text: str) -> str:
    """Text from evidence as it can be shown: a name or a topic may hold anything, a terminal's commands too."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _build(kind: Any, fields: Any) -> Any:
    """A dataclass from JSON, every field of its type. Raises StatementError."""
    if not isinstance(fields, dict):
        raise StatementError(f"{kind.__name__} is no object")
    hints = get_type_hints(kind)
    values = {}
    for one in dataclasses.fields(kind):
        if one.name in fields:
            values[one.name] = _typed(hints[one.name], fields[one.name], one.name)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise StatementError(f"{kind.__name__} has no {one.name}")
    return kind(**values)


def _typed(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)
    if hint == list[SealedGap] and isinstance(value, list):
        return [_build(SealedGap, one) for one in value]
    if hint == dict[str, FileHash] and isinstance(value, dict):
        return {_typed(str, key, name): _build(FileHash, one) for key, one in value.items()}
    if hint == dict[str, int] and isinstance(value, dict):
        return {_typed(str, key, name): _typed(int, one, name) for key, one in value.items()}
    kind = _OPTIONAL.get(hint, hint)
    fits = (value is None and hint in _OPTIONAL) or (kind in (int, str, bool) and type(value) is kind)
    fits = fits or (hint == Ended and value in ("", "in order", "open"))
    if not fits or (type(value) is int and not -_TOO_LARGE < value < _TOO_LARGE):
        raise StatementError(f"its {name} is {value!a:.80}")
    if type(value) is str and not value.isprintable():
        raise StatementError(f"its {name} is no printable text: {value!a:.80}")
    return value
