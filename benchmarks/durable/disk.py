"""A recording shim under a process's files: what it writes, in which order, and what of it was brought to the disk.

Within `Disk.recording()`, everything that this process does to files below one folder goes to the real file system as
ever and is written down as well: data, truncations, names that come, go and change, folders, fsync and fdatasync of
files and of folders. From that, `survivor` makes the folder as a power failure at any moment may leave it. The rules
are POSIX's, harder than what any one file system does: what was not synced may be there or not, in any order, torn at
512 bytes; a file's fsync says nothing about its name, which is there for sure only after its folder's.

Before that the process may be killed and another one begin (`dies`, `revive`): what it had written stays, synced or
not, and what lay in its buffers is gone.

It stands in the place of the functions that Python's own file classes call, so it needs no compiler and no privilege;
`faithful` says whether it saw all that happened.
"""

from __future__ import annotations

import builtins
import io
import os
import pathlib
import random
import shutil
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.durable.survivor import Keep, Op, survivor


@dataclass(frozen=True, order=True)
class Place:
    """Where in the code something is synced."""

    module: str
    function: str
    line: int


@dataclass(frozen=True)
class Death:
    """The process is killed behind the `number`-th operation of a kind on files whose names end so ("": on any)."""

    kind: Literal["write", "rename", "unlink", "sync", "any"]
    ending: str = ""
    number: int = 1

    def has_come(self, ops: list[Op]) -> bool:
        """Whether these operations are behind it."""
        names = ((op.kind, op.to or op.path) for op in ops)
        return sum(self.kind in (kind, "any") and name.endswith(self.ending) for kind, name in names) >= self.number


class KilledError(BaseException):
    """The process is dead: this and all that it would still do does not happen."""


class Disk:
    """Records one process's doings below `root`. Calls of sync from the places in `deaf` are not made, as if somebody
    had deleted them.
    """

    def __init__(self, root: Path, deaf: frozenset[Place] = frozenset()) -> None:
        self.root = root.resolve()
        self.ops: list[Op] = []
        self.deaf = deaf
        self.places: set[Place] = set()  # from where something was synced
        self.unsynced: list[int] = []  # behind how many operations a call was left out
        self.dead = False
        self.deaths: list[int] = []  # behind how many operations a process was killed
        self._death: Death | None = None
        self._life = self._born = 0  # which process lives now, and behind how many operations it began
        self._ghosts: weakref.WeakSet[threading.Thread] = weakref.WeakSet()  # of processes that were killed
        self._lock = threading.RLock()
        self._inodes: dict[tuple[int, int], int] = {}
        self._next = 0

    def note(self, what: Any) -> None:
        """Write down that something was promised to somebody: from now on it must survive."""
        with self._lock:
            self._alive()
            self.ops.append(Op("note", note=what))

    def dies(self, death: Death | None) -> None:
        """When the process that lives now is killed; operations count from now on."""
        self._death, self._born = death, len(self.ops)

    def revive(self) -> None:
        """Another process begins, in the calling thread. The threads and files of the dead one can do nothing more."""
        with self._lock:
            self.deaths.append(len(self.ops))
            self._ghosts.update(thread for thread in threading.enumerate() if thread is not threading.current_thread())
            self.dead, self._death, self._life = False, None, self._life + 1

    def _alive(self) -> None:
        """Raise KilledError where the process is not alive any more."""
        if not self.dead and self._death is not None:
            self.dead = self._death.has_come(self.ops[self._born :])
        if self.dead or threading.current_thread() in self._ghosts:
            raise KilledError

    @contextmanager
    def recording(self) -> Iterator[Disk]:
        """Stand under the files of this process."""
        replaced: list[tuple[Any, str, Any]] = []

        def replace(module: Any, name: str, function: Any) -> None:
            replaced.append((module, name, getattr(module, name)))
            setattr(module, name, function)

        real_open, real_os = io.open, {name: getattr(os, name) for name in _OS}
        try:
            opened = self._opener(real_open)
            replace(io, "open", opened)
            replace(builtins, "open", opened)
            replace(shutil, "_USE_CP_SENDFILE", False)  # it copies past every file object
            accessor = getattr(pathlib, "_NormalAccessor", None)  # Python 3.10 binds what a Path calls
            for name in () if accessor is None else ("open", "mkdir", "replace", "rename", "unlink"):
                function = opened if name == "open" else getattr(self, f"_{name}")(real_os[name])
                replace(accessor, name, staticmethod(function))
            for name in _OS:
                replace(os, name, getattr(self, f"_{name}")(real_os[name]))
            yield self
        finally:
            for module, name, function in reversed(replaced):
                setattr(module, name, function)

    def faithful(self) -> bool:
        """Whether the folder really is what was written down, to the last byte."""
        return _contents(self.root) == survivor(self.ops, "all", random.Random(0))

    def survivor(self, count: int, into: Path, keep: Keep, chance: random.Random) -> None:
        """Make the folder as it may be found after a power failure behind the first `count` operations."""
        for path, content in sorted(survivor(self.ops[:count], keep, chance).items()):
            target = into / path
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def _inside(self, path: Any) -> str | None:
        if isinstance(path, int):  # a file that was opened below Python's file classes
            path = Path(f"/proc/self/fd/{path}").readlink()
        given = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100  # resolve() would follow a link's last part
        full = given.parent.resolve() / given.name
        return str(full.relative_to(self.root)) if full.is_relative_to(self.root) else None

    def _inode(self, status: os.stat_result, *, new: bool = False) -> int:
        key = (status.st_dev, status.st_ino)
        if new or key not in self._inodes:
            self._inodes[key] = self._next
            self._next += 1
        return self._inodes[key]

    def _opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **options: Any) -> Any:
            place = self._inside(file)
            if place is None or not set(mode) & set("wxa+"):
                return real(file, mode, buffering, *arguments, **options)
            raw = _RecordedFile(self, file, mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            buffered: Any = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *arguments, **options)

        return opened

    def _open(self, real: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            place = self._inside(path) if flags & os.O_CREAT and not options.get("dir_fd") else None
            if place is None:
                return real(path, flags, *arguments, **options)
            with self._lock:
                self._alive()
                existed = os.path.exists(path)  # noqa: PTH110
                fd = real(path, flags, *arguments, **options)
                if not existed:
                    self.ops.append(Op("link", self._inode(os.fstat(fd), new=True), path=place))
            return fd

        return opened

    def _link(self, real: Callable[..., None]) -> Callable[..., None]:
        def link(source: Any, target: Any, **options: Any) -> None:
            with self._lock:
                place = self._inside(target)
                if place is not None:
                    self._alive()
                real(source, target, **options)
                if place is not None:
                    self.ops.append(Op("link", self._inode(os.stat(target)), path=place))  # noqa: PTH116

        return link

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def sync(fd: int) -> None:
            caller = sys._getframe(1)
            if caller.f_code.co_name in _SYNCERS and caller.f_back is not None:
                caller = caller.f_back
            if isinstance(fd, io.IOBase):
                fd = fd.fileno()
            with self._lock:
                path = self._inside(Path(f"/proc/self/fd/{fd}").readlink())
                if path is not None:
                    self._alive()
                    place = Place(Path(caller.f_code.co_filename).name, caller.f_code.co_name, caller.f_lineno)
                    self.places.add(place)
                    if place in self.deaf:
                        self.unsynced.append(len(self.ops))
                        return
                    status = os.fstat(fd)
                    folder = (status.st_mode & 0o170000) == 0o040000
                    # What another thread writes from here on may be on the disk or not: it is not counted as being so.
                    self.ops.append(Op("sync-folder", path=path) if folder else Op("sync", self._inode(status), path))
            real(fd)

        return sync

    _fdatasync = _fsync

    def _replace(self, real: Callable[..., None]) -> Callable[..., None]:
        def replace(source: Any, target: Any, **options: Any) -> None:
            with self._lock:
                old, new = self._inside(source), self._inside(target)
                if new is not None:
                    self._alive()
                real(source, target, **options)
                if new is not None:
                    self.ops.append(Op("rename", self._inode(os.stat(target)), path=old or "", to=new))  # noqa: PTH116

        return replace

    _rename = _replace

    def _unlink(self, real: Callable[..., None]) -> Callable[..., None]:
        def unlink(path: Any, **options: Any) -> None:
            with self._lock:
                place = self._inside(path) if not options.get("dir_fd") else None
                if place is not None:
                    self._alive()
                real(path, **options)
                if place is not None:
                    self.ops.append(Op("unlink", path=place))

        return unlink

    _remove = _unlink

    def _mkdir(self, real: Callable[..., None]) -> Callable[..., None]:
        def mkdir(path: Any, *arguments: Any, **options: Any) -> None:
            with self._lock:
                place = self._inside(path)
                if place is not None:
                    self._alive()
                real(path, *arguments, **options)
                if place is not None:
                    self.ops.append(Op("folder", path=place))

        return mkdir


_SYNCERS = ("sync_directory", "sync_file")  # of runtime.record.journal: what counts is who calls them
_OS = ("open", "link", "fsync", "fdatasync", "replace", "rename", "unlink", "remove", "mkdir")


class _RecordedFile(io.FileIO):
    """A file that is written: each write as the kernel gets it."""

    def __init__(self, disk: Disk, path: Any, mode: str) -> None:
        place = disk._inside(path)
        assert place is not None
        self._disk, self._path, self._life = disk, place, disk._life
        with disk._lock:
            disk._alive()
            existed = isinstance(path, int) or os.path.exists(path)  # noqa: PTH110
            super().__init__(path, mode)
            self._number = disk._inode(os.fstat(self.fileno()), new=not existed)
            if not existed:
                disk.ops.append(Op("link", self._number, path=place))
            elif "w" in mode and not isinstance(path, int):
                disk.ops.append(Op("truncate", self._number, place))

    def write(self, data: Any) -> int:
        """As FileIO."""
        with self._disk._lock:
            if self._life != self._disk._life:  # of a process that was killed: its buffer goes nowhere
                return len(data)
            self._disk._alive()
            offset = self.tell() if not self.mode.startswith("a") else os.fstat(self.fileno()).st_size
            written = super().write(data) or 0
            self._disk.ops.append(Op("write", self._number, self._path, offset=offset, data=bytes(data[:written])))
        return written

    def truncate(self, size: int | None = None) -> int:
        """As FileIO."""
        with self._disk._lock:
            self._disk._alive()
            done = super().truncate(size)
            self._disk.ops.append(Op("truncate", self._number, self._path, offset=done))
        return done


def _contents(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }
