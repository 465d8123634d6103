"""What a drive's folder is given before anything is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import gstreamer
from runtime.contracts.config import Config, load_config
from runtime.contracts.errors import SourceError
from runtime.seal.keys import new_key
from runtime.supervise.furnish import furnish, make_folder
from runtime.supervise.plan import CONFIG_NAME
from tests import models


def test_a_cameras_password_is_not_in_the_drives_copy_of_the_configuration(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(models.tiny_policy())
    make_folder(tmp_path / "drive")
    config = Config(model=str(model), source="rtsp://me:s3cret@10.0.0.7/road")
    furnish(tmp_path / "drive", config, None, new_key(tmp_path / "keys"))
    text = (tmp_path / "drive" / CONFIG_NAME).read_text()
    assert "s3cret" not in text
    assert load_config(tmp_path / "drive" / CONFIG_NAME).source == "rtsp://me:***@10.0.0.7/road"


def test_a_pipeline_that_cannot_be_built_is_told_without_its_password() -> None:
    try:
        gstreamer.load()
    except SourceError as error:
        pytest.skip(str(error))
    with pytest.raises(SourceError, match=r"nosuchelement") as caught:
        gstreamer.launched('rtspsrc location="rtsp://me:s3cret@10.0.0.7/road" ! nosuchelement')
    assert "s3cret" not in str(caught.value)
