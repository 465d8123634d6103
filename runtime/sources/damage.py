"""What the bytes of a file without an index of its frames tell of its wholeness.

Only signs that no whole file shows count: none is an estimate. A file cut exactly between two packets of a transport
stream, or between two clusters of an unfinished Matroska file, shows none.
"""

from __future__ import annotations

from dataclasses import dataclass

FOREVER_NS = 1 << 63

_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Damage:
    """Signs that a file is not whole.

    Attributes:
        signs: What was found, in words, in the file's order; the first few of them.
        holes: Where they are in time, each from the last frame before it to the first behind it (FOREVER_NS: none is),
            counted from the first frame's time. Coders reorder frames, so others near it may be gone too.
        frames_surely_lost: Whether at least one sign cannot be there without the loss of some of the file's media.
        end_ns: Where the last frame should end, counted likewise, where a header tells.
        video_only: Whether the file has no other track, so that the header's duration is the video's.
    """

    signs: tuple[str, ...]
    holes: tuple[tuple[int, int], ...]
    frames_surely_lost: bool
    end_ns: int | None = None
    video_only: bool = False

    @property
    def reason(self) -> str:
        """The signs as one text."""
        more = len(self.signs) - _MAX_SHOWN
        return "; ".join(self.signs[:_MAX_SHOWN]) + (f"; and {more} more" if more > 0 else "")
