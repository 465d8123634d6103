"""A clip runs in the source's time, is H.264 that a browser plays, and is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from review.clip import write_clip
from review.overlay import Selection, write_pictures
from runtime.commands.main import main
from runtime.contracts.errors import RecordError
from runtime.contracts.incident import Incident, IncidentIndex, Trigger
from runtime.contracts.topics import LEDGER
from runtime.incident.index import write_index
from runtime.record.drive import open_drive
from runtime.record.h264 import OPENCV_COLOURS
from runtime.seal.chain import DriveSealer
from runtime.seal.keys import new_key
from runtime.seal.statement import leaves_name
from tests import models
from tests.review.drives import FRAME_NS, record_drive

FRAME_S = FRAME_NS / 1e9


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drives") / "drive"
    record_drive(folder, models.tiny_policy(), 12, dropped={3}, late={5}, unrecorded={8})
    trigger = Trigger("mark", 5 * FRAME_NS, 5, "somebody said so", "the driver")
    index = IncidentIndex("drive", (Incident(0, 4 * FRAME_NS, 7 * FRAME_NS, (trigger,), (0,), False),))
    write_index(folder, index)
    return folder


def frames_of(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Every picture of a clip with the second at which it begins."""
    with av.open(str(path)) as container:
        return [
            (frame.time or 0.0, frame.to_ndarray(format="bgr24").astype(np.uint8))
            for frame in container.decode(video=0)
        ]


def test_every_picture_begins_when_its_frame_was_captured(drive: Path, tmp_path: Path) -> None:
    report = write_clip(drive, tmp_path / "clip.mp4", Selection())
    begins = [begin for begin, _ in frames_of(tmp_path / "clip.mp4")]
    assert begins == pytest.approx([FRAME_S * sequence for sequence in range(12) if sequence != 8], abs=1e-4)
    assert report.frames == 11
    assert report.frame_rate_hz == pytest.approx(1 / FRAME_S)


def test_a_clip_shows_what_the_pictures_show(drive: Path, tmp_path: Path) -> None:
    write_clip(drive, tmp_path / "clip.mp4", Selection(2, 6))
    write_pictures(drive, tmp_path / "pictures", Selection(2, 6))
    drawn = [cv2.imread(str(path)) for path in sorted((tmp_path / "pictures").iterdir())]
    shown = [picture for _, picture in frames_of(tmp_path / "clip.mp4")]
    assert len(shown) == len(drawn) == 5
    for one, other in zip(shown, drawn, strict=True):
        assert other is not None
        assert cv2.PSNR(one, other) > 28.0


def test_it_is_h264_of_the_kind_that_browsers_play_with_its_index_in_front(drive: Path, tmp_path: Path) -> None:
    write_clip(drive, tmp_path / "clip.mp4", Selection())
    with av.open(str(tmp_path / "clip.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (codec.colorspace, codec.color_range) == OPENCV_COLOURS
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_where_no_frame_follows_a_picture_stands_for_two_seconds_at_most(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 72, unrecorded=set(range(5, 70)))
    write_clip(drive, tmp_path / "clip.mp4", Selection())
    begins = [begin for begin, _ in frames_of(tmp_path / "clip.mp4")]
    assert begins == pytest.approx([*(FRAME_S * n for n in range(5)), 4 * FRAME_S + 2.0, 5 * FRAME_S + 2.0], abs=1e-4)


def test_a_clip_of_a_drive_that_lost_its_first_segment_shows_the_others_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = new_key(tmp_path / "keys")
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 40, segment_s=1.0, key=key, video=True)
    DriveSealer(drive, key).bury(0, "room was short", freed_bytes=1, gone={})
    (drive / "segment-0000.mcap").unlink()
    (drive / leaves_name(0)).unlink()
    rest = [frame.sequence for frame in open_drive(drive).frames(LEDGER)]
    assert rest[0] > 0
    assert main(["clip", str(drive), "--out", str(tmp_path / "clip.mp4")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("not shown: ")
    shown = frames_of(tmp_path / "clip.mp4")
    assert len(shown) == len(rest)
    write_pictures(drive, tmp_path / "pictures", Selection())
    for (_, picture), path in zip(shown, sorted((tmp_path / "pictures").iterdir()), strict=True):
        drawn = cv2.imread(str(path))
        assert drawn is not None
        assert cv2.PSNR(picture, drawn) > 28.0


@pytest.mark.parametrize("out", ["/proc/clip.mp4", "{folder}"])
def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(drive: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    path = Path(out.format(folder=tmp_path / "folder.mp4"))
    with pytest.raises(RecordError, match=r"cannot be written: .*; choose another path with --out"):
        write_clip(drive, path, Selection(0, 2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.mp4"]


def test_a_clip_that_breaks_off_leaves_nothing(drive: Path, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(drive, tmp_path / "clip.mp4", Selection(), progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_command_cuts_out_an_incident(drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "incident.mp4"
    assert main(["clip", str(drive), "--incident", "0", "--out", str(out), "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["frames"] == 4
    assert len(frames_of(out)) == 4
    for arguments, said in [
        (["--incident", "3"], "no incident 3; there are: 0"),
        (["--incident", "0", "--from", "2"], "leave --from and --to out"),
        (["--out", "clip.avi"], "ends in .mp4"),
        (["--every", "0"], "--every 0"),
    ]:
        assert main(["clip", str(drive), *arguments]) == 2
        assert said in capsys.readouterr().err
