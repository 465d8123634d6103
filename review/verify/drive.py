"""A drive held against its seals."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from review.verify.deleted import deleted, left_behind, read_deletions
from review.verify.handed import Handed
from review.verify.moment import Span, lasting_s
from review.verify.plain_file import is_as, is_plain, is_there
from review.verify.report import Finding, Level, Verification
from review.verify.seals import FoundSeal, FoundSeals, read_seals
from review.verify.segments import SegmentCheck
from runtime.contracts.errors import RecordError
from runtime.seal.part_file import part_name, proof_name
from runtime.seal.statement import (
    INCIDENTS_NAME,
    LEAVES_SUFFIX,
    SEAL_SUFFIX,
    ClosingSeal,
    FileHash,
    SegmentSeal,
    TombstoneSeal,
    key_name,
    leaves_name,
    printable,
)

LARGEST_SHOWN = 1000
"""So many findings are told at most."""
_SEGMENT_FILE = re.compile(r"segment-(\d{4,})\.mcap(\.journal)?")
_HEAD = re.compile(r"(?:([0-9]{1,20}):)?([0-9a-f]{64})")


@dataclass(frozen=True)
class KeptHead:
    """A seal that somebody kept elsewhere; `number` None: it is not known."""

    number: int | None
    sha256: str


def parse_head(text: str) -> KeptHead:
    """A head as it was published (the JSON of `/seal/head`, or a file that holds it) or as NUMBER:SHA256.

    Raises RecordError.
    """
    match = _HEAD.fullmatch(text.strip().lower())
    if match:
        return KeptHead(None if match.group(1) is None else int(match.group(1)), match.group(2))
    try:
        path = Path(text)
        fields = json.loads(path.read_bytes() if is_plain(path) else text)
        number, sha256 = fields["number"], fields["seal_sha256"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordError(
            f"the head {text[:80]!r} is none: give NUMBER:SHA256, or the JSON that /seal/head published, or its file"
        ) from error
    if not isinstance(number, int) or not isinstance(sha256, str):
        raise RecordError(f"the head {text[:80]!r} names no seal")
    return KeptHead(number, sha256)


def verify_drive(
    folder: Path,
    trusted: Iterable[bytes],
    head: KeptHead | None = None,
    on_segment: Callable[[int], object] = lambda _: None,
    handed: Handed | None = None,
) -> Verification:
    """Hold every byte of a drive's folder against its seals.

    Args:
        folder: the drive.
        trusted: the public keys (32 bytes each) that are known to be the vehicle's, from elsewhere than the drive.
        head: a seal that must be among them.
        on_segment: called with the number of bytes of each segment that was gone through.
        handed: where the folder is a bundle's: what it says that it holds of the drive.

    Raises:
        RecordError: the folder is no drive, or the disk does not give a file.
    """
    began = time.perf_counter()
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise RecordError(f"the drive {folder} cannot be read: {error.strerror}; give a drive's folder") from error
    if not any(_SEGMENT_FILE.fullmatch(name) or name.endswith(SEAL_SUFFIX) for name in names):
        raise RecordError(f"{folder} is no drive: it holds neither a segment nor a seal")
    sealed = read_seals(folder, names, trusted)
    check = _Check(folder, names, sealed, on_segment, handed)
    findings = [*sealed.findings, *check.findings(), *_against(head, sealed)]
    gone = tuple(deleted(folder, check.segments, check.deletions))
    segments = tuple(one for one in check.segments if check.is_here(one))
    spans = (Span(one.segment, one.first_log_time_ns, one.last_log_time_ns) for one in segments if one.messages)
    duration_s = lasting_s(spans)
    newest = sealed.seals[-1] if sealed.seals else None
    wall_s = time.perf_counter() - began
    return Verification(
        drive=printable(str(folder)),
        drive_id=sealed.drive_id,
        verdict="damaged" if findings else "intact",
        findings=tuple(findings[:LARGEST_SHOWN]),
        findings_left_out=max(0, len(findings) - LARGEST_SHOWN),
        level=check.level,
        segments=len(segments),
        messages=sum(one.messages for one in segments),
        gaps=sum(len(one.gaps) for one in segments),
        key_ids=tuple(sorted({one.seal.key_id for one in sealed.seals})),
        head="" if newest is None else f"{newest.seal.number}:{newest.sha256}",
        ended=check.end.seal.ended if check.end is not None and isinstance(check.end.seal, ClosingSeal) else "",
        deleted=gone,
        sealed_late=tuple(one.segment for one in segments if one.late),
        recovered=tuple(one.segment for one in segments if one.recovered and not one.late),
        duration_s=duration_s,
        size_bytes=sum(one.file.size_bytes for one in segments),
        wall_s=wall_s,
        realtime_factor=duration_s / wall_s if wall_s > 0 else 0.0,
    )


class _Check:
    """Goes through the folder."""

    def __init__(
        self,
        folder: Path,
        names: list[str],
        sealed: FoundSeals,
        on_segment: Callable[[int], object],
        handed: Handed | None,
    ) -> None:
        self._folder, self._names, self._sealed, self._on_segment = folder, names, sealed, on_segment
        self._handed = handed
        self.segments = tuple(one.seal for one in sealed.seals if isinstance(one.seal, SegmentSeal))
        self.deletions = read_deletions(folder, sealed.seals)
        lasting = [one for one in sealed.seals if not isinstance(one.seal, TombstoneSeal)]
        self.end = lasting[-1] if lasting else None
        self.level: Level = "messages"
        self._shown_folder = printable(folder.name)

    def findings(self) -> Iterator[Finding]:
        """All that is not as it was sealed, but for the seals themselves."""
        files = {one.file: one.file_name for one in self.segments}
        yield from self.deletions.findings
        for seal in self.segments:
            if self._handed is not None:
                yield from self._handed_over(seal, self._handed)
            if self.deletions.excuses(self._folder, seal):
                yield from left_behind(self._folder, seal)
                continue
            if self._handed is not None and not self._handed.is_whole(seal):
                continue
            others = {was: name for was, name in files.items() if name != seal.file_name}
            check = SegmentCheck(self._folder, seal, others)
            yield from check.findings()
            self._on_segment(seal.file.size_bytes)
            if not check.by_message:
                self.level = "files"
        yield from self._other_files()
        yield from self._unsealed()
        yield from self._end()

    def is_here(self, seal: SegmentSeal) -> bool:
        """Whether anything of a segment is there."""
        part = self._handed is not None and self._handed.is_part(seal)
        return part or is_plain(self._folder / seal.file_name)

    def _handed_over(self, seal: SegmentSeal, handed: Handed) -> Iterator[Finding]:
        """What of a segment a bundle holds."""
        if handed.is_whole(seal):
            yield from handed.whole(seal)
        elif handed.is_part(seal):
            yield from handed.part(seal, [one for one in self.segments if one is not seal])
            self._on_segment(seal.file.size_bytes)
        else:
            yield from handed.absent(seal, deleted=self.deletions.excuses(self._folder, seal))

    def _other_files(self) -> Iterator[Finding]:
        for files in self._speaking_of_files():
            for name, was in files.items():
                path = self._folder / name
                if is_there(path) and not is_plain(path):
                    yield Finding("file-missing", printable(name), "a link or a folder lies in the place of the file")
                elif not is_plain(path):
                    left_out = self._handed is not None and self._handed.leaves_out(name)
                    if left_out or self.deletions.files.get(name) == was:
                        continue
                    yield Finding("file-missing", printable(name), "it is not there; it was when the drive was sealed")
                elif not is_as(path, was):
                    yield Finding("file-changed", printable(name), "it is not as it was sealed")

    def _speaking_of_files(self) -> Iterator[dict[str, FileHash]]:
        """What the seals say of the drive's other files; one that grew with it is as the newest closing has it."""
        grown: dict[str, FileHash] = {}
        for one in self._sealed.seals:
            if isinstance(one.seal, ClosingSeal):
                grown |= one.seal.files
            else:
                yield one.seal.files
        yield {name: was for name, was in grown.items() if name != INCIDENTS_NAME or self._is_closed()}

    def _is_closed(self) -> bool:
        return self.end is not None and isinstance(self.end.seal, ClosingSeal)

    def _unsealed(self) -> Iterator[Finding]:
        """What lies in the folder and no seal speaks of."""
        covered = {one.name for one in self._sealed.seals} | {one.file for one in self._sealed.findings}
        for seal in self.segments:
            if self._handed is None or self._handed.is_whole(seal):
                covered |= {seal.file_name, leaves_name(seal.segment)}
            elif self._handed.is_part(seal):
                covered |= {part_name(seal.segment), proof_name(seal.segment)}
        covered |= {name for one in self._sealed.seals for name in one.seal.files}
        covered |= set() if self._is_closed() else {INCIDENTS_NAME}
        for name in self._names:
            if name in covered or printable(name) in covered:
                continue
            match = _SEGMENT_FILE.fullmatch(name)
            if match and match.group(2):
                text = "a segment that is not finished: it grows still, or its recorder died and none has taken it up"
                yield Finding("journal-open", name, text, segment=int(match.group(1)))
            elif match:
                there = f"segment-{match.group(1)}{SEAL_SUFFIX}" in self._names
                why = "its seal does not hold" if there else "it was put here, or its seal was taken away"
                text = f"no seal speaks of this segment: {why}"
                yield Finding("segment-unsealed", name, text, segment=int(match.group(1)))
            elif not self._is_used(name):
                yield Finding("file-foreign", printable(name), _why_foreign(name))

    def _is_used(self, name: str) -> bool:
        """Whether it is the public key of a seal, shown after the first one: a key was changed in mid-drive."""
        return is_plain(self._folder / name) and any(name == key_name(one.seal.key_id) for one in self._sealed.seals)

    def _end(self) -> Iterator[Finding]:
        indices = sorted({one.segment for one in self.segments})
        for before, index in zip([-1, *indices], indices, strict=False):
            if index > before + 1:
                several = f"segment {before + 1}" if index == before + 2 else f"segments {before + 1} to {index - 1}"
                text = f"of {several} no seal holds"
                yield Finding("seal-missing", self._shown_folder, text, segment=before + 1)
        newest = self.end
        if newest is None:
            text = "no seal holds: whether this is what was recorded cannot be told"
            yield Finding("seal-missing", self._shown_folder, text)
        elif not isinstance(newest.seal, ClosingSeal):
            text = (
                f"the chain ends with seal {newest.seal.number}, which does not close the drive: the rest was cut off, "
                "or the recorder died and none has taken up its drive since"
            )
            yield Finding("tail-cut", newest.name, text)
        elif newest.seal.segments != len(indices):
            text = f"the drive was closed with {newest.seal.segments} segments, and {len(indices)} have a seal"
            yield Finding("segment-missing", newest.name, text)


def _why_foreign(name: str) -> str:
    if name.endswith(f"{SEAL_SUFFIX}.tmp"):
        return "no seal, but the beginning of one: whoever wrote it may have died; `sightline recover` takes it away"
    why = "its seal is not there" if name.endswith(LEAVES_SUFFIX) else "no seal speaks of it"
    return f"{why}: it does not belong to the record"


def _against(head: KeptHead | None, sealed: FoundSeals) -> Iterator[Finding]:
    if head is None or any(_is(head, one) for one in sealed.seals):
        return
    newest = sealed.seals[-1].seal.number if sealed.seals else -1
    shown = head.sha256 if head.number is None else f"{head.number}:{head.sha256}"
    if head.number is not None and head.number > newest:
        text = f"the head {shown} lies behind the last seal of the folder ({newest}): the rest was cut off"
        yield Finding("tail-cut", "", text)
    else:
        text = f"no seal of the folder is the head {shown}: the tail was cut off, or the record was made anew"
        yield Finding("head-unknown", "", text)


def _is(head: KeptHead, one: FoundSeal) -> bool:
    return one.sha256 == head.sha256 and head.number in (None, one.seal.number)
