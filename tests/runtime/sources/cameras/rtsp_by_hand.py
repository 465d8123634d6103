"""A network camera whose every packet is ours: RTSP 1.0 (RFC 2326) on loopback, H.264 and G.711 over RTP (RFC 6184,
3551), interleaved into the one connection. It does what a server of a library does not.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
import cv2
import numpy as np

from runtime.contracts.source import Picture

RATE_HZ = 25
CLOCK_HZ = 90_000
KEY_EVERY = 20  # pictures
_SOUND_RATE_HZ = 8_000
_SOUND_FIRST = 20  # packets of sound before the first picture
_BEGIN_TICKS = 100 * CLOCK_HZ
_SDP = """v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=camera\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 0 RTP/AVP 0\r
a=control:sound\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1\r
a=control:pictures\r
"""


class Camera:
    """Pictures and sound, the sound first, for whoever connects. What may be changed while it runs:

    `ahead_ticks`, by how much its clock has been set forward, or back; `blind`, no more pictures, only sound; `harm`,
    what becomes of the next picture behind a key picture: it is lost, or a part of it.
    """

    def __init__(self) -> None:
        self.ahead_ticks = 0
        self.blind = False
        self.harm: Literal["", "lost", "cut"] = ""
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"127.0.0.1:{self._listener.getsockname()[1]}/road"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Hang up on everybody."""
        self._ended.set()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        channels: dict[str, int] = {}
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            while request := lines.readline().decode("latin-1").split():
                told = dict(_headers(lines))
                answer, body = [f"CSeq: {told.get('cseq', 0)}", "Session: 1"], ""
                if request[0] == "DESCRIBE":
                    body = _SDP
                    answer += ["Content-Type: application/sdp", f"Content-Base: {request[1].rstrip('/')}/"]
                if request[0] == "SETUP":
                    channels[request[1].rpartition("/")[2]] = len(channels) * 2
                    answer.append(
                        f"Transport: RTP/AVP/TCP;unicast;interleaved={len(channels) * 2 - 2}-{len(channels) * 2 - 1}"
                    )
                answer.append(f"Content-Length: {len(body)}")
                connection.sendall("\r\n".join(["RTSP/1.0 200 OK", *answer, "", body]).encode())
                if request[0] == "PLAY":
                    self._play(connection, channels)

    def _play(self, connection: socket.socket, channels: dict[str, int]) -> None:
        sent = {"sound": 0, "pictures": 0}

        def send(which: str, ticks: int, data: bytes, *, marker: bool = False) -> None:
            kind = 0 if which == "sound" else 96
            head = struct.pack(">BBHII", 0x80, kind | marker << 7, sent[which] & 0xFFFF, ticks & 0xFFFFFFFF, kind + 1)
            sent[which] += 1
            packet = head + data
            connection.sendall(b"$" + struct.pack(">BH", channels[which], len(packet)) + packet)

        for count, picture in enumerate(_pictures(), start=-_SOUND_FIRST):
            if "sound" in channels:
                send("sound", count * _SOUND_RATE_HZ // RATE_HZ, b"\xff" * (_SOUND_RATE_HZ // RATE_HZ))
            if count >= 0 and not self.blind:
                units = [unit for unit in picture.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
                ticks = _BEGIN_TICKS + self.ahead_ticks + count * CLOCK_HZ // RATE_HZ
                if self.harm and count % KEY_EVERY == 1:
                    if self.harm == "cut":
                        units[-1] = units[-1][: len(units[-1]) // 3]
                    else:
                        sent["pictures"] += len(units)
                        units.clear()
                    self.harm = ""
                for unit in units:
                    send("pictures", ticks, unit, marker=unit is units[-1])
            if self._ended.wait(1 / RATE_HZ):
                return


def _headers(lines: object) -> Iterator[tuple[str, str]]:
    while line := lines.readline().decode("latin-1").strip():  # type: ignore[attr-defined]
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def true_picture(count: int) -> Picture:
    """What its lens sees: one pattern that wanders, so that each picture is told from those before it."""
    pattern = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return np.roll(cv2.resize(pattern, (64, 48), interpolation=cv2.INTER_CUBIC), 5 * count, axis=1)


def _pictures() -> Iterator[bytes]:
    """Access units of 64 x 48 pixels, each of one unit that is small enough for a packet."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width, codec.pix_fmt, codec.time_base = 48, 64, "yuv420p", Fraction(1, RATE_HZ)
    codec.options = {
        "tune": "zerolatency",
        "x264-params": f"keyint={KEY_EVERY}:scenecut=0:repeat-headers=1:annexb=1:threads=1",
    }
    count = 0
    while True:
        frame = av.VideoFrame.from_ndarray(true_picture(count), format="bgr24")
        frame.pts = count
        for packet in codec.encode(frame):
            yield bytes(packet)
        count += 1
