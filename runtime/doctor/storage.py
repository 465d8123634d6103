"""Where drives are written: room, how long a sync takes, wear; and the shared memory on the way there."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from runtime.bus.ring import PictureRing
from runtime.contracts.config import Config
from runtime.contracts.errors import LinkError
from runtime.contracts.units import NS_PER_MS
from runtime.doctor.finding import Finding, number_in, text_of

_FREE_GIB_WANTED = 5.0
_PICTURE_BYTES = 1280 * 720 * 3
_SYNCS = 100
_SYNC_BYTES = 1 << 20
_SYNC_P99_MS_WANTED = 50.0
_LIFE_STEP_PERCENT = 10  # JEDEC eMMC 5.0, DEVICE_LIFE_TIME_EST: 1 is up to 10 %, 11 is beyond its life
_WORN_STEP = 9
_PRE_EOL_URGENT = 3


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there, as far as this user may see."""
    for folder in (path.absolute(), *path.absolute().parents):
        with suppress(PermissionError):
            if folder.is_dir():
                return folder
    return Path("/")


def room(folder: Path) -> Finding:
    """How much is free."""
    free_gib = shutil.disk_usage(folder).free / 2**30
    found = f"{free_gib:.1f} GiB free at {folder}"
    if free_gib < _FREE_GIB_WANTED:
        return Finding("disk", "warn", found, f"have {_FREE_GIB_WANTED:.0f} GiB, or write drives elsewhere (--out)")
    return Finding("disk", "ok", found)


def sync(folder: Path) -> Finding:
    """How long fdatasync takes, which every acknowledgement of the record waits for."""
    try:
        times_ms = sorted(_sync_times_ms(folder))
    except OSError as error:
        return Finding("disk sync", "fail", f"{folder} cannot be written: {error.strerror}", "choose another --out")
    p50, p99 = times_ms[len(times_ms) // 2], times_ms[-1 - len(times_ms) // 100]
    found = f"1 MiB to the disk: median {p50:.1f} ms, p99 {p99:.1f} ms"
    if p99 > _SYNC_P99_MS_WANTED:
        return Finding("disk sync", "warn", found, "record to a faster disk: acknowledgements wait for this")
    return Finding("disk sync", "ok", found)


def wear(folder: Path, root: Path = Path("/")) -> Finding:
    """What an eMMC tells of its own wear, under the disk that holds the folder; other disks tell it to root only."""
    disk = _disk_of(folder, root)
    if disk is None:
        return Finding("disk wear", "ok", f"no disk of its own lies under {folder}")
    steps = [int(step, 16) for step in text_of(disk / "device" / "life_time").split() if step.startswith("0x")]
    if not any(steps):
        return Finding("disk wear", "ok", f"{disk.name} does not tell; as root: smartctl -a /dev/{disk.name}")
    worst = max(steps)
    said = "beyond its life" if worst > 10 else f"{(worst - 1) * _LIFE_STEP_PERCENT} to {worst * _LIFE_STEP_PERCENT} %"
    found = f"{disk.name}: {said} used"
    if worst >= _WORN_STEP or (number_in(disk / "device" / "pre_eol_info") or 0) >= _PRE_EOL_URGENT:
        return Finding("disk wear", "warn", found, "write drives to another disk (--out) before this one fails")
    return Finding("disk wear", "ok", found)


def shared_memory(config: Config) -> Finding:
    """Whether pictures have room on their way to the recorder."""
    slots = config.record.picture_slots
    try:
        ring = PictureRing(slots, _PICTURE_BYTES)
    except LinkError as error:
        return Finding("shared memory", "fail", str(error), "a kernel from 3.17 on, or fewer record.picture_slots")
    ring.close()
    return Finding("shared memory", "ok", f"{slots} pictures of 1280x720 for the recorder")


def _sync_times_ms(folder: Path) -> list[float]:
    block = os.urandom(_SYNC_BYTES)
    with tempfile.TemporaryFile(dir=folder) as file:
        times_ms = []
        for _ in range(_SYNCS):
            start_ns = time.monotonic_ns()
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
            times_ms.append((time.monotonic_ns() - start_ns) / NS_PER_MS)
    return times_ms


def _disk_of(folder: Path, root: Path) -> Path | None:
    """The folder in /sys of the whole disk under a folder, None for a network's or a memory's."""
    device = folder.stat().st_dev
    place = root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
    if not place.exists():
        return None
    place = place.resolve()
    return place.parent if (place / "partition").exists() else place
