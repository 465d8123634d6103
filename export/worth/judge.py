"""The judgement: everything measured on one set of frames, held against the gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.frames import Frames
from export.graph.graph import Graph
from export.worth.bootstrap import figure, interval
from export.worth.controls import COUNTING, EDGES, RANDOM_ON_GRID, controls
from export.worth.imputers import IMPUTERS, blur_sigma_px
from export.worth.laying import Field, laid
from export.worth.randomisation import Explain, randomisation
from export.worth.reasons import failures, notes, proofs
from export.worth.removal import FRACTIONS, WAYS, Maps, Removed, directions, pixel_counts, removed
from export.worth.stability import stability
from export.worth.subject import Inputs, Subject
from export.worth.verdict import (
    Comparison,
    Curve,
    Direction,
    FrameFigure,
    FramesUsed,
    Imputer,
    Removal,
    Way,
    Worth,
    WorthGates,
    not_judged,
)

SEEDS = (1, 2, 3)
FEWEST_FRAMES = 8
ATTRIBUTION, INPUT_GRADIENT = "attribution", "gradient x input"

FineMap = Callable[[Inputs, int], Field]
"""A map of the target's element at every pixel of the model input, told beside the others: inputs and index in."""


def judge(
    plain: bytes,
    explain: Explain,
    frames: Frames,
    gates: WorthGates | None = None,
    *,
    seeds: tuple[int, ...] = SEEDS,
    input_gradient: FineMap | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Worth:
    """Is the explanation of a network worth showing?

    Args:
        plain: the network as ONNX, before it was given its explanation.
        explain: makes the explained ONNX, manifest inside, of a plain one; called for `plain` and for every copy with
            redrawn weights (at most 8 stages x seeds).
        frames: what it is judged on; below 8 there is no verdict.
        gates: what it must reach.
        seeds: of the redrawn weights; the first also of random maps, noise and intervals. The same seeds give the same
            figures.
        input_gradient: gradient x input at every pixel, where it can be had, as a yardstick.
        shapes: of inputs whose extents the plain network leaves open, by name.

    Raises:
        ModelError: the network cannot be loaded, explained or run, or its explained form has no attribution.
    """
    gates = gates or WorthGates()
    if len(frames) < FEWEST_FRAMES:
        return not_judged(
            f"{len(frames)} frames of {frames.source} are too few to judge by; give {FEWEST_FRAMES} or more", gates
        )
    subject = Subject(explain(plain))
    views = [subject.view(inputs) for inputs in frames.inputs]
    targets = np.array([view.target for view in views])
    maps = tuple(
        _maps(subject, inputs, input_gradient, (seeds[0], place)) for place, inputs in enumerate(frames.inputs)
    )
    measured = removed(subject, frames.inputs, maps, seeds[0])
    contract = subject.attribution
    return _judged(
        Worth(
            verdict="not judged",
            reasons=(),
            gates=gates,
            method=contract.method,
            layer=contract.layer,
            target=subject.element,
            unit=subject.unit,
            rows=contract.rows,
            columns=contract.columns,
            frames=FramesUsed(frames.source, frames.sha256, len(frames)),
            removal=Removal(
                fractions=FRACTIONS,
                pixels=pixel_counts(subject.image.height, subject.image.width),
                blur_sigma_px=figure(blur_sigma_px(subject.image.height, subject.image.width)),
                target_spread=figure(targets.std()),
                curves=_curves(measured, seeds[0]),
                comparisons=_comparisons(measured, gates, seeds[0]),
                directions=_directions(subject, frames, maps, gates, seeds[0]),
            ),
            randomisation=randomisation(
                Graph.load(plain, "the plain network", shapes), explain, subject, frames.inputs, seeds
            ),
            stability=stability(subject, frames.inputs, float(targets.std()), seeds[0]),
            by_frame=_by_frame(measured, targets),
            not_finite=sum(not np.isfinite(view.map).all() for view in views),
            seeds=seeds,
            passes=subject.passes,
        )
    )


def _judged(worth: Worth) -> Worth:
    failed = failures(worth)
    return msgspec.structs.replace(
        worth,
        verdict="not worth showing" if failed else "worth showing",
        reasons=failed or proofs(worth),
        notes=notes(worth),
    )


def _maps(subject: Subject, inputs: Inputs, input_gradient: FineMap | None, seed: tuple[int, ...]) -> Maps:
    """Every map of one frame at every pixel, by name; the attribution first."""
    view = subject.view(inputs)
    fine = {} if input_gradient is None else {INPUT_GRADIENT: [input_gradient(inputs, view.index)]}
    return {
        ATTRIBUTION: [laid(view.map, subject.attribution, subject.image)],
        **controls(subject.pixels(inputs), subject.attribution, subject.image, seed),
        **fine,
    }


def _curves(measured: Removed, seed: int) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            map=name,
            way=way,
            imputer=imputer,
            by_fraction=tuple(figure(value) for value in found.mean(axis=0)),
            figure=interval(measured.by_frame(name, way, imputer), seed),
        )
        for (name, way, imputer), found in measured.changes.items()
    )


def _comparisons(measured: Removed, gates: WorthGates, seed: int) -> tuple[Comparison, ...]:
    others = [name for name in dict.fromkeys(name for name, _, _ in measured.changes) if name != ATTRIBUTION]
    return tuple(
        _comparison(name, way, imputer, _Pair(measured, name, way, imputer, seed), gates)
        for way in WAYS
        for imputer in IMPUTERS
        for name in others
    )


class _Pair:
    """The attribution and a control, frame by frame."""

    def __init__(self, measured: Removed, control: str, way: Way, imputer: Imputer, seed: int) -> None:
        ours = measured.by_frame(ATTRIBUTION, way, imputer)
        theirs = measured.by_frame(control, way, imputer)
        self.ours, self.theirs = float(ours.mean()), float(theirs.mean())
        self.difference = interval(ours - theirs, seed)


def _comparison(control: str, way: Way, imputer: Imputer, pair: _Pair, gates: WorthGates) -> Comparison:
    if way == "deletion":
        passed = pair.ours > pair.theirs * gates.deletion_over_controls
        certain = pair.difference.low > 0.0
    else:
        passed = pair.ours < pair.theirs * gates.insertion_under_controls
        certain = pair.difference.high < 0.0
    return Comparison(
        control=control,
        way=way,
        imputer=imputer,
        attribution=figure(pair.ours),
        control_figure=figure(pair.theirs),
        difference=pair.difference,
        gated=control in COUNTING and (way == "deletion" or gates.insertion),
        # Against patches strewn at random the mean must win; they show parts of the whole road, so that the difference
        # is small beside its spread over frames, and its interval is told.
        passed=passed and (certain or not gates.certain or control == RANDOM_ON_GRID),
    )


def _directions(
    subject: Subject, frames: Frames, maps: Sequence[Maps], gates: WorthGates, seed: int
) -> tuple[Direction, ...]:
    found = directions(subject, frames.inputs, [fields[ATTRIBUTION][0] for fields in maps], seed)
    means = {imputer: interval(values, seed) for imputer, values in found.items()}
    return tuple(
        Direction(imputer, mean, mean.low > 0.0 if gates.certain else mean.mean > 0.0)
        for imputer, mean in means.items()
    )


def _by_frame(measured: Removed, targets: NDArray[np.float64]) -> tuple[FrameFigure, ...]:
    def both(name: str) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.mean([measured.by_frame(name, "deletion", each) for each in IMPUTERS], axis=0)
        return found

    rows = zip(targets, both(ATTRIBUTION), both(EDGES), strict=True)
    return tuple(
        FrameFigure(place, figure(target), figure(ours), figure(theirs))
        for place, (target, ours, theirs) in enumerate(rows)
    )
