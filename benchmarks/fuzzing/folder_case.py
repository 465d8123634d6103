"""A case that is a drive's folder, told by what is other than in the drive that it was made of."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import msgspec

EntryKind = Literal["file", "gone", "fifo", "folder", "link"]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One name in the folder and what stands there; `data`: a file's bytes, or where a link leads."""

    name: str
    kind: EntryKind
    data: bytes = b""


def encode_case(entries: list[Entry]) -> bytes:
    """The case's bytes."""
    return msgspec.msgpack.encode(entries)


def decode_case(case: bytes) -> list[Entry]:
    """Its entries again."""
    return msgspec.msgpack.decode(case, type=list[Entry])


class Bench:
    """A copy of a drive in which a case stands for as long as it is looked at."""

    def __init__(self, seed: Path, folder: Path) -> None:
        self._seed = {path.name: path.read_bytes() for path in sorted(seed.iterdir()) if path.is_file()}
        self.folder = folder / seed.name
        shutil.copytree(seed, self.folder)
        self._written = {name: (self.folder / name).stat().st_mtime_ns for name in self._seed}

    @property
    def files(self) -> dict[str, bytes]:
        """The drive as it was recorded, by name."""
        return self._seed

    def put(self, entries: list[Entry]) -> None:
        """Make the folder what the case says."""
        for entry in entries:
            path = self.folder / entry.name
            _remove(path)
            if entry.kind == "file":
                path.write_bytes(entry.data)
            elif entry.kind == "fifo":
                os.mkfifo(path)
            elif entry.kind == "folder":
                path.mkdir()
            elif entry.kind == "link":
                path.symlink_to(os.fsdecode(entry.data))

    def restore(self, entries: list[Entry]) -> None:
        """Make it what it was, whoever wrote into it meanwhile."""
        touched = {entry.name for entry in entries}
        for path in list(self.folder.iterdir()):
            if path.name in touched or path.name not in self._seed or not path.is_file() or path.is_symlink():
                _remove(path)
        for name, data in self._seed.items():
            path = self.folder / name
            if not path.exists() or path.stat().st_mtime_ns != self._written[name]:
                path.write_bytes(data)
                self._written[name] = path.stat().st_mtime_ns


def keep_folder(seed: dict[str, bytes], entries: list[Entry], path: Path) -> None:
    """Write the whole drive of a case as a folder."""
    path.mkdir(parents=True)
    changed = {entry.name for entry in entries}
    for name, data in seed.items():
        if name not in changed:
            (path / name).write_bytes(data)
    for entry in entries:
        target = path / entry.name
        if entry.kind == "file":
            target.write_bytes(entry.data)
        elif entry.kind == "fifo":
            os.mkfifo(target)
        elif entry.kind == "folder":
            target.mkdir()
        elif entry.kind == "link":
            target.symlink_to(os.fsdecode(entry.data))


def load_folder(seed: dict[str, bytes], path: Path) -> list[Entry]:
    """The case whose drive was kept."""
    entries = [Entry(name, "gone") for name in seed if not (path / name).is_symlink() and not (path / name).exists()]
    for one in sorted(path.iterdir()):
        if one.is_symlink():
            entries.append(Entry(one.name, "link", os.fsencode(one.readlink())))
        elif one.is_fifo():
            entries.append(Entry(one.name, "fifo"))
        elif one.is_dir():
            entries.append(Entry(one.name, "folder"))
        elif seed.get(one.name) != one.read_bytes():
            entries.append(Entry(one.name, "file", one.read_bytes()))
    return entries


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
