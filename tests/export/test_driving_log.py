"""Learning from a human's log: what is taken from it, and that a policy foretells frames that it never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from export.driving_log import SMOOTHED_FRAMES, LogScore, logged_frames, mirrored, score, smoothed, split
from runtime.contracts.errors import SourceError
from runtime.contracts.model import Crop, ImageInput

LOG = Path(__file__).parents[3] / "shared" / "data" / "udacity_sim"
IMAGE = ImageInput("image", width=200, height=66, crop=Crop(0.375, 0.84))


def _recording(folder: Path, frames: int) -> str:
    """A recording of the simulator's form: steering 0.2 to the right, from 20 mph on, 1 mph more with every frame."""
    (folder / "IMG").mkdir(parents=True)
    lines = []
    for i in range(frames):
        name = f"center_2018_07_16_17_11_{i // 10:02d}_{i % 10 * 100:03d}.jpg"
        cv2.imwrite(str(folder / "IMG" / name), np.full((160, 320, 3), i % 250, np.uint8))
        lines.append(f"C:\\x\\IMG\\{name},,,{0.2 if i % 2 else 0.0},0,0,{20 + i}")
    (folder / "driving_log.csv").write_text("\n".join(lines))
    return str(folder)


def test_a_log_gives_its_steering_positive_to_the_left_and_the_acceleration_that_followed(tmp_path: Path) -> None:
    samples, times = logged_frames(_recording(tmp_path / "log", 40), IMAGE)
    assert samples.images.shape == (40, 66, 200, 3)
    assert np.diff(times).tolist() == [100_000_000] * 39
    np.testing.assert_allclose(samples.steering_angle_rad[:2], [0.0, -0.2 * np.deg2rad(25)], atol=1e-6)
    # 1 mph in a tenth of a second; at the ends the mean is over fewer frames, and leans.
    np.testing.assert_allclose(samples.acceleration_mps2[15:25], 4.4704, rtol=1e-3)
    assert np.isnan(samples.concepts).all()


def test_a_log_too_short_to_learn_from_is_refused_with_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has 20 frames"):
        logged_frames(_recording(tmp_path / "log", 20), IMAGE)


def test_smoothing_is_a_centred_mean_that_keeps_a_straight_line_inside() -> None:
    line = np.arange(50, dtype=np.float32)
    inside = slice(SMOOTHED_FRAMES // 2, -(SMOOTHED_FRAMES // 2))
    np.testing.assert_allclose(smoothed(line)[inside], line[inside], rtol=1e-6)
    assert smoothed(np.ones(20, np.float32)).tolist() == [1.0] * 20


def test_no_label_of_the_beginning_knows_of_the_end(tmp_path: Path) -> None:
    samples, _ = logged_frames(_recording(tmp_path / "log", 60), IMAGE)
    changed = samples.steering_angle_rad.copy()
    changed[40:] = 0.4
    first, rest = split(samples, 40)
    again, other = split(replace(samples, steering_angle_rad=changed), 40)
    np.testing.assert_array_equal(first.steering_angle_rad, again.steering_angle_rad)
    assert not np.array_equal(rest.steering_angle_rad, other.steering_angle_rad)
    assert len(first) == 40
    assert len(rest) == 20


def test_a_mirrored_drive_steers_the_other_way(tmp_path: Path) -> None:
    samples, _ = logged_frames(_recording(tmp_path / "log", 40), IMAGE)
    samples.images[:, :, :100] //= 2
    other = mirrored(samples)
    np.testing.assert_array_equal(other.images[:, :, 0], samples.images[:, :, -1])
    np.testing.assert_array_equal(other.steering_angle_rad, -samples.steering_angle_rad)
    np.testing.assert_array_equal(other.acceleration_mps2, samples.acceleration_mps2)


def test_the_mean_alone_has_not_learned_and_the_truth_has() -> None:
    human = np.sin(np.linspace(0, 9, 100)).astype(np.float32)
    assert score(human, human, 0.0).learned
    assert not score(human * 0.1, human, 0.0).learned
    assert not score(np.roll(human, 50), human, 0.0).learned
    assert LogScore(1, 0.66, 0.5, 1.0).learned


def test_a_quarter_of_the_training_already_follows_a_humans_steering() -> None:
    torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")
    if not LOG.is_dir():
        pytest.skip("the recorded laps (../shared/data/udacity_sim) are not on this machine")
    from export.policies.catalogue import REFERENCES
    from export.train import Log, Workshop, learn_log

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _, found = learn_log(REFERENCES["concepts"], Log(str(LOG), epochs=1.5), Workshop(Path(), 1, lambda _: None))
    finally:
        torch.set_num_threads(threads)
    assert found.frames == 400
    assert found.correlation > 0.4  # the whole training is held to its promise by benchmarks.udacity
