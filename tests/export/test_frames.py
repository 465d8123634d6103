"""Frames are exactly what the network would be fed, from a record or from any source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from export.frames import Frames, frames_of
from export.session import Session
from runtime.contracts.errors import ModelError, SourceError
from runtime.contracts.model import manifest_of
from runtime.decision.tensors import unpack
from runtime.preprocess import preprocess
from runtime.record.drive import open_drive
from tests import models
from tests.review.drives import record_drive

ROAD = "proving-ground://lane?seed=3&duration_s=4&width=160&height=90"


def frames(onnx: bytes, uri: str, count: int) -> Frames:
    return frames_of(manifest_of(onnx, "test"), Session(onnx).inputs, uri, count)


def test_a_drive_gives_its_recorded_inputs_bit_for_bit(tmp_path: Path) -> None:
    onnx = models.recurrent_policy()
    drive = record_drive(tmp_path / "drive", onnx, 12)
    recorded = [unpack(frame.input) for frame in open_drive(drive).frames() if frame.input is not None]
    found = frames(onnx, str(drive), 4)
    assert len(found) == 4
    for i, inputs in enumerate(found.inputs):
        assert set(inputs) == {"image", "h"}
        assert all(np.array_equal(inputs[name], recorded[3 * i + 1][name]) for name in inputs)


def test_a_drive_of_a_network_with_other_inputs_is_refused_with_both(tmp_path: Path) -> None:
    drive = record_drive(tmp_path / "drive", models.tiny_policy(), 3)
    with pytest.raises(ModelError, match=r"it holds image uint8 .* and this one takes h float32 \[1, 4\]"):
        frames(models.recurrent_policy(), str(drive), 3)


def test_a_folder_of_images_is_preprocessed_as_on_the_vehicle_at_an_assumed_speed(tmp_path: Path) -> None:
    pictures = [np.full((90, 160, 3), 20 * i, np.uint8) for i in range(6)]
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
    onnx = models.tiny_policy()
    found = frames(onnx, str(tmp_path), 3)
    [image] = manifest_of(onnx, "test").images
    assert [
        np.array_equal(f["image"], preprocess(pictures[i], image)) for i, f in zip((1, 3, 5), found.inputs, strict=True)
    ]
    assert {float(inputs["speed_mps"][0, 0]) for inputs in found.inputs} == {15.0}


def test_the_proving_ground_is_driven_and_repeats_itself() -> None:
    onnx = models.tiny_policy()
    first, second = frames(onnx, ROAD, 5), frames(onnx, ROAD, 5)
    assert first.sha256 == second.sha256
    assert len({inputs["image"].tobytes() for inputs in first.inputs}) == 5
    assert first.sha256 != frames(onnx, ROAD.replace("seed=3", "seed=4"), 5).sha256


def test_a_shorter_source_gives_all_that_it_has_and_none_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((90, 160, 3), np.uint8))
    assert len(frames(models.tiny_policy(), str(tmp_path), 40)) == 1
    with pytest.raises(SourceError, match="0 frames were asked"):
        frames(models.tiny_policy(), str(tmp_path), 0)
    with pytest.raises(SourceError):
        frames(models.tiny_policy(), str(tmp_path / "nowhere"), 1)
