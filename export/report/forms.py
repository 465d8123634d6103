"""The page's sections on what else computes the same: parity with the network, and other precisions."""

from __future__ import annotations

from collections.abc import Sequence

from export.parity import Parity
from export.report.parts import Cell, section, table
from export.report.report import Form
from export.worth.amounts import amount


def parity(found: Parity) -> str:
    """How far the exported file is from the network that it stands for."""
    rows = [
        [
            Cell(output.name),
            Cell(f"{output.max_abs:.2g}", number=True),
            Cell(f"{output.allowed:.2g}", number=True),
            Cell(f"{output.largest:.3g}", number=True),
            Cell(f"{output.cosine:.7f}", number=True),
            Cell(output.worst_input),
            Cell("yes" if output.passed else "no", passed=output.passed),
        ]
        for output in found.outputs
    ]
    where = _head("worst on", "agrees?")
    real = f"{found.frames} frames of {found.frames_source} and " if found.frames else ""
    return section(
        "Does the file compute what the network does?",
        f"Against {found.reference}, on {real}{len(found.others)} inputs that no camera gives (black, white, "
        "checkerboards, noise). In the outputs' own units.",
        table([*_head("output"), *_numbers("largest difference", "allowed", "largest value", "cosine"), *where], rows),
    )


def precision(forms: Sequence[Form], worst: str = "") -> str:
    """A table of the forms, one of what they change in decisions, one of what they change in explanations.

    `worst` is HTML: the frames on which they change most.
    """
    sizes = [
        [
            Cell(form.name),
            Cell("written" if not form.refused else "refused", passed=not form.refused),
            Cell(f"{form.drift.candidate_bytes / 1e6:.3g} MB of {form.drift.reference_bytes / 1e6:.3g}", number=True),
            Cell(f"{form.drift.speed.candidate_us:.0f} µs", number=True),
            Cell(
                f"{form.drift.speed.ratio:.2f} ({form.drift.speed.ratio_low:.2f} to {form.drift.speed.ratio_high:.2f})",
                number=True,
            ),
            Cell(" ".join([*form.refused, form.drift.speed.remark])),
        ]
        for form in forms
    ]
    decisions = [
        [
            Cell(form.name),
            Cell(change.name),
            Cell(amount(change.mean, change.unit), number=True),
            Cell(amount(change.p99, change.unit), number=True),
            Cell(amount(change.max, change.unit), number=True),
            Cell(str(change.worst_frame), number=True),
        ]
        for form in forms
        for change in form.drift.decisions
    ]
    explanations = [
        [
            Cell(form.name),
            Cell(change.name),
            Cell(f"{change.median:.4f}", number=True),
            Cell(f"{change.p5:.4f}", number=True),
            Cell(f"{change.min:.4f}", number=True),
            Cell(str(change.worst_frame), number=True),
        ]
        for form in forms
        for change in form.drift.explanations
    ]
    first = forms[0].drift
    return section(
        "Other precisions",
        f"Against float32 on {first.frames} frames of {first.source}. Time: {first.speed.engine}; the ratio is that of "
        "neighbouring passes, with its 95 % interval, below 1 is faster.",
        table([*_head("form", "gate"), *_numbers("size", "median pass", "ratio"), Cell("")], sizes),
        "<h3 class='apart'>Change of decisions</h3>",
        table([*_head("form", "quantity"), *_numbers("mean", "99th percentile", "largest", "on frame")], decisions),
        "<h3 class='apart'>Agreement of explanations (rank correlation)</h3>",
        table([*_head("form", "map"), *_numbers("median", "5th percentile", "lowest", "on frame")], explanations),
        worst,
    )


def _head(*names: str) -> list[Cell]:
    return [Cell(name) for name in names]


def _numbers(*names: str) -> list[Cell]:
    return [Cell(name, number=True) for name in names]
