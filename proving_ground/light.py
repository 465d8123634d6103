"""Light: where the sun stands, the colours of sky and haze, and how much the picture suffers from glare."""

from __future__ import annotations

import math
from dataclasses import dataclass

Bgr = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """One light. Colours are BGR 0..255; the sun's azimuth is a world heading, left positive.

    `sun_tint` and `shade_tint` multiply surfaces in the sun and in shadow; `haze_m` is the distance at which 63 % of
    a colour is lost to the horizon's. `glare` is 0 for a sun that stays out of the optics and 1 for one that blinds.
    """

    name: str
    sun_azimuth_rad: float
    sun_elevation_rad: float
    sky_top: Bgr
    sky_horizon: Bgr
    sun_tint: Bgr
    shade_tint: Bgr
    haze_m: float
    glare: float = 0.0
    lamps: bool = False


def noon(sun_azimuth_rad: float = 2.2) -> Light:
    """High sun, short dark shadows."""
    return Light(
        "noon",
        sun_azimuth_rad,
        math.radians(52.0),
        sky_top=(214, 160, 96),
        sky_horizon=(232, 214, 196),
        sun_tint=(1.0, 1.03, 1.05),
        shade_tint=(0.60, 0.54, 0.50),
        haze_m=700.0,
    )


def dusk(sun_azimuth_rad: float = 2.6) -> Light:
    """The sun has set: little, flat, bluish light; lamps are on, shadows are hardly there."""
    return Light(
        "dusk",
        sun_azimuth_rad,
        math.radians(14.0),
        sky_top=(118, 78, 58),
        sky_horizon=(112, 128, 170),
        sun_tint=(0.52, 0.43, 0.41),
        shade_tint=(0.42, 0.35, 0.33),
        haze_m=420.0,
        lamps=True,
    )


def low_sun(sun_azimuth_rad: float = 0.0, glare: float = 0.5, elevation_rad: float = math.radians(7.0)) -> Light:
    """A low sun, glaring where it stands ahead: bloom, veil, a shining road, long shadows."""
    return Light(
        "low sun",
        sun_azimuth_rad,
        elevation_rad,
        sky_top=(176, 152, 120),
        sky_horizon=(176, 214, 240),
        sun_tint=(0.78, 0.92, 1.02),
        shade_tint=(0.56, 0.52, 0.52),
        haze_m=450.0,
        glare=glare,
    )
