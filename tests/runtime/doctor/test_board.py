"""The doctor tells a Jetson from another board, and what slows it down, from what its kernel says."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.doctor import board
from tests.runtime.doctor.trees import ORIN_NANO, plant

NVPMODEL = "NV Fan Mode:quiet\nNV Power Mode: MAXN_SUPER\n2\n"


def test_a_jetson_is_named_with_its_release(tmp_path: Path) -> None:
    found = board.board(plant(tmp_path, ORIN_NANO))
    assert (found.verdict, found.found) == (
        "ok",
        "NVIDIA Jetson Orin Nano Developer Kit, L4T R36 (release), REVISION: 4.3",
    )


def test_a_jetson_without_its_release_file_is_told_with_the_mend(tmp_path: Path) -> None:
    found = board.board(plant(tmp_path, {"proc/device-tree/model": "NVIDIA Jetson AGX Thor\0"}))
    assert found.verdict == "warn"
    assert "/etc/nv_tegra_release" in found.mend


def test_another_board_is_named_by_its_processor(tmp_path: Path) -> None:
    found = board.board(tmp_path)
    assert found.verdict == "ok"
    assert "L4T" not in found.found


def test_the_power_mode_is_asked_of_a_jetson_only(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def answer(command: list[str]) -> str:
        asked.append(command)
        return NVPMODEL

    found = board.power(plant(tmp_path / "jetson", ORIN_NANO), answer)
    assert (found.verdict, found.found) == ("ok", "power mode MAXN_SUPER; governor schedutil")
    assert asked == [["nvpmodel", "-q"]]
    board.power(tmp_path / "other", answer)
    assert len(asked) == 1


def test_a_governor_that_saves_power_is_a_warning(tmp_path: Path) -> None:
    files = {f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "powersave\n" for n in range(2)}
    found = board.power(plant(tmp_path, files), lambda _: "")
    assert (found.verdict, found.found) == ("warn", "governor powersave")
    assert "performance" in found.mend


def test_a_cool_board_is_told_with_its_warmest_place(tmp_path: Path) -> None:
    found = board.throttling(plant(tmp_path, ORIN_NANO))
    assert (found.verdict, found.found) == ("ok", "none; the warmest is gpu-thermal 51 degrees C")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sys/class/thermal/thermal_zone0/temp": "97000\n"}, "cpu-thermal is at 97 of 99 degrees C"),
        ({"sys/class/hwmon/hwmon1/oc1_event_cnt": "3\n"}, "slowed down 3 times since the boot"),
        ({"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "7\n"}, "slowed down 7 times"),
    ],
)
def test_heat_and_too_high_a_current_are_warnings(tmp_path: Path, change: dict[str, str], said: str) -> None:
    found = board.throttling(plant(tmp_path, {**ORIN_NANO, **change}))
    assert found.verdict == "warn"
    assert said in found.found
    assert found.mend


def test_numbers_that_are_none_are_passed_over(tmp_path: Path) -> None:
    files = {"sys/class/thermal/thermal_zone0/temp": "n/a\n", "sys/class/hwmon/hwmon0/oc1_event_cnt": "\n"}
    found = board.throttling(plant(tmp_path, files))
    assert (found.verdict, found.found) == ("ok", "no temperature is told here")


def test_this_machine_is_looked_at_for_real() -> None:
    assert board.board().found
    assert board.power().found
    assert board.throttling().found
