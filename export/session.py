"""ONNX bytes, run as the vehicle would: ONNX Runtime on the CPU, every choice pinned that changes the bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import ModelError

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"} | {
    f"tensor({name})": name for name in ("uint8", "int8", "int32", "int64", "bool")
}
_FATAL = 4  # ONNX Runtime's log level: what it has to say comes as an exception


class Session:
    """A graph that needs no manifest: what export compares on its way. One thread of execution unless told.

    `inputs` are the graph's inputs by name, dynamic sizes taken as 1; `outputs` the names of its outputs.
    """

    def __init__(self, onnx: bytes, threads: int = 1, optimisation: str = "all") -> None:
        """Load a graph; `optimisation` is `all` or `none`. Raises ModelError where ONNX Runtime refuses it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _FATAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimisation == "all" else levels.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load the graph: {str(error).strip()}; "
                "export it with operators and an opset that it has"
            ) from error
        self.inputs: Mapping[str, TensorSpec] = {
            value.name: TensorSpec(
                value.name,
                _DTYPES.get(value.type, value.type),
                tuple(size if isinstance(size, int) else 1 for size in value.shape),
            )
            for value in self._session.get_inputs()
        }
        self.outputs: tuple[str, ...] = tuple(value.name for value in self._session.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """One pass: the named outputs (all, where none are named) by name. Inputs that the graph lacks are left out.

        Raises ModelError where ONNX Runtime cannot run it.
        """
        names = list(self.outputs if outputs is None else outputs)
        fed = {name: np.asarray(inputs[name]) for name in self.inputs if name in inputs}
        try:
            return dict(zip(names, self._session.run(names, fed), strict=True))
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot run the graph: {str(error).strip()}") from error
