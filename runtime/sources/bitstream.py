"""The picture size that a coded video packet declares, read from its headers.

OpenCV scales a picture of another size than the first to the first's without a word. Sizes are read where the standards
put them: JPEG (ITU-T T.81), MPEG-1/2 (ISO/IEC 13818-2), MPEG-4 Visual (14496-2), H.264 (ITU-T H.264), HEVC (H.265),
VP8 (RFC 6386), VP9 (bitstream specification 0.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

Size = tuple[int, int]
"""Width and height in pixels."""

_MAX_HEADER_BYTES = 4096
_MAX_NUMBER_BYTES = 32  # of a slice, up to its frame_num
_H264_SLICE, _H264_IDR, _H264_SPS = 1, 5, 7
_H264_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def coded_size(codec: str, packet: bytes) -> Size | None:
    """The size that a packet declares, None where it declares none, is damaged, or its codec is not among the above.

    Args:
        codec: OpenCV's four characters, in lower case.
        packet: H.264 and HEVC with start codes (Annex B).
    """
    read = _READERS.get(codec)
    if read is None:
        return None
    try:
        size = read(packet)
    except (IndexError, ValueError):
        return None
    return size if size is not None and min(size) > 0 else None


@dataclass(frozen=True, slots=True)
class H264Number:
    """The `frame_num` of a coded picture (H.264, 7.4.3), and what it is counted by."""

    number: int
    is_key: bool  # IDR: the count begins anew
    is_reference: bool


def h264_number_bits(packet: bytes) -> int | None:
    """The width of `frame_num` that a packet's sequence parameters declare, None where it declares none."""
    for header, unit in _units(packet):
        if header & 0x1F == _H264_SPS:
            try:
                return _h264_up_to_number(_Bits(_unescaped(unit)))[0]
            except ValueError:
                return None
    return None


def h264_number(packet: bytes, number_bits: int) -> H264Number | None:
    """The number of the packet's picture, None where it holds none. `number_bits`: see h264_number_bits."""
    for header, unit in _units(packet):
        if header & 0x1F in (_H264_SLICE, _H264_IDR):
            bits = _Bits(_unescaped(unit[:_MAX_NUMBER_BYTES]))
            try:
                for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
                    bits.ue()
                return H264Number(bits.u(number_bits), header & 0x1F == _H264_IDR, bool(header & 0x60))
            except ValueError:
                return None
    return None


class _Bits:
    """Reads bits from the first on. Raises ValueError past the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def u(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("past the end of the header")
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb number (H.264, 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)


def _jpeg(packet: bytes) -> Size | None:
    position = 2
    while packet[position] == 0xFF:
        marker, length = packet[position + 1], int.from_bytes(packet[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = packet[position + 5 : position + 7], packet[position + 7 : position + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        position += 2 + length
    return None


def _mpeg2(packet: bytes) -> Size | None:
    start = packet.find(b"\0\0\1\xb3")
    if start < 0:
        return None
    bits = _Bits(packet[start + 4 : start + 7])
    return bits.u(12), bits.u(12)


def _mpeg4(packet: bytes) -> Size | None:
    for kind, unit in _units(packet):
        if 0x20 <= kind <= 0x2F:
            return _video_object_layer(_Bits(unit))
        if kind == 0xB6:  # the picture itself
            return None
    return None


def _video_object_layer(bits: _Bits) -> Size | None:
    bits.u(9)
    version = bits.u(4) if (named := bits.u(1)) else 1
    bits.u(3 if named else 0)
    if bits.u(4) == 15:
        bits.u(16)
    if bits.u(1):
        bits.u(3)
        bits.u(79 if bits.u(1) else 0)
    shape = bits.u(2)
    if shape != 0 or version > 2:  # not rectangular
        return None
    bits.u(1)
    resolution = bits.u(16)
    bits.u(1)
    bits.u(max(1, (resolution - 1).bit_length()) if bits.u(1) else 0)
    bits.u(1)
    width = bits.u(13)
    bits.u(1)
    return width, bits.u(13)


def _h264(packet: bytes) -> Size | None:
    for header, unit in _units(packet):
        if header & 0x1F == _H264_SPS:
            return _h264_sequence(_Bits(_unescaped(unit)))
        if 1 <= header & 0x1F <= 5:  # the picture itself
            return None
    return None


def _h264_up_to_number(bits: _Bits) -> tuple[int, int]:
    """Reads on past log2_max_frame_num: that, and the chroma format (0 where its planes are coded apart)."""
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    chroma, separate = 1, 0
    if profile in _H264_HIGH_PROFILES:
        chroma = bits.ue()
        separate = bits.u(1) if chroma == 3 else 0
        bits.ue()
        bits.ue()
        bits.u(1)
        if bits.u(1):
            for i in range(12 if chroma == 3 else 8):
                _skip_scaling_list(bits, (16 if i < 6 else 64) if bits.u(1) else 0)
    return bits.ue() + 4, 0 if separate else chroma


def _h264_sequence(bits: _Bits) -> Size:
    _, sampled = _h264_up_to_number(bits)
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        for _ in range(2):
            bits.ue()
        for _ in range(bits.ue()):
            bits.ue()
    bits.ue()
    bits.u(1)
    width, height = bits.ue() + 1, bits.ue() + 1
    frames_only = bits.u(1)
    bits.u(1 if frames_only else 2)
    left, right, top, bottom = (bits.ue() for _ in range(4)) if bits.u(1) else (0, 0, 0, 0)
    unit_x = 2 if sampled in (1, 2) else 1
    unit_y = (2 if sampled == 1 else 1) * (2 - frames_only)
    return width * 16 - unit_x * (left + right), (2 - frames_only) * height * 16 - unit_y * (top + bottom)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = scale = 8
    for _ in range(size):
        if scale:
            code = bits.ue()
            scale = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = scale or last


def _hevc(packet: bytes) -> Size | None:
    for header, unit in _units(packet):
        kind = header >> 1 & 0x3F
        if kind == 33:
            return _hevc_sequence(_Bits(_unescaped(unit[1:])))
        if kind < 32:  # the picture itself
            return None
    return None


def _hevc_sequence(bits: _Bits) -> Size:
    bits.u(4)
    layers = bits.u(3)
    bits.u(1 + 96)
    present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
    bits.u(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.u(88 * profile + 8 * level)
    bits.ue()
    chroma = bits.ue()
    bits.u(1 if chroma == 3 else 0)
    width, height = bits.ue(), bits.ue()
    left, right, top, bottom = (bits.ue() for _ in range(4)) if bits.u(1) else (0, 0, 0, 0)
    unit_x, unit_y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    return width - unit_x * (left + right), height - unit_y * (top + bottom)


def _vp8(packet: bytes) -> Size | None:
    if packet[0] & 1 or packet[3:6] != b"\x9d\x01\x2a":
        return None
    width, height = int.from_bytes(packet[6:8], "little"), int.from_bytes(packet[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF


def _vp9(packet: bytes) -> Size | None:
    bits = _Bits(packet[:32])
    bits.u(2)
    profile = bits.u(1) | bits.u(1) << 1
    bits.u(1 if profile == 3 else 0)
    shown_again, inter = bits.u(1), bits.u(1)
    bits.u(2)
    if shown_again or inter or bits.u(24) != 0x498342:
        return None
    bits.u(1 if profile >= 2 else 0)
    rgb = bits.u(3) == 7
    bits.u((1 if profile % 2 else 0) if rgb else (4 if profile % 2 else 1))
    return bits.u(16) + 1, bits.u(16) + 1


def _units(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """What follows each start code 00 00 01: its first byte, and the beginning of the rest."""
    start = packet.find(b"\0\0\1")
    while 0 <= start < len(packet) - 3:
        end = packet.find(b"\0\0\1", start + 3, start + 3 + _MAX_HEADER_BYTES)
        yield packet[start + 3], packet[start + 4 : end if end >= 0 else start + 3 + _MAX_HEADER_BYTES]
        start = packet.find(b"\0\0\1", start + 3) if end < 0 else end


def _unescaped(unit: bytes) -> bytes:
    return unit.replace(b"\0\0\3", b"\0\0")


_READERS: Mapping[str, Callable[[bytes], Size | None]] = (
    dict.fromkeys(("mjpg", "jpeg"), _jpeg)
    | dict.fromkeys(("mpg1", "mpg2", "mpeg", "mp1v", "mp2v"), _mpeg2)
    | dict.fromkeys(("fmp4", "mp4v", "xvid", "divx", "dx50"), _mpeg4)
    | dict.fromkeys(("h264", "avc1", "avc3", "x264"), _h264)
    | dict.fromkeys(("hevc", "hev1", "hvc1", "h265"), _hevc)
    | dict.fromkeys(("vp80", "vp8 "), _vp8)
    | dict.fromkeys(("vp90", "vp9 "), _vp9)
)
