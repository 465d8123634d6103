"""What verifying found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from review.verify.account import BundleAccount

FindingKind = Literal[
    "message-changed",
    "message-removed",
    "message-inserted",
    "message-moved",
    "chunk-unreadable",
    "bytes-changed",
    "segment-missing",
    "segment-foreign",
    "segment-unsealed",
    "journal-open",
    "seal-damaged",
    "seal-missing",
    "chain-broken",
    "deletion-wrong",
    "tail-cut",
    "head-unknown",
    "file-changed",
    "file-missing",
    "file-foreign",
    "key-missing",
    "key-unknown",
    "proof-damaged",
    "message-withheld",
    "manifest-wrong",
    "custody-broken",
]
Level = Literal["messages", "files"]


@dataclass(frozen=True)
class Deleted:
    """A sealed segment that the vehicle deleted to make room, and signed for."""

    segment: int
    tombstone: str  # its file
    messages: int
    first_log_time_ns: int
    last_log_time_ns: int
    reason: str


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was sealed. Messages count from 0 within their segment; ranges hold both ends."""

    kind: FindingKind
    file: str
    text: str
    segment: int | None = None
    message: int | None = None
    last_message: int | None = None  # beyond `message` only where several are meant
    topic: str = ""
    sequence: int | None = None
    log_time_ns: int | None = None
    first_byte: int | None = None
    last_byte: int | None = None

    def __str__(self) -> str:
        """As a line for people."""
        return f"{self.file}: {self.text}" if self.file else self.text


@dataclass(frozen=True)
class Verification:
    """The whole answer. It is intact where nothing was found.

    `level`: whether every message was held against the tree, or (without a decompressor) every file against its hash
    only, which covers the same bytes.
    """

    drive: str
    drive_id: str
    verdict: Literal["intact", "damaged"]
    findings: tuple[Finding, ...]
    findings_left_out: int
    level: Level
    segments: int  # there and held against their seals
    messages: int  # in them
    gaps: int  # losses that the record itself declares
    key_ids: tuple[str, ...]
    head: str  # the newest seal, as NUMBER:SHA256; "" where there is none
    ended: str  # "in order", "open" (the end is declared as lost), "" (no closing seal, or it does not say)
    deleted: tuple[Deleted, ...]  # retained no longer, each by a tombstone; no finding
    sealed_late: tuple[int, ...]  # segments that a later recorder sealed, since theirs had died before
    recovered: tuple[int, ...]  # segments that were still growing then, and that a later recorder ended and sealed
    duration_s: float
    size_bytes: int
    wall_s: float
    realtime_factor: float
    bundle: BundleAccount | None = None  # None: it is a drive as it was recorded
