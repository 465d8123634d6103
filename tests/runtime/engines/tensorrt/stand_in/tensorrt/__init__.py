"""What stands in for TensorRT where there is no GPU: its names and signatures, ONNX Runtime underneath.

A test holds every class, method and parameter here against NVIDIA's bindings. What it does is made up: a plan is the
ONNX with a few random bytes, since tactics are chosen by timing. Nothing that passes here says that a GPU would do it.
Environment variables choose a version and faults: STAND_IN_TENSORRT, STAND_IN_FAULT, STAND_IN_STEPS.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import threading
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.helper import tensor_dtype_to_np_dtype

__version__ = os.environ.get("STAND_IN_TENSORRT", "10.3.0")
_FAULTS = os.environ.get("STAND_IN_FAULT", "").split(",")
_MAGIC = b"stand-in plan "
_STEPS = int(os.environ.get("STAND_IN_STEPS", "3"))
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class ILogger:
    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self) -> None:
        pass

    def log(self, severity: ILogger.Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        pass

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class BuilderFlag(IntEnum):
    TF32 = 7


class TensorIOMode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(IntEnum):
    DEVICE = 0
    HOST = 1


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    BF16 = 7
    INT64 = 8


_NUMPY = {
    DataType.FLOAT: np.float32,
    DataType.HALF: np.float16,
    DataType.INT8: np.int8,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
}


def nptype(trt_type: DataType) -> type[np.generic]:
    if trt_type in _NUMPY:
        return _NUMPY[trt_type]
    raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")


class Dims(tuple[int, ...]):
    __slots__ = ()

    def __new__(cls, shape: Iterable[int] = ()) -> Dims:
        return super().__new__(cls, shape)


class IHostMemory(bytes):
    pass


class ITensor:
    def __init__(self, info: onnx.ValueInfoProto) -> None:
        self._info = info

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def dtype(self) -> DataType:
        return _data_type(self._info)

    @property
    def shape(self) -> Dims:
        return Dims(d.dim_value if d.HasField("dim_value") else -1 for d in self._info.type.tensor_type.shape.dim)

    @shape.setter
    def shape(self, value: Dims) -> None:
        assert isinstance(value, Dims), "the real setter takes Dims"
        for dimension, size in zip(self._info.type.tensor_type.shape.dim, value, strict=True):
            dimension.dim_value = size


class INetworkDefinition:
    def __init__(self) -> None:
        self._model = onnx.ModelProto()

    @property
    def num_inputs(self) -> int:
        return len(self._model.graph.input)

    @property
    def num_layers(self) -> int:
        return len(self._model.graph.node)

    def get_input(self, index: int) -> ITensor:
        return ITensor(self._model.graph.input[index])


class ParserError:
    def __init__(self, node: onnx.NodeProto, text: str) -> None:
        self._node, self._text = node, text

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return self._node.name

    def node_operator(self) -> str:
        return self._node.op_type


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._errors = network, list[ParserError]()

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        self._network._model = onnx.load_from_string(model)
        graph = self._network._model.graph
        for node in graph.node:
            if node.op_type == "Det":
                self._errors.append(ParserError(node, "no importer for operator\n Det"))
        images = {one.name for one in graph.input if _data_type(one) == DataType.UINT8}
        for node in graph.node:
            if images & set(node.input) and node.op_type != "Cast":  # NVIDIA/TensorRT#3985
                self._errors.append(ParserError(node, "uint8 goes into a Cast only"))
        return not self._errors


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._data)


class IBuilderConfig:
    builder_optimization_level: int = 3
    max_aux_streams: int = -1
    progress_monitor: IProgressMonitor | None = None

    def __init__(self) -> None:
        self._timing = ITimingCache(b"")
        self._flags = {BuilderFlag.TF32}
        self._workspace = 0

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE
        self._workspace = pool_size

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags.discard(flag)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        if cache._data and not cache._data.startswith(__version__.encode()):
            return False
        self._timing = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._timing


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        assert config._workspace, "no memory to work in"
        if "die" in _FAULTS:
            os.kill(os.getpid(), signal.SIGKILL)
        if config.progress_monitor is not None and not _phases(config.progress_monitor):
            return None
        if "no-plan" in _FAULTS:
            self._logger.log(ILogger.Severity.ERROR, "Could not find any\nimplementation for node conv1")
            return None
        known = config._timing._data.partition(b":")[2]
        tactics = known or os.urandom(8)
        config._timing = ITimingCache(__version__.encode() + b":" + tactics)
        model = network._model.SerializeToString()
        settings = f"{config.builder_optimization_level} {sorted(config._flags)} {config.max_aux_streams}".encode()
        digest = hashlib.sha256(tactics + settings).digest()
        return IHostMemory(_MAGIC + __version__.encode() + b":" + digest + model)


def _phases(monitor: IProgressMonitor) -> bool:
    """From another thread, as the real one does; parent_phase of the outermost is None there."""
    going = [True]

    def work() -> None:
        monitor.phase_start("Building", None, 1)  # type: ignore[arg-type]
        monitor.phase_start("Choosing tactics", "Building", _STEPS)
        for step in range(_STEPS):
            going[0] = monitor.step_complete("Choosing tactics", step)
            if not going[0]:
                break
            threading.Event().wait(0.002)
        monitor.phase_finish("Choosing tactics")
        monitor.phase_finish("Building")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return going[0]


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._addresses = engine, dict[str, int]()
        self._kernel = _KERNEL(self._run)
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self._cuda.stand_in_launch.argtypes = (ctypes.c_void_p, _KERNEL, ctypes.c_void_p)

    def get_tensor_shape(self, name: str) -> Dims:
        return self._engine.get_tensor_shape(name)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle, "the default stream cannot be captured"
        return bool(self._cuda.stand_in_launch(stream_handle, self._kernel, None) == 0)

    def _array(self, name: str) -> NDArray[Any]:
        dtype, shape = nptype(self._engine.get_tensor_dtype(name)), self._engine.get_tensor_shape(name)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block = (ctypes.c_ubyte * size).from_address(self._addresses[name])
        return np.frombuffer(memoryview(block), dtype).reshape(shape)

    def _run(self, _: Any) -> None:
        engine = self._engine
        inputs = {one.name: self._array(one.name) for one in engine._model.graph.input}
        for name, value in zip(engine._outputs, engine._session.run(list(engine._outputs), inputs), strict=True):
            np.copyto(self._array(name), _with_faults(value))


def _with_faults(value: NDArray[Any]) -> NDArray[Any]:
    if "off" in _FAULTS:
        return np.asarray(value + 0.5, value.dtype)
    if "random" in _FAULTS:
        return np.asarray(value + np.random.default_rng().random(value.shape), value.dtype)
    return value


class ICudaEngine:
    def __init__(self, model: bytes) -> None:
        self._model = onnx.load_from_string(model)
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        given = {
            one.name: np.zeros([d.dim_value for d in one.type.tensor_type.shape.dim], nptype(_data_type(one)))
            for one in self._model.graph.input
        }
        names = [one.name for one in self._session.get_outputs()]
        self._outputs = dict(zip(names, self._session.run(names, given), strict=True))
        self._tensors = {**given, **self._outputs}

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return str(list(self._tensors)[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.OUTPUT if name in self._outputs else TensorIOMode.INPUT

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.DEVICE

    def get_tensor_dtype(self, name: str) -> DataType:
        return next(kind for kind, dtype in _NUMPY.items() if self._tensors[name].dtype == dtype)

    def get_tensor_shape(self, name: str) -> Dims:
        return Dims(self._tensors[name].shape)

    def create_execution_context(self) -> IExecutionContext | None:
        return IExecutionContext(self)


class Runtime:
    engine_host_code_allowed: bool = True

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        assert self.engine_host_code_allowed is False
        found, _, rest = serialized_engine.partition(b":")
        if found != _MAGIC + __version__.encode():
            self._logger.log(ILogger.Severity.ERROR, "Version tag does not match")
            return None
        return ICudaEngine(rest[32:])


def _data_type(info: onnx.ValueInfoProto) -> DataType:
    dtype = tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    return next(kind for kind, numpy_type in _NUMPY.items() if dtype == numpy_type)
