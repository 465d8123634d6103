"""A policy as the vehicle runs it: preprocess, one pass of the engine, the outputs read as the manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runtime.contracts.engine import EngineRequest
from runtime.contracts.errors import ModelError
from runtime.contracts.model import Manifest, read_manifest
from runtime.contracts.vehicle import Control
from runtime.engines.onnx import open_engine
from runtime.preprocess import preprocess

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.contracts.model import OutputQuantity
    from runtime.contracts.source import Picture


class OnnxPolicy:
    """One image and the speed in, a control out: what training and its evaluation need of a model, on one thread."""

    def __init__(self, model_path: Path, threads: int = 1) -> None:
        self.manifest: Manifest = read_manifest(model_path)
        taken = [state.quantity for state in self.manifest.states]
        if len(self.manifest.images) != 1 or taken != ["speed_mps"] or self.manifest.recurrent:
            raise ModelError(
                f"model {model_path} takes {len(self.manifest.images)} images and the states {taken}; this evaluation "
                "drives policies of one image and speed_mps without memory: drive others with `sightline run`"
            )
        self._engine = open_engine(EngineRequest(model_path, ("CPUExecutionProvider",), threads, "all"))

    def control(self, picture: Picture, speed_mps: float) -> Control:
        """The control for a BGR picture at a speed."""
        image, state = self.manifest.images[0], self.manifest.states[0]
        speed = np.full((1, 1), speed_mps * state.scale, np.float32)
        answers = self._engine.run({image.name: preprocess(picture, image), state.name: speed})
        return Control(
            self._read(answers, "steering_angle_rad"),
            self._read(answers, "acceleration_mps2"),
        )

    def close(self) -> None:
        """Give the engine back. Idempotent."""
        self._engine.close()

    def _read(self, answers: dict[str, np.ndarray], quantity: OutputQuantity) -> float:
        output = self.manifest.output(quantity)
        if output is None:
            return 0.0
        return float(answers[output.name].reshape(-1)[output.index]) * output.scale
