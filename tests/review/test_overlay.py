"""Pictures of a drive: every frame has one, none can be mistaken for another, and all share one scale."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from review.drawing import Moment, Setting, draw, full_size, size_of
from review.heat import DOWN, UP
from review.lettering import Image
from review.overlay import Selection, frame_at, write_pictures
from review.panel import BAD, WARN, Readings, panel
from runtime.commands.main import main
from runtime.contracts.errors import RecordError, UsageError
from runtime.contracts.messages import Attribution, CompressedImage, Decision, GroundTruth, Proposal
from runtime.contracts.model import ImageInput, Intrinsics
from runtime.contracts.topics import Topic
from runtime.contracts.vehicle import Control
from tests import models
from tests.review.drives import record_drive, rewrite

IMAGE = ImageInput(
    name="image",
    width=200,
    height=66,
    intrinsics=Intrinsics(horizontal_fov_rad=1.22, aspect_ratio=16 / 9, mount_height_m=1.35, pitch_rad=0.1),
)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drives") / "drive"
    return record_drive(folder, models.tiny_policy(), 12, dropped={3}, late={5}, unrecorded={8})


def read(path: Path) -> Image:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture.astype(np.uint8)


def setting(width: int = 960, height: int = 540, *, shadow: bool = False, worth: str = "worth showing") -> Setting:
    return Setting("title", IMAGE, width, height, 0.01, "steering_angle_rad", 0.1, 5.0, 2.7, shadow, worth)


def moment(angle_rad: float = 0.0, truth: GroundTruth | None = None) -> Moment:
    control = Control(angle_rad, 0.0)
    decision = Decision("d/7", 7, 0, "closed-loop", Proposal(angle_rad, 0.0), (), control, "steers straight")
    picture = np.full((360, 640, 3), 90, np.uint8)
    return Moment(7, 0.35, "2026-11-23T21:15:00.000Z", "decided", "", picture, decision, None, 10.0, False, truth)


def test_every_recorded_frame_has_a_picture_of_the_same_size(drive: Path, tmp_path: Path) -> None:
    report = write_pictures(drive, tmp_path, Selection())
    names = [f"frame-{sequence:06d}.png" for sequence in range(12) if sequence != 8]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert {read(tmp_path / name).shape for name in names} == {(report.height_px, report.width_px, 3)}
    assert report.width_px == 960


def test_a_dropped_frame_shows_that_and_no_road(drive: Path, tmp_path: Path) -> None:
    write_pictures(drive, tmp_path, Selection(2, 3))
    seen, dropped = (read(tmp_path / f"frame-{sequence:06d}.png") for sequence in (2, 3))
    assert (np.abs(dropped.astype(int) - BAD).max(axis=2) < 12).any()
    assert not (np.abs(seen.astype(int) - BAD).max(axis=2) < 12).any()
    assert dropped[40:480].std() < seen[40:480].std() / 2


def test_the_colour_of_left_stands_on_the_left_of_dial_and_legend() -> None:
    shown = panel(960, 1.0, Readings(None, "", None, False, 0.1, 5.0, "full", "pulls left", "pulls right"))

    def mean_x(part: Image, colour: tuple[int, int, int]) -> float:
        return float(np.nonzero(np.abs(part.astype(int) - colour).max(axis=2) < 40)[1].mean())

    for part in (shown[:, :190], shown[:, 360:]):
        assert mean_x(part, UP) < mean_x(part, DOWN)


@pytest.mark.parametrize("words", [4, 30, 45])
def test_a_reason_is_there_to_its_last_word(words: int) -> None:
    def shown(last: str) -> Image:
        reason = " ".join(["heading"] * words + [last])
        return panel(960, 1.0, Readings(None, reason, None, False, 0.1, 5.0, "full", "pulls left", "pulls right"))

    assert (shown("+0.35") != shown("+0.36")).any()


def test_a_last_frame_before_the_first_is_refused_as_that(drive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the last frame, 2, comes before the first, 4"):
        write_pictures(drive, tmp_path, Selection(4, 2))


@pytest.mark.parametrize("topic", ["/attribution", "/decision", "/camera/front/image", "/ledger", "/vehicle/state"])
def test_a_frame_with_a_broken_message_is_a_placeholder_and_the_others_are_drawn(tmp_path: Path, topic: str) -> None:
    broken = record_drive(tmp_path / "drive", models.tiny_policy(), 4)
    for segment in broken.glob("*.mcap"):
        rewrite(segment, lambda name, frame, data: b'{"sequence' if (name, frame) == (topic, 1) else data)
    assert write_pictures(broken, tmp_path / "out", Selection()).frames == 4
    seen, hatched = (read(tmp_path / "out" / f"frame-{sequence:06d}.png") for sequence in (0, 1))
    assert (np.abs(hatched.astype(int) - WARN).max(axis=2) < 12).any()
    assert hatched[40:180].std() < seen[40:180].std() / 2


def test_a_picture_that_is_none_and_a_map_without_a_shape_are_placeholders(tmp_path: Path) -> None:
    def spoil(topic: Topic, sequence: int, message: msgspec.Struct) -> msgspec.Struct:
        if sequence == 0 and isinstance(message, CompressedImage):
            return msgspec.structs.replace(message, data=b"")
        if sequence == 2 and isinstance(message, Attribution):
            return msgspec.structs.replace(message, values=((0.0,), (0.0, 1.0)))
        return message

    broken = record_drive(tmp_path / "drive", models.tiny_policy(), 4, change=spoil)
    assert write_pictures(broken, tmp_path / "out", Selection()).frames == 4


def test_a_map_that_failed_its_tests_or_had_none_is_labelled_in_every_picture_that_shows_it() -> None:
    values = ((0.01, -0.01), (0.0, 0.01))
    shown = Attribution(7, 0, "image", "front", "m", "steering_angle_rad", values, 16.0, 50.0, 33.0, 100.0, 33.0, 100.0)
    with_map = dataclasses.replace(moment(), attribution=shown)

    def labelled(at: Moment, worth: str, colour: tuple[int, int, int]) -> bool:
        return bool((np.abs(draw(at, setting(worth=worth))[30:60].astype(int) - colour).max(axis=2) < 12).any())

    assert labelled(with_map, "not worth showing", BAD)
    assert labelled(with_map, "not judged", WARN)
    assert not any(labelled(with_map, "worth showing", colour) for colour in (BAD, WARN))
    assert not labelled(moment(), "not worth showing", BAD)


def test_every_nth_and_from_to_choose_frames(drive: Path, tmp_path: Path) -> None:
    report = write_pictures(drive, tmp_path, Selection(1, 11, 5))
    assert [Path(file).name for file in report.files] == [
        "frame-000001.png",
        "frame-000006.png",
        "frame-000011.png",
    ]
    assert (frame_at(drive, 0.2, after=True), frame_at(drive, 0.22, after=False)) == (4, 4)
    with pytest.raises(RecordError, match="no frame from 100"):
        write_pictures(drive, tmp_path, Selection(100))
    with pytest.raises(RecordError, match="no frame from 99 s"):
        frame_at(drive, 99.0, after=True)


def test_the_scale_is_the_drives_whatever_is_selected(drive: Path, tmp_path: Path) -> None:
    whole = write_pictures(drive, tmp_path / "a", Selection())
    part = write_pictures(drive, tmp_path / "b", Selection(2, 2))
    assert whole.map_scale == part.map_scale > 0.0
    assert (tmp_path / "a" / "frame-000002.png").read_bytes() == (tmp_path / "b" / "frame-000002.png").read_bytes()


def test_each_camera_can_be_drawn_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    two = record_drive(tmp_path / "two", models.two_camera_policy(), 3)
    assert write_pictures(two, tmp_path / "right", Selection(), camera="right").frames == 3
    with pytest.raises(UsageError, match="no camera 'rear'; there are: left, right"):
        write_pictures(two, tmp_path / "rear", Selection(), camera="rear")


@pytest.mark.parametrize(
    ("recorded", "drawn"),
    [((320, 160), (960, 480)), ((640, 360), (960, 540)), ((960, 540), (960, 540)), ((1280, 720), (1280, 720))],
)
def test_small_pictures_are_drawn_as_large_as_words_need(recorded: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert size_of(*recorded, None) == drawn
    width, height = full_size(setting(*drawn))
    assert draw(moment(), setting(*drawn)).shape == (height, width, 3)
    assert (width % 2, height % 2) == (0, 0)


def test_the_path_bends_to_the_side_of_the_steering_and_is_not_drawn_in_shadow_mode() -> None:
    def painted(angle_rad: float, *, shadow: bool = False) -> float:
        with_path = draw(moment(angle_rad), setting(shadow=shadow))[60:540].astype(int)
        columns = np.nonzero(np.abs(with_path - 90).max(axis=2) > 20)[1]
        return float(columns.mean()) if columns.size else -1.0

    left, straight, right = painted(0.05), painted(0.0), painted(-0.05)
    assert left < straight < right
    assert straight == pytest.approx(479.5, abs=3.0)
    assert painted(0.05, shadow=True) == -1.0


def test_a_car_out_of_its_lane_is_marked() -> None:
    truth = GroundTruth(7, 0, -2.4, 0.0, 0.0, None, 10.0, True, False, 10.0)
    out = draw(moment(truth=truth), setting())
    assert (np.abs(out[:60].astype(int) - BAD).max(axis=2) < 12).any()
    assert not (np.abs(draw(moment(), setting())[:60].astype(int) - BAD).max(axis=2) < 12).any()


def test_the_command_writes_pictures_and_says_where(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures"
    assert main(["overlay", str(drive), "--out", str(out), "--from", "0.1s", "--to", "4", "--json"]) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (said["frames"], len(said["files"])) == (3, 3)
    assert main(["overlay", str(drive), "--out", str(tmp_path / "few"), "--every", "4", "--width", "640"]) == 0
    assert str(tmp_path / "few") in capsys.readouterr().out
    assert main(["overlay", str(drive), "--from", "noon"]) == 2
    assert "--from 'noon'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told_with_the_reason(drive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "there" / "frame-000000.png").mkdir(parents=True)
    for out, reason in (("file", "File exists"), ("file/new", "Not a directory"), ("there", "Is a directory")):
        with pytest.raises(RecordError, match=f"{out}.* cannot be written: {reason}; choose another"):
            write_pictures(drive, tmp_path / out, Selection(0, 0))


def test_pictures_are_written_into_a_folder_whose_name_is_no_text(drive: Path, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"out\xff")
    write_pictures(drive, out, Selection(0, 0))
    assert (out / "frame-000000.png").read_bytes().startswith(b"\x89PNG")
