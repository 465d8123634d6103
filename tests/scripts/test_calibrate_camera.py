"""The calibration, on a chessboard seen through a lens that is known."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.contracts.model import read_manifest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "calibrate-camera"
COLUMNS, ROWS, SQUARE_M, PX_PER_SQUARE = 9, 6, 0.025, 24
WIDTH, HEIGHT = 640, 360


def board() -> Any:
    """A chessboard from above, with a white margin of one square."""
    squares = np.indices((ROWS + 1, COLUMNS + 1)).sum(axis=0) % 2
    return np.pad(np.kron(squares * 255, np.ones((PX_PER_SQUARE,) * 2)), PX_PER_SQUARE, constant_values=255).astype(
        "u1"
    )


def render(folder: Path, focal_px: float, k1: float, count: int) -> list[str]:
    """Pictures of the board through a lens, its places and angles from a fixed seed: each pixel's ray is followed."""
    rng = np.random.default_rng(5)
    flat = board()
    matrix = np.array([[focal_px, 0, WIDTH / 2], [0, focal_px, HEIGHT / 2], [0, 0, 1.0]])
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    pixels = np.stack([u.ravel(), v.ravel()], axis=-1)[:, None]
    rays = cv2.undistortPoints(pixels, matrix, np.array([k1, 0, 0, 0, 0]))[:, 0]
    rays = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    paths = []
    for index in range(count):
        turn, _ = cv2.Rodrigues(rng.uniform(-0.45, 0.45, 3) * (1, 1, 0.4))
        place = np.array([rng.uniform(-0.07, 0.07), rng.uniform(-0.04, 0.04), rng.uniform(0.3, 0.45) * focal_px / 450])
        normal = turn[:, 2]
        points = rays * (normal @ place / (rays @ normal))[:, None] - place
        on_board = points @ turn  # metres, from the board's middle
        x = on_board[:, 0] / SQUARE_M * PX_PER_SQUARE + flat.shape[1] / 2 - 0.5
        y = on_board[:, 1] / SQUARE_M * PX_PER_SQUARE + flat.shape[0] / 2 - 0.5
        maps = [part.reshape(HEIGHT, WIDTH).astype(np.float32) for part in (x, y)]
        picture = cv2.remap(
            flat, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(128,)
        )
        path = folder / f"chessboard-{index:02d}.png"
        cv2.imwrite(str(path), cv2.GaussianBlur(picture, (0, 0), 0.8))
        paths.append(str(path))
    return paths


def calibrate(*arguments: str) -> tuple[int, Any]:
    """The script's exit code and what it told."""
    command = [sys.executable, str(SCRIPT), "--columns", str(COLUMNS), "--rows", str(ROWS), "--square-m", str(SQUARE_M)]
    done = subprocess.run([*command, *arguments, "--json"], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_a_known_lens_is_found_with_its_distortion_and_pitch(tmp_path: Path) -> None:
    code, told = calibrate(*render(tmp_path, 450.0, -0.15, 10), "--horizon-row", "160")
    assert code == 0
    assert told["pictures"] >= 8
    assert told["focal_x_px"] == pytest.approx(450.0, rel=0.005)
    assert told["focal_y_px"] == pytest.approx(450.0, rel=0.005)
    assert told["centre_u_px"] == pytest.approx(WIDTH / 2, abs=3)
    assert told["distortion"][0] == pytest.approx(-0.15, abs=0.03)
    assert told["horizontal_fov_rad"] == pytest.approx(2 * math.atan(320 / 450), rel=0.01)
    assert told["pitch_rad"] == pytest.approx(math.atan(20 / 450), abs=0.008)
    assert told["bent_px"] > 5


def test_a_model_s_own_camera_is_told_from_another(tmp_path: Path) -> None:
    model = ROOT / "configs" / "concepts.onnx"
    trained = read_manifest(model).images[0].intrinsics
    assert trained is not None
    focal_px = WIDTH / 2 / math.tan(trained.horizontal_fov_rad / 2)
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    code, told = calibrate(*render(tmp_path / "own", focal_px, 0.0, 9), "--model", str(model))
    assert (code, told["differences"]) == (0, [])
    code, told = calibrate(*render(tmp_path / "other", 1.3 * focal_px, 0.0, 9), "--model", str(model))
    assert code == 1
    assert "field of view" in told["differences"][0]


def test_pictures_without_the_board_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "road.png"
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH), 90, np.uint8))
    code, said = calibrate(str(path))
    assert code == 2
    assert "0 of 1 pictures" in said
