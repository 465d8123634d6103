"""ONNX Runtime as an engine: pinned, proven by a real pass, and with a fingerprint."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import Engine, EngineFingerprint, EngineRequest, TensorSpec
from runtime.contracts.errors import EngineError, ModelError
from runtime.contracts.model import manifest_of
from runtime.decision.tensors import DTYPES
from runtime.engines import processor, providers
from runtime.engines.check import Declared, check_outputs, named_outputs, settle_inputs, zeros
from runtime.engines.onnx_binding import Binding, device_of

_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"} | {
    f"tensor({name})": name
    for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool")
}
_RECORDABLE = frozenset(np.dtype(name) for name in DTYPES)
_LEVELS = {"all": "ENABLE_ALL", "extended": "ENABLE_EXTENDED", "basic": "ENABLE_BASIC", "none": "DISABLE_ALL"}
_FATAL = 4  # ONNX Runtime's log level: what it has to say comes as an exception, and is not printed as well


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
    library = _Library(data, request)
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
        library: _Library,
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
                raise EngineError(f"model {self._library.where}: output {name!r} {problem}")
        return outputs

    def close(self) -> None:
        """Give the session back. Idempotent."""
        self._session = self._binding = None

    def _pass(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        if self._session is None:
            raise EngineError(f"model {self._library.where}: its engine was closed; open another")
        try:
            if self._binding is not None:
                return self._binding.run(inputs)
            values = self._session.run(self._names, dict(inputs))
        except self._library.errors as error:
            raise EngineError(
                f"model {self._library.where}: ONNX Runtime cannot run it: {_first_line(error)}"
            ) from error
        return dict(zip(self._names, values, strict=True))

    def _proven(self) -> dict[str, TensorSpec]:
        first, second = self._pass(zeros(self._inputs)), self._pass(zeros(self._inputs))
        where = self._library.where
        for name in self._names:
            problem = _unrecordable(first[name])
            if problem:
                raise ModelError(f"model {where}: output {name!r} {problem}")
            if first[name].tobytes() != second[name].tobytes():
                raise ModelError(
                    f"model {where}: two passes over the same input gave different {name!r}, so no decision "
                    "could be replayed; take the random operator (RandomNormal, training Dropout, …) out of the graph"
                )
        return {name: TensorSpec(name, str(value.dtype), value.shape) for name, value in first.items()}


class _Library:
    """ONNX Runtime for one request: sessions with every choice pinned that changes the bits."""

    def __init__(self, data: bytes, request: EngineRequest) -> None:
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as state
        except ImportError as error:
            raise EngineError(
                f"engine.backend is onnxruntime, which cannot be imported ({error}); install it"
            ) from error
        self.where = str(request.model_path)
        self.version = str(onnxruntime.__version__)
        self.available: list[str] = onnxruntime.get_available_providers()
        # Its exceptions have no common base but Exception; the two others are raised by its Python layer.
        own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
        self.errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
        self._ort, self._state = onnxruntime, state
        self._data, self._request = data, request

    def session(self, profile_prefix: Path | None = None) -> Any:
        """A session on the wanted providers and no other."""
        options = self._options()
        if profile_prefix is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile_prefix)
        wanted = self._request.providers
        try:
            # From the bytes whose hash the manifest was held against: the file could change in between.
            session = self._ort.InferenceSession(
                self._data, options, providers=providers.with_options(wanted), enable_fallback=0
            )
        except (self._state.InvalidProtobuf, self._state.InvalidGraph) as error:
            raise ModelError(
                f"model {self.where} is no valid ONNX graph: {_first_line(error)}; export it again"
            ) from error
        except self.errors as error:
            raise EngineError(
                f"model {self.where}: ONNX Runtime {self.version} cannot load it on {', '.join(wanted)}: "
                f"{_first_line(error)}; export it with an opset and operators that this version has, or install another"
            ) from error
        missing = [name for name in wanted if name not in session.get_providers()]
        if missing:
            raise EngineError(
                f"engine.providers names {', '.join(missing)}, which ONNX Runtime did not take into use (it runs on "
                f"{', '.join(session.get_providers())}); see that its device and libraries are there"
            )
        return session

    def bound(
        self, session: Any, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], fixed: frozenset[str]
    ) -> Binding | None:
        """Memory of its own on the device that the first provider computes on; None on the CPU. Raises EngineError."""
        device = device_of(self._request.providers)
        if device is None:
            return None
        try:
            return Binding(self._ort, session, device, inputs=inputs, outputs=outputs, fixed=fixed)
        except self.errors as error:
            raise EngineError(
                f"model {self.where}: the device has no memory for its tensors: {_first_line(error)}; end other "
                "programs on it"
            ) from error

    def prove(self, inputs: dict[str, NDArray[Any]]) -> tuple[str, ...]:
        """The wanted providers that really compute, by a profiled pass; the CPU alone needs no proof but to run."""
        if self._request.providers == (providers.CPU,):
            return self._request.providers
        with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
            session = self.session(Path(folder) / "profile")
            try:
                session.run(None, inputs)
            except self.errors as error:
                raise EngineError(f"model {self.where}: its first pass failed: {_first_line(error)}") from error
            return providers.refuse_unused(self._request.providers, Path(session.end_profiling()))

    def _options(self) -> Any:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._request.threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._ort.ExecutionMode.ORT_SEQUENTIAL
        level = _LEVELS[self._request.optimisation]
        options.graph_optimization_level = getattr(self._ort.GraphOptimizationLevel, f"ORT_{level}")
        options.use_deterministic_compute = True
        options.log_severity_level = _FATAL
        # Spinning threads burn the cores that the recorder and the encoder need: 13 x the CPU time for 0.6 ms at 50 Hz.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        if providers.CPU not in self._request.providers:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options


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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
