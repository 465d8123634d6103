"""The plans that this device has built, in a folder of bounded size. A plan appears in it whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.plan_file import PlanRecord, read_record

_PLAN, _STAGING, _ALIVE = ".plan", "staging-", "alive"


def cache_folder() -> Path:
    """Where plans are kept: `sightline/engines` under XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sightline" / "engines"


@dataclass(frozen=True, slots=True)
class Entry:
    """One plan. `record` None: its file cannot be read as a plan, `problem` says why."""

    path: Path
    size_bytes: int
    used_ns: int  # when it was last loaded or built
    record: PlanRecord | None
    problem: str = ""


class PlanCache:
    """Plans by key. Times of tactics lie beside them, one file for each device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the plan of a key is, or would be."""
        return self.folder / f"{key}{_PLAN}"

    def timing_path(self, device_name: str) -> Path:
        """Where a device's times of tactics are."""
        return self.folder / f"{device_name}.timing"

    def entries(self) -> tuple[Entry, ...]:
        """Every plan, by name. One that another process takes away meanwhile is left out."""
        found = []
        for path in sorted(self.folder.glob(f"*{_PLAN}")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            try:
                found.append(Entry(path, status.st_size, status.st_mtime_ns, read_record(path)))
            except EngineError as error:
                found.append(Entry(path, status.st_size, status.st_mtime_ns, None, str(error)))
        return tuple(found)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder of one's own within the cache, gone afterwards; what dead builders left is swept first.

        Raises EngineError where it cannot be made.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            path = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.folder))
            alive = os.open(path / _ALIVE, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            fcntl.flock(alive, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(alive)
            shutil.rmtree(path, ignore_errors=True)

    def swap_in(self, staged: Path, target: Path) -> None:
        """Put a file of the staging folder in its place, on the disk before its name is. Raises EngineError."""
        try:
            with staged.open("rb") as file:
                os.fsync(file.fileno())
            staged.replace(target)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._cannot_write(error) from error

    def make_room(self, size_bytes: int, limit_bytes: int, replaced: Path) -> tuple[Path, ...]:
        """Take out the plans that were longest not used, until one more of `size_bytes` fits; returns them.

        Args:
            size_bytes: of the plan that is to come.
            limit_bytes: of all plans together.
            replaced: the plan whose place it takes, which is not counted and not taken out.

        Raises:
            EngineError: it is larger than the limit by itself.
        """
        if size_bytes > limit_bytes:
            raise EngineError(
                f"the plan has {size_bytes >> 20} MiB and the cache {self.folder} is limited to {limit_bytes >> 20}; "
                "raise --limit-mib (the tactics' times are kept, so building it again is quicker)"
            )
        others = sorted((one for one in self.entries() if one.path != replaced), key=lambda one: one.used_ns)
        total = sum(one.size_bytes for one in others) + size_bytes
        gone = []
        for one in others:
            if total <= limit_bytes:
                break
            one.path.unlink(missing_ok=True)
            total -= one.size_bytes
            gone.append(one.path)
        return tuple(gone)

    def touch(self, path: Path) -> None:
        """Note that a plan is in use. A cache that may only be read has no notes."""
        with contextlib.suppress(OSError):
            os.utime(path)

    def _sweep(self) -> None:
        for left in self.folder.glob(f"{_STAGING}*"):
            try:
                alive = os.open(left / _ALIVE, os.O_RDWR)
            except OSError:
                continue  # just being made, or being swept by another
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its builder lives
            else:
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(alive)

    def _cannot_write(self, error: OSError) -> EngineError:
        return EngineError(
            f"the plan cache {self.folder} cannot be written: {error.strerror}; make room, or choose another with "
            "--cache"
        )
