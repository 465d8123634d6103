"""What a bundle says of itself: what was asked for, what was left out, and the hash of every file.

Nobody's signature is under it: whoever makes a bundle writes it. It is held against the vehicle's seals, and what it
claims and they do not bear out is found.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from runtime.seal.part_file import BUNDLE_DRIVE, BUNDLE_MANIFEST
from runtime.seal.statement import FileHash

MANIFEST_FORMAT = "sightline.evidence.v1"
MANIFEST_NAME, DRIVE_FOLDER = BUNDLE_MANIFEST, BUNDLE_DRIVE
CUSTODY_NAME, README_NAME, VERIFIER_NAME = "custody.jsonl", "README.txt", "sightline_verify.py"
ALWAYS_HANDED_OVER = ("/drive/header", "/ledger/stored", "/ledger/gap", "/drive/closing")
"""What is in every part, whatever was asked for: how to read its times, which sets there were, which losses are
declared, and the drive's end.
"""
LARGEST_MANIFEST_BYTES = 64 * 1024 * 1024


class ManifestError(ValueError):
    """Bytes that are no bundle's manifest."""


@dataclass(frozen=True)
class Asked:
    """What was to be handed over.

    Of the segments all, or the sets whose log time lies between two (both included). Of the topics all but
    `without_topics`, which are named in full.
    """

    segments: tuple[int, ...]
    from_log_time_ns: int | None
    to_log_time_ns: int | None
    without_topics: tuple[str, ...]
    without_files: tuple[str, ...]  # of the drive: its model, its index of incidents
    without_people: bool
    words: str  # how it was asked for, for people

    @property
    def has_window(self) -> bool:
        """Whether segments were cut by time."""
        return self.from_log_time_ns is not None or self.to_log_time_ns is not None

    def holds_time(self, log_time_ns: int) -> bool:
        """Whether a set of this time was asked for."""
        first, last = self.from_log_time_ns, self.to_log_time_ns
        return (first is None or log_time_ns >= first) and (last is None or log_time_ns <= last)

    def meets(self, first_log_time_ns: int, last_log_time_ns: int) -> bool:
        """Whether a span of times has any that was asked for."""
        first, last = self.from_log_time_ns, self.to_log_time_ns
        return (first is None or last_log_time_ns >= first) and (last is None or first_log_time_ns <= last)


@dataclass(frozen=True)
class Manifest:
    """A bundle's account of itself. `files`: all but itself and the custody log, by path."""

    drive_id: str
    sightline_version: str
    asked: Asked
    files: dict[str, FileHash]


def manifest_bytes(manifest: Manifest) -> bytes:
    """The file: JSON for people and machines."""
    fields = {"format": MANIFEST_FORMAT, **dataclasses.asdict(manifest)}
    return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """A manifest from its file. Raises ManifestError on anything but what `manifest_bytes` writes."""
    if len(data) > LARGEST_MANIFEST_BYTES:
        raise ManifestError("it is too large for a manifest")
    try:
        fields = json.loads(data, parse_int=_bounded)
        asked = fields["asked"]
        manifest = Manifest(
            _string(fields["drive_id"]),
            _string(fields["sightline_version"]),
            Asked(
                tuple(_whole(one) for one in asked["segments"]),
                _optional(asked["from_log_time_ns"]),
                _optional(asked["to_log_time_ns"]),
                tuple(_string(one) for one in asked["without_topics"]),
                tuple(_string(one) for one in asked["without_files"]),
                asked["without_people"] is True,
                _string(asked["words"]),
            ),
            {
                _string(name): FileHash(_whole(one["size_bytes"]), _string(one["sha256"]))
                for name, one in fields["files"].items()
            },
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ManifestError(f"it is no manifest of a bundle: {error!r:.200}") from error
    if manifest_bytes(manifest) != data:
        raise ManifestError("it holds more than a manifest, or spells it in another way than it was written")
    return manifest


def _bounded(text: str) -> int:
    if len(text) > 20:
        raise ManifestError(f"it has a number of {len(text)} digits")
    return int(text)


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ManifestError(f"it has {value!a:.80} where a text belongs")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ManifestError(f"it has {value!a:.80} where a number belongs")
    return value


def _optional(value: Any) -> int | None:
    return None if value is None else _whole(value)
