"""How far is the graph that preprocesses on a GPU from OpenCV, in grey levels and in what the policies decide?

Both preprocess the same frames; here the graph runs on ONNX Runtime's CPU provider. A GPU sums the same products in
another order, which moves no more than what lies next to a half.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine, today
from runtime.contracts.config import packaged
from runtime.contracts.engine import EngineRequest
from runtime.contracts.model import Manifest, OutputQuantity, read_manifest
from runtime.contracts.source import Capture, Picture, SourceRequest
from runtime.engines import providers
from runtime.engines.check import zeros
from runtime.engines.onnx import open_engine
from runtime.engines.preprocessing.session import PreprocessingSession
from runtime.preprocess import preprocess
from runtime.sources.open import open_source

POLICIES = ("concepts", "pilotnet")
DATA = Path(__file__).parents[2] / "shared" / "data"
_SPEED_MPS = 15.0
_TOLD: tuple[OutputQuantity, ...] = ("steering_angle_rad", "acceleration_mps2")


class Distance(msgspec.Struct, frozen=True):
    """Of the graph from OpenCV, over some frames of one source."""

    policy: str
    source: str
    picture: str  # width x height
    frames: int
    largest_grey_levels: int
    mean_grey_levels: float
    moved_share: float  # of the values of the input
    largest_steering_mrad: float
    mean_steering_mrad: float
    largest_acceleration_mmps2: float


def sources() -> dict[str, str]:
    """Name and URI of what is measured: the proving ground, and what of the real frames is here."""
    real = {"highway.mp4": DATA / "highway.mp4", "udacity_sim": DATA / "udacity_sim"}
    ground = "proving-ground://lane?seed=5&duration_s=60"
    return {name: str(path) for name, path in real.items() if path.exists()} | {
        "lane": ground,
        "lane 1280x720": f"{ground}&width=1280&height=720",
    }


def distance(policy: str, name: str, uri: str, frames: int) -> Distance:
    """Decide on each frame twice, on the pixels of either."""
    cv2.setNumThreads(1)
    path = packaged(f"{policy}.onnx")
    if path is None:
        raise ValueError(f"there is no packaged policy {policy!r}")
    manifest = read_manifest(path)
    (image,) = manifest.images
    engine = open_engine(EngineRequest(path, (providers.CPU,), 1, "all"))
    session = PreprocessingSession(image, providers.CPU, "cpu")
    feed = zeros(engine.inputs)
    for state in manifest.states:
        if state.quantity == "speed_mps":
            feed[state.name] = np.full_like(feed[state.name], _SPEED_MPS * state.scale)
    levels, moved, size = [], [], (0, 0)
    for picture in pictures(uri, frames):
        size = picture.shape[:2]
        pair = (preprocess(picture, image), session(picture))
        levels.append(np.abs(pair[0].astype(np.int16) - pair[1]))
        told = [engine.run({**feed, image.name: tensor}) for tensor in pair]
        moved.append([1000.0 * (_told(manifest, told[0], what) - _told(manifest, told[1], what)) for what in _TOLD])
    engine.close()
    all_levels, apart = np.array(levels), np.abs(moved)
    return Distance(
        policy,
        name,
        f"{size[1]}x{size[0]}",
        len(levels),
        int(all_levels.max()),
        float(all_levels.mean()),
        float((all_levels > 0).mean()),
        float(apart[:, 0].max()),
        float(apart[:, 0].mean()),
        float(apart[:, 1].max()),
    )


def pictures(uri: str, count: int) -> Iterator[Picture]:
    """The first `count` pictures of a source with one camera, or as many as it has."""
    source = open_source(SourceRequest(uri, ("front",), "lockstep"))
    try:
        given = 0
        while given < count and (capture := source.read()) is not None:
            if isinstance(capture, Capture):
                given += 1
                yield capture.pictures["front"]
    finally:
        source.close()


def main() -> int:
    """Print the figures. Returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocessing", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--frames", type=int, default=200, help="of each source (default 200)")
    arguments = parser.parse_args()
    rows = [distance(policy, name, uri, arguments.frames) for name, uri in sources().items() for policy in POLICIES]
    if arguments.json:
        report = {"benchmark": "preprocessing", "machine": machine(), "date": today()}
        print(json.dumps({**report, "results": [msgspec.to_builtins(row) for row in rows]}, indent=2))
        return 0
    print(f"{machine()}, {today()}, ONNX Runtime's CPU provider\n")
    print(
        "| policy | frames | grey levels: most, mean | moved | steering, mrad: most, mean | acceleration, mm/s²: most |"
    )
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.policy} | {row.source}, {row.frames} of {row.picture} | {row.largest_grey_levels}, "
            f"{row.mean_grey_levels:.5f} | {100 * row.moved_share:.3f} % | {row.largest_steering_mrad:.3f}, "
            f"{row.mean_steering_mrad:.4f} | {row.largest_acceleration_mmps2:.3f} |"
        )
    return 0


def _told(manifest: Manifest, outputs: Mapping[str, NDArray[Any]], quantity: OutputQuantity) -> float:
    output = next(one for one in manifest.outputs if one.quantity == quantity)
    return float(outputs[output.name].reshape(-1)[output.index]) * output.scale


if __name__ == "__main__":
    sys.exit(main())
