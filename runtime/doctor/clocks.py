"""The clocks: what the kernel counts by, whether UTC is disciplined, whether time survives a power cut."""

from __future__ import annotations

from pathlib import Path

from runtime.contracts.clock import SystemClock, tie
from runtime.doctor.finding import Finding, text_of

_SLOW_SOURCES = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_DISCIPLINE = "run chrony or systemd-timesyncd; records say so"


def clock_source(root: Path = Path("/")) -> Finding:
    """What the kernel reads time from."""
    source = text_of(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    if not source:
        return Finding("clock source", "ok", "the kernel does not tell")
    if source in _SLOW_SOURCES:
        mend = "see why the kernel rejected a better one: dmesg | grep -i clocksource"
        return Finding("clock source", "warn", f"{source}: reading it takes microseconds", mend)
    return Finding("clock source", "ok", source)


def utc() -> Finding:
    """Whether NTP or PTP disciplines the clock."""
    synchronised = tie(SystemClock()).utc_synchronised
    if synchronised is None:
        return Finding("clock", "warn", "the kernel does not tell whether UTC is synchronised", _DISCIPLINE)
    if not synchronised:
        return Finding("clock", "warn", "UTC is not synchronised", _DISCIPLINE)
    return Finding("clock", "ok", "UTC is synchronised")


def hardware_clock(root: Path = Path("/")) -> Finding:
    """Whether a clock runs on while the power is off."""
    clocks = sorted((root / "sys/class/rtc").glob("rtc[0-9]*"))
    if not clocks:
        mend = "until NTP answers, UTC is wrong after each power cut, and records say so; fit a battery-backed clock"
        return Finding("hardware clock", "warn", "none", mend)
    year = text_of(clocks[0] / "date").partition("-")[0]
    if year.isdigit() and int(year) < 2024:
        mend = "its battery is empty or it was never set: sudo hwclock --systohc, once UTC is synchronised"
        return Finding("hardware clock", "warn", f"{clocks[0].name} stands in the year {year}", mend)
    return Finding("hardware clock", "ok", ", ".join(text_of(clock / "name") or clock.name for clock in clocks))
