"""A human's driving log as something to learn from, and how well its end is foretold.

Any source that tells its vehicle's speed and steering will do: a recording of the Udacity simulator, for one.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from export.concept_labels import CONCEPTS
from export.samples import Samples
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Missing, SourceRequest
from runtime.contracts.units import NS_PER_S
from runtime.preprocess import preprocess
from runtime.sources.open import open_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.contracts.model import ImageInput

SMOOTHED_FRAMES = 15
"""A centred mean over so many frames: the hand jerks (a mouse's most), the road does not."""
LEAST_CORRELATION, GREATEST_RMSE_RATIO = 0.65, 0.85
"""What a policy must reach on frames that it never saw to have learned from a log."""


class LogScore(msgspec.Struct, frozen=True):
    """Steering against the smoothed human's. The constant predictor says the mean of the training's labels."""

    frames: int
    correlation: float
    rmse_rad: float
    constant_rmse_rad: float

    @property
    def learned(self) -> bool:
        """Whether it reaches what a policy must."""
        return self.correlation >= LEAST_CORRELATION and self.rmse_rad <= GREATEST_RMSE_RATIO * self.constant_rmse_rad


def logged_frames(uri: str, image: ImageInput) -> tuple[Samples, NDArray[np.int64]]:
    """Every frame of a log that can be used, and its time in ns, int64 (n,).

    Steering is as the hand gave it. Acceleration is how the speed went on, over `SMOOTHED_FRAMES`; concepts are
    not known.

    Raises:
        SourceError: the source tells no speed or no steering, or has too few frames.
    """
    source = open_source(SourceRequest(uri, (image.camera,), "lockstep"))
    images, told, times = [], [], []
    try:
        while (capture := source.read()) is not None:
            if isinstance(capture, Missing) or source.vehicle is None:
                continue
            state = source.vehicle.state(capture.t_source_ns)
            if state.speed_mps is None or state.steering_angle_rad is None:
                continue
            images.append(preprocess(capture.pictures[image.camera], image)[0])
            told.append((state.speed_mps.value, state.steering_angle_rad.value))
            times.append(capture.t_source_ns)
    finally:
        source.close()
    if len(images) < 2 * SMOOTHED_FRAMES:
        raise SourceError(
            f"{uri!r} has {len(images)} frames whose speed and steering are known; learning needs at least "
            f"{2 * SMOOTHED_FRAMES}: give a recording of a vehicle that was driven"
        )
    speed, steering = np.array(told, np.float32).T
    t_s = np.array(times, np.int64) / NS_PER_S
    acceleration = np.gradient(smoothed(speed), t_s).astype(np.float32)
    unknown = np.full((len(images), len(CONCEPTS)), np.nan, np.float32)
    return Samples(np.stack(images), speed, steering, smoothed(acceleration), unknown), np.array(times, np.int64)


def split(samples: Samples, training_frames: int) -> tuple[Samples, Samples]:
    """The first frames and the rest, each with its steering smoothed by itself: no frame tells of the other part."""
    parts = []
    for part in (slice(None, training_frames), slice(training_frames, None)):
        taken = {field.name: getattr(samples, field.name)[part] for field in fields(Samples)}
        taken["steering_angle_rad"] = smoothed(taken["steering_angle_rad"])
        parts.append(Samples(**taken))
    return parts[0], parts[1]


def mirrored(samples: Samples) -> Samples:
    """The same drive with left and right exchanged: pictures, and the signs of what has one. Concepts are not known."""
    return replace(
        samples,
        images=np.ascontiguousarray(samples.images[:, :, ::-1]),
        steering_angle_rad=-samples.steering_angle_rad,
        concepts=np.full_like(samples.concepts, np.nan),
    )


def smoothed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The centred mean over `SMOOTHED_FRAMES`, float32 (n,); over fewer at the ends."""
    window = np.ones(SMOOTHED_FRAMES)
    total = np.convolve(values.astype(np.float64), window, mode="same")
    return (total / np.convolve(np.ones(len(values)), window, mode="same")).astype(np.float32)


def score(foretold_rad: NDArray[np.float32], human_rad: NDArray[np.float32], mean_rad: float) -> LogScore:
    """Foretold and smoothed human steering, (n,) each, and the mean of the training's labels."""
    return LogScore(
        frames=len(human_rad),
        correlation=float(np.corrcoef(foretold_rad, human_rad)[0, 1]),
        rmse_rad=float(np.sqrt(np.mean(np.square(foretold_rad - human_rad, dtype=np.float64)))),
        constant_rmse_rad=float(np.sqrt(np.mean(np.square(mean_rad - human_rad, dtype=np.float64)))),
    )
