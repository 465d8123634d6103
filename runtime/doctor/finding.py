"""What a check found."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Verdict = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor. `warn`: driving works, and something is worse than it could be. `fail`: it does not."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def text_of(path: Path) -> str:
    """What a file of the kernel says, without blanks and zeros around it; "" where there is none, or it may not be
    read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip(" \n\t\0")
    except OSError:
        return ""


def number_in(path: Path) -> int | None:
    """The number that a file of the kernel holds, None where it holds none."""
    try:
        return int(text_of(path), 0)
    except ValueError:
        return None
