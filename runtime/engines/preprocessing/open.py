"""Which preprocessing the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.config import EngineConfig
from runtime.contracts.errors import EngineError
from runtime.contracts.model import ImageInput, Manifest
from runtime.contracts.source import Picture
from runtime.engines import providers
from runtime.engines.preprocessing.session import PreprocessingSession
from runtime.preprocess import preprocess

Preprocess = Callable[[Picture, ImageInput], NDArray[np.uint8]]
"""The model's view of a picture, as `runtime.preprocess.preprocess` says it."""


def open_preprocess(config: EngineConfig, manifest: Manifest) -> Preprocess:
    """Preprocessing as `engine.preprocessing` says: OpenCV on the CPU, or ONNX Runtime on the GPU, proven by a pass.

    Raises EngineError where the GPU is asked for and the engine has no session of ONNX Runtime there.
    """
    if config.preprocessing == "cpu":
        return preprocess
    if config.backend != "onnxruntime":
        raise EngineError(
            f"engine.preprocessing is gpu, which runs in ONNX Runtime, and engine.backend is {config.backend!r}; take "
            f"engine.preprocessing out, or use backend: onnxruntime with providers: [{providers.CUDA}, {providers.CPU}]"
        )
    if providers.CUDA not in config.providers:
        raise EngineError(
            f"engine.preprocessing is gpu, and engine.providers ({', '.join(config.providers)}) names no "
            f"{providers.CUDA}; put it first, or take engine.preprocessing out"
        )
    sessions = {
        image.name: PreprocessingSession(image, providers.CUDA, "cuda", config.threads) for image in manifest.images
    }
    return lambda picture, image: sessions[image.name](picture)
