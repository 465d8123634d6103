"""What is to be verified: the folder of a drive or a bundle, or a bundle's zip file, unpacked while that takes."""

from __future__ import annotations

import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from review.verify.find import find_drive_or_bundle, is_bundle
from review.verify.manifest import MANIFEST_NAME
from runtime.contracts.errors import RecordError
from runtime.seal.statement import printable

_MOST_ENTRIES = 1_000_000
_MOST_DEPTH = 4

# APPNOTE.TXT 6.3.10: the end of central directory record, and of a local file header what tells where the file ends.
_ZIP_END = struct.Struct("<4sHHHHIIH")
_ZIP64_END_BYTES = 56 + 20  # the zip64 record and its locator
_ZIP_LOCAL_HEAD, _ZIP_NAME_AND_EXTRA = 30, 26
_ZIP_HAS_DESCRIPTOR = 0x08
_ZIP_DESCRIPTORS = (12, 16, 20, 24)  # with or without a signature, of 32 or 64 bits
_U16_U16_LE = struct.Struct("<HH")


@dataclass(frozen=True)
class Opened:
    """A folder to verify. `shown`: what whoever named it knows it by."""

    folder: Path
    is_bundle: bool
    shown: str


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """The folder of a drive or a bundle. Raises RecordError where the path is neither, or a zip file that holds what no
    bundle does.
    """
    if path.is_file():
        with tempfile.TemporaryDirectory(prefix="sightline-bundle-") as temporary:
            _unpack(path, Path(temporary))
            yield Opened(_only_bundle(path, Path(temporary)), True, printable(str(path)))
        return
    folder = find_drive_or_bundle(path)
    yield Opened(folder, is_bundle(folder), printable(str(folder)))


def _only_bundle(path: Path, unpacked: Path) -> Path:
    """The bundle that a zip file holds, and nothing beside it, which nobody would have verified."""
    if is_bundle(unpacked):
        return unpacked
    inner = list(unpacked.iterdir())
    if not any(is_bundle(one) for one in inner):
        raise RecordError(f"{path} is no bundle: it holds no {MANIFEST_NAME}; give the folder or zip of one")
    if len(inner) > 1:
        names = ", ".join(sorted(one.name for one in inner if not is_bundle(one)) or ["another bundle"])
        raise RecordError(f"{path} holds something beside its bundle ({names:.200}); unpack it, and name the folder")
    return inner[0]


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _refuse_odd(path, entries)
            room = shutil.disk_usage(folder).free
            if sum(one.file_size for one in entries) > room:
                raise RecordError(
                    f"{path} would take more room than {folder} has ({room >> 20} MiB); unpack it elsewhere"
                )
            _refuse_hidden(path, archive)
            for one in entries:
                if not one.is_dir():
                    archive.extract(one, folder)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise RecordError(
            f"{path} is no zip file that can be read: {error}; give a drive's or bundle's folder"
        ) from error
    except ValueError as error:
        raise RecordError(f"{path} is no zip file that can be read: {error}") from error


def _refuse_hidden(path: Path, archive: zipfile.ZipFile) -> None:
    """Bytes that belong to none of the files: there another list of files may lie, or files that no list names, and
    another tool might take those.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _ZIP_END.size))
        end = file.read(_ZIP_END.size)
        magic, *_, list_bytes, _, comment_bytes = _ZIP_END.unpack(end) if len(end) == _ZIP_END.size else (b"", 0, 0, 1)
        between = size - _ZIP_END.size - archive.start_dir - list_bytes
        hidden = magic != b"PK\x05\x06" or comment_bytes != 0 or between not in (0, _ZIP64_END_BYTES)
        position = 0
        slack: tuple[int, ...] = (0,)
        for one in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            hidden = hidden or one.header_offset - position not in slack
            file.seek(one.header_offset + _ZIP_NAME_AND_EXTRA)
            name_bytes, extra_bytes = _U16_U16_LE.unpack(file.read(_U16_U16_LE.size).ljust(_U16_U16_LE.size, b"\0"))
            position = one.header_offset + _ZIP_LOCAL_HEAD + name_bytes + extra_bytes + one.compress_size
            slack = _ZIP_DESCRIPTORS if one.flag_bits & _ZIP_HAS_DESCRIPTOR else (0,)
    if hidden or archive.start_dir - position not in slack:
        raise RecordError(
            f"{path} holds bytes beside its files, in which another tool might find others; it is not unpacked"
        )


def _refuse_odd(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Names that lead elsewhere, links, and two files of one name, of which another tool might take the other."""
    if len(entries) > _MOST_ENTRIES:
        raise RecordError(f"{path} holds {len(entries)} files, more than any bundle")
    if entries and min(one.header_offset for one in entries) > 0:  # zipfile finds the last one; others the first
        raise RecordError(f"{path} has something else before its files, maybe another zip file; it is not unpacked")
    seen: set[str] = set()
    for one in entries:
        name, parts = one.filename, one.filename.rstrip("/").split("/")
        odd = one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or one.orig_filename != name
        odd = odd or any(part in ("", ".", "..") for part in parts) or "\\" in name or len(parts) > _MOST_DEPTH
        if odd or stat.S_ISLNK(one.external_attr >> 16) or not name.isprintable():
            raise RecordError(f"{path} holds {name!a:.200}, which no bundle does; it is not unpacked")
        if name.casefold() in seen:
            raise RecordError(f"{path} holds {name} twice; nobody can tell which one is meant")
        seen.add(name.casefold())
