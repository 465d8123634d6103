"""What the driving process tells its parent: one JSON line on standard output a few times a second."""

from __future__ import annotations

from typing import Literal

import msgspec

Phase = Literal["deciding", "done", "failed"]


class Progress(msgspec.Struct, frozen=True):
    """Totals so far. `phase` is `deciding` from the first frame on, then `done`, or `failed` with its `error`."""

    phase: Phase
    frames: int = 0
    decided: int = 0
    late: int = 0
    dropped: int = 0
    lost: int = 0  # message sets that the link gave up, declared in the record
    expected: int | None = None
    sealed: bool = False  # the recorder confirmed that the drive is whole on the disk
    error: str = ""
    malformed: int = 0  # messages on its sockets that were none
    refused: int = 0  # connections that it turned away

    def line(self) -> bytes:
        """The line, with its newline."""
        return msgspec.json.encode(self) + b"\n"


def parse(line: bytes) -> Progress | None:
    """The progress in a line, None where the line is something else (a library that prints)."""
    try:
        return msgspec.json.decode(line, type=Progress)
    except msgspec.DecodeError:
        return None
