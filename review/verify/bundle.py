"""An evidence bundle held against the vehicle's seals, and against what it says of itself."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from review.verify.account import BundleAccount
from review.verify.custody import LARGEST_CUSTODY_BYTES, CustodyLine, line_sha256, parse_custody
from review.verify.drive import LARGEST_SHOWN, KeptHead, verify_drive
from review.verify.handed import Handed
from review.verify.manifest import (
    CUSTODY_NAME,
    DRIVE_FOLDER,
    LARGEST_MANIFEST_BYTES,
    MANIFEST_NAME,
    README_NAME,
    VERIFIER_NAME,
    Asked,
    Manifest,
    ManifestError,
    parse_manifest,
)
from review.verify.moment import Span, lasting_s
from review.verify.plain_file import is_as, is_plain, read_plain
from review.verify.report import Finding, Verification
from runtime.contracts.errors import RecordError
from runtime.seal.statement import printable

_BESIDE_THE_DRIVE = (README_NAME, VERIFIER_NAME)
"""All else that no seal covers would pass for a part of what the vehicle signed."""


def verify_bundle(
    folder: Path,
    trusted: Iterable[bytes],
    head: KeptHead | None = None,
    on_segment: Callable[[int], object] = lambda _: None,
) -> Verification:
    """Hold a bundle's folder against the seals that it carries; arguments and errors are `verify_drive`'s."""
    began = time.perf_counter()
    manifest, data, findings = _manifest(folder)
    if manifest is not None:
        findings += _files(folder, manifest)
    custody, wrong = _custody(folder, data)
    findings += wrong
    asked = None if manifest is None else manifest.asked
    handed = Handed(folder / DRIVE_FOLDER, asked)
    found = verify_drive(folder / DRIVE_FOLDER, trusted, head, on_segment, handed)
    findings += _against_seals(manifest, found, handed)
    every = (*findings, *found.findings)
    duration_s, wall_s = _duration_s(handed, asked), time.perf_counter() - began
    return dataclasses.replace(
        found,
        drive=printable(str(folder)),
        verdict="damaged" if every else "intact",
        findings=every[:LARGEST_SHOWN],
        findings_left_out=found.findings_left_out + max(0, len(every) - LARGEST_SHOWN),
        messages=sum(one.kept for one in handed.accounts),
        duration_s=duration_s,
        wall_s=wall_s,
        realtime_factor=duration_s / wall_s if wall_s > 0 else 0.0,
        bundle=BundleAccount(
            asked="" if asked is None else asked.words,
            segments=() if asked is None else asked.segments,
            without_topics=() if asked is None else asked.without_topics,
            from_log_time_ns=None if asked is None else asked.from_log_time_ns,
            to_log_time_ns=None if asked is None else asked.to_log_time_ns,
            without_people=asked is not None and asked.without_people,
            parts=tuple(handed.accounts),
            files_left_out=tuple(handed.files_left_out),
            custody=custody,
            custody_head=line_sha256(custody[-1]) if custody else "",
        ),
    )


def _duration_s(handed: Handed, asked: Asked | None) -> float:
    """How long what was handed over lasts; what a window cuts off counts not."""
    start, end = (None, None) if asked is None else (asked.from_log_time_ns, asked.to_log_time_ns)
    spans = []
    for one in handed.accounts:
        first = one.first_log_time_ns if start is None else max(one.first_log_time_ns, start)
        last = one.last_log_time_ns if end is None else min(one.last_log_time_ns, end)
        if one.kept and first <= last:
            spans.append(Span(one.segment, first, last))
    return lasting_s(spans)


def _manifest(folder: Path) -> tuple[Manifest | None, bytes, list[Finding]]:
    path = folder / MANIFEST_NAME
    if not is_plain(path):
        return None, b"", [Finding("file-missing", MANIFEST_NAME, "the bundle's manifest is not there")]
    data = read_plain(path, LARGEST_MANIFEST_BYTES)
    try:
        return parse_manifest(data), data, []
    except ManifestError as error:
        return None, data, [Finding("manifest-wrong", MANIFEST_NAME, f"the manifest cannot be read: {error}")]


def _files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Every file of the bundle against the manifest, so that what was changed on the way is found."""
    there = {path.relative_to(folder).as_posix() for path in _entries(folder)} - {MANIFEST_NAME, CUSTODY_NAME}
    for name in sorted(there):
        if name not in manifest.files:
            yield Finding("file-foreign", printable(name), "the bundle's manifest does not name it")
        elif name not in _BESIDE_THE_DRIVE and not name.startswith(f"{DRIVE_FOLDER}/"):
            text = "the manifest names it, but nobody signed for it: no bundle has such a file"
            yield Finding("file-foreign", printable(name), text)
    for name, was in sorted(manifest.files.items()):
        if name not in there or not is_plain(folder / name):
            yield Finding("file-missing", printable(name), "the bundle's manifest names it, and it is not there")
        elif not is_as(folder / name, was):
            yield Finding("file-changed", printable(name), "it is not as the bundle's manifest has it")


def _entries(folder: Path) -> Iterator[Path]:
    """Everything in the folder that is no folder itself; a link to one is not followed."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            for path in current.iterdir():
                if path.is_dir() and not path.is_symlink():
                    waiting.append(path)
                else:
                    yield path
        except OSError as error:
            raise RecordError(f"{current} cannot be read: {error.strerror}") from error


def _custody(folder: Path, manifest: bytes) -> tuple[tuple[CustodyLine, ...], list[Finding]]:
    path = folder / CUSTODY_NAME
    if not is_plain(path):
        return (), [Finding("file-missing", CUSTODY_NAME, "the bundle's custody log is not there")]
    data = read_plain(path, LARGEST_CUSTODY_BYTES)
    lines, wrong = parse_custody(data, hashlib.sha256(manifest).hexdigest())
    return lines, [Finding("custody-broken", CUSTODY_NAME, one) for one in wrong]


def _against_seals(manifest: Manifest | None, found: Verification, handed: Handed) -> Iterator[Finding]:
    if manifest is None:
        return
    if found.drive_id and manifest.drive_id != found.drive_id:
        text = (
            f"it says that this is of the drive {manifest.drive_id}, and the seals are of {printable(found.drive_id)}"
        )
        yield Finding("manifest-wrong", MANIFEST_NAME, text)
    sealed = {one.segment for one in handed.accounts}
    for index in sorted(set(manifest.asked.segments) - sealed):
        text = f"segment {index} was asked for, and no seal speaks of it"
        yield Finding("manifest-wrong", MANIFEST_NAME, text, segment=index)
