"""A folder of images is a source; an image that is not whole is a declared drop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.sources.images import ImagesSource, natural_key, open_source
from runtime.sources.pictures import load_picture
from tests.runtime.sources.movies import frame, index_of


def folder_of(folder: Path, names: list[str]) -> Path:
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), frame(index))
    return folder


def opened(uri: str | Path) -> ImagesSource:
    return open_source(SourceRequest(str(uri), ("front",), "lockstep"))


def read_all(source: ImagesSource) -> list[Capture | Missing]:
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    assert [item.sequence for item in items] == list(range(len(items)))
    return items


def test_images_come_in_natural_order_at_the_nominal_rate(tmp_path: Path) -> None:
    source = opened(folder_of(tmp_path, ["f1.png", "f2.jpg", "f9.bmp", "f10.webp", "F11.PNG"]))
    assert (source.expected_captures, source.clock_domain, source.vehicle) == (5, "file", None)
    items = read_all(source)
    assert [index_of(item.pictures["front"]) for item in items if isinstance(item, Capture)] == [0, 1, 2, 3, 4]
    assert [item.t_source_ns for item in items] == [0, 50_000_000, 100_000_000, 150_000_000, 200_000_000]


def test_the_rate_can_be_given(tmp_path: Path) -> None:
    items = read_all(opened(f"{folder_of(tmp_path, ['a.png', 'b.png', 'c.png'])}?frame_rate_hz=30"))
    assert [item.t_source_ns for item in items] == [0, 33_333_333, 66_666_667]


@pytest.mark.parametrize(
    "wrong", ["frame_rate_hz=0", "frame_rate_hz=-1", "frame_rate_hz=nan", "frame_rate_hz=", "fps=3"]
)
def test_a_wrong_option_is_refused_with_the_name_or_the_range(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SourceError, match="frame_rate_hz"):
        opened(f"{folder_of(tmp_path, ['a.png'])}?{wrong}")


def test_an_unreadable_image_and_one_of_another_size_are_declared(tmp_path: Path) -> None:
    folder_of(tmp_path, ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"])
    (tmp_path / "1.jpg").write_bytes(b"no picture")
    (tmp_path / "2.jpg").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "3.jpg"), frame(3, 128, 96))
    items = read_all(opened(tmp_path))
    assert [item.reasons["front"] for item in items if isinstance(item, Missing)] == [
        "1.jpg is no picture that can be decoded",
        "2.jpg is empty",
        "the picture is 128x96, not 64x48 as the first was",
    ]
    assert [item.sequence for item in items if isinstance(item, Capture)] == [0, 4]


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tiff", "ppm"])
def test_a_picture_that_is_cut_short_is_never_taken_for_whole(tmp_path: Path, suffix: str) -> None:
    data = cv2.imencode(f".{suffix}", frame(0))[1].tobytes()
    path = tmp_path / f"a.{suffix}"
    for size in (len(data) - 1, len(data) // 2, 30, 4):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match=rf"a\.{suffix}"):
            load_picture(path)
    if suffix in {"jpg", "png"}:  # of which some decoders fill up the rest with grey
        path.write_bytes(data[: len(data) * 3 // 4])
        with pytest.raises(SourceError, match="is cut short after"):
            load_picture(path)
    path.write_bytes(data)
    assert load_picture(path).shape == (48, 64, 3)


def test_grey_alpha_and_16_bits_become_blue_green_red_of_8_bits(tmp_path: Path) -> None:
    colour: Any = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    alpha = np.full((8, 10, 1), 7, np.uint8)
    pictures = {"grey": colour[..., 0], "alpha": np.dstack([colour, alpha]), "deep": colour.astype(np.uint16) * 257}
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    assert np.array_equal(load_picture(tmp_path / "grey.png"), np.repeat(colour[..., :1], 3, axis=2))
    assert np.array_equal(load_picture(tmp_path / "alpha.png"), colour)
    assert np.array_equal(load_picture(tmp_path / "deep.png"), colour)


def test_a_folder_without_images_and_a_file_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / ".hidden.png").write_bytes(b"")
    with pytest.raises(SourceError, match="holds no image"):
        opened(tmp_path)
    with pytest.raises(SourceError, match="no folder"):
        opened(tmp_path / ".hidden.png")


def test_natural_order_is_total() -> None:
    names = ["10", "9", "a10", "a9b2", "a9b10", "A9", "", "é", "²"]
    assert sorted(map(Path, names), key=natural_key) == sorted(map(Path, reversed(names)), key=natural_key)
    assert [path.name for path in sorted(map(Path, ["b10.png", "b9.png"]), key=natural_key)] == ["b9.png", "b10.png"]
