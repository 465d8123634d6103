"""What was measured of an explanation, and what follows from it. The schema of `worth` in a model's report."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtime.contracts.worth import Verdict

Way = Literal["deletion", "insertion"]
Imputer = Literal["blur", "mean"]


class WorthGates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an explanation must reach to be worth showing.

    `deletion_over_controls`: the change of the decision when the marked pixels go, at least this many times that of the
    strongest control. `insertion`: whether the verdict hangs on insertion too, which is measured and told in any case;
    `insertion_under_controls`: the distance to the decision when only the marked pixels are there, at most this many
    times that of the strongest control.

    `certain`: the 95 % interval of the paired difference from edges and from random pixels, and that of the direction,
    must lie on the right side as well. `randomised_head`: the absolute rank correlation with the map of a randomised
    head stays below, signed and absolute. `stability`: the median rank correlation under noise, at least. `direction`:
    taking away what pulls the target up must lower it, and the reverse.
    """

    deletion_over_controls: Annotated[float, Meta(ge=0.0)] = 1.0
    insertion: bool = False
    insertion_under_controls: Annotated[float, Meta(ge=0.0)] = 1.0
    certain: bool = True
    randomised_head: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5
    stability: Annotated[float, Meta(ge=-1.0, le=1.0)] = 0.8
    direction: bool = True


class Interval(msgspec.Struct, frozen=True):
    """A mean over frames with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


class Curve(msgspec.Struct, frozen=True):
    """Mean |change of the target| against the part of the pixels that was taken away or put in, for one map.

    `by_fraction` is in the order of `Removal.fractions`; `figure` is the mean over fractions, then over frames.
    """

    map: str
    way: Way
    imputer: Imputer
    by_fraction: tuple[float, ...]
    figure: Interval


class Comparison(msgspec.Struct, frozen=True):
    """The attribution against one control on the same frames; `difference` is attribution minus control, paired.

    `gated`: the verdict hangs on it. The others are told beside it.
    """

    control: str
    way: Way
    imputer: Imputer
    attribution: float
    control_figure: float
    difference: Interval
    gated: bool
    passed: bool


class Direction(msgspec.Struct, frozen=True):
    """Do the signs say the truth? Taking away what is marked as pulling the target up must lower it, and the reverse.

    `figure`: half of (target without the most marked negative pixels - target without the most marked positive ones),
    mean over fractions, in the target's unit. 0 is expected of a map whose signs mean nothing.
    """

    imputer: Imputer
    figure: Interval
    passed: bool


class Removal(msgspec.Struct, frozen=True):
    """Deletion and insertion (Petsiuk et al., arXiv 1806.07421), for a regression: |change of the target|, its unit."""

    fractions: tuple[float, ...]
    pixels: tuple[int, ...]  # how many of the model input each fraction is; the same for every map
    blur_sigma_px: float
    target_spread: float  # standard deviation of the target over the frames, what the changes are to be held against
    curves: tuple[Curve, ...]
    comparisons: tuple[Comparison, ...]
    directions: tuple[Direction, ...]


class RandomisedStage(msgspec.Struct, frozen=True):
    """The weights from the output down to `layer` redrawn (cumulative). Means over frames and seeds.

    Correlations are absolute values, averaged after that, so that signs that differ between draws cannot hide
    agreement; None where every map was constant. `by_seed` is the mean signed correlation of each seed.
    """

    layer: str
    layers: int  # how many are redrawn by now
    head: bool  # everything behind the attribution's layer is redrawn, and nothing else
    signed: float | None
    absolute: float | None
    by_seed: tuple[float | None, ...]
    compared: int  # maps that had an order to compare


class Randomisation(msgspec.Struct, frozen=True):
    """Rank correlation of the map with the one of a network whose weights were redrawn (arXiv 1810.03292)."""

    seeds: tuple[int, ...]
    head_layers: tuple[str, ...]
    stages: tuple[RandomisedStage, ...]


class Disturbance(msgspec.Struct, frozen=True):
    """How map and decision move under one small change of the picture."""

    name: str
    rank_correlation_median: float | None
    rank_correlation_p5: float | None
    map_change_median: float | None  # sum |m' - m| / sum |m|
    decision_change_median: float | None  # |y' - y| / standard deviation of y over the frames
    ratio: float | None  # of the two medians: above 1 the map moves more than what it explains
    gated: bool


class Stability(msgspec.Struct, frozen=True):
    """Maps of nearly the same picture ought to be nearly the same."""

    draws: int
    disturbances: tuple[Disturbance, ...]


class FramesUsed(msgspec.Struct, frozen=True):
    """What it was measured on; `sha256` is over all tensors (see `export.frames`)."""

    source: str
    sha256: str
    count: int


class FrameFigure(msgspec.Struct, frozen=True):
    """One frame: the target, and the deletion figures (mean of both imputers) of the map and of its edges."""

    frame: int
    target: float
    attribution: float
    edges: float


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured and the verdict.

    `reasons` are sentences: what failed where the explanation is not worth showing, what it passed where it is. `notes`
    are sentences on what the verdict does not hang on and a reader ought to know.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    gates: WorthGates
    notes: tuple[str, ...] = ()
    method: str = ""
    layer: str = ""
    target: str = ""
    unit: str = ""
    rows: int = 0
    columns: int = 0
    frames: FramesUsed | None = None
    removal: Removal | None = None
    randomisation: Randomisation | None = None
    stability: Stability | None = None
    by_frame: tuple[FrameFigure, ...] = ()
    not_finite: int = 0  # frames whose map holds NaN or infinities
    seeds: tuple[int, ...] = ()
    passes: int = 0


def not_judged(why: str, gates: WorthGates | None = None) -> Worth:
    """For a network whose explanation could not be judged, or that has none; `why` is a sentence."""
    return Worth(verdict="not judged", reasons=(why,), gates=gates or WorthGates())
