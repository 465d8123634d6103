"""What is the same in all pictures of a drive: its scales. What does not decode is passed over."""

from __future__ import annotations

import numpy as np

from runtime.attribution.grid import Grid, values_of
from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Attribution
from runtime.contracts.topics import ATTRIBUTION, DECISION
from runtime.record.drive import Drive


def extremes(drive: Drive) -> tuple[list[float], list[float], float]:
    """Of each frame the map's strongest cell and the steering angle, both absolute; and the largest acceleration."""
    strongest: list[float] = []
    angles: list[float] = []
    acceleration = 0.0
    for frame in drive.frames(ATTRIBUTION, DECISION):
        try:
            decision = frame.decision
            values = None if frame.attribution is None else np.abs(map_of(frame.attribution))
        except RecordError:
            continue  # its placeholder says why
        if values is not None:
            strongest.append(float(np.max(values, where=np.isfinite(values), initial=0.0)))
        if decision is not None:
            angles.append(abs(decision.control.steering_angle_rad))
            acceleration = max(acceleration, abs(decision.control.acceleration_mps2))
    return strongest, angles, acceleration


def map_of(attribution: Attribution) -> Grid:
    """The map as an array. Raises RecordError where its rows are none."""
    try:
        values = values_of(attribution)
    except ValueError as error:
        raise RecordError(f"the map of frame {attribution.sequence} has rows of different lengths") from error
    if values.ndim != 2 or not values.size:
        raise RecordError(f"the map of frame {attribution.sequence} is empty")
    return values
