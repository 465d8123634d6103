"""One picture of every condition: `python -m proving_ground.contact_sheet OUT.png`.

Columns: the lines, then what the lead does. Rows: the light, without and with shadows. Last row: the demo's scenario.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proving_ground.catalogue import scenario_by_name
from proving_ground.lead import LeadScript, SpeedPoint
from proving_ground.light import dusk, low_sun, noon
from proving_ground.markings import Line, MarkingSection
from proving_ground.scenario import Scenario
from proving_ground.scenery import Scenery
from proving_ground.simulation import Simulation
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runtime.contracts.source import Picture

    ByteArray = NDArray[np.uint8]

TILE = (320, 180)
_GAP, _LABEL, _MARGIN = 6, 26, 34
_PAPER, _INK = 250, (40, 40, 40)
_SEED, _START_S_M, _AT_S = 17, 80.0, 0.25
_LINES = (
    ("solid", Line.SOLID, Line.SOLID),
    ("dashed", Line.DASHED, Line.SOLID),
    ("worn", Line.WORN, Line.WORN),
    ("missing", Line.MISSING, Line.MISSING),
)
_LEADS = (
    ("lead driving", LeadScript(15.0, (SpeedPoint(0.0, 13.0),), paint_bgr=(120, 60, 40))),
    ("lead braking", LeadScript(11.0, (SpeedPoint(0.0, 13.0), SpeedPoint(3.0, 4.0)), paint_bgr=(196, 198, 200))),
    ("lead stopped", LeadScript(9.0, (SpeedPoint(0.0, 0.0),), paint_bgr=(40, 40, 130))),
)
_LIGHTS = (("noon", noon(-1.3)), ("dusk", dusk(2.6)), ("low sun", low_sun(-0.25, glare=0.55)))
_SHADOWS = (
    ("no shadows", Scenery(trees_per_km=110.0, tree_shadows=False, bars_per_km=0.0)),
    ("trees and bars", Scenery(trees_per_km=240.0, bars_per_km=20.0)),
)
_DEMO_TIMES_S = (2.0, 7.0, 11.0, 14.0, 16.5, 18.0, 20.0)


def contact_sheet() -> ByteArray:
    """The labelled sheet, BGR uint8."""
    columns = [*(f"{name} lines" for name, _, _ in _LINES), *(name for name, _ in _LEADS)]
    rows: list[tuple[str, list[str], list[Picture]]] = []
    for light_name, light in _LIGHTS:
        for shadow_name, scenery in _SHADOWS:
            base = Scenario("contact-sheet", _SEED, light=light, scenery=scenery, start_s_m=_START_S_M)
            shown = [replace(base, markings=(MarkingSection(-math.inf, left, right),)) for _, left, right in _LINES]
            shown += [replace(base, lead=lead) for _, lead in _LEADS]
            rows.append((f"{light_name}, {shadow_name}", columns, [_frame(item, _AT_S) for item in shown]))
    demo = scenario_by_name("worn-into-sun")
    labels = [f"worn-into-sun, {at_s:g} s" for at_s in _DEMO_TIMES_S]
    rows.append(("the expert in the demo", labels, [_frame(demo, at_s) for at_s in _DEMO_TIMES_S]))
    width = _MARGIN + len(columns) * (TILE[0] + _GAP) + _GAP
    sheet = np.full((len(rows) * (TILE[1] + _LABEL + _GAP) + _GAP, width, 3), _PAPER, np.uint8)
    for row, (name, labels, pictures) in enumerate(rows):
        top = _GAP + row * (TILE[1] + _LABEL + _GAP)
        _upright(sheet, name, top)
        for column, (label, picture) in enumerate(zip(labels, pictures, strict=True)):
            left = _MARGIN + column * (TILE[0] + _GAP)
            cv2.putText(sheet, label, (left, top + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
            sheet[top + _LABEL : top + _LABEL + TILE[1], left : left + TILE[0]] = cv2.resize(
                picture, TILE, interpolation=cv2.INTER_AREA
            )
    return sheet


def _frame(scenario: Scenario, at_s: float) -> Picture:
    """What the camera sees after the expert has driven for `at_s`."""
    simulation = Simulation(scenario)
    while simulation.t_source_ns < at_s * 1e9:
        simulation.step(simulation.expert_control())
    return simulation.observe().picture


def _upright(sheet: ByteArray, text: str, top: int) -> None:
    strip = np.full((_MARGIN - 8, TILE[1], 3), _PAPER, np.uint8)
    cv2.putText(strip, text, (0, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    sheet[top + _LABEL : top + _LABEL + TILE[1], : _MARGIN - 8] = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet; 0, or 2 where the file cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m proving_ground.contact_sheet",
        description="Draw every condition of the proving ground on one labelled PNG.",
        epilog="example: python -m proving_ground.contact_sheet sheet.png",
    )
    parser.add_argument("out", type=Path, metavar="OUT.png", help="the PNG to write")
    out: Path = parser.parse_args(arguments).out
    try:
        out.write_bytes(cv2.imencode(".png", contact_sheet())[1].tobytes())
    except OSError as error:
        sys.stderr.write(f"The contact sheet cannot be written to {out}: {error.strerror}. Name a writable path.\n")
        return ExitCode.COULD_NOT
    sys.stdout.write(f"{out}\n")
    return ExitCode.YES


if __name__ == "__main__":
    sys.exit(main())
