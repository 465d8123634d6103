"""Storage, clocks, video and keys: what each check says of good and of bad, each with a mend."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from runtime import gstreamer
from runtime.access.allowed import LIST_NAME, AllowedClient, allow
from runtime.access.keys import ensure_server_key
from runtime.contracts.config import BusConfig, Config, RecordConfig
from runtime.contracts.errors import SourceError
from runtime.doctor import clocks, engines, keys, software, storage, video
from runtime.doctor.checkup import checkup
from runtime.seal.keys import KEY_NAME, new_key
from tests.another_user import closed
from tests.runtime.doctor.trees import ORIN_NANO, plant


def disk_at(root: Path, folder: Path, files: dict[str, str]) -> Path:
    """A /sys in which `folder` lies on the first partition of the eMMC mmcblk0."""
    disk = plant(root / "sys/devices/mmc/block/mmcblk0", {"mmcblk0p1/partition": "1\n", **files})
    device = folder.stat().st_dev
    link = root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(disk / "mmcblk0p1")
    return root


@pytest.mark.parametrize(
    ("life", "pre_eol", "verdict", "said"),
    [
        ("0x01 0x02\n", "0x01\n", "ok", "mmcblk0: 10 to 20 % used"),
        ("0x09 0x02\n", "0x01\n", "warn", "mmcblk0: 80 to 90 % used"),
        ("0x0b 0x0b\n", "0x01\n", "warn", "mmcblk0: beyond its life used"),
        ("0x01 0x01\n", "0x03\n", "warn", "mmcblk0: 0 to 10 % used"),
        ("0x00 0x00\n", "0x00\n", "ok", "mmcblk0 does not tell; as root: smartctl -a /dev/mmcblk0"),
    ],
)
def test_an_emmc_tells_its_wear(tmp_path: Path, life: str, pre_eol: str, verdict: str, said: str) -> None:
    root = disk_at(tmp_path / "root", tmp_path, {"device/life_time": life, "device/pre_eol_info": pre_eol})
    found = storage.wear(tmp_path, root)
    assert (found.verdict, found.found) == (verdict, said)
    assert bool(found.mend) == (verdict == "warn")


def test_a_folder_without_a_disk_of_its_own_is_said(tmp_path: Path) -> None:
    assert storage.wear(tmp_path, tmp_path / "nothing").found.startswith("no disk of its own")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_fails() -> None:
    assert storage.sync(Path("/proc")).verdict == "fail"


def test_a_sync_is_measured(tmp_path: Path) -> None:
    found = storage.sync(tmp_path)
    assert found.verdict in ("ok", "warn")
    assert "p99" in found.found


def test_a_slow_clock_source_is_a_warning(tmp_path: Path) -> None:
    name = "sys/devices/system/clocksource/clocksource0/current_clocksource"
    assert clocks.clock_source(plant(tmp_path / "a", {name: "hpet\n"})).verdict == "warn"
    assert clocks.clock_source(plant(tmp_path / "b", {name: "arch_sys_counter\n"})).found == "arch_sys_counter"


@pytest.mark.parametrize(
    ("files", "verdict", "said"),
    [
        ({}, "warn", "none"),
        ({"sys/class/rtc/rtc0/date": "1970-01-01\n"}, "warn", "rtc0 stands in the year 1970"),
        ({"sys/class/rtc/rtc0/date": "2026-11-24\n", "sys/class/rtc/rtc0/name": "nvvrs-pseq\n"}, "ok", "nvvrs-pseq"),
    ],
)
def test_a_missing_or_unset_hardware_clock_is_a_warning(
    tmp_path: Path, files: dict[str, str], verdict: str, said: str
) -> None:
    found = clocks.hardware_clock(plant(tmp_path, files))
    assert (found.verdict, found.found) == (verdict, said)


def test_cameras_are_named_with_their_nodes(tmp_path: Path) -> None:
    names = {f"sys/class/video4linux/video{n}/name": "UVC Camera (046d:0825)\n" for n in range(2)}
    found = video.cameras(root=plant(tmp_path / "two", names))
    assert (found.verdict, found.found) == ("ok", "UVC Camera (046d:0825) (/dev/video0, /dev/video1)")
    assert video.cameras(root=tmp_path / "none").found.startswith("the kernel shows none")


@pytest.mark.parametrize(
    ("source", "there", "said"),
    [
        ("v4l2:///dev/video7", "dev/video7", "there is no /dev/video7"),
        ("v4l2:///dev/v4l/by-id/usb-cam?format=raw", "dev/v4l/by-id/usb-cam", "there is no /dev/v4l/by-id/usb-cam"),
        ("csi://0", "tmp/argus_socket", "the daemon of the CSI cameras does not run"),
    ],
)
def test_a_configured_camera_that_is_not_there_is_a_failure(tmp_path: Path, source: str, there: str, said: str) -> None:
    found = software.source(Config(source=source), tmp_path)
    assert (found.verdict, said in found.found, bool(found.mend)) == ("fail", True, True)
    assert software.source(Config(source=source), plant(tmp_path, {there: ""})).verdict == "ok"


def test_a_pipeline_of_which_an_element_is_missing_is_a_failure() -> None:
    try:
        here = gstreamer.has("nvarguscamerasrc")
    except SourceError as error:
        pytest.skip(str(error))
    if here:
        pytest.skip("NVIDIA's camera element is here")
    found = video.gstreamer(Config(source="csi://0"))
    assert (found.verdict, "nvarguscamerasrc" in found.found, bool(found.mend)) == ("fail", True, True)


def test_the_pipeline_of_the_configured_camera_is_shown() -> None:
    try:
        gstreamer.load()
    except SourceError as error:
        pytest.skip(str(error))
    found = video.gstreamer(Config(source="v4l2:///dev/video7?format=raw"))
    assert found.verdict == "ok"
    assert 'v4l2src device="/dev/video7"' in found.found
    assert "v4l2src" not in video.gstreamer(Config(source="highway.mp4")).found
    assert "v4l2src" not in video.gstreamer(Config(source="v4l2+pyav:///dev/video7")).found


def test_a_cameras_password_is_not_shown() -> None:
    found = video.gstreamer(Config(source="rtsp://me:s3cret@10.0.0.7/road"))
    assert "s3cret" not in found.found
    assert "s3cret" not in found.mend


def test_a_cameras_uri_that_is_wrong_is_a_line_and_no_end_of_the_checkup() -> None:
    found = video.gstreamer(Config(source="csi://front"))
    assert (found.verdict, bool(found.mend)) == ("fail", True)
    assert "'front' is no CSI camera" in found.found


def test_a_camera_that_needs_gstreamer_fails_without_it_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    gstreamer.load.cache_clear()
    try:
        found = video.gstreamer(Config(source="csi://0"))
        assert (found.verdict, bool(found.mend)) == ("fail", True)
        assert video.gstreamer(Config(source="v4l2:///dev/video0")).verdict == "ok"
        assert video.gstreamer(Config()).verdict == "ok"
    finally:
        gstreamer.load.cache_clear()


@pytest.mark.parametrize(
    ("uri", "verdict", "said"),
    [
        (None, "ok", "names none"),
        ("proving-ground://lane", "ok", "proving-ground://lane"),
        ("rtsp://me:word@10.0.0.7/road", "ok", "rtsp://me:***@10.0.0.7/road"),
        ("v4l2:///dev/no-such-camera", "fail", "there is no /dev/no-such-camera"),
        ("no-such-file.mp4", "fail", "no such file"),
        ("nowhere://me:word@x", "fail", "source 'nowhere://me:***@x': no source is registered for nowhere://"),
    ],
)
def test_whether_the_configured_source_is_there_is_told(uri: str | None, verdict: str, said: str) -> None:
    found = software.source(Config(source=uri))
    assert found.verdict == verdict
    assert said in found.found
    assert bool(found.mend) == (verdict == "fail")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("ros2://camera?comand=/x", "unknown option 'comand'"),
        ("ros2://camera/image_raw?command=/cmd", "no state= tells the speed"),
        ("rosbag:///nowhere/x.bag", "no such file"),
        ("proving-ground://lane?sed=7", "unknown key 'sed'"),
    ],
)
def test_a_source_that_a_run_would_refuse_for_what_its_uri_says_is_a_failure(
    uri: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "find_spec", lambda name: name)
    found = software.source(Config(source=uri))
    assert (found.verdict, why in found.found, bool(found.mend)) == ("fail", True, True)


@pytest.mark.parametrize(
    ("uri", "extra"),
    [("ros2://camera/image_raw", "'.[dds]'"), ("rosbag://monday.bag", "'.[ros]'"), ("monday.bag", "'.[ros]'")],
)
def test_a_source_whose_package_is_missing_fails_with_the_way_to_it(
    uri: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monday.bag").touch()
    monkeypatch.setattr(software, "find_spec", lambda name: name)
    assert software.source(Config(source=uri)).verdict == "ok"
    monkeypatch.setattr(software, "find_spec", lambda name: None)
    found = software.source(Config(source=uri))
    assert found.verdict == "fail"
    assert extra in found.mend


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_camera_that_this_user_may_not_open_is_a_warning(tmp_path: Path) -> None:
    root = plant(tmp_path, {"sys/class/video4linux/video0/name": "imx219\n", "dev/video0": ""})
    (root / "dev/video0").chmod(0)
    found = video.cameras(root=root)
    assert found.verdict == "warn"
    assert "usermod -aG video" in found.mend


def test_the_encoder_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert video.encoder(Config()).found == "h264, by libx264 on the processor"
    assert video.encoder(Config(record=RecordConfig(picture_codec="jpeg"))).found == "jpeg, by OpenCV"
    monkeypatch.setattr(video, "is_key", lambda _: False)
    assert video.encoder(Config()).verdict == "fail"


def test_the_signing_key_is_there_missing_or_open_to_others(tmp_path: Path) -> None:
    config = Config(record=RecordConfig(key_dir=str(tmp_path / "keys")))
    assert keys.signing_key(config).verdict == "warn"
    key = new_key(tmp_path / "keys")
    found = keys.signing_key(config)
    assert found.verdict == "ok"
    assert key.key_id[:16] in found.found
    (tmp_path / "keys" / KEY_NAME).chmod(0o644)
    found = keys.signing_key(config)
    assert (found.verdict, "no run begins" in found.mend) == ("fail", True)


def test_what_this_user_may_not_look_into_is_a_line_and_no_end_of_the_checkup(tmp_path: Path) -> None:
    config = Config(record=RecordConfig(key_dir=str(tmp_path / "vehicle" / "keys")))
    new_key(tmp_path / "vehicle" / "keys")
    tcp = msgspec.structs.replace(config, bus=BusConfig(transport="tcp"))
    with closed(tmp_path / "vehicle"):
        for found in (keys.signing_key(config), keys.connections(tcp)):
            assert (found.verdict, bool(found.mend)) == ("fail", True)
        folder = storage.nearest_folder(tmp_path / "vehicle" / "drives" / "today")
        assert folder in (tmp_path / "vehicle").parents or folder == tmp_path / "vehicle"


def test_a_key_that_this_user_could_not_make_is_a_failure(tmp_path: Path) -> None:
    config = Config(record=RecordConfig(key_dir=str(tmp_path / "vehicle" / "keys")))
    (tmp_path / "vehicle").mkdir()
    with closed(tmp_path / "vehicle"):
        assert keys.signing_key(config).verdict == "fail"
    assert keys.signing_key(config).verdict == "warn"


def test_who_may_connect_is_told_and_a_list_that_no_run_would_trust_is_a_failure(tmp_path: Path) -> None:
    plain = Config(record=RecordConfig(key_dir=str(tmp_path / "keys")))
    assert keys.connections(plain).found == "ipc: this user alone"
    bare = keys.connections(msgspec.structs.replace(plain, bus=BusConfig(transport="tcp", curve=False)))
    assert (bare.verdict, bool(bare.mend)) == ("warn", True)
    tcp = msgspec.structs.replace(plain, bus=BusConfig(transport="tcp"))
    assert keys.connections(tcp).found == "tcp with keys; on the list: nobody"
    allow(tmp_path / "keys", AllowedClient("tablet", "viewer", ensure_server_key(tmp_path / "keys").public))
    assert keys.connections(tcp).found == "tcp with keys; on the list: tablet (viewer)"
    (tmp_path / "keys" / LIST_NAME).chmod(0o644)
    found = keys.connections(tcp)
    assert (found.verdict, "chmod 600" in found.found) == ("fail", True)


def test_a_machine_without_a_gpu_is_no_trouble_for_a_configuration_that_wants_none() -> None:
    for found in (engines.gpu(), engines.tensorrt()):
        assert found.verdict in ("ok", "warn")
        assert found.found


def test_a_jetsons_gpu_that_its_driver_does_not_open_is_a_warning(tmp_path: Path) -> None:
    if engines.gpu().found[:4] != "none":
        pytest.skip("a GPU is here")
    found = engines.gpu(plant(tmp_path, ORIN_NANO))
    assert (found.verdict, "usermod -aG video,render" in found.mend) == ("warn", True)


def test_every_check_answers_once_and_every_trouble_has_a_mend(tmp_path: Path) -> None:
    findings = checkup(None, tmp_path / "not" / "there")
    names = [finding.check for finding in findings]
    assert len(names) == len(set(names))
    assert {"board", "power", "throttling", "gpu", "tensorrt", "engine CPU", "cameras", "encoder"} <= set(names)
    assert {
        "disk",
        "disk sync",
        "disk wear",
        "clock source",
        "clock",
        "hardware clock",
        "signing key",
        "connections",
    } <= set(names)
    for finding in findings:
        assert finding.found
        assert finding.mend or finding.verdict == "ok"
    assert msgspec.json.encode(findings)
