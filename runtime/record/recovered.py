"""What an earlier recorder of a drive left, as the one that takes it up found it."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.record.segment import SegmentFile


@dataclass(frozen=True, slots=True)
class Recovered:
    """Whole sets below `next_sequence`, the journals with whole sets that were left open, and how many bytes of an
    unfinished set were cut away.
    """

    next_sequence: int
    files: tuple[SegmentFile, ...]
    cut_bytes: int

    @property
    def journals(self) -> int:
        """How many segments were open."""
        return len(self.files)
