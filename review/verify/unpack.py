"""What is to be verified: the folder of a drive or a bundle, or a bundle's zip file, unpacked while that takes."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from review.verify.find import find_sealed
from review.verify.manifest import DRIVE_FOLDER, MANIFEST_NAME
from runtime.contracts.errors import RecordError
from runtime.seal.statement import printable

_MOST_ENTRIES = 1_000_000
_MOST_DEPTH = 4


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
            found = _bundle_in(Path(temporary))
            if found is None:
                raise RecordError(f"{path} is no bundle: it holds no {MANIFEST_NAME}; give the folder or zip of one")
            yield Opened(found, True, printable(str(path)))
        return
    bundle = _bundle_in(path) if path.is_dir() else None
    folder = find_sealed(path) if bundle is None else bundle
    yield Opened(folder, bundle is not None, printable(str(folder)))


def _bundle_in(folder: Path) -> Path | None:
    """The folder itself, or the one bundle in it."""
    if _is_bundle(folder):
        return folder
    inner = [one for one in folder.iterdir() if one.is_dir() and _is_bundle(one)]
    return inner[0] if len(inner) == 1 else None


def _is_bundle(folder: Path) -> bool:
    return (folder / MANIFEST_NAME).is_file() and (folder / DRIVE_FOLDER).is_dir()


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
            for one in entries:
                if not one.is_dir():
                    archive.extract(one, folder)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise RecordError(
            f"{path} is no zip file that can be read: {error}; give a drive's or bundle's folder"
        ) from error
    except ValueError as error:
        raise RecordError(f"{path} is no zip file that can be read: {error}") from error


def _refuse_odd(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Names that lead elsewhere, links, and two files of one name, of which another tool might take the other."""
    if len(entries) > _MOST_ENTRIES:
        raise RecordError(f"{path} holds {len(entries)} files, more than any bundle")
    if entries and min(one.header_offset for one in entries) > 0:  # zipfile finds the last one; others the first
        raise RecordError(f"{path} has something else before its files, maybe another zip file; it is not unpacked")
    seen: set[str] = set()
    for one in entries:
        name, parts = one.filename, one.filename.rstrip("/").split("/")
        odd = one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        odd = odd or any(part in ("", ".", "..") for part in parts) or "\\" in name or len(parts) > _MOST_DEPTH
        if odd or stat.S_ISLNK(one.external_attr >> 16) or not name.isprintable():
            raise RecordError(f"{path} holds {name!a:.200}, which no bundle does; it is not unpacked")
        if name.casefold() in seen:
            raise RecordError(f"{path} holds {name} twice; nobody can tell which one is meant")
        seen.add(name.casefold())
