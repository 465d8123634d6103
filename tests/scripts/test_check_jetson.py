"""The locks of the Jetson image, and the script that holds them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.scripts.loading import script

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints"


SCRIPT = script("check-jetson")
JETPACK_6, JETPACK_7 = SCRIPT.TARGETS


@pytest.mark.parametrize("target", SCRIPT.TARGETS, ids=lambda target: target.name)
def test_a_lock_pins_the_versions_that_the_tests_run_with_and_no_others(target: Any) -> None:
    tested = SCRIPT.pinned(CONSTRAINTS / f"py{target.python}.txt")
    locked = SCRIPT.pinned(target.lock)
    assert locked.items() <= tested.items()
    wanted = {canonicalize_name(Requirement(line).name) for line in SCRIPT.project()["project"]["dependencies"]}
    assert wanted <= locked.keys(), "run scripts/check-jetson --write"


@pytest.mark.parametrize("name", ["jetpack6", "jetpack7", "jetpack-build"])
def test_every_line_of_a_lock_has_the_hash_of_each_of_its_wheels(name: str) -> None:
    path = SCRIPT.lock_path(name)
    found = SCRIPT.hashes(path)
    assert found.keys() == SCRIPT.pinned(path).keys()
    assert all(1 <= len(one) <= 2 for one in found.values())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"#|\S+==\S+ \\$|    --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_a_marker_is_judged_by_the_boards_python_and_processor_not_by_this_one() -> None:
    lines = [
        'tomli; python_version < "3.11"',
        'colour; sys_platform == "win32"',
        'cuda; platform_machine == "x86_64"',
        "numpy",
        'torch; extra == "deep"',
    ]
    requires = [Requirement(line) for line in lines]
    assert [one.name for one in SCRIPT.wanted_names(requires, JETPACK_6)] == ["tomli", "numpy"]
    assert [one.name for one in SCRIPT.wanted_names(requires, JETPACK_7)] == ["numpy"]


def wheels_of(pins: dict[str, str]) -> dict[str, Any]:
    """What the index has for JetPack 6; skips where it does not answer."""
    try:
        found: dict[str, Any] = SCRIPT.wheels_of(pins, JETPACK_6, SCRIPT.BOARD)
    except SCRIPT.IndexSilentError as error:
        pytest.skip(f"the package index does not answer: {error}")
    return found


def test_the_index_has_the_board_s_wheel_of_a_pinned_version() -> None:
    pins = SCRIPT.pinned(JETPACK_6.lock)
    [wheel] = wheels_of({"pyzmq": pins["pyzmq"]}).values()
    assert "aarch64" in wheel.file
    assert "cp310" in wheel.file
    assert wheel.sha256 in SCRIPT.hashes(JETPACK_6.lock)["pyzmq"]


def test_a_package_without_a_wheel_for_the_board_is_found_missing() -> None:
    wheels_of({"mcap": SCRIPT.pinned(JETPACK_6.lock)["mcap"]})  # the index answers
    with pytest.raises(
        SCRIPT.MissingError, match=r"onnxruntime-gpu==1\.23\.2 has no wheel for Python 3\.10 on aarch64"
    ):
        wheels_of({"onnxruntime-gpu": "1.23.2"})


def test_a_wheel_is_asked_for_with_the_boards_python_and_judged_by_it_not_by_this_one() -> None:
    pins = SCRIPT.pinned(JETPACK_7.lock)
    try:
        [wheel] = SCRIPT.wheels_of({"av": pins["av"]}, JETPACK_7, SCRIPT.BOARD).values()
    except SCRIPT.IndexSilentError as error:
        pytest.skip(f"the package index does not answer: {error}")
    assert wheel.python.contains("3.12.0")
    assert not wheel.python.contains("3.9.0")


def test_a_lock_with_a_foreign_hash_an_untested_version_or_a_hole_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels_of({"mcap": SCRIPT.pinned(JETPACK_6.lock)["mcap"]})
    (tmp_path / "constraints").mkdir()
    for name in ("py3.10", "jetpack6"):
        text = (CONSTRAINTS / f"{name}.txt").read_text(encoding="utf-8")
        (tmp_path / "constraints" / f"{name}.txt").write_text(text, encoding="utf-8")
    lock = tmp_path / "constraints" / "jetpack6.txt"
    text = lock.read_text(encoding="utf-8")
    own = next(iter(SCRIPT.hashes(lock)["mcap"]))
    text = text.replace(own, "0" * 64).replace("tqdm==4.70.1", "tqdm==4.67.1")
    lock.write_text(re.sub(r"cffi==.*\n.*\n.*\n", "", text), encoding="utf-8")
    monkeypatch.setattr(SCRIPT, "ROOT", tmp_path)
    told = SCRIPT.check("jetpack6", ["mcap>=1.2", "torch"], JETPACK_6)
    said = "\n".join(told)
    assert "mcap-" in said
    assert "another SHA-256" in said
    assert "tqdm is 4.67.1, and the tests run with 4.70.1" in said
    assert "cryptography needs cffi" in said
    assert "sightline needs torch, and the lock has none" in said
