"""The verdict in sentences, with the figures that it hangs on."""

from __future__ import annotations

from export.worth.amounts import amount, plainly
from export.worth.controls import COUNTING, EDGES_ON_GRID
from export.worth.verdict import (
    Comparison,
    Direction,
    Disturbance,
    Randomisation,
    RandomisedStage,
    Removal,
    Stability,
    Way,
    Worth,
)

_FILLED = {"blur": "filled with a blur", "mean": "filled with the mean colour"}
_MOVES = {"deletion": "Taking the most marked pixels away", "insertion": "Showing the most marked pixels alone"}


def failures(worth: Worth) -> tuple[str, ...]:
    """A sentence for every gate that the explanation fails; none where it is worth showing."""
    assert worth.removal is not None and worth.randomisation is not None and worth.stability is not None
    found = []
    if worth.not_finite:
        found.append(f"{_frames(worth.not_finite)} gave a map with values that are no finite numbers.")
    stage, limit = head_stage(worth.randomisation), worth.gates.randomised_head
    if stage is None or stage.signed is None or stage.absolute is None:
        found.append("The maps, or those of a randomised head, are constant: nothing shows that they hang on the head.")
    elif stage.signed >= limit or stage.absolute >= limit:
        found.append(
            f"The map hardly depends on what the head has learnt: with a randomised head its rank correlation with the "
            f"true map is {stage.signed:.2f} signed and {stage.absolute:.2f} absolute (both must be below {limit:g})."
        )
    found += _beaten(worth.removal, "deletion", worth)
    if worth.gates.insertion:
        found += _beaten(worth.removal, "insertion", worth)
    if worth.gates.direction:
        found += [_backward(each, worth) for each in worth.removal.directions if not each.passed]
    noise = gated_disturbance(worth.stability)
    if noise.rank_correlation_median is None or noise.rank_correlation_median < worth.gates.stability:
        shown = "none" if noise.rank_correlation_median is None else f"{noise.rank_correlation_median:.2f}"
        found.append(
            f"The map is not stable: under {noise.name} its median rank correlation with itself is {shown} "
            f"(at least {worth.gates.stability:g} is wanted)."
        )
    return tuple(found)


def proofs(worth: Worth) -> tuple[str, ...]:
    """What an explanation that is worth showing has passed."""
    assert worth.removal is not None and worth.randomisation is not None and worth.stability is not None
    stage, noise = head_stage(worth.randomisation), gated_disturbance(worth.stability)
    assert stage is not None and stage.signed is not None and stage.absolute is not None
    ways: tuple[Way, ...] = ("deletion", "insertion") if worth.gates.insertion else ("deletion",)
    found = [_passed(worth.removal, way, worth) for way in ways]
    if worth.gates.direction:
        moves = " and ".join(
            f"{amount(each.figure.mean, worth.unit)} ({each.imputer})" for each in worth.removal.directions
        )
        found.append(
            f"The signs hold: taking one side's marks away moves {plainly(worth.target)} to the other side, by {moves} "
            "on average."
        )
    found.append(
        f"The map depends on what the head has learnt: with a randomised head its rank correlation with the true map "
        f"is {stage.signed:.2f} signed and {stage.absolute:.2f} absolute (below {worth.gates.randomised_head:g})."
    )
    found.append(
        f"The map is stable: under {noise.name} its median rank correlation with itself is "
        f"{noise.rank_correlation_median:.2f} (at least {worth.gates.stability:g})."
    )
    return tuple(found)


def notes(worth: Worth) -> tuple[str, ...]:
    """What the verdict does not hang on and a reader ought to know."""
    assert worth.removal is not None
    found = [
        f"Edges averaged over the map's own cells, taken away, change {plainly(worth.target)} by "
        f"{amount(each.control_figure, worth.unit)} against the map's {amount(each.attribution, worth.unit)} "
        f"({each.imputer}). The verdict does not hang on it: on a road such patches are the lane lines themselves."
        for each in worth.removal.comparisons
        if each.control == EDGES_ON_GRID and each.way == "deletion" and not each.passed
    ]
    if not worth.gates.insertion:
        found += [f"{lost} The verdict does not hang on it." for lost in _beaten(worth.removal, "insertion", worth)]
    if worth.randomisation is not None and worth.randomisation.stages:
        whole = worth.randomisation.stages[-1]
        if whole.absolute is not None and whole.absolute >= worth.gates.randomised_head:
            found.append(
                f"Even with all {whole.layers} layers randomised the absolute map keeps a rank correlation of "
                f"{whole.absolute:.2f}: part of it is the picture, not the network."
            )
    return tuple(found)


def head_stage(randomisation: Randomisation) -> RandomisedStage | None:
    """The stage at which the head is redrawn and nothing else."""
    return next((stage for stage in randomisation.stages if stage.head), None)


def gated_disturbance(stability: Stability) -> Disturbance:
    """The disturbance that the verdict hangs on."""
    return next(each for each in stability.disturbances if each.gated)


def _beaten(removal: Removal, way: Way, worth: Worth) -> list[str]:
    """One sentence for every filling with which the map does not beat every control that counts."""
    lost: dict[str, list[Comparison]] = {}
    for each in removal.comparisons:
        counts = each.gated or (way == "insertion" and each.control in COUNTING)
        if each.way == way and counts and not each.passed:
            lost.setdefault(each.imputer, []).append(each)
    return [
        f"{_MOVES[way]} ({_FILLED[imputer]}) moves {plainly(worth.target)} by "
        f"{amount(found[0].attribution, worth.unit)}, which is not surely {'more' if way == 'deletion' else 'less'} "
        f"than controls come to: {'; '.join(_control(each, worth.unit) for each in found)}."
        for imputer, found in lost.items()
    ]


def _control(c: Comparison, unit: str) -> str:
    low, high = (amount(value, unit) for value in (c.difference.low, c.difference.high))
    return f"'{c.control}' {amount(c.control_figure, unit)} (95 % interval of the difference {low} to {high})"


def _backward(direction: Direction, worth: Worth) -> str:
    mean, low, high = (
        amount(value, worth.unit) for value in (direction.figure.mean, direction.figure.low, direction.figure.high)
    )
    return (
        f"The signs do not hold: taking one side's marks away must move {plainly(worth.target)} to the other side; it "
        f"moved by {mean} ({direction.imputer}), 95 % interval {low} to {high}."
    )


def _passed(removal: Removal, way: Way, worth: Worth) -> str:
    """One sentence over both imputers: the map's figure and that of its strongest gated control."""
    parts = []
    for imputer in dict.fromkeys(c.imputer for c in removal.comparisons):
        gated = [c for c in removal.comparisons if c.gated and c.way == way and c.imputer == imputer]
        order = max if way == "deletion" else min
        strongest = order(gated, key=lambda c: c.control_figure)
        parts.append(
            f"{amount(strongest.attribution, worth.unit)} against {amount(strongest.control_figure, worth.unit)} of "
            f"'{strongest.control}', the strongest ({imputer})"
        )
    what = plainly(worth.target)
    does = f"changes {what} more than controls do" if way == "deletion" else f"keeps {what} nearer than controls do"
    return f"{_MOVES[way]} {does}: {'; '.join(parts)}."


def _frames(count: int) -> str:
    return "One frame" if count == 1 else f"{count} frames"
