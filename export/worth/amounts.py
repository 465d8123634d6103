"""How a figure is written for people: three significant digits, its unit, angles in degrees."""

from __future__ import annotations

import math


def shown_unit(unit: str) -> str:
    """The unit that people read: degrees for rad, others as they are."""
    return "°" if unit == "rad" else unit


def shown_value(value: float, unit: str) -> float:
    """The value in that unit."""
    return math.degrees(value) if unit == "rad" else value


def plainly(target: str) -> str:
    """What is explained, in words, from the target's quantity or what begins with it."""
    words = {"steering_angle_rad": "the steering", "acceleration_mps2": "the acceleration"}
    return words.get(target.partition(" ")[0], "the score")


def amount(value: float, unit: str, digits: int = 3) -> str:
    """`1.25°`, `0.3 m/s²`, `4.2`."""
    number = f"{shown_value(value, unit):.{digits}g}"
    number = "0" if float(number) == 0.0 else number.replace("-", "−")
    return f"{number}°" if unit == "rad" else f"{number} {unit}".strip()
