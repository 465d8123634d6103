"""Preprocessing as a session of ONNX Runtime on the provider's device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import EngineError, SourceError
from runtime.contracts.model import ImageInput
from runtime.contracts.source import Picture
from runtime.engines import providers
from runtime.engines.onnx_binding import Binding
from runtime.engines.onnx_library import Library, first_line
from runtime.engines.preprocessing.graph import COLUMNS, OUTPUT, PICTURE, ROWS, preprocessing_graph
from runtime.engines.preprocessing.weights import resize_weights
from runtime.preprocess import cropped


class PreprocessingSession:
    """One image input's preprocessing. One thread at a time.

    The first picture settles the size: its weights and its memory stay on the device. The crop is taken on the host,
    where it costs nothing, so that only what the network sees is copied over. What comes out is brought back to the
    host, because the record takes exactly that.
    """

    def __init__(self, image_input: ImageInput, provider: str, device: str, threads: int = 1) -> None:
        """Load the graph and prove the provider by a real pass.

        Args:
            image_input: crop, size, interpolation, colour and layout, from the model's manifest.
            provider: of ONNX Runtime; the only one that computes.
            device: where it computes: `cuda` or `cpu`.
            threads: of the CPU.

        Raises EngineError where this ONNX Runtime lacks the provider, or it computes nothing.
        """
        self._image_input, self._device = image_input, device
        what = f"preprocessing of image input {image_input.name!r}"
        self._library = Library(preprocessing_graph(image_input), what, (provider,), threads, "all")
        providers.refuse_absent((provider,), self._library.available)
        size = (image_input.height, image_input.width)
        rows, columns = resize_weights(size, size, image_input.interpolation)
        self._library.prove({PICTURE: np.zeros((*size, 3), np.uint8), ROWS: rows, COLUMNS: columns})
        self._session = self._library.session()
        self._binding: Binding | None = None
        self._size = (0, 0)  # height and width of the first picture, uncropped

    def __call__(self, picture: Picture) -> NDArray[np.uint8]:
        """The model's view of a picture, as `runtime.preprocess.preprocess` gives it to one grey level.

        Raises:
            SourceError: as there, and on a picture of another size than the first one.
            EngineError: ONNX Runtime cannot run the graph.
        """
        view = cropped(picture, self._image_input)
        height, width = picture.shape[:2]
        if self._binding is None:
            self._binding, self._size = self._bound(view), (height, width)
        elif self._size != (height, width):
            raise SourceError(
                f"camera {self._image_input.camera!r} gave a picture of {width}x{height} pixels after pictures of "
                f"{self._size[1]}x{self._size[0]}, for which the GPU was set up; let the camera keep its size, or use "
                "engine.preprocessing: cpu"
            )
        try:
            tensor: NDArray[np.uint8] = self._binding.run({PICTURE: view})[OUTPUT]
        except self._library.errors as error:
            raise EngineError(f"{self._library.what}: ONNX Runtime cannot run it: {first_line(error)}") from error
        return tensor

    def _bound(self, view: Picture) -> Binding:
        wanted = self._image_input
        rows, columns = resize_weights(view.shape[:2], (wanted.height, wanted.width), wanted.interpolation)
        return self._library.bound_to(
            self._device,
            self._session,
            inputs={PICTURE: TensorSpec(PICTURE, "uint8", view.shape)},
            outputs={OUTPUT: TensorSpec(OUTPUT, "uint8", tuple(self._session.get_outputs()[0].shape))},
            fixed=frozenset({OUTPUT}),
            held={ROWS: rows, COLUMNS: columns},
        )
