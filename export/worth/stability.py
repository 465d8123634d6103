"""How far the map moves when the picture hardly does: sensor noise and a little more or less light."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from export.agreement import rank_correlation
from export.worth.bootstrap import figure
from export.worth.subject import Inputs, Pixels, Subject
from export.worth.verdict import Disturbance, Stability

NOISE, BRIGHTER, DARKER = "noise, 2 grey levels", "brighter by 5 grey levels", "darker by 5 grey levels"
DRAWS = 3
_NOISE_SIGMA, _LIGHT = 2.0, 5


def stability(subject: Subject, frames: Sequence[Inputs], target_spread: float, seed: int) -> Stability:
    """Maps of disturbed frames against those of the frames themselves.

    Passes: frames x (1 + 3 draws of noise + 2). `target_spread` is the target's standard deviation over the frames,
    against which its change is held.
    """
    found: dict[str, list[tuple[float, float, float]]] = {NOISE: [], BRIGHTER: [], DARKER: []}
    for place, inputs in enumerate(frames):
        before, pixels = subject.view(inputs), subject.pixels(inputs)
        for name, disturb in _disturbances(seed, place).items():
            after = subject.view(subject.with_pixels(inputs, disturb(pixels)))
            whole = float(np.abs(before.map).sum())
            moved = float(np.abs(after.map - before.map).sum()) / whole if whole > 0 else float("nan")
            changed = abs(after.target - before.target) / target_spread if target_spread > 0 else float("nan")
            found[name.partition(" #")[0]].append((rank_correlation(before.map, after.map), moved, changed))
    return Stability(DRAWS, tuple(_disturbance(name, np.array(rows)) for name, rows in found.items()))


def _disturbances(seed: int, place: int) -> Mapping[str, Callable[[Pixels], Pixels]]:
    def noise(draw: int) -> Callable[[Pixels], Pixels]:
        rng = np.random.default_rng([seed, place, draw])
        return lambda pixels: _clipped(pixels + rng.normal(0.0, _NOISE_SIGMA, pixels.shape))

    return {
        **{f"{NOISE} #{draw}": noise(draw) for draw in range(DRAWS)},
        BRIGHTER: lambda pixels: _clipped(pixels.astype(np.float64) + _LIGHT),
        DARKER: lambda pixels: _clipped(pixels.astype(np.float64) - _LIGHT),
    }


def _clipped(values: NDArray[np.float64]) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)


def _disturbance(name: str, rows: NDArray[np.float64]) -> Disturbance:
    moved, changed = _quantile(rows[:, 1], 0.5), _quantile(rows[:, 2], 0.5)
    return Disturbance(
        name=name,
        rank_correlation_median=_quantile(rows[:, 0], 0.5),
        rank_correlation_p5=_quantile(rows[:, 0], 0.05),
        map_change_median=moved,
        decision_change_median=changed,
        ratio=figure(moved / changed) if moved is not None and changed else None,
        gated=name == NOISE,
    )


def _quantile(values: NDArray[np.float64], q: float) -> float | None:
    finite = values[np.isfinite(values)]
    return figure(np.quantile(finite, q)) if finite.size else None
