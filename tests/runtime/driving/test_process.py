"""The driving process by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.contracts.config import DEFAULT_CONFIG, load_config
from runtime.driving import __main__ as driving
from runtime.supervise.plan import make_plan


def test_in_lockstep_a_recorder_that_never_comes_ends_the_drive_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "_RECORDER_PATIENCE_S", 0.3)
    monkeypatch.setattr(driving, "_LAST_CALL_S", 0.1)
    config = load_config(Path(DEFAULT_CONFIG))
    images, drive_dir = tmp_path / "images", tmp_path / "drive"
    images.mkdir()
    drive_dir.mkdir()
    for i in range(config.record.credit + 8):
        cv2.imwrite(str(images / f"{i:03}.png"), np.zeros((66, 200, 3), np.uint8))
    plan = make_plan(
        drive_id="d",
        drive_dir=drive_dir,
        run_dir=tmp_path,
        source_uri=str(images),
        pacing="lockstep",
        config=config,
    )
    shutil.copyfile(config.model, plan.model_path)
    plan.config_path.write_text("", encoding="utf-8")
    progress = driving.DrivingProcess(plan).run()
    assert progress.phase == "failed"
    assert "the recorder took nothing for 0.3 s" in progress.error
    assert 0 < progress.frames < config.record.credit + 8
