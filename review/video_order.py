"""Whether the pictures of an H.264 video follow each other without a gap."""

from __future__ import annotations

from runtime.sources.bitstream import h264_number, h264_number_bits


class Order:
    """Follows a video by its `frame_num` (H.264, 7.4.3), which every picture that others refer to raises by one.

    A gap of just as many pictures as the number counts (16 at least) is not seen.
    """

    def __init__(self) -> None:
        self._bits: int | None = None
        self._last: int | None = None  # of the newest picture that others refer to; None before a key picture

    def follows(self, access_unit: bytes) -> bool:
        """Whether all that a picture refers to was given. After one that does not follow, only a key picture does."""
        self._bits = h264_number_bits(access_unit) or self._bits
        found = None if self._bits is None else h264_number(access_unit, self._bits)
        if found is None or self._bits is None:
            self._last = None
            return False
        if not found.is_key and (self._last is None or found.number != (self._last + 1) % (1 << self._bits)):
            self._last = None
            return False
        if found.is_reference:
            self._last = found.number
        return True
