"""How fast one network is beside another: interleaved passes, the ratio of each pair, a bootstrap interval."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np

from export.frames import Frames
from export.session import Session

_DRAWS, _CONFIDENCE = 2000, 0.95
_PAIRS_AT_MOST, _PAIRS_AT_LEAST = 300, 20
_BUDGET_NS = 4_000_000_000
_WARM_UP = 3


class Speed(msgspec.Struct, frozen=True):
    """Median time of a pass, of the reference and of the candidate, in microseconds; the median of the ratios of
    neighbouring passes (below 1: the candidate is faster) and its 95 % bootstrap interval; and what ran it.
    """

    reference_us: float
    candidate_us: float
    ratio: float
    ratio_low: float
    ratio_high: float
    pairs: int
    engine: str
    remark: str = ""


def speed(
    reference: Session, candidate: Session, frames: Frames, remark: str = "", clock: Callable[[], int] | None = None
) -> Speed:
    """Time passes over the frames in pairs, the order within a pair alternating, so that what disturbs the machine
    disturbs both alike.

    As many pairs as a few seconds allow, between 20 and 300. `clock` gives nanoseconds.
    """
    now = clock or time.perf_counter_ns

    def timed(session: Session, frame: int) -> int:
        inputs = frames.inputs[frame % len(frames)]
        begun = now()
        session.run(inputs)
        return now() - begun

    for frame in range(_WARM_UP):
        once_ns = timed(reference, frame) + timed(candidate, frame)
    pairs = int(np.clip(_BUDGET_NS // max(once_ns, 1), _PAIRS_AT_LEAST, _PAIRS_AT_MOST))
    times = np.empty((pairs, 2))
    for pair in range(pairs):
        order = ((0, reference), (1, candidate)) if pair % 2 == 0 else ((1, candidate), (0, reference))
        for column, session in order:
            times[pair, column] = timed(session, pair)
    ratios = times[:, 1] / times[:, 0]
    rng = np.random.default_rng(pairs)
    medians = np.median(ratios[rng.integers(0, pairs, (_DRAWS, pairs))], axis=1)
    low, high = np.quantile(medians, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    reference_us, candidate_us = np.median(times, axis=0) / 1e3
    return Speed(
        reference_us=float(reference_us),
        candidate_us=float(candidate_us),
        ratio=float(np.median(ratios)),
        ratio_low=float(low),
        ratio_high=float(high),
        pairs=pairs,
        engine=_engine(),
        remark=remark,
    )


def _engine() -> str:
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}, CPU, 1 thread"
