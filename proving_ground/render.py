"""The renderer: one picture of a world from a camera on a car. Same world, camera, pose and time: the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proving_ground.glare import LensPainter
from proving_ground.ground import GroundPainter
from proving_ground.objects import ObjectPainter
from proving_ground.sky import SkyPainter
from proving_ground.view import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from proving_ground.camera import Camera
    from proving_ground.world import World

    ByteArray = NDArray[np.uint8]


class Renderer:
    """Renders one world through one camera. Holds buffers: one renderer, one thread."""

    def __init__(self, world: World, camera: Camera) -> None:
        self._camera = camera
        self._sky = SkyPainter(world.light, camera)
        self._ground = GroundPainter(world, camera)
        self._objects = ObjectPainter(world)
        self._lens = LensPainter(world.light, camera)

    def render(self, x_m: float, y_m: float, yaw_rad: float, s_m: float, t_s: float) -> ByteArray:
        """The picture, BGR uint8 (height, width, 3), from a car at a world pose near arc length `s_m` at `t_s`."""
        picture = np.empty((self._camera.height, self._camera.width, 3), np.uint8)
        view = View(self._camera, x_m, y_m, yaw_rad, s_m)
        self._sky.paint(picture, yaw_rad)
        self._ground.paint(picture, view, t_s)
        self._objects.paint(picture, view, t_s)
        self._lens.paint(picture, view, t_s)
        return picture
