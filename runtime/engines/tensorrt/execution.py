"""A plan on the device: one pass = copy in, run, copy out, launched as one CUDA graph where that can be captured."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec
from runtime.contracts.errors import EngineError, ModelError
from runtime.engines.check import Declared
from runtime.engines.tensorrt.bindings import ICudaEngine, IExecutionContext, ILogger, Log, Runtime, load, make_logger
from runtime.engines.tensorrt.builder import dtype_name
from runtime.engines.tensorrt.cuda import Pair, Stream


class Execution:
    """A plan, deserialised, with memory for its tensors. One thread at a time. Close it."""

    def __init__(self, plan: bytes, where: str) -> None:
        """Load a plan that this device built: whoever calls has held its hash. Raises EngineError, ModelError."""
        self._where = where
        self._stream = Stream()  # first: without a GPU TensorRT gives an object, and dies in its next call
        try:
            self._open(plan)
        except (EngineError, ModelError):
            self.close()
            raise

    def _open(self, plan: bytes) -> None:
        # Nothing of TensorRT's in local names: what a traceback holds would outlive the stream's context.
        trt, self._log = load(), Log()
        self._logger: ILogger = make_logger(trt, self._log)
        self._runtime: Runtime = trt.Runtime(self._logger)
        self._runtime.engine_host_code_allowed = False
        self._engine: ICudaEngine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError(f"TensorRT {trt.__version__} does not load the plan of {self._where}: {self._log.why()}")
        self._context: IExecutionContext = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"TensorRT has no room to run {self._where}: {self._log.why()}; end other programs on the GPU"
            )
        self.inputs: Declared = {}
        self.outputs: dict[str, TensorSpec] = {}
        self._pairs: dict[str, Pair] = {}
        for index in range(self._engine.num_io_tensors):
            self._bind(trt, str(self._engine.get_tensor_name(index)))
        self.graph = self._captured()

    def _bind(self, trt: ModuleType, name: str) -> None:
        """Give a tensor its memory."""
        if self._engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            raise ModelError(
                f"model {self._where}: {name!r} is a tensor of shapes; take it out of the graph's interface"
            )
        shape = tuple(int(size) for size in self._context.get_tensor_shape(name))
        dtype = dtype_name(trt, self._engine.get_tensor_dtype(name))
        if any(size < 0 for size in shape):
            raise ModelError(f"model {self._where}: the shape of {name!r} changes with the data; export it without")
        if dtype not in np.sctypeDict:
            raise ModelError(f"model {self._where}: {name!r} is {dtype}, which numpy has not; cast it in the graph")
        pair = self._stream.allocate(shape, dtype)
        self._pairs[name] = pair
        if not self._context.set_tensor_address(name, pair.address):
            raise EngineError(f"TensorRT does not take memory for {name!r} of {self._where}: {self._log.why()}")
        if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
            self.inputs = {**self.inputs, name: (dtype, shape)}
        else:
            self.outputs[name] = TensorSpec(name, dtype, shape)

    def _captured(self) -> str:
        """Capture a pass as a graph; "" or why that cannot be. The first pass allocates, so it runs before."""
        self._enqueue()
        self._stream.wait()
        self._log.lines.clear()
        try:
            self._stream.begin_capture()
            self._enqueue()
            self._stream.end_capture()
            self._stream.launch()
            self._stream.wait()
        except EngineError as error:
            self._stream.drop_capture()
            return str(error)
        return ""

    def _enqueue(self) -> None:
        for name in self.inputs:
            self._stream.upload(self._pairs[name])
        if not self._context.execute_async_v3(self._stream.handle):
            raise EngineError(f"TensorRT does not run {self._where}: {self._log.why()}")
        for name in self.outputs:
            self._stream.download(self._pairs[name])

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass over inputs of the right names, types and shapes. Raises EngineError where the device does."""
        self._stream.enter()
        for name, value in inputs.items():
            np.copyto(self._pairs[name].array, value, casting="no")
        if self.graph:
            self._enqueue()
        else:
            self._stream.launch()
        self._stream.wait()
        return {name: self._pairs[name].array.copy() for name in self.outputs}

    def close(self) -> None:
        """Give the device's memory back. Idempotent."""
        self._pairs = {}
        self._context = self._engine = self._runtime = None  # in this order, and before the GPU's context goes
        self._stream.close()
