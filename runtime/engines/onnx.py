"""ONNX Runtime as an engine: pinned, proven by a real pass, and with a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import Engine, EngineFingerprint, EngineRequest, TensorSpec
from runtime.contracts.errors import EngineError, ModelError
from runtime.contracts.model import manifest_of
from runtime.decision.tensors import DTYPES
from runtime.engines import processor, providers
from runtime.engines.check import Declared, check_outputs, named_outputs, settle_inputs, zeros
from runtime.engines.onnx_binding import Binding
from runtime.engines.onnx_library import Library, first_line

_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"} | {
    f"tensor({name})": name
    for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool")
}
_RECORDABLE = frozenset(np.dtype(name) for name in DTYPES)


def open_engine(request: EngineRequest) -> Engine:
    """Load a model into ONNX Runtime and prove it by real passes over zeros.

    Raises:
        ModelError: the file cannot be read, is no ONNX, has no manifest, or its graph breaks the manifest.
        EngineError: ONNX Runtime or a provider is not there, cannot run the graph, or does not repeat itself.
    """
    where = str(request.model_path)
    try:
        data = request.model_path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {where}: {error.strerror}; give the path of an ONNX file") from error
    manifest = manifest_of(data, where)
    library = Library(data, f"model {where}", request.providers, request.threads, request.optimisation)
    providers.refuse_absent(request.providers, library.available)
    session = library.session()
    inputs = settle_inputs(manifest, _declared(session), where)
    used = library.prove(zeros(inputs))
    engine = OnnxEngine(session, library, _fingerprint(library.version, used, request), inputs, named_outputs(manifest))
    check_outputs(manifest, inputs, engine.outputs, where)
    return engine


class OnnxEngine:
    """A loaded and proven model. One thread at a time."""

    def __init__(
        self,
        session: Any,
        library: Library,
        fingerprint: EngineFingerprint,
        inputs: dict[str, TensorSpec],
        named: frozenset[str],
    ) -> None:
        """Prove it by two passes; `named` are the outputs that the manifest names. Raises ModelError."""
        self._session = session
        self._library = library
        self._fingerprint = fingerprint
        self._inputs = inputs
        self._names = [output.name for output in session.get_outputs()]
        self._binding: Binding | None = None
        self._outputs = self._proven()
        self._fixed = {name: spec.shape for name, spec in self._outputs.items() if name in named}
        self._binding = library.bound(session, inputs, self._outputs, named)

    @property
    def fingerprint(self) -> EngineFingerprint:
        """What makes the bits repeatable."""
        return self._fingerprint

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Every input of the graph, by name."""
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Every output of the graph as a real pass gave it, by name."""
        return self._outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass. Raises EngineError where ONNX Runtime does, or after `close`.

        So it does where an output cannot be recorded, or one that the manifest names has another shape than it had
        when the model was proven: the vehicle is commanded by these before they are recorded.
        """
        outputs = self._pass(inputs)
        for name, value in outputs.items():
            problem = _unrecordable(value)
            if not problem and value.shape != self._fixed.get(name, value.shape):
                problem = (
                    f"has the shape {list(value.shape)} in this pass and had {list(self._fixed[name])} when the model "
                    "was proven; export it with a shape that no data changes"
                )
            if problem:
                raise EngineError(f"{self._library.what}: output {name!r} {problem}")
        return outputs

    def close(self) -> None:
        """Give the session back. Idempotent."""
        self._session = self._binding = None

    def _pass(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        if self._session is None:
            raise EngineError(f"{self._library.what}: its engine was closed; open another")
        try:
            if self._binding is not None:
                return self._binding.run(inputs)
            values = self._session.run(self._names, dict(inputs))
        except self._library.errors as error:
            raise EngineError(f"{self._library.what}: ONNX Runtime cannot run it: {first_line(error)}") from error
        return dict(zip(self._names, values, strict=True))

    def _proven(self) -> dict[str, TensorSpec]:
        first, second = self._pass(zeros(self._inputs)), self._pass(zeros(self._inputs))
        what = self._library.what
        for name in self._names:
            problem = _unrecordable(first[name])
            if problem:
                raise ModelError(f"{what}: output {name!r} {problem}")
            if first[name].tobytes() != second[name].tobytes():
                raise ModelError(
                    f"{what}: two passes over the same input gave different {name!r}, so no decision "
                    "could be replayed; take the random operator (RandomNormal, training Dropout, …) out of the graph"
                )
        return {name: TensorSpec(name, str(value.dtype), value.shape) for name, value in first.items()}


def _fingerprint(version: str, used: tuple[str, ...], request: EngineRequest) -> EngineFingerprint:
    gpus = processor.nvidia_gpus() if used != (providers.CPU,) else ""
    return EngineFingerprint(
        backend="onnxruntime",
        backend_version=version,
        provider="+".join(used),
        threads=request.threads,
        optimisation=request.optimisation,
        processor="; ".join(filter(None, [processor.cpu(), gpus])),
        system=processor.system(),
    )


def _declared(session: Any) -> Declared:
    return {
        value.name: (
            _NUMPY_TYPES.get(value.type, value.type),
            tuple(size if isinstance(size, int) else None for size in value.shape),
        )
        for value in session.get_inputs()
    }


def _unrecordable(value: Any) -> str:
    """Why no record can hold an output, "" where one can."""
    if not isinstance(value, np.ndarray):
        return f"is no tensor but a {type(value).__name__}; take it out of the graph"
    if value.dtype in _RECORDABLE:
        return ""
    dtype = "text" if value.dtype.hasobject else value.dtype.name
    return f"is {dtype}, which no record holds (it holds {', '.join(DTYPES)}); cast it, or take it out of the graph"
