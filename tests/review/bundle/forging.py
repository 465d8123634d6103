"""What somebody can do who holds a bundle and has no vehicle key: anything, its manifest and custody log included."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from review.bundle.cut import kept_places, sealed_leaves, write_cut
from review.verify.bundle import verify_bundle
from review.verify.custody import CustodyLine, custody_bytes
from review.verify.manifest import (
    CUSTODY_NAME,
    DRIVE_FOLDER,
    MANIFEST_NAME,
    Asked,
    Manifest,
    manifest_bytes,
    parse_manifest,
)
from review.verify.plain_file import hash_plain
from review.verify.report import Finding
from runtime.record.scan import mapped
from runtime.seal.chain import recorded_seals
from runtime.seal.keys import VehicleKey
from runtime.seal.part_file import part_name, proof_name
from runtime.seal.part_mcap import PartMessage, read_part, write_part
from runtime.seal.statement import SegmentSeal


@dataclasses.dataclass(frozen=True)
class Forger:
    """A bundle in somebody's hands, and the drive that it was made from."""

    bundle: Path
    original: Path
    key: VehicleKey  # of the vehicle: its public half is what is verified with

    @property
    def drive(self) -> Path:
        """The bundle's part of the drive."""
        return self.bundle / DRIVE_FOLDER

    @property
    def asked(self) -> Asked:
        """What the bundle says that it was asked for."""
        return parse_manifest((self.bundle / MANIFEST_NAME).read_bytes()).asked

    def seal(self, segment: int) -> SegmentSeal:
        """A segment's seal."""
        seals = [seal for _, seal in recorded_seals(self.original)]
        return next(seal for seal in seals if isinstance(seal, SegmentSeal) and seal.segment == segment)

    def cover_up(self, **asked: Any) -> None:
        """Make the manifest and the custody log anew, over what is here now; `asked`: what it says otherwise."""
        old = parse_manifest((self.bundle / MANIFEST_NAME).read_bytes())
        there = [one for one in sorted(self.bundle.rglob("*")) if one.is_file()]
        names = {one.relative_to(self.bundle).as_posix(): one for one in there}
        files = {name: hash_plain(one) for name, one in names.items() if name not in (MANIFEST_NAME, CUSTODY_NAME)}
        new = Manifest(old.drive_id, old.sightline_version, dataclasses.replace(old.asked, **asked), files)
        data = manifest_bytes(new)
        (self.bundle / MANIFEST_NAME).write_bytes(data)
        line = CustodyLine("2026-11-24T00:00:00.000Z", "forger", "made", "", hashlib.sha256(data).hexdigest(), "")
        (self.bundle / CUSTODY_NAME).write_bytes(custody_bytes(line))

    def rewrite(self, segment: int, change: Callable[[list[PartMessage]], list[PartMessage]]) -> None:
        """Put other messages into a part's file, written as every part is; its proof stays."""
        path = self.drive / part_name(segment)
        with mapped(path) as buffer:
            messages = list(read_part(buffer))
        with path.open("wb") as file:
            write_part(change(messages), file.write)

    def cut_again(self, segment: int, without: Callable[[str, int], bool], asked: Asked | None = None) -> None:
        """Cut a segment anew, for another request or without some messages (topic, place), with a proof that holds."""
        seal = self.seal(segment)
        leaves = sealed_leaves(self.original, seal)
        places = kept_places(leaves, self.asked if asked is None else asked)
        kept = [place for place in places if not without(leaves.messages[place].topic, place)]
        assert len(kept) < len(kept_places(leaves, self.asked))
        (self.drive / seal.file_name).unlink(missing_ok=True)
        (self.drive / f"segment-{segment:04d}.leaves").unlink(missing_ok=True)
        write_cut(self.original, seal, leaves, kept, self.drive)

    def proof(self, segment: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a proof's fields, spelled as every proof is."""
        path = self.drive / proof_name(segment)
        fields = json.loads(path.read_bytes())
        change(fields)
        path.write_bytes(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n")

    def findings(self) -> tuple[Finding, ...]:
        """What verifying finds, with the vehicle's key."""
        return verify_bundle(self.bundle, [self.key.public_key]).findings

    def found(self) -> set[str]:
        """The kinds of it."""
        return {one.kind for one in self.findings()}
