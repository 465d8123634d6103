"""What is to be verified: the folder of a drive or a bundle, or a bundle's zip file, unpacked while that takes."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from review.verify.find import find_drive_or_bundle, is_bundle
from review.verify.manifest import MANIFEST_NAME
from review.verify.zip_entries import refuse_hidden, refuse_odd
from runtime.contracts.errors import RecordError
from runtime.seal.statement import printable


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
            refuse_odd(path, entries)
            room = shutil.disk_usage(folder).free
            if sum(one.file_size for one in entries) > room:
                raise RecordError(
                    f"{path} would take more room than {folder} has ({room >> 20} MiB); unpack it elsewhere"
                )
            refuse_hidden(path, archive)
            for one in entries:
                if not one.is_dir():
                    archive.extract(one, folder)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise RecordError(
            f"{path} is no zip file that can be read: {error}; give a drive's or bundle's folder"
        ) from error
    except ValueError as error:
        raise RecordError(f"{path} is no zip file that can be read: {error}") from error
