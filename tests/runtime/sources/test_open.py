"""A source is found by the scheme of its URI or by what lies at its path, and an unknown one names what there is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import cv2
import pytest

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Source, SourceRequest
from runtime.sources.images import ImagesSource
from runtime.sources.location import located, scheme_of
from runtime.sources.open import check_address, open_source, source_name
from runtime.sources.udacity import UdacitySource
from runtime.sources.video import VideoSource
from tests.runtime.sources.movies import frame, movie
from tests.runtime.sources.test_udacity import line, recording


def opened(uri: str | Path) -> Source:
    return open_source(SourceRequest(str(uri), ("front",), "lockstep"))


def test_a_path_tells_what_lies_there(tmp_path: Path) -> None:
    for name in ("log", "images"):
        (tmp_path / name).mkdir()
    recording(tmp_path / "log", [line(1000)], [1000])
    cv2.imwrite(str(tmp_path / "images" / "a.PNG"), frame(0))
    video = movie(tmp_path / "a.mkv", 2)
    assert isinstance(opened(tmp_path / "log"), UdacitySource)
    assert isinstance(opened(tmp_path / "log" / "driving_log.csv"), UdacitySource)
    assert isinstance(opened(tmp_path / "images"), ImagesSource)
    assert isinstance(opened(tmp_path / "log" / "IMG"), ImagesSource)
    assert isinstance(opened(video), VideoSource)
    assert isinstance(opened(f"file://{video}"), VideoSource)


def test_a_scheme_names_the_source(tmp_path: Path) -> None:
    recording(tmp_path, [line(1000)], [1000])
    assert isinstance(opened(f"udacity://{tmp_path}"), UdacitySource)
    assert isinstance(opened(f"images://{tmp_path}/IMG?frame_rate_hz=5"), ImagesSource)
    assert isinstance(opened(f"video://{movie(tmp_path / 'a.mp4', 2)}"), VideoSource)
    assert isinstance(opened(f"VIDEO://{tmp_path / 'a.mp4'}"), VideoSource)


def test_a_source_is_named_before_it_is_opened_and_may_say_what_it_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "monday.bag").touch()
    assert source_name(f"file://{tmp_path}/monday.bag") == "rosbag"
    assert source_name("ROS2://camera") == "ros2"
    assert source_name("gopher://camera/stream") == "gopher"
    check_address(f"{tmp_path}/monday.bag")
    check_address("video://nowhere.mp4")  # its module has nothing to say
    with pytest.raises(SourceError, match="unknown option 'comand'"):
        check_address("ros2://camera?comand=/x")


def test_the_uri_is_kept_for_the_record(tmp_path: Path) -> None:
    uri = f"video://{movie(tmp_path / 'a.mp4', 2)}"
    assert opened(uri).uri == uri


@pytest.mark.parametrize("name", ["a b.mp4", "100%.mp4", "what?.mp4", "ü.mp4", "a:b.mp4", "%d.mp4"])
def test_odd_names_are_found_as_they_are_and_decoded_from_a_uri(tmp_path: Path, name: str) -> None:
    path = movie(tmp_path / "plain.mp4", 2).rename(tmp_path / name)
    assert isinstance(opened(path), VideoSource)
    assert isinstance(opened(f"file://{path}"), VideoSource)
    assert isinstance(opened(f"file://{quote(str(path))}"), VideoSource)


def test_an_unregistered_scheme_names_what_is_registered() -> None:
    with pytest.raises(SourceError, match=r"gopher://; there are: .*images://.*udacity://.*video://"):
        opened("gopher://camera/stream")


def test_an_absent_path_an_empty_folder_and_no_name_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        opened(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"neither driving_log\.csv nor"):
        opened(tmp_path)
    with pytest.raises(SourceError, match="no source is named"):
        opened("")
    with pytest.raises(SourceError, match="no such file"):
        opened("a\0b")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        opened("/dev/null")


def test_options_are_read_only_where_no_file_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "a?frame_rate_hz=7").mkdir()
    assert located(f"{tmp_path}/a?frame_rate_hz=7").frame_rate_hz is None
    assert located(f"{tmp_path}?frame_rate_hz=7").frame_rate_hz == 7.0


def test_a_scheme_is_what_stands_before_the_slashes() -> None:
    assert scheme_of("Proving-Ground://straight?seed=7") == "proving-ground"
    assert scheme_of("/a/b.mp4") is None
    assert scheme_of("C:\\a") is None
