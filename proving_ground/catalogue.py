"""The named scenarios, and the URI that names one: `proving-ground://lane?seed=7&duration_s=60`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from proving_ground.lead import LeadScript, SpeedPoint
from proving_ground.light import Light, dusk, low_sun, noon
from proving_ground.markings import Line, MarkingSection
from proving_ground.road import RoadElement, RoadShape
from proving_ground.scenario import EndConditions, Scenario
from proving_ground.scenery import Scenery
from runtime.contracts.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME = "proving-ground"
_PAINTS = ((40, 40, 130), (120, 60, 40), (196, 198, 200), (52, 50, 48), (60, 96, 60), (150, 150, 146))


def scenario_by_name(name: str, seed: int = 0) -> Scenario:
    """The named scenario with everything that its seed decides. Raises SourceError for an unknown name."""
    if name not in SCENARIOS:
        raise SourceError(f"The proving ground has no scenario {name!r}; it has {', '.join(SCENARIOS)}.")
    return SCENARIOS[name](seed)


def scenario_by_uri(uri: str) -> Scenario:
    """The scenario that a `proving-ground://NAME?KEY=VALUE&...` asks for; raises SourceError where it is not one.

    Keys: seed (whole number from 0), duration_s, frame_rate_hz (numbers above 0), width, height (pixels).
    """
    parts = urlsplit(uri)
    if parts.scheme != SCHEME or not parts.netloc or parts.path.strip("/") or parts.fragment:
        raise SourceError(f"{uri!r} is not a proving-ground URI; write {SCHEME}://SCENARIO?seed=7.")
    given: dict[str, float] = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _QUERY:
            raise SourceError(f"{uri!r} has the unknown key {key!r}; known are {', '.join(_QUERY)}.")
        if key in given:
            raise SourceError(f"{uri!r} gives {key!r} twice; give it once.")
        whole, low, high = _QUERY[key]
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise SourceError(f"{uri!r} has {key}={text!r}; it must be {kind} from {low} to {high}.")
        given[key] = value
    scenario = scenario_by_name(parts.netloc, int(given.get("seed", 0)))
    camera = replace(
        scenario.camera,
        width=int(given.get("width", scenario.camera.width)),
        height=int(given.get("height", scenario.camera.height)),
    )
    return replace(
        scenario,
        camera=camera,
        duration_s=given.get("duration_s", scenario.duration_s),
        frame_rate_hz=given.get("frame_rate_hz", scenario.frame_rate_hz),
    )


_QUERY: dict[str, tuple[bool, float, float]] = {
    "seed": (True, 0, 2**31 - 1),
    "duration_s": (False, 0.05, 86_400.0),
    "frame_rate_hz": (False, 1.0, 200.0),
    "width": (True, 64, 4096),
    "height": (True, 36, 4096),
}


def _lane(seed: int) -> Scenario:
    rng = np.random.default_rng([seed, 0x1A7E])
    scenery = Scenery(
        trees_per_km=rng.uniform(40.0, 240.0),
        tree_shadows=bool(rng.random() < 0.8),
        bars_per_km=rng.choice([0.0, 4.0, 12.0]),
        verge_contrast=rng.uniform(0.5, 1.0),
    )
    return Scenario("lane", seed, scenery=scenery, light=_any_light(rng))


def _any_light(rng: np.random.Generator) -> Light:
    kind, azimuth = rng.random(), rng.uniform(-math.pi, math.pi)
    if kind < 0.5:
        return noon(azimuth)
    if kind < 0.72:
        return dusk(azimuth)
    return low_sun(azimuth, glare=rng.uniform(0.15, 0.45), elevation_rad=math.radians(rng.uniform(8.0, 16.0)))


def _stopped_lead(seed: int) -> Scenario:
    rng = np.random.default_rng([seed, 0x570])
    return replace(
        _lane(seed),
        name="stopped-lead",
        lead=LeadScript(rng.uniform(110.0, 190.0), (SpeedPoint(0.0, 0.0),), paint_bgr=_paint(rng)),
        duration_s=30.0,
    )


def _braking_lead(seed: int) -> Scenario:
    rng = np.random.default_rng([seed, 0xB4A])
    brake_at, hard = rng.uniform(5.0, 9.0), rng.uniform(2.0, 3.5)
    speeds = (SpeedPoint(0.0, 13.0), SpeedPoint(brake_at, 13.0), SpeedPoint(brake_at + 13.0 / hard, 0.0))
    return replace(
        _lane(seed),
        name="braking-lead",
        lead=LeadScript(rng.uniform(24.0, 36.0), speeds, paint_bgr=_paint(rng)),
        duration_s=30.0,
    )


def _driving_lead(seed: int) -> Scenario:
    rng = np.random.default_rng([seed, 0xD41])
    times = np.cumsum(np.concatenate([[0.0], rng.uniform(4.0, 9.0, 400)]))
    speeds = tuple(SpeedPoint(float(t), float(rng.uniform(7.0, 14.0))) for t in times)
    lead = LeadScript(rng.uniform(20.0, 40.0), speeds, paint_bgr=_paint(rng))
    return replace(_lane(seed), name="driving-lead", lead=lead)


def _paint(rng: np.random.Generator) -> tuple[int, int, int]:
    return _PAINTS[int(rng.integers(len(_PAINTS)))]


def _worn_into_sun(seed: int) -> Scenario:
    """Clear lines on a gentle S, then worn, then none, in a left curve that turns into a low sun."""
    opening = (
        RoadElement(50.0, 0.0),
        RoadElement(40.0, -1 / 260),
        RoadElement(40.0, -1 / 260),
        RoadElement(40.0, 0.0),
        RoadElement(20.0, 0.0),
        RoadElement(45.0, 1 / 80),
        RoadElement(70.0, 1 / 80),
        RoadElement(40.0, 0.0),
    )
    return Scenario(
        "worn-into-sun",
        seed,
        road=RoadShape(opening=opening),
        markings=(
            MarkingSection(-math.inf, Line.DASHED, Line.SOLID),
            MarkingSection(150.0, Line.WORN, Line.WORN),
            MarkingSection(190.0, Line.MISSING, Line.MISSING),
        ),
        scenery=Scenery(trees_per_km=70.0, bars_per_km=0.0, verge_contrast=0.1),
        light=low_sun(math.radians(44.0), glare=0.95, elevation_rad=math.radians(5.0)),
        duration_s=26.0,
        ends=EndConditions(departed_s=4.0),
    )


_OPEN = Scenery(trees_per_km=110.0, tree_shadows=False, bars_per_km=0.0)


def _with_lines(name: str, left: Line, right: Line) -> Callable[[int], Scenario]:
    plan = (MarkingSection(-math.inf, left, right),)
    return lambda seed: Scenario(name, seed, markings=plan, scenery=_OPEN)


def _with_light(name: str, light: Light) -> Callable[[int], Scenario]:
    return lambda seed: Scenario(name, seed, light=light, scenery=replace(_OPEN, tree_shadows=True))


def _with_scenery(name: str, scenery: Scenery) -> Callable[[int], Scenario]:
    return lambda seed: Scenario(name, seed, scenery=scenery)


SCENARIOS: dict[str, Callable[[int], Scenario]] = {
    "lane": _lane,
    "driving-lead": _driving_lead,
    "braking-lead": _braking_lead,
    "stopped-lead": _stopped_lead,
    "worn-into-sun": _worn_into_sun,
    "solid-lines": _with_lines("solid-lines", Line.SOLID, Line.SOLID),
    "dashed-lines": _with_lines("dashed-lines", Line.DASHED, Line.DASHED),
    "worn-lines": _with_lines("worn-lines", Line.WORN, Line.WORN),
    "missing-lines": _with_lines("missing-lines", Line.MISSING, Line.MISSING),
    "noon": _with_light("noon", noon()),
    "dusk": _with_light("dusk", dusk()),
    "low-sun": _with_light("low-sun", low_sun(0.1, glare=0.6)),
    "tree-shadows": _with_scenery("tree-shadows", Scenery(trees_per_km=260.0, bars_per_km=0.0)),
    "bar-shadows": _with_scenery("bar-shadows", Scenery(90.0, tree_shadows=False, bars_per_km=20.0)),
}
