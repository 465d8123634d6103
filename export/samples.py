"""Labelled frames: what training takes, from the proving ground or from a driving log."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Samples:
    """n frames. A label that nobody knows is NaN, and no loss counts it.

    Model inputs, uint8 (n, height, width, 3); the speed, and the steering and acceleration that a good driver gave,
    float32 (n,); the picture's concepts in the order of `export.concept_labels.CONCEPTS`, float32 (n, 7).
    """

    images: NDArray[np.uint8]
    speed_mps: NDArray[np.float32]
    steering_angle_rad: NDArray[np.float32]
    acceleration_mps2: NDArray[np.float32]
    concepts: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.images)


def concatenate(parts: Sequence[Samples]) -> Samples:
    """All frames of several sets, in order."""
    return Samples(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Samples)))


def save_samples(path: Path, samples: Samples) -> None:
    """Put them in a file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as new:
        np.savez(new, **{field.name: getattr(samples, field.name) for field in fields(Samples)})
    Path(new.name).replace(path)


def load_samples(path: Path) -> Samples | None:
    """What `save_samples` put there; None where there is nothing, or something else."""
    try:
        with np.load(path) as found:
            return Samples(*(found[field.name] for field in fields(Samples)))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
