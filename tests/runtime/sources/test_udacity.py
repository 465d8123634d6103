"""A recording of the Udacity simulator is a source in SI units with a vehicle that is a log."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.vehicle import Command, Control
from runtime.sources.udacity import UdacitySource, open_source
from runtime.sources.udacity_log import BadLine, LogLine, parse_log, timed
from tests.runtime.sources.movies import frame, index_of

DATA = Path(__file__).parents[4] / "shared" / "data" / "udacity_sim"
MS = 1_000_000


def name(side: str, at_ms: int) -> str:
    return f"{side}_2018_07_16_17_11_{at_ms // 1000:02d}_{at_ms % 1000:03d}.jpg"


def line(at_ms: int, figures: str = "0, 0, 0, 10", folder: str = "C:\\Users\\me\\IMG\\") -> str:
    return ", ".join([folder + name(side, at_ms) for side in ("center", "left", "right")] + [figures])


def recording(folder: Path, lines: list[str], times_ms: list[int], sides: tuple[str, ...] = ("center",)) -> Path:
    (folder / "IMG").mkdir()
    for i, at_ms in enumerate(times_ms):
        for side in sides:
            cv2.imwrite(str(folder / "IMG" / name(side, at_ms)), frame(i))
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def opened(path: Path | str, *cameras: str) -> UdacitySource:
    return open_source(SourceRequest(str(path), cameras or ("front",), "lockstep"))


def read_all(source: UdacitySource) -> list[Capture | Missing]:
    items = []
    while (item := source.read()) is not None:
        items.append(item)
    assert [item.sequence for item in items] == list(range(len(items)))
    return items


def test_the_real_recording_has_2000_captures_at_about_14_hz() -> None:
    if not DATA.is_dir():
        pytest.skip("../shared/data/udacity_sim is not here")
    source = opened(DATA)
    assert source.expected_captures == 2000
    items = read_all(source)
    assert all(isinstance(item, Capture) for item in items)
    assert len(items) == 2000
    assert 13.0 < 1999 / (items[-1].t_source_ns / 1e9) < 15.0
    state = source.vehicle.state(items[439].t_source_ns)
    assert state.speed_mps is not None
    assert state.speed_mps.value == pytest.approx(30.18976 * 0.44704)
    assert state.steering_angle_rad is not None
    assert state.steering_angle_rad.value == pytest.approx(math.radians(0.05 * 25))  # -0.05: to the left


def test_signs_and_units_are_the_houses(tmp_path: Path) -> None:
    recording(tmp_path, [line(1000, "1, 0.25, 0.5, 10")], [1000])
    state = opened(tmp_path).vehicle.state(0)
    readings = (state.steering_angle_rad, state.speed_mps, state.throttle_ratio, state.brake_ratio)
    values = [reading.value for reading in readings if reading is not None]
    assert values == pytest.approx([-math.radians(25), 4.4704, 0.25, 0.5])
    assert not state.assumed


def test_an_image_name_with_a_nul_is_a_dropped_frame_and_no_crash(tmp_path: Path) -> None:
    recording(tmp_path, [line(1000), "a\0b.jpg,,,0,0,0,0"], [1000])
    items = read_all(opened(tmp_path))
    assert isinstance(items[0], Capture)
    assert isinstance(items[1], Missing)


@pytest.mark.parametrize("folder", ["C:\\Users\\me\\IMG\\", "/home/me/IMG/", "IMG/", "", " "])
@pytest.mark.parametrize("header", [True, False])
def test_images_are_found_by_their_base_name(tmp_path: Path, folder: str, header: bool) -> None:
    first = ["center,left,right,steering,throttle,brake,speed"] if header else []
    recording(tmp_path, [*first, line(1000, folder=folder), "", line(1070, folder=folder)], [1000, 1070])
    for path in (tmp_path, tmp_path / "driving_log.csv"):
        items = read_all(opened(path))
        assert [index_of(item.pictures["front"]) for item in items if isinstance(item, Capture)] == [0, 1]
        assert [item.t_source_ns for item in items] == [0, 70 * MS]


def test_a_header_may_name_the_columns_in_another_order(tmp_path: Path) -> None:
    recording(tmp_path, ["speed,steering,throttle,brake,center,left,right"], [1000])
    with (tmp_path / "driving_log.csv").open("a") as log:
        log.write(f"10,0,0,0,{name('center', 1000)},,\n")
    source = opened(tmp_path)
    assert isinstance(source.read(), Capture)
    speed = source.vehicle.state(0).speed_mps
    assert speed is not None
    assert speed.value == pytest.approx(4.4704)


def test_several_cameras_are_served_by_name_and_all_or_none(tmp_path: Path) -> None:
    recording(tmp_path, [line(1000), line(1070)], [1000, 1070], ("center", "left", "right"))
    (tmp_path / "IMG" / name("right", 1070)).unlink()
    first, second = read_all(opened(tmp_path, "left", "front", "right"))
    assert isinstance(first, Capture)
    assert list(first.pictures) == ["left", "front", "right"]
    assert isinstance(second, Missing)
    assert "No such file" in second.reasons["right"]
    assert set(second.reasons) == {"left", "front", "right"}
    with pytest.raises(SourceError, match=r"no camera rear; it has front \(or center\), left and right"):
        opened(tmp_path, "front", "rear")


def test_what_cannot_be_had_is_declared_with_its_line(tmp_path: Path) -> None:
    lines = [line(1000), line(1050), "oops", line(1100), line(1150, "0, 0, 0, fast"), line(1200)]
    recording(tmp_path, lines, [1000, 1100, 1200])
    (tmp_path / "IMG" / name("center", 1100)).write_bytes(b"\xff\xd8 torn")
    items = read_all(opened(tmp_path))
    assert [item.reasons["front"].partition(":")[0] for item in items if isinstance(item, Missing)] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    assert isinstance(items[4], Missing)
    assert "speed is 'fast', not a number" in items[4].reasons["front"]
    assert [item.t_source_ns // MS for item in items] == [0, 50, 50, 100, 100, 200]


def test_time_that_stands_still_or_goes_back_is_declared(tmp_path: Path) -> None:
    times = [1000, 1050, 1050, 1030, 1100]
    recording(tmp_path, [line(at) for at in times], times)
    items = read_all(opened(tmp_path))
    assert [item.reasons["front"] for item in items if isinstance(item, Missing)] == [
        "line 3: a repeated frame: its time stands still",
        "line 4: its time goes back by 20 ms",
    ]
    assert [item.t_source_ns // MS for item in items] == [0, 50, 50, 50, 100]


def test_a_damaged_stamp_of_another_millennium_is_declared_and_the_times_go_on(tmp_path: Path) -> None:
    recording(tmp_path, [line(1000), line(1050).replace("_2018_", "_9018_"), line(1100)], [1000, 1100])
    items = read_all(opened(tmp_path))
    assert isinstance(items[1], Missing)
    assert items[1].reasons["front"] == "line 2: its time is 2.21e+11 s from the first frame's"
    assert [item.t_source_ns // MS for item in items] == [0, 0, 100]


def test_a_second_recording_goes_on_after_the_first(tmp_path: Path) -> None:
    times = [30_000, 30_050, 1000, 1050, 1100]
    recording(tmp_path, [line(at) for at in times], times)
    items = read_all(opened(tmp_path))
    assert [isinstance(item, Capture) for item in items] == [True, True, False, True, True]
    assert [item.t_source_ns // MS for item in items] == [0, 50, 100, 150, 200]


def test_without_times_in_the_names_the_nominal_rate_applies(tmp_path: Path) -> None:
    recording(tmp_path, ["1.jpg, , , 0, 0, 0, 5", "2.jpg, , , 0, 0, 0, 5"], [])
    for i in (1, 2):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), frame(i))  # beside the log
    assert [item.t_source_ns // MS for item in read_all(opened(tmp_path))] == [0, 50]
    assert [item.t_source_ns // MS for item in read_all(opened(f"{tmp_path}?frame_rate_hz=10"))] == [0, 100]


def test_the_logged_vehicle_tells_what_was_known_at_a_time_and_obeys_nobody(tmp_path: Path) -> None:
    recording(tmp_path, [line(1000, "0,0,0,10"), line(1100, "0,0,0,20")], [1000, 1100])
    vehicle = opened(tmp_path).vehicle
    speeds = [vehicle.state(at * MS).speed_mps for at in (-1, 0, 99, 100, 10_000)]
    assert [reading and reading.t_source_ns // MS for reading in speeds] == [None, 0, 0, 100, 100]
    assert not vehicle.obeys
    with pytest.raises(SourceError, match="cannot obey"):
        vehicle.apply(Command("d/1", 0, Control(0.0, 0.0)))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no line of data"),
        ("center,left,right,steering,throttle,brake,speed\n", "no line of data"),
        ("a,b\n1,2\n", "line 1: 2 columns of 7"),
        ("a,b,c,d,e,f,g\n", "line 1: steering is 'd', not a number"),
        ("\x00\x01\x02", "line 1"),
    ],
)
def test_a_file_that_is_no_log_is_a_clear_error(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "driving_log.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=rf"(?s)driving_log\.csv is no log of the Udacity simulator.*{match}"):
        opened(tmp_path)


@given(st.text(max_size=300))
def test_any_text_is_lines_or_a_clear_error(text: str) -> None:
    try:
        lines = parse_log(text, "log")
    except SourceError:
        return
    assert any(isinstance(entry, LogLine) for entry in lines)


CELLS = st.lists(st.one_of(st.text(max_size=12), st.floats().map(str), st.just(name("center", 1500))), max_size=9)


@given(st.lists(st.one_of(CELLS.map(",".join), st.integers(0, 59_999).map(line)), max_size=12))
def test_every_line_of_data_is_told_once_and_times_never_go_back(rows: list[str]) -> None:
    text = "\n".join([line(0), *rows])
    lines = parse_log(text, "log")
    entries = timed(lines, 50 * MS)
    assert len(entries) == len(lines)
    times = [entry.t_source_ns for entry in entries]
    assert times == sorted(times)
    assert all(bool(entry.problem) or isinstance(entry.line, LogLine) for entry in entries)
    good = [entry.t_source_ns for entry in entries if not entry.problem]
    assert len(set(good)) == len(good)
    for entry in entries:
        if isinstance(entry.line, BadLine):
            assert f"line {entry.line.number}: " in entry.problem
        else:
            assert math.isfinite(entry.line.speed_mps + entry.line.steering_angle_rad)
