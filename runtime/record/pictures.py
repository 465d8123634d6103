"""Raw pictures from shared memory into the picture for people: encoded once, for the record and for viewers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2

from runtime.bus.ring import PictureRingReader
from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Hello, Payload, PictureRef
from runtime.contracts.messages import CompressedImage, CompressedVideo, timestamp
from runtime.contracts.source import Picture
from runtime.contracts.topics import PICTURE, VIDEO
from runtime.record.h264 import FORMAT, VideoEncoder
from runtime.record.h264_board import by_board, open_encoder


@dataclass(slots=True)
class _Film:
    """One camera's video, and the segment that its last picture went into."""

    encoder: VideoEncoder
    segment: int


class PictureEncoder:
    """Encodes the pictures of a set, and publishes what it encoded. `degraded`: as small as the configuration allows,
    because room is short.

    `given_up` says why the board's encoder is not used any more, "" where it is, or never was: one that failed is not
    tried again, since each try can take longer than a frame, and libx264 takes its place.
    """

    def __init__(self, publish: Callable[[Payload], None], config: RecordConfig) -> None:
        cv2.setNumThreads(1)  # the other cores are the network's
        self.degraded = False
        self.given_up = ""
        self._publish, self._config = publish, config
        self._ring: PictureRingReader | None = None
        self._films: dict[str, _Film] = {}  # by camera

    def open_ring(self, hello: Hello) -> None:
        """Map the ring that the driving process names. Raises LinkError where that is none."""
        if not hello.ring_path or (self._ring is not None and self._ring.path == hello.ring_path):
            return
        self._ring = PictureRingReader(hello.ring_path, hello.ring_slots, hello.ring_slot_bytes)

    def encode(
        self, ref: PictureRef, *, sequence: int, t_source_ns: int, log_time_ns: int, utc_ns: int, segment: int
    ) -> Payload:
        """The picture as an encoded message; viewers get the same bytes. Raises LinkError where it is not there.

        `segment` is the one that it will lie in: a video can be decoded from each segment's first picture on.
        """
        if self._ring is None:
            raise LinkError("a set refers to a picture before its ring was named")
        picture, moment = self._ring.picture(ref), timestamp(log_time_ns)
        if self._config.picture_codec == "h264":
            name, unit = VIDEO.name.format(camera=ref.camera), self._unit_somehow(ref.camera, picture, segment)
            data = VIDEO.encode(CompressedVideo(moment, ref.camera, unit, FORMAT, sequence))
        else:
            name, jpeg = PICTURE.name.format(camera=ref.camera), self._jpeg(ref.camera, picture)
            data = PICTURE.encode(CompressedImage(moment, ref.camera, jpeg, "jpeg", sequence))
        payload = Payload(name, sequence, t_source_ns, utc_ns, data)
        self._publish(payload)
        return payload

    def _unit_somehow(self, camera: str, picture: Picture, segment: int) -> bytes:
        try:
            return self._unit(camera, picture, segment)
        except LinkError as error:
            if not self._by_board():
                raise
            self.given_up = f"the board's encoder is given up, and libx264 takes its place: {error}"
        for film in self._films.values():
            film.encoder.close()
        self._films.clear()
        return self._unit(camera, picture, segment)

    def _by_board(self) -> bool:
        return not self.given_up and by_board(self._config.h264_encoder)

    def _unit(self, camera: str, picture: Picture, segment: int) -> bytes:
        retention = self._config.retention
        quality = retention.degraded_h264_quality if self.degraded else self._config.h264_quality
        film, height, width = self._films.pop(camera, None), *picture.shape[:2]
        if film is None or film.encoder.size != (height, width) or film.encoder.quality != quality:
            if film is not None:
                film.encoder.close()
            film = _Film(open_encoder(height, width, quality, by_board=self._by_board()), -1)
        try:
            unit = film.encoder.encode(picture, key=film.segment != segment)
        except LinkError:
            film.encoder.close()
            raise
        film.segment = segment
        self._films[camera] = film  # one that failed is not taken up again: what follows would stand on nothing
        return unit

    def _jpeg(self, camera: str, picture: Picture) -> bytes:
        quality = self._config.retention.degraded_jpeg_quality if self.degraded else self._config.jpeg_quality
        done, jpeg = cv2.imencode(".jpg", picture, [int(cv2.IMWRITE_JPEG_QUALITY), quality])
        if not done:
            height, width = picture.shape[:2]
            raise LinkError(f"the picture of {camera}, {width} x {height}, could not be encoded")
        return jpeg.tobytes()
