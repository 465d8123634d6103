"""ONNX Runtime for one graph: sessions with every choice pinned that changes the bits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import EngineError, ModelError
from runtime.engines import providers
from runtime.engines.onnx_binding import Binding, device_of

_LEVELS = {"all": "ENABLE_ALL", "extended": "ENABLE_EXTENDED", "basic": "ENABLE_BASIC", "none": "DISABLE_ALL"}
_FATAL = 4  # ONNX Runtime's log level: what it has to say comes as an exception, and is not printed as well


class Library:
    """One graph, the providers and the options that it is run with."""

    def __init__(self, data: bytes, what: str, wanted: tuple[str, ...], threads: int, optimisation: str) -> None:
        """Nothing is opened yet.

        Args:
            data: the ONNX.
            what: what it is, in the words of an error, e.g. `model policy.onnx`.
            wanted: providers in order of preference.
            threads: of the CPU.
            optimisation: `all`, `extended`, `basic`, `none`.

        Raises EngineError where ONNX Runtime cannot be imported.
        """
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as state
        except ImportError as error:
            raise EngineError(
                f"engine.backend is onnxruntime, which cannot be imported ({error}); install it"
            ) from error
        self.what = what
        self.version = str(onnxruntime.__version__)
        self.available: list[str] = onnxruntime.get_available_providers()
        # Its exceptions have no common base but Exception; the two others are raised by its Python layer.
        own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
        self.errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
        self._ort, self._state = onnxruntime, state
        self._data, self._wanted, self._threads, self._level = data, wanted, threads, _LEVELS[optimisation]

    def session(self, profile_prefix: Path | None = None) -> Any:
        """A session on the wanted providers and no other."""
        options = self._options()
        if profile_prefix is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile_prefix)
        wanted = self._wanted
        try:
            # From the bytes whose hash the manifest was held against: the file could change in between.
            session = self._ort.InferenceSession(
                self._data, options, providers=providers.with_options(wanted), enable_fallback=0
            )
        except (self._state.InvalidProtobuf, self._state.InvalidGraph) as error:
            raise ModelError(f"{self.what} is no valid ONNX graph: {first_line(error)}; export it again") from error
        except self.errors as error:
            raise EngineError(
                f"{self.what}: ONNX Runtime {self.version} cannot load it on {', '.join(wanted)}: "
                f"{first_line(error)}; export it with an opset and operators that this version has, or install another"
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
        device = device_of(self._wanted)
        return None if device is None else self.bound_to(device, session, inputs=inputs, outputs=outputs, fixed=fixed)

    def bound_to(
        self,
        device: str,
        session: Any,
        *,
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
        fixed: frozenset[str],
        held: Mapping[str, NDArray[Any]] | None = None,
    ) -> Binding:
        """A session with its tensors in memory of `device`, as `Binding` says. Raises EngineError."""
        try:
            return Binding(self._ort, session, device, inputs=inputs, outputs=outputs, fixed=fixed, held=held)
        except self.errors as error:
            raise EngineError(
                f"{self.what}: the device has no memory for its tensors: {first_line(error)}; end other programs on it"
            ) from error

    def prove(self, inputs: dict[str, NDArray[Any]]) -> tuple[str, ...]:
        """The wanted providers that really compute, by a profiled pass; the CPU alone needs no proof but to run."""
        if self._wanted == (providers.CPU,):
            return self._wanted
        with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
            session = self.session(Path(folder) / "profile")
            try:
                session.run(None, inputs)
            except self.errors as error:
                raise EngineError(f"{self.what}: its first pass failed: {first_line(error)}") from error
            return providers.refuse_unused(self._wanted, Path(session.end_profiling()))

    def _options(self) -> Any:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = self._ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = getattr(self._ort.GraphOptimizationLevel, f"ORT_{self._level}")
        options.use_deterministic_compute = True
        options.log_severity_level = _FATAL
        # Spinning threads burn the cores that the recorder and the encoder need: 13 x the CPU time for 0.6 ms at 50 Hz.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        if providers.CPU not in self._wanted:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options


def first_line(error: Exception) -> str:
    """Of what ONNX Runtime says, the part for people."""
    return str(error).strip().partition("\n")[0]
