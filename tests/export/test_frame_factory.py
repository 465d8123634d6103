"""Frames from many roads: the same whoever makes them, and kept only where they are still what would be made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from export.curriculum import TRAINING_SEEDS
from export.frame_factory import FRAMES_PER_ROAD, Road, frames_of_roads
from export.samples import Samples, load_samples, save_samples
from runtime.contracts.model import ImageInput, read_manifest

IMAGE = read_manifest(Path(__file__).parents[2] / "configs" / "pilotnet.onnx").images[0]
SEED = TRAINING_SEEDS.start


def _made(kept: Path, image: ImageInput = IMAGE) -> Samples:
    return frames_of_roads([Road(SEED, image, kept=kept)], 1, "frames")


def test_kept_frames_are_found_again_by_what_decides_them(tmp_path: Path) -> None:
    made = _made(tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    assert len(made) == FRAMES_PER_ROAD
    marked = Samples(made.images, made.speed_mps + 1, made.steering_angle_rad, made.acceleration_mps2, made.concepts)
    save_samples(file, marked)
    np.testing.assert_array_equal(_made(tmp_path).speed_mps, marked.speed_mps)
    other = _made(tmp_path, msgspec.structs.replace(IMAGE, colour="RGB"))
    np.testing.assert_array_equal(other.speed_mps, made.speed_mps)
    np.testing.assert_array_equal(other.images, made.images[..., ::-1])


def test_a_file_that_was_cut_is_made_again(tmp_path: Path) -> None:
    made = _made(tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:1000])
    again = _made(tmp_path)
    np.testing.assert_array_equal(again.images, made.images)
    np.testing.assert_array_equal(again.concepts, made.concepts)
    whole = load_samples(file)
    assert whole is not None
    assert len(whole) == FRAMES_PER_ROAD
