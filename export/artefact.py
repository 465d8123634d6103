"""The folder of an export: made beside where it goes, brought to the disk, and swapped in whole, or not at all."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from runtime.contracts.errors import ExportError, UsageError

MARK = ".sightline-export"
"""A file in every export's folder that lists what the export wrote, as sha256sum does: only that may be replaced."""

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux


@contextmanager
def whole_folder(out: Path, yours: Path | None = None) -> Iterator[Path]:
    """An empty folder to write into; at the end of the `with` it stands at `out`, with all that was written to it.

    Whatever goes wrong, a Ctrl-C or SIGTERM included, leaves `out` as it was and nothing beside it. An earlier export
    at `out` is replaced whole.

    Args:
        out: where the export goes; its parent is made where it is absent.
        yours: a file that may have been changed since an earlier export, because this one was made from it.

    Raises:
        UsageError: something is at `out` that is no export, or was changed since.
        ExportError: the folder cannot be written: what the disk said, and how to mend it.
    """
    out = out.resolve()
    refuse_foreign(out, yours)
    with _termination_unwinds():
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        except OSError as error:
            raise _unwritable(out, error) from error
        try:
            yield work
            listed = [f"{_sha256(path)}  {path.name}\n" for path in sorted(work.iterdir())]
            (work / MARK).write_text("".join(listed), encoding="utf-8")
            _to_disk(work)
            _swap(work, out)
        except OSError as error:
            raise _unwritable(out, error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


def refuse_foreign(out: Path, yours: Path | None = None) -> None:
    """Raise UsageError where `out` holds anything but what an earlier export wrote: it would be replaced."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out} is no folder; name one that is empty, absent, or an earlier export")
    wrote = _wrote(out)
    foreign = [
        path.name
        for path in sorted(out.iterdir())
        if path.name != MARK and not (yours is not None and path.samefile(yours) and path.name in wrote)
        if path.name not in wrote or wrote[path.name] != _sha256(path)
    ]
    if foreign:
        shown = ", ".join(foreign[:5]) + (" and more" if len(foreign) > 5 else "")
        raise UsageError(
            f"--out {out} holds what no export wrote, or what was changed since ({shown}), and an export replaces its "
            "folder whole; name one that is empty, absent, or an earlier export as it was written"
        )


def _wrote(out: Path) -> dict[str, str]:
    """What an earlier export wrote into a folder: hash by name."""
    try:
        text = (out / MARK).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap(work: Path, out: Path) -> None:
    """Put the folder in place; what stood there is in `work` afterwards."""
    work.chmod(0o755)
    if not out.exists():
        work.rename(out)
    elif not _exchanged(work, out):
        # Where folders cannot be exchanged, the old one steps aside first, and back where the new one cannot follow.
        aside = work.with_name(f"{work.name}.old")
        out.rename(aside)
        try:
            work.rename(out)
        except BaseException:
            aside.rename(out)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _sync(out.parent)


def _exchanged(work: Path, out: Path) -> bool:
    """Exchange two folders in one step of the file system: a reader sees the old export or the new one."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return exchange is not None and exchange(_HERE, os.fsencode(work), _HERE, os.fsencode(out), _EXCHANGE) == 0


def _to_disk(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _termination_unwinds() -> Iterator[None]:
    """SIGTERM as Ctrl-C, so that the folder beside is taken away; off the main thread signals are left alone."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _unwritable(out: Path, error: OSError) -> ExportError:
    what = error.strerror or str(error)
    return ExportError(
        f"--out {out} cannot be written: {what}{f' ({error.filename})' if error.filename else ''}; "
        "make room or name another folder. Nothing was left there"
    )
