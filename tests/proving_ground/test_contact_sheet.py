"""The contact sheet is one picture that holds every condition."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from proving_ground.contact_sheet import TILE, main


def test_one_command_writes_a_png_with_a_tile_per_condition(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert main([str(out)]) == 0
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape[0] > 7 * TILE[1]
    assert sheet.shape[1] > 7 * TILE[0]


def test_a_path_that_cannot_be_written_is_an_answer_not_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "missing" / "sheet.png")]) == 2
    assert "missing" in capsys.readouterr().err
