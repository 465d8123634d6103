"""The report beside a model: a file that the vehicle reads, and a page that needs nothing else."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import jsonschema
import msgspec
import numpy as np
import pytest

pytest.importorskip("onnx", reason="the networks under judgement are built with onnx (extra: dev)")

from export.parity import OutputParity, Parity
from export.precision.change import DecisionChange, ExplanationChange
from export.precision.drift import Drift
from export.precision.speed import Speed
from export.report.report import Form, Report, read_report, report_json_schema, to_json
from export.report.write import write_report
from export.worth.judge import judge
from export.worth.verdict import Worth, not_judged
from runtime.contracts.errors import ModelError
from runtime.contracts.model import attach_manifest, manifest_of
from runtime.contracts.worth import read_worth
from tests.export.worth import networks

FRAMES = networks.frames(24)
PLAIN = networks.plain_network()
EXPLAINED = networks.exactly(PLAIN)
MANIFEST = manifest_of(EXPLAINED, "known")
FETCHES = {"link", "script", "iframe", "object", "embed", "base", "audio", "video", "source"}


@pytest.fixture(scope="module")
def worth() -> Worth:
    return judge(PLAIN, networks.exactly, FRAMES)


def report(worth: Worth | None, **sections: object) -> Report:
    whole = Report(graph_sha256=MANIFEST.graph_sha256, model="known", worth=worth)
    return msgspec.structs.replace(whole, **sections)


def int8(*refused: str) -> Form:
    speed = Speed(850.0, 600.0, 0.7, 0.65, 0.75, 100, "ONNX Runtime, CPU, 1 thread", "a remark")
    moved = DecisionChange("steering_angle_rad", "rad", 0.001, 0.004, 0.005, 7, range=1.6)
    maps = ExplanationChange("attribution", 0.99, 0.95, 0.9, 3)
    drift = Drift(FRAMES.source, FRAMES.sha256, len(FRAMES), 4_000_000, 1_100_000, speed, (moved,), (maps,))
    return Form("int8", "" if refused else "known.int8.onnx", drift, refused)


PARITY = Parity(
    "torch 2.13",
    FRAMES.source,
    FRAMES.sha256,
    len(FRAMES),
    ("all 0", "noise 0"),
    (OutputParity("steering", 1e-6, 1e-5, 0.4, 0.9999999, "noise 0", passed=True),),
)


class Page(HTMLParser):
    """What a browser would fetch, and whether tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.images: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in FETCHES:
            self.fetched.append(tag)
        if tag == "img":
            self.images.append(given["src"] or "")
        self.fetched += [
            f"{name}={value}"
            for name, value in attrs
            if name in {"src", "href", "xlink:href", "srcset", "action", "background"}
            and not (value or "").startswith("data:image/jpeg;base64,")
        ]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # <line/> and its like open nothing

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_vehicle_reads_the_verdict_and_the_reasons_that_were_written(worth: Worth, tmp_path: Path) -> None:
    model = tmp_path / "known.onnx"
    data, page = write_report(model, EXPLAINED, report(worth), FRAMES)
    assert (data.name, page.name) == ("known.report.json", "known.report.html")
    found = read_worth(model, MANIFEST)
    assert (found.verdict, found.reasons) == (worth.verdict, worth.reasons)


def test_a_report_reads_back_as_it_was_and_keeps_to_its_schema(worth: Worth, tmp_path: Path) -> None:
    whole = report(worth, parity=PARITY, precision=(int8(),))
    path = tmp_path / "known.report.json"
    path.write_bytes(to_json(whole))
    assert read_report(path) == whole
    jsonschema.validate(msgspec.json.decode(path.read_bytes()), report_json_schema())


def test_the_same_report_gives_the_same_files(worth: Worth, tmp_path: Path) -> None:
    whole = report(worth, parity=PARITY, precision=(int8(),))
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files.append([path.read_bytes() for path in write_report(tmp_path / name / "m.onnx", EXPLAINED, whole, FRAMES)])
    assert files[0] == files[1]
    assert str(tmp_path).encode() not in b"".join(files[0])


def test_the_page_fetches_nothing_and_its_tags_are_closed(worth: Worth, tmp_path: Path) -> None:
    whole = report(worth, parity=PARITY, precision=(int8(),))
    _, path = write_report(tmp_path / "m.onnx", EXPLAINED, whole, FRAMES)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == []
    assert page.open == []
    assert not re.search(r"url\(|@import|https?://", text)
    assert len(page.images) >= 12
    for image in page.images:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(image.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape == (240, 480, 3)
    assert path.stat().st_size < 1_000_000


def test_the_page_says_the_verdict_first_and_every_reason(worth: Worth, tmp_path: Path) -> None:
    bad = judge(PLAIN, networks.blindly, networks.frames(8))
    for each, words in ((worth, "is worth showing"), (bad, "is not worth showing")):
        _, path = write_report(tmp_path / "m.onnx", EXPLAINED, report(each), FRAMES)
        text = path.read_text(encoding="utf-8")
        assert 0 < text.index(words) < text.index("<img")
        assert all(reason.replace("'", "&#x27;") in text for reason in each.reasons)


def test_parity_and_precision_are_on_the_page_with_what_was_refused(tmp_path: Path) -> None:
    whole = report(None, parity=PARITY, precision=(int8("steering_angle_rad moves by 0.1 rad"),))
    _, path = write_report(tmp_path / "m.onnx", EXPLAINED, whole, FRAMES)
    text = path.read_text(encoding="utf-8")
    for words in ("torch 2.13", "noise 0", "refused", "steering_angle_rad moves by 0.1 rad", "1.1 MB of 4"):
        assert words in text
    assert "frame 7" in text  # where INT8 moves the decision most


def test_a_network_without_a_map_has_a_page_that_says_why(tmp_path: Path) -> None:
    unexplained = attach_manifest(PLAIN, msgspec.structs.replace(MANIFEST, attribution=None))
    why = "no gradient passes NonMaxSuppression"
    whole = report(not_judged(why), without_map=why)
    _, path = write_report(tmp_path / "m.onnx", unexplained, whole, FRAMES)
    text = path.read_text(encoding="utf-8")
    assert why in text and "<img" not in text


def test_text_from_outside_cannot_break_out_of_its_place(tmp_path: Path) -> None:
    hostile = '<script>alert("x")</script>'
    whole = msgspec.structs.replace(report(not_judged(hostile)), model=hostile)
    _, path = write_report(tmp_path / "m.onnx", EXPLAINED, whole, FRAMES)
    assert "<script" not in path.read_text(encoding="utf-8")


def test_the_overlay_paints_pulls_up_azure_and_pulls_down_orange(tmp_path: Path) -> None:
    from export.report.pictures import DOWN_RGB, UP_RGB, full_scale, overlaid
    from export.worth.subject import Subject

    subject = Subject(EXPLAINED)
    grid = np.zeros((networks.ROWS, networks.COLUMNS))
    grid[6, 4], grid[6, 20] = 1.0, -1.0
    grey = np.full((networks.HEIGHT, networks.WIDTH, 3), 110, np.uint8)
    uri = overlaid(subject, grey, grid, full_scale([grid]))
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    for column, colour in ((4, UP_RGB), (20, DOWN_RGB)):
        y, x = (round((each * 4 + 2) * 5) + 4 for each in (6, column))
        found = picture[y, x, ::-1].astype(int)
        assert np.abs(found - colour).max() < 60, (column, found)
    assert np.ptp(picture[20, 20].astype(int)) < 12  # where nothing pulls, the picture is as it was


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.report.json"
    with pytest.raises(ModelError, match="No such file"):
        read_report(path)
    path.write_text('{"model": 3}')
    with pytest.raises(ModelError, match="is none"):
        read_report(path)
