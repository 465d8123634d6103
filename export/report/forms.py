"""The page's section on other precisions of the model: size, speed, and what they change."""

from __future__ import annotations

from collections.abc import Sequence

from export.report.parts import Cell, section, table
from export.report.report import Form
from export.worth.amounts import amount


def precision(forms: Sequence[Form]) -> str:
    """A table of the forms, one of what they change in decisions, one of what they change in explanations."""
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
        "<h3 style='margin-top:18px'>Change of decisions</h3>",
        table([*_head("form", "quantity"), *_numbers("mean", "99th percentile", "largest", "on frame")], decisions),
        "<h3 style='margin-top:18px'>Agreement of explanations (rank correlation)</h3>",
        table([*_head("form", "map"), *_numbers("median", "5th percentile", "lowest", "on frame")], explanations),
    )


def _head(*names: str) -> list[Cell]:
    return [Cell(name) for name in names]


def _numbers(*names: str) -> list[Cell]:
    return [Cell(name, number=True) for name in names]
