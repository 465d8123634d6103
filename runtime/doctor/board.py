"""The board: which one, its JetPack, its power mode, and whether heat or power has slowed it down."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from runtime.doctor.finding import Finding, number_in, text_of
from runtime.engines import processor
from runtime.engines.tensorrt.identity import jetpack_release

_HOT_FRACTION = 0.95  # of the temperature at which the kernel begins to slow down
_MILLI = 1000.0
_NVPMODEL_TIMEOUT_S = 5.0

Ask = Callable[[list[str]], str]


def board(root: Path = Path("/")) -> Finding:
    """What the device tree calls the board, or the processor's name, with the L4T release on a Jetson."""
    model = text_of(root / "proc/device-tree/model") or processor.cpu().partition(" [")[0]
    release = jetpack_release(root / "etc/nv_tegra_release")
    if "jetson" in model.lower() and not release:
        mend = "install JetPack's nvidia-l4t-core, or mount /etc/nv_tegra_release into the container"
        return Finding("board", "warn", f"{model}, without L4T's release file", mend)
    return Finding("board", "ok", f"{model}, L4T {release}" if release else model)


def power(root: Path = Path("/"), ask: Ask | None = None) -> Finding:
    """The power mode (`nvpmodel -q` on a Jetson), and the governor of the processor's clock."""
    ask = ask or _ask
    governors = sorted(
        {text_of(path) for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""}
    )
    mode = _power_mode(ask(["nvpmodel", "-q"])) if (root / "etc/nv_tegra_release").exists() else ""
    found = "; ".join(filter(None, (mode, f"governor {', '.join(governors)}" if governors else "")))
    if not found:
        return Finding("power", "ok", "neither a power mode nor a clock's governor is told here")
    if "powersave" in governors:
        mend = "sudo cpupower frequency-set -g performance (on a Jetson: sudo jetson_clocks)"
        return Finding("power", "warn", found, mend)
    return Finding("power", "ok", found)


def throttling(root: Path = Path("/")) -> Finding:
    """Temperatures against the points at which the kernel slows the clocks, and how often it has since the boot."""
    hot, warmest = [], ""
    highest = -1.0
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        now = number_in(zone / "temp")
        if now is None:
            continue
        name, degrees = text_of(zone / "type") or zone.name, now / _MILLI
        if degrees > highest:
            highest, warmest = degrees, f"{name} {degrees:.0f} degrees C"
        limit = _passive_limit(zone)
        if limit is not None and degrees >= _HOT_FRACTION * limit:
            hot.append(f"{name} is at {degrees:.0f} of {limit:.0f} degrees C")
    events = _events(root)
    if hot or events:
        slowed = f"slowed down {events} times since the boot" if events else ""
        found = "; ".join(filter(None, (*hot, slowed)))
        return Finding("throttling", "warn", found, "cool the board, feed it enough power, or choose a lower mode")
    return Finding("throttling", "ok", f"none; the warmest is {warmest}" if warmest else "no temperature is told here")


def _passive_limit(zone: Path) -> float | None:
    """The lowest temperature at which the zone slows clocks down, in degrees C."""
    limits = []
    for kind in zone.glob("trip_point_*_type"):
        if text_of(kind) in ("passive", "hot"):
            limit = number_in(kind.with_name(kind.name.replace("_type", "_temp")))
            if limit is not None and limit > 0:
                limits.append(limit / _MILLI)
    return min(limits, default=None)


def _events(root: Path) -> int:
    """How often heat (x86: for each core) or too high a current (a Jetson's over-current events) slowed it down."""
    heat = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    current = (root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt")
    return max((number_in(path) or 0 for path in heat), default=0) + sum(number_in(path) or 0 for path in current)


def _power_mode(said: str) -> str:
    for line in said.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "NV Power Mode":
            return f"power mode {value.strip()}"
    return "power mode not told (nvpmodel)"


def _ask(command: list[str]) -> str:
    """What a program of the board answers, "" where it is not there or does not."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_NVPMODEL_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
