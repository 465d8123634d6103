"""A journal cut anywhere: what is taken up must be exactly the whole sets before the cut."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.durable.loss import DRIVE, Scenario, record
from runtime.record.journal import survey
from runtime.record.segment import journal_path

MIB = 1024 * 1024
_MARK = re.compile(rb'\{"session":"5{32}","first":\d+,"last":(\d+),"frame_sequence":-?\d+,"messages":\d+,"crc32":\d+\}')
_RECORD = struct.Struct("<BQ")


def a_journal(root: Path, key_dir: Path) -> bytes:
    """A real journal of more than a megabyte."""
    record(root, key_dir, Scenario(frames=40, set_bytes=30_000, segment_s=60.0, ends=False))
    return journal_path(root / DRIVE, 0).read_bytes()


def boundaries(data: bytes) -> list[int]:
    """Where each record of an unchunked MCAP file ends, by its specification and none of our code."""
    position, ends = 8, []
    while position + _RECORD.size <= len(data):
        position += _RECORD.size + _RECORD.unpack_from(data, position)[1]
        ends.append(position)
    return ends


def cuts(data: bytes, anywhere: int, every: int, chance: random.Random) -> list[int]:
    """Sizes in the last megabyte: every `every`-th boundary with the bytes around it, and `anywhere` others."""
    first = max(0, len(data) - MIB)
    edges = [end for end in boundaries(data) if end >= first][::every]
    near = {edge + by for edge in edges for by in (-1, 0, 1, 9, 31) if first <= edge + by <= len(data)}
    return sorted(near | {chance.randrange(first, len(data) + 1) for _ in range(anywhere)}, reverse=True)


def whole_sets(data: bytes) -> list[tuple[int, int]]:
    """Where each set ends, and its number: its mark is text."""
    return [(found.end(), int(found.group(1))) for found in _MARK.finditer(data)]


def wrong(data: bytes, sizes: Iterable[int], path: Path) -> Iterator[str]:
    """The cuts (largest first) behind which something else is found than the whole sets before them."""
    marks = whole_sets(data)
    path.write_bytes(data)
    for size in sizes:
        with path.open("r+b") as file:
            file.truncate(size)
        whole = [(end, last) for end, last in marks if end <= size]
        found = survey(path)
        seen = (found.whole_bytes, -1 if found.mark is None else found.mark.last)
        if seen != (whole[-1] if whole else (0, -1)):
            yield f"cut at {size}: {seen} was found, {whole[-1:]} is right"
