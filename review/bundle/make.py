"""A part of a drive as a bundle: a folder or a zip file that can be handed over and still be verified."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from review.bundle.choice import Request, choose
from review.bundle.cut import kept_places, sealed_leaves, write_cut
from review.bundle.readme import readme
from review.verify.account import BundleAccount
from review.verify.bundle import verify_bundle
from review.verify.custody import CustodyLine, custody_bytes, line_sha256
from review.verify.find import find_sealed
from review.verify.manifest import (
    CUSTODY_NAME,
    DRIVE_FOLDER,
    MANIFEST_NAME,
    README_NAME,
    VERIFIER_NAME,
    Asked,
    Manifest,
    manifest_bytes,
)
from review.verify.moment import utc
from review.verify.plain_file import hash_plain, is_plain
from review.verify.report import Finding, Verification
from review.verify.standalone import write_standalone
from runtime import __version__
from runtime.contracts.errors import RecordError
from runtime.record.drive import open_drive
from runtime.record.evidence import refuse_in_evidence
from runtime.record.lock import unchanged
from runtime.seal.chain import recorded_seals
from runtime.seal.keys import read_public_key
from runtime.seal.part_file import PART_SUFFIX
from runtime.seal.rotation import ROTATION_PREFIX
from runtime.seal.statement import (
    KEY_PREFIX,
    SEAL_SUFFIX,
    ClosingSeal,
    Seal,
    SegmentSeal,
    TombstoneSeal,
    leaves_name,
    printable,
)

BUNDLE_SUFFIX = ".evidence"


@dataclass(frozen=True)
class BundleReport:
    """What was made. `findings`: what does not hold in it, since it did not in the drive."""

    bundle: str
    drive_id: str
    account: BundleAccount
    size_bytes: int
    manifest_sha256: str
    head: str
    findings: tuple[Finding, ...]


def make_bundle(
    path: Path,
    request: Request,
    out: Path,
    *,
    by: str = "",
    note: str = "",
    as_zip: bool = False,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> BundleReport:
    """Hand over what was asked for. The drive itself is never changed.

    Args:
        path: the drive's folder, or one that holds a single drive.
        request: what is asked for.
        out: the folder in which the bundle is made.
        by: who makes it; note: what they have to say. Both go into the custody log.
        as_zip: make one file of it.
        on_bytes: called with the number of bytes of each segment that is done.

    Raises:
        UsageError: the drive does not have what is asked for, or `out` lies in a drive or a bundle.
        RecordError, SealError: the drive has no seals, is not closed, or is damaged where it was to be cut; or there is
            a bundle of that name; or the disk refuses.
    """
    refuse_in_evidence(out)
    drive = find_sealed(path)
    with unchanged(drive):
        seals = [seal for _, seal in recorded_seals(drive)]
        _refuse_open(drive, seals)
        segments = [seal for seal in seals if isinstance(seal, SegmentSeal)]
        asked = choose(open_drive(drive), segments, request)
        drive_id = seals[0].drive_id
        target = out / (_name(drive_id, request) + BUNDLE_SUFFIX + (".zip" if as_zip else ""))
        if target.exists():
            raise RecordError(f"{target} is there already; take it away, or name another folder by --out")
        temporary = out / f".{target.name}.{secrets.token_hex(4)}.tmp"
        try:
            folder = temporary / target.name.removesuffix(".zip")
            (folder / DRIVE_FOLDER).mkdir(parents=True)
            _copy_drive(drive, seals, asked, folder / DRIVE_FOLDER, on_bytes)
            found = _describe(folder, drive_id, asked, printable(by), printable(note))
            size_bytes = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
            if as_zip:
                size_bytes = _zip(folder, temporary / target.name)
            (temporary / target.name).replace(target)
        except OSError as error:
            raise RecordError(
                f"the bundle {target} cannot be written: {error.strerror or error}; choose another --out"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    assert found.bundle is not None
    return BundleReport(
        bundle=str(target),
        drive_id=drive_id,
        account=found.bundle,
        size_bytes=size_bytes,
        manifest_sha256=found.bundle.custody[-1].manifest_sha256,
        head=found.head,
        findings=found.findings,
    )


def _refuse_open(drive: Path, seals: list[Seal]) -> None:
    if not seals:
        raise RecordError(
            f"{drive} has no seals, so no part of it could be verified: it was recorded without a key, or its first "
            "segment is being recorded still"
        )
    if not any(isinstance(seal, ClosingSeal) for seal in seals):
        raise RecordError(
            f"{drive} is not closed: it is being recorded, or its recorder died and none has taken it up since "
            "(sightline recover); what is handed over is verified against the whole chain"
        )


def _name(drive_id: str, request: Request) -> str:
    parts = [drive_id]
    if request.incident is not None:
        parts.append(f"incident-{request.incident}" + ("-window" if request.cut else ""))
    parts += [f"segment-{index}" for index in request.segments[:3]]
    if request.from_s is not None or request.to_s is not None:
        parts.append(f"{request.from_s or 0:g}s-" + ("end" if request.to_s is None else f"{request.to_s:g}s"))
    if request.topics or request.without_topics:
        parts.append("some-topics")
    if request.without_people:
        parts.append("without-people")
    return "-".join(parts)


def _copy_drive(drive: Path, seals: list[Seal], asked: Asked, to: Path, on_bytes: Callable[[int], object]) -> None:
    """All that belongs to the drive but segments that were not asked for and files that were left out."""
    names = {entry.name for entry in drive.iterdir() if entry.name.endswith(SEAL_SUFFIX)}
    names |= {entry.name for entry in drive.glob(f"{KEY_PREFIX}*")} | {
        one.name for one in drive.glob(f"{ROTATION_PREFIX}*")
    }
    names |= {name for seal in seals for name in seal.files} - set(asked.without_files)
    for name in sorted(names):
        if is_plain(drive / name):
            shutil.copyfile(drive / name, to / name)
    deleted = {seal.segment for seal in seals if isinstance(seal, TombstoneSeal)}
    for seal in seals:
        if not isinstance(seal, SegmentSeal) or seal.segment not in asked.segments:
            continue
        if is_plain(drive / seal.file_name):
            _hand_over(drive, seal, asked, to)
            on_bytes(seal.file.size_bytes)
        elif seal.segment not in deleted:
            raise RecordError(
                f"{drive / seal.file_name} is not there; ask for what is, or make the bundle from the whole drive"
            )


def _hand_over(drive: Path, seal: SegmentSeal, asked: Asked, to: Path) -> None:
    """A segment whole, or a part of it where less was asked for."""
    if asked.has_window or any(topic in seal.topics for topic in asked.without_topics):
        leaves = sealed_leaves(drive, seal)
        places = kept_places(leaves, asked)
        if len(places) < seal.messages:
            write_cut(drive, seal, leaves, places, to)
            return
    for name in (seal.file_name, leaves_name(seal.segment)):
        if is_plain(drive / name):
            shutil.copyfile(drive / name, to / name)


def _describe(folder: Path, drive_id: str, asked: Asked, by: str, note: str) -> Verification:
    """Verifier, manifest, custody log and README, which tells what verifying found. Nothing is changed behind it."""
    write_standalone(folder / VERIFIER_NAME)
    files = {one.relative_to(folder).as_posix(): hash_plain(one) for one in sorted(folder.rglob("*")) if one.is_file()}
    _sign_off(folder, Manifest(drive_id, __version__, asked, files), by, note)
    keys = [read_public_key(path) for path in sorted((folder / DRIVE_FOLDER).glob(f"{KEY_PREFIX}*"))]
    found = verify_bundle(folder, keys)
    assert found.bundle is not None
    names = [*files, MANIFEST_NAME, CUSTODY_NAME]
    text = readme(drive_id, found.bundle, found.head, found.key_ids, names)
    (folder / README_NAME).write_text(text, encoding="utf-8")
    files[README_NAME] = hash_plain(folder / README_NAME)
    line = _sign_off(folder, Manifest(drive_id, __version__, asked, files), by, note)
    bundle = dataclasses.replace(found.bundle, custody=(line,), custody_head=line_sha256(line))
    return dataclasses.replace(found, bundle=bundle)


def _sign_off(folder: Path, manifest: Manifest, by: str, note: str) -> CustodyLine:
    data = manifest_bytes(manifest)
    (folder / MANIFEST_NAME).write_bytes(data)
    line = CustodyLine(utc(time.time_ns()), by, "made", note, hashlib.sha256(data).hexdigest(), "")
    (folder / CUSTODY_NAME).write_bytes(custody_bytes(line))
    return line


def _zip(folder: Path, path: Path) -> int:
    """One file of the folder; returns its size. What is compressed already is stored."""
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(folder.rglob("*")):
            if one.is_file():
                stored = one.suffix == ".mcap" and not one.name.endswith(PART_SUFFIX)
                kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                archive.write(one, Path(folder.name) / one.relative_to(folder), kind)
    return path.stat().st_size
