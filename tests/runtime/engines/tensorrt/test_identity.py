"""What the machine's own files tell of it."""

from __future__ import annotations

from pathlib import Path

from runtime.engines.tensorrt.identity import jetpack_release, os_release


def test_the_system_is_named_as_os_release_names_it(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n', encoding="utf-8")
    assert os_release(path) == "Ubuntu 22.04.5 LTS"
    assert os_release(tmp_path / "nothing") == "Linux"


def test_a_jetson_is_named_by_its_release_and_not_by_its_images_date(tmp_path: Path) -> None:
    path = tmp_path / "nv_tegra_release"
    path.write_text(
        "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan 8 01:49:37\n",
        encoding="utf-8",
    )
    assert jetpack_release(path) == "R36 (release), REVISION: 4.3"
    assert jetpack_release(tmp_path / "nothing") == ""
