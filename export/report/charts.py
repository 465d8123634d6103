"""Line charts as inline SVG: axes, gates, and lines that are told apart by colour and by dash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 44
_TICKS = 4


@dataclass(frozen=True)
class Line:
    """One line: a value, or None, for every place on the x axis."""

    name: str
    values: Sequence[float | None]
    colour: str
    width: float = 1.8
    dash: str = ""


@dataclass(frozen=True)
class Chart:
    """What is drawn. `x_labels` stand at even distances, or at `x_at` where that is given; `gate` is a limit."""

    title: str
    x_title: str
    y_title: str
    x_labels: Sequence[str]
    lines: Sequence[Line]
    x_at: Sequence[float] | None = None
    gate: float | None = None
    gate_label: str = ""
    mark: int | None = None  # a place on the x axis that is pointed out
    mark_label: str = ""
    y_top: float | None = None


def svg(chart: Chart) -> str:
    """The chart as an `<svg>` element that scales with its container."""
    top, step = _scale(chart)
    at = list(chart.x_at) if chart.x_at is not None else list(range(len(chart.x_labels)))
    span = max(at[-1] - min(at[0], 0.0 if chart.x_at is not None else at[0]), 1e-9)
    start = 0.0 if chart.x_at is not None else at[0]

    def x(place: int) -> float:
        return _LEFT + (at[place] - start) / span * (_WIDTH - _LEFT - _RIGHT - 8) + (0 if chart.x_at is not None else 4)

    def y(value: float) -> float:
        return _TOP + (1 - value / top) * (_HEIGHT - _TOP - _BOTTOM)

    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.title)}">']
    for tick in range(round(top / step) + 1):
        value = tick * step
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y(value) + 3.5:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for place, label in enumerate(chart.x_labels):
        parts.append(
            f'<text class="tick" x="{x(place):.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
    if chart.mark is not None:
        parts.append(
            f'<line class="mark" x1="{x(chart.mark):.1f}" x2="{x(chart.mark):.1f}" y1="{_TOP}" y2="{bottom}"/>'
            f'<text class="note" x="{x(chart.mark) + 5:.1f}" y="{_TOP + 9}">{escape(chart.mark_label)}</text>'
        )
    if chart.gate is not None:
        parts.append(
            f'<line class="gate" x1="{_LEFT}" x2="{right}" y1="{y(chart.gate):.1f}" y2="{y(chart.gate):.1f}"/>'
            f'<text class="note" x="{right}" y="{y(chart.gate) - 4:.1f}" text-anchor="end">'
            f"{escape(chart.gate_label)}</text>"
        )
    for line in chart.lines:
        points = [(x(place), y(value)) for place, value in enumerate(line.values) if value is not None]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"{dash}>'
            f"<title>{escape(line.name)}</title></polyline>"
        )
        parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{line.width + 0.7:.1f}" fill="{line.colour}"/>'
            for px, py in points
        ]
    parts.append(
        f'<text class="axis" x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(chart.x_title)}</text>"
        f'<text class="axis" transform="translate(13 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_title)}</text></svg>"
    )
    return "".join(parts)


def legend(lines: Sequence[Line]) -> str:
    """The names of lines beside a sample of each."""
    items = []
    for line in lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        items.append(
            f'<span class="key"><svg viewBox="0 0 26 8" width="26" height="8"><line x1="1" x2="25" y1="4" y2="4" '
            f'stroke="{line.colour}" stroke-width="{line.width}"{dash}/></svg>{escape(line.name)}</span>'
        )
    return f'<p class="legend">{"".join(items)}</p>'


def _scale(chart: Chart) -> tuple[float, float]:
    """The top of the y axis and the distance of its ticks: 1, 2 or 5 times a power of ten."""
    values = [value for line in chart.lines for value in line.values if value is not None and math.isfinite(value)]
    wanted = chart.y_top or max([*values, chart.gate or 0.0], default=0.0) or 1.0
    rough = wanted / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return math.ceil(wanted / step - 1e-9) * step, step
