"""The instruments under the picture: steering, speed, acceleration, the reason, and the map's colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from review.heat import DOWN, UP
from review.lettering import BOLD, MEDIUM, Colour, Image, Ink, text_width, wrap, write
from runtime.contracts.messages import Decision

GROUND: Colour = (28, 22, 17)
RAISED: Colour = (52, 43, 36)
TEXT: Colour = (242, 237, 232)
MUTED: Colour = (178, 164, 152)
GOOD: Colour = (150, 205, 90)
WARN: Colour = (60, 180, 255)
BAD: Colour = (80, 80, 245)

_PER_UNIT = 122  # height of the panel in units
_LETTERS = ((15.0, 20.5, 3), (12.5, 16.5, 4), (11.0, 13.0, 5))
"""Size of the reason's letters, distance and number of its lines, in units: the first that holds all of it, else the
last."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What the instruments show. None: not known, and shown as a dash."""

    decision: Decision | None
    reason: str
    speed_mps: float | None
    speed_assumed: bool
    steering_full_scale_rad: float
    acceleration_full_scale_mps2: float
    legend: str  # of the map's colours, "" without a map
    legend_up: str
    legend_down: str


def panel_height(unit: float) -> int:
    """Pixels; even, as video wants it."""
    return round(_PER_UNIT * unit / 2) * 2


def panel(width: int, unit: float, readings: Readings) -> Image:
    """The instruments as a picture of their own. `unit` is the design's pixel: width / 960, at least 2 / 3."""
    image = np.full((panel_height(unit), width, 3), GROUND, np.uint8)
    control = readings.decision.control if readings.decision is not None else None
    proposal = readings.decision.proposal if readings.decision is not None else None
    angle = control.steering_angle_rad if control is not None else None
    asked = float(proposal.steering_angle_rad) if proposal is not None else None
    _steering(image, unit, angle, asked, readings.steering_full_scale_rad)
    acceleration = control.acceleration_mps2 if control is not None else None
    _motion(image, unit, readings, acceleration)
    _words(image, unit, readings)
    return image


def _steering(image: Image, unit: float, angle: float | None, asked: float | None, full_scale: float) -> None:
    """A dial over 120 degrees; its end is the drive's full scale. A hollow mark is what the network asked for."""
    centre, radius = (96 * unit, 92 * unit), 70 * unit
    _arc(image, centre, radius, (-60.0, 60.0), (RAISED, 9 * unit))
    if angle is not None:
        turned = _dial(angle, full_scale)
        colour = UP if angle > 0 else DOWN
        _arc(image, centre, radius, (min(0.0, turned), max(0.0, turned)), (colour, 9 * unit))
        if asked is not None and math.isfinite(asked) and asked != angle:
            cv2.circle(image, _on_dial(centre, radius, _dial(asked, full_scale)), round(5 * unit), WARN, 2, cv2.LINE_AA)
        tip, root = _on_dial(centre, radius + 6 * unit, turned), _on_dial(centre, radius - 22 * unit, turned)
        cv2.line(image, root, tip, TEXT, max(2, round(2.4 * unit)), cv2.LINE_AA)
    tick = _on_dial(centre, radius + 9 * unit, 0.0)
    cv2.line(image, tick, (tick[0], tick[1] + round(4 * unit)), MUTED, max(1, round(unit)), cv2.LINE_AA)
    shown = "–" if angle is None else f"{abs(math.degrees(angle)):.1f}°"
    way = "" if angle is None or shown == "0.0°" else ("left" if angle > 0 else "right")
    size = 24 * unit * min(1.0, 78 * unit / text_width(shown, 24 * unit, BOLD))
    write(image, shown, (centre[0], 84 * unit), size, Ink(TEXT, BOLD, "centre"))
    write(image, f"steering {way}".strip(), (centre[0], 103 * unit), 12.5 * unit, Ink(MUTED, align="centre"))
    scale = f"{math.degrees(full_scale):.0f}°"
    for side, colour in ((60.0, UP), (-60.0, DOWN)):
        x, y = _on_dial(centre, radius, side)
        write(image, scale, (x, y + 19 * unit), 10 * unit, Ink(colour, align="centre"))


def _motion(image: Image, unit: float, readings: Readings, acceleration: float | None) -> None:
    left, right = 200 * unit, 330 * unit
    shown = "–" if readings.speed_mps is None else f"{readings.speed_mps:.1f}"
    write(image, shown, (left, 45 * unit), 30 * unit, Ink(TEXT, BOLD))
    beside = left + text_width(shown, 30 * unit, BOLD) + 8 * unit
    write(image, "m/s", (beside, 45 * unit), 14 * unit, Ink(MUTED))
    if readings.speed_mps is not None:
        note = "assumed" if readings.speed_assumed else f"{readings.speed_mps * 3.6:.0f} km/h"
        write(image, note, (left, 64 * unit), 12.5 * unit, Ink(WARN if readings.speed_assumed else MUTED))
    top, bottom = round(78 * unit), round(87 * unit)
    cv2.rectangle(image, (round(left), top), (round(right), bottom), RAISED, -1)
    middle = (left + right) / 2
    if acceleration is not None:
        part = max(-1.0, min(1.0, acceleration / readings.acceleration_full_scale_mps2))
        end = middle + part * (right - left) / 2
        colour = GOOD if acceleration >= 0 else BAD
        cv2.rectangle(image, (round(min(middle, end)), top), (round(max(middle, end)), bottom), colour, -1)
    cv2.line(image, (round(middle), top - round(2 * unit)), (round(middle), bottom + round(2 * unit)), TEXT, 1)
    words = "–" if acceleration is None else f"{acceleration:+.1f} m/s²"
    write(image, f"command {words}", (left, 106 * unit), 12.5 * unit, Ink(MUTED))


def _words(image: Image, unit: float, readings: Readings) -> None:
    left, right = 366 * unit, image.shape[1] - 24 * unit
    cv2.line(image, (round(348 * unit), round(20 * unit)), (round(348 * unit), round(104 * unit)), RAISED, 1)
    size, apart, lines = _fitted(readings.reason, right - left, unit)
    for i, line in enumerate(lines):
        write(image, line, (left, 33 * unit + apart * i), size, Ink(TEXT, MEDIUM))
    if readings.legend:
        _legend(image, unit, left, readings)


def _fitted(text: str, width: float, unit: float) -> tuple[float, float, list[str]]:
    """The letters' size, the distance of the lines, both in pixels, and the lines."""
    for size, apart, count in _LETTERS[:-1]:
        lines = wrap(text, width, size * unit, MEDIUM, count)
        if not (lines and lines[-1].endswith("…")):
            return size * unit, apart * unit, lines
    size, apart, count = _LETTERS[-1]
    return size * unit, apart * unit, wrap(text, width, size * unit, MEDIUM, count)


def _legend(image: Image, unit: float, left: float, readings: Readings) -> None:
    y = 104 * unit  # left stands on the left, as in the picture above
    words = readings.legend_up
    write(image, words, (left, y), 11.5 * unit, Ink(UP, MEDIUM))
    x = left + text_width(words, 11.5 * unit, MEDIUM) + 8 * unit
    steps = 60
    for i in range(steps):
        part = 1 - 2 * i / (steps - 1)
        mixed = np.array(GROUND) * (1 - abs(part)) + np.array(UP if part > 0 else DOWN) * abs(part)
        from_x, to_x = round(x + i * 2 * unit), round(x + (i + 1) * 2 * unit)
        cv2.rectangle(image, (from_x, round(y - 9 * unit)), (to_x, round(y)), tuple(mixed.tolist()), -1)
    x += steps * 2 * unit + 8 * unit
    write(image, readings.legend_down, (x, y), 11.5 * unit, Ink(DOWN, MEDIUM))
    x += text_width(readings.legend_down, 11.5 * unit, MEDIUM) + 12 * unit
    write(image, readings.legend, (x, y), 11.5 * unit, Ink(MUTED))


def _dial(angle_rad: float, full_scale_rad: float) -> float:
    """Degrees on the dial, positive to the left."""
    return max(-60.0, min(60.0, angle_rad / full_scale_rad * 60.0))


def _on_dial(centre: tuple[float, float], radius: float, turned_deg: float) -> tuple[int, int]:
    """A point of the dial; OpenCV's y runs down, positive angles turn left."""
    turn = math.radians(turned_deg)
    return round(centre[0] - radius * math.sin(turn)), round(centre[1] - radius * math.cos(turn))


def _arc(
    image: Image,
    centre: tuple[float, float],
    radius: float,
    between_deg: tuple[float, float],
    stroke: tuple[Colour, float],
) -> None:
    """A ring's sector between two turns, with straight ends."""
    if between_deg[0] == between_deg[1]:
        return
    colour, thickness = stroke
    turns = np.radians(np.linspace(*between_deg, 40))
    rings = [
        np.stack([centre[0] - r * np.sin(turns), centre[1] - r * np.cos(turns)], axis=1)
        for r in (radius - thickness / 2, radius + thickness / 2)
    ]
    outline = np.concatenate([rings[0], rings[1][::-1]])
    cv2.fillPoly(image, [np.round(outline * 16).astype(np.int32).reshape(-1, 1, 2)], colour, cv2.LINE_AA, 4)
