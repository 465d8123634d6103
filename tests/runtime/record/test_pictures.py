"""What the recorder makes of raw pictures: a video for each camera, decodable wherever something changed."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import msgspec
import pytest

from review.pictures import PictureDecoder
from runtime.bus.ring import PictureRing
from runtime.contracts.config import RecordConfig
from runtime.contracts.errors import LinkError
from runtime.contracts.link import Hello, Payload
from runtime.contracts.messages import CompressedVideo
from runtime.contracts.source import Picture
from runtime.contracts.topics import VIDEO
from runtime.record import pictures as module
from runtime.record.h264 import H264Encoder, is_key
from runtime.record.h264_board import works
from runtime.record.pictures import PictureEncoder
from tests.runtime.record.test_h264 import road

CONFIG = RecordConfig(picture_codec="h264", h264_encoder="libx264")


class Studio:
    """The driving process's ring and the recorder's encoder at its other end."""

    def __init__(self, config: RecordConfig = CONFIG) -> None:
        self.ring = PictureRing(2, 200 * 200 * 3)
        self.published: list[Payload] = []
        self.encoder = PictureEncoder(self.published.append, config)
        self.encoder.open_ring(Hello("session", self.ring.path, self.ring.slots, self.ring.slot_bytes, 0))

    def encode(self, sequence: int, picture: Picture, *, camera: str = "front", segment: int = 0) -> CompressedVideo:
        ref = self.ring.place(camera, picture)
        assert not isinstance(ref, str)
        try:
            payload = self.encoder.encode(
                ref, sequence=sequence, t_source_ns=sequence, log_time_ns=sequence, utc_ns=sequence, segment=segment
            )
        finally:
            self.ring.release((ref,))
        assert payload.topic == VIDEO.name.format(camera=camera)
        return decoded(payload)


@pytest.fixture
def studio() -> Iterator[Studio]:
    studio = Studio()
    yield studio
    studio.ring.close()


def decoded(payload: Payload) -> CompressedVideo:
    message = VIDEO.decode(payload.data)
    assert isinstance(message, CompressedVideo)
    return message


def keys(messages: list[CompressedVideo]) -> list[int]:
    return [index for index, message in enumerate(messages) if is_key(message.data)]


def assert_shown(messages: list[CompressedVideo], pictures: list[Picture], least_db: float = 28.0) -> None:
    decoder = PictureDecoder()
    for message, picture in zip(messages, pictures, strict=True):
        shown = decoder.decode(message)
        assert shown is not None
        assert cv2.PSNR(shown, picture) > least_db


def test_another_size_begins_with_a_key_picture_and_so_does_the_way_back(studio: Studio) -> None:
    given = [*road(3), *road(3, 120, 180), *road(3)]
    messages = [studio.encode(index, picture) for index, picture in enumerate(given)]
    assert keys(messages) == [0, 3, 6]
    assert_shown(messages, given)


def test_another_quality_begins_with_a_key_picture_and_so_does_the_way_back(studio: Studio) -> None:
    given, messages = road(9), []
    for index, picture in enumerate(given):
        studio.encoder.degraded = 3 <= index < 6
        messages.append(studio.encode(index, picture))
    assert keys(messages) == [0, 3, 6]
    assert len(messages[3].data) < 0.7 * len(messages[0].data)
    assert_shown(messages, given, 22.0)


def test_a_segment_begins_with_a_key_picture_also_where_some_before_it_were_not_recorded(studio: Studio) -> None:
    segments = [0, 0, 1, 1, -1, -1, 1, 1, 2]
    messages = [studio.encode(n, picture, segment=segments[n]) for n, picture in enumerate(road(9))]
    recorded = [n for n, segment in enumerate(segments) if segment >= 0]
    assert {0, 2, 6, 8} <= set(keys(messages))
    assert_shown([messages[n] for n in recorded], [road(9)[n] for n in recorded])


def test_cameras_are_videos_of_their_own(studio: Studio) -> None:
    left, right = road(4), road(4, 120, 180)
    messages = [
        (studio.encode(n, left[n], camera="left"), studio.encode(n, right[n], camera="right")) for n in range(4)
    ]
    assert keys([one for one, _ in messages]) == keys([other for _, other in messages]) == [0]
    assert_shown([one for one, _ in messages], left)
    assert_shown([other for _, other in messages], right)


def test_an_encoder_that_failed_is_given_back_and_the_next_picture_stands_by_itself(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Failing] = []

    class Failing(H264Encoder):
        closed = False

        def encode(self, picture: Picture, *, key: bool) -> bytes:
            if len(opened) == 1 and self._count == 2:
                raise LinkError("the encoder hangs")
            return super().encode(picture, key=key)

        def close(self) -> None:
            self.closed = True

    def open_failing(height: int, width: int, quality: int, *, by_board: bool) -> Failing:
        opened.append(Failing(height, width, quality))
        return opened[-1]

    monkeypatch.setattr(module, "open_encoder", open_failing)
    given = road(5)
    before = [studio.encode(n, given[n]) for n in range(2)]
    with pytest.raises(LinkError, match="hangs"):
        studio.encode(2, given[2])
    after = [studio.encode(n, given[n]) for n in (3, 4)]
    assert [encoder.closed for encoder in opened] == [True, False]
    assert keys(after) == [0]
    assert_shown([*before, *after], [*given[:2], *given[3:]])


def test_a_boards_encoder_that_fails_loses_no_picture_and_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bool] = []

    class Failing(H264Encoder):
        def encode(self, picture: Picture, *, key: bool) -> bytes:
            if self._count == 2:
                raise LinkError("the encoder hangs")
            return super().encode(picture, key=key)

    def open_failing(height: int, width: int, quality: int, *, by_board: bool) -> H264Encoder:
        opened.append(by_board)
        return (Failing if by_board else H264Encoder)(height, width, quality)

    monkeypatch.setattr(module, "open_encoder", open_failing)
    studio, given = Studio(msgspec.structs.replace(CONFIG, h264_encoder="board")), road(5)
    messages = [studio.encode(n, picture) for n, picture in enumerate(given[:2])]
    assert studio.encoder.given_up == ""
    messages += [studio.encode(n, picture) for n, picture in enumerate(given[2:], 2)]
    studio.ring.close()
    assert "the encoder hangs" in studio.encoder.given_up
    assert opened == [True, False]
    assert keys(messages) == [0, 2]
    assert_shown(messages, given)


@pytest.mark.skipif(works(), reason="this board has an encoder")
def test_where_the_boards_encoder_is_asked_for_and_there_is_none_pictures_are_encoded_all_the_same() -> None:
    studio, given = Studio(msgspec.structs.replace(CONFIG, h264_encoder="board")), road(3)
    messages = [studio.encode(n, picture) for n, picture in enumerate(given)]
    studio.ring.close()
    assert "libx264 takes its place" in studio.encoder.given_up
    assert_shown(messages, given)


def test_the_smallest_picture_is_encoded(studio: Studio) -> None:
    assert is_key(studio.encode(0, road(1, 1, 1)[0]).data)


def test_viewers_are_given_the_same_bytes(studio: Studio) -> None:
    message = studio.encode(0, road(1)[0])
    assert [decoded(payload) for payload in studio.published] == [message]
