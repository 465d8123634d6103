"""What stands beside the road and what throws a shadow across it: a pure function of (scenery, seed, place)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.road import Road

    FloatArray = NDArray[np.float64]

BLOCK_M = 50.0
SHADOW_OUTLINE = 18
_LEFT_EDGE_M, _RIGHT_EDGE_M = 5.25, -1.75
_CLEAR_OF_ROAD_M = 2.75


@dataclass(frozen=True)
class Scenery:
    """Density of trees on both sides together, shadows wanted or not, and bars of shadow from things out of sight."""

    trees_per_km: float = 160.0
    tree_shadows: bool = True
    bars_per_km: float = 6.0
    verge_contrast: float = 1.0


@dataclass(frozen=True)
class Trees:
    """n trees: world position (n, 2) m, height (n,) m, crown radius (n,) m, kind (n,) as an index of sprites."""

    position_m: FloatArray
    height_m: FloatArray
    crown_m: FloatArray
    kind: NDArray[np.int64]


@dataclass(frozen=True)
class ShadowBar:
    """A straight shadow across the road, as of a bridge, a gantry or a building; `skew`: m along per m across."""

    s_m: float
    width_m: float
    skew: float


class SceneryMap:
    """Blocks of scenery along one road, made when first seen."""

    def __init__(self, scenery: Scenery, road: Road, seed: int) -> None:
        self.scenery = scenery
        self._road = road
        self._seed = seed
        self._blocks: dict[int, Trees] = {}

    def trees(self, from_s_m: float, to_s_m: float) -> Trees:
        """The trees of the blocks that meet the range."""
        found = [self._block(i) for i in range(int(from_s_m // BLOCK_M), int(to_s_m // BLOCK_M) + 1)]
        return Trees(
            np.concatenate([block.position_m for block in found]),
            np.concatenate([block.height_m for block in found]),
            np.concatenate([block.crown_m for block in found]),
            np.concatenate([block.kind for block in found]),
        )

    def bars(self, from_s_m: float, to_s_m: float) -> list[ShadowBar]:
        """Shadow bars within the range."""
        bars = []
        for index in range(int(from_s_m // BLOCK_M), int(to_s_m // BLOCK_M) + 1):
            rng = np.random.default_rng([self._seed, 0xBA2, index & 0xFFFFFFFF])
            if rng.random() < self.scenery.bars_per_km * BLOCK_M / 1000.0:
                width = 0.4 + 7.0 * rng.random() ** 3
                bars.append(ShadowBar((index + rng.random()) * BLOCK_M, width, rng.uniform(-0.6, 0.6)))
        return bars

    def _block(self, index: int) -> Trees:
        if index not in self._blocks:
            self._blocks[index] = self._planted(index)
        return self._blocks[index]

    def _planted(self, index: int) -> Trees:
        rng = np.random.default_rng([self._seed, 0x73EE, index & 0xFFFFFFFF])
        count = int(rng.poisson(self.scenery.trees_per_km * BLOCK_M / 1000.0))
        s = (index + rng.random(count)) * BLOCK_M
        beyond = 3.2 + 26.0 * rng.random(count) ** 1.6
        left = rng.random(count) < 0.5
        lateral = np.where(left, _LEFT_EDGE_M + beyond, _RIGHT_EDGE_M - beyond)
        height = rng.uniform(5.0, 13.0, count)
        crown = height * rng.uniform(0.22, 0.34, count)
        kind = rng.integers(0, 4, count)
        position = self._road.place(s, lateral)
        near = self._road.points(np.arange(index - 1, index + 2, 0.05) * BLOCK_M)
        away = np.hypot(position[:, :1] - near.x_m, position[:, 1:] - near.y_m).min(axis=1, initial=math.inf)
        # What stands beside one bend must not stand on the next.
        keep = away > np.where(left, _LEFT_EDGE_M, -_RIGHT_EDGE_M) + _CLEAR_OF_ROAD_M
        return Trees(position[keep], height[keep], crown[keep], kind[keep])


def tree_shadows(trees: Trees, sun_azimuth_rad: float, sun_elevation_rad: float) -> FloatArray:
    """Outlines of the crowns' and trunks' shadows on the ground, (2 n, SHADOW_OUTLINE, 2) in world metres."""
    reach = 1.0 / math.tan(max(sun_elevation_rad, math.radians(3.0)))
    along = np.array([-math.cos(sun_azimuth_rad), -math.sin(sun_azimuth_rad)])
    across = np.array([-along[1], along[0]])
    angle = np.linspace(0.0, 2 * math.pi, SHADOW_OUTLINE, endpoint=False)
    phase = trees.position_m.sum(axis=1)[:, None]
    ragged = 1.0 + 0.16 * np.sin(3 * angle + phase) + 0.12 * np.sin(7 * angle + 2.3 * phase)
    centre = trees.height_m - trees.crown_m * 1.1
    half_length = trees.crown_m * math.hypot(1.0, reach)
    u = (centre * reach)[:, None] + half_length[:, None] * ragged * np.cos(angle)
    v = trees.crown_m[:, None] * ragged * np.sin(angle)
    crowns = trees.position_m[:, None, :] + u[..., None] * along + v[..., None] * across
    trunk_u = np.clip(2 * np.cos(angle), 0, 1) * (centre * reach)[:, None]
    trunk_v = np.clip(8 * np.sin(angle), -1, 1) * 0.16 * np.ones((len(centre), 1))
    trunks = trees.position_m[:, None, :] + trunk_u[..., None] * along + trunk_v[..., None] * across
    return np.concatenate([crowns, trunks])
