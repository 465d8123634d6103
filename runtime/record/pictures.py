"""Raw pictures from shared memory into JPEG for people: once, for the record and for viewers."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from runtime.bus.ring import PictureRingReader
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Hello, Payload, PictureRef
from runtime.contracts.messages import CompressedImage, timestamp
from runtime.contracts.topics import PICTURE


class PictureEncoder:
    """Encodes the pictures of a set, and publishes what it encoded."""

    def __init__(self, publish: Callable[[Payload], None], jpeg_quality: int) -> None:
        cv2.setNumThreads(1)  # the other cores are the network's
        self._publish = publish
        self._options = [int(cv2.IMWRITE_JPEG_QUALITY), jpeg_quality]
        self._ring: PictureRingReader | None = None

    def open_ring(self, hello: Hello) -> None:
        """Map the ring that the driving process names. Raises LinkError where that is none."""
        if not hello.ring_path or (self._ring is not None and self._ring.path == hello.ring_path):
            return
        self._ring = PictureRingReader(hello.ring_path, hello.ring_slots, hello.ring_slot_bytes)

    def encode(self, ref: PictureRef, *, sequence: int, t_source_ns: int, log_time_ns: int, utc_ns: int) -> Payload:
        """The picture as an encoded message; viewers get the same bytes. Raises LinkError where it is not there."""
        if self._ring is None:
            raise LinkError("a set refers to a picture before its ring was named")
        done, jpeg = cv2.imencode(".jpg", self._ring.picture(ref), self._options)
        if not done:
            raise LinkError(f"the picture of {ref.camera}, {ref.width} x {ref.height}, could not be encoded")
        image = CompressedImage(timestamp(log_time_ns), ref.camera, jpeg.tobytes(), "jpeg", sequence)
        name = PICTURE.name.format(camera=ref.camera)
        payload = Payload(name, sequence, t_source_ns, utc_ns, PICTURE.encode(image))
        self._publish(payload)
        return payload
