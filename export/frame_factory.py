"""Labelled frames from many roads at once, kept on the disk where asked: rendering is as dear as learning.

What was kept is found again by everything that decides its pixels and labels: the code that made it, the model's view,
the road's seed. A change of any of them makes the frames again.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import msgspec
from tqdm import tqdm

import proving_ground
from export.curriculum import obscured_scenario, training_scenario
from export.dataset import scattered_frames, visited_frames
from export.policy import OnnxPolicy
from export.samples import Samples, concatenate, load_samples, save_samples
from runtime.contracts.model import ImageInput

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMES_PER_ROAD = 40
_KEEP_EVERY = 2
_CODE = ("dataset.py", "concept_labels.py", "curriculum.py")


@dataclass(frozen=True)
class Road:
    """One road's frames: scattered poses, of an ordinary or an obscured road, or what a policy drove itself into."""

    seed: int
    image: ImageInput
    kind: Literal["ordinary", "obscured"] = "ordinary"
    driver: Path | None = None  # the ONNX that drives; None: scattered poses
    kept: Path | None = None  # folder of frames that were made before; those of a driver are never kept


def frames_of_roads(roads: Iterable[Road], processes: int, what: str) -> Samples:
    """Every road's frames in the order of the roads, whichever process made them."""
    jobs = list(roads)
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        made = pool.imap(_frames, jobs)
        return concatenate(list(tqdm(made, total=len(jobs), desc=what, unit="road", leave=False, file=sys.stderr)))


def _frames(road: Road) -> Samples:
    if road.driver is not None:
        policy = OnnxPolicy(road.driver)
        try:
            return visited_frames(training_scenario(road.seed), policy, _KEEP_EVERY)
        finally:
            policy.close()
    place = None if road.kept is None else road.kept / _key(road.image) / f"{road.kind}-{road.seed}.npz"
    found = None if place is None else load_samples(place)
    if found is None:
        scenario = training_scenario(road.seed) if road.kind == "ordinary" else obscured_scenario(road.seed)
        found = scattered_frames(scenario, road.image, FRAMES_PER_ROAD)
        if place is not None:
            save_samples(place, found)
    return found


@cache
def _key(image: ImageInput) -> str:
    """What these frames depend on besides their road."""
    here = Path(__file__).parent
    code = [here / name for name in _CODE] + sorted(Path(proving_ground.__path__[0]).glob("*.py"))
    code.append(here.parent / "runtime" / "preprocess.py")
    told = hashlib.sha256(msgspec.json.encode(image) + f"{FRAMES_PER_ROAD} {cv2.__version__}".encode())
    for path in code:
        told.update(hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()[:16]
