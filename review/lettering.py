"""Words on pictures, with OpenCV's own typeface where it has one (5.0 on), else with its stroke font."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""uint8, height x width x 3, blue-green-red."""

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

Align = Literal["left", "centre", "right"]

REGULAR, MEDIUM, BOLD = 400, 500, 700

_HAS_TYPEFACE = hasattr(cv2, "FontFace")
_STROKE_UNITS_PER_PX = 1 / 30.0
_ASCII = {"°": " deg", "²": "2", "³": "3", "…": "...", "·": "-", "×": "x", "−": "-", "–": "-"}


@dataclass(frozen=True, slots=True)
class Ink:
    """How words look: colour, weight (100 to 900), and which end of the line stands at the place."""

    colour: Colour
    weight: int = REGULAR
    align: Align = "left"


def write(image: Image, text: str, at: tuple[float, float], size: float, ink: Ink) -> None:
    """Write one line in place; `at` is its baseline's end in pixels (x, y), `size` the letters' height in pixels."""
    x, y = at
    if ink.align != "left":
        width = text_width(text, size, ink.weight)
        x -= width / 2 if ink.align == "centre" else width
    where = (round(x), round(y))
    if _HAS_TYPEFACE:
        cv2.putText(image, text, where, ink.colour, _typeface(), round(size), ink.weight)
    else:
        thickness = max(1, round(size / 16 * ink.weight / REGULAR))
        scale = size * _STROKE_UNITS_PER_PX
        cv2.putText(image, _plain(text), where, cv2.FONT_HERSHEY_SIMPLEX, scale, ink.colour, thickness, cv2.LINE_AA)


def text_width(text: str, size: float, weight: int = REGULAR) -> float:
    """How wide a line comes out, in pixels."""
    if _HAS_TYPEFACE:
        box = cv2.getTextSize((0, 0), text, (0, 0), _typeface(), round(size), weight)
        return float(box[0] + box[2])
    (width, _), _ = cv2.getTextSize(_plain(text), cv2.FONT_HERSHEY_SIMPLEX, size * _STROKE_UNITS_PER_PX, 1)
    return float(width)


def wrap(text: str, width_px: float, size: float, weight: int = REGULAR, lines: int = 3) -> list[str]:
    """Break text into at most `lines` lines; what does not fit ends in an ellipsis."""
    done: list[str] = []
    line = ""
    words = text.split()
    for i, word in enumerate(words):
        longer = f"{line} {word}".strip()
        if not line or text_width(longer, size, weight) <= width_px:
            line = longer
            continue
        if len(done) == lines - 1:
            return [*done, _shortened(" ".join([line, *words[i:]]), width_px, size, weight)]
        done.append(line)
        line = word
    return [*done, _shortened(line, width_px, size, weight)] if line else done


def _shortened(text: str, width_px: float, size: float, weight: int) -> str:
    if text_width(text, size, weight) <= width_px:
        return text
    while text and text_width(text + "…", size, weight) > width_px:
        text = text[:-1].rstrip()
    return text + "…"


@lru_cache(maxsize=1)
def _typeface() -> Any:
    return cv2.FontFace("sans")


def _plain(text: str) -> str:
    for sign, instead in _ASCII.items():
        text = text.replace(sign, instead)
    return text.encode("ascii", "replace").decode()
