"""The CUDA driver API of one GPU, through ctypes: what an engine needs of it and nothing more.

libcuda comes with the driver on every machine that has a GPU, a Jetson too, its ABI is versioned and stable, and
sixteen of its functions are enough, so no CUDA package has to be installed. Signatures: CUDA Driver API, cuda.h.
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.errors import EngineError

_LIBRARY = "libcuda.so.1"
_ANOTHER_BACKEND = "or choose `backend: onnxruntime` under `engine:`"
_UUID_BYTES = 16
_NAME_BYTES = 256
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: not in order with the legacy default stream
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do does not spoil a capture
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetUuid_v2": (c_void_p, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_ulonglong), c_size_t),
    "cuMemFree_v2": (c_ulonglong,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_ulonglong, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_ulonglong, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as its driver tells it. `uuid` is "" where the driver gives none (older Tegra)."""

    name: str
    compute_capability: str  # e.g. 8.7
    uuid: str
    cuda: str  # the newest CUDA that the driver serves, e.g. 12.6


class Cuda:
    """The driver, initialised. Raises EngineError where there is no driver or no GPU: TensorRT's own objects are
    given without one too, and the process dies when a plan is loaded.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise EngineError(
                f"there is no CUDA driver ({error}), and TensorRT needs an NVIDIA GPU with one; install it, "
                f"{_ANOTHER_BACKEND}"
            ) from error
        for name, arguments in _PROTOTYPES.items():
            try:
                function = getattr(self._library, name)
            except AttributeError as error:
                raise EngineError(
                    f"the CUDA driver has no {name}: it is older than CUDA 11.4; update it, {_ANOTHER_BACKEND}"
                ) from error
            function.argtypes, function.restype = arguments, c_int
        code = self._library.cuInit(0)
        count = c_int()
        if code == 0:
            code = self._library.cuDeviceGetCount(byref(count))
        if code != 0 or count.value == 0:
            raise EngineError(
                f"the CUDA driver finds no GPU ({self._words(code)}); see that the device is there and may be used "
                f"(in a container: its NVIDIA runtime), {_ANOTHER_BACKEND}"
            )
        self._device = c_int()
        self._call("cuDeviceGet", byref(self._device), 0)  # the first of those that CUDA_VISIBLE_DEVICES shows

    def gpu(self) -> Gpu:
        """What the GPU is."""
        name = ctypes.create_string_buffer(_NAME_BYTES)
        uuid = (ctypes.c_ubyte * _UUID_BYTES)()
        major, minor, cuda = c_int(), c_int(), c_int()
        self._call("cuDeviceGetName", name, _NAME_BYTES, self._device)
        told = self._library.cuDeviceGetUuid_v2(ctypes.cast(uuid, c_void_p), self._device) == 0
        self._call("cuDeviceGetAttribute", byref(major), _MAJOR, self._device)
        self._call("cuDeviceGetAttribute", byref(minor), _MINOR, self._device)
        self._call("cuDriverGetVersion", byref(cuda))
        return Gpu(
            name.value.decode(errors="replace"),
            f"{major.value}.{minor.value}",
            bytes(uuid).hex() if told and any(uuid) else "",
            f"{cuda.value // 1000}.{cuda.value % 1000 // 10}",
        )

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            raise EngineError(f"CUDA: {name} answered {self._words(code)}; see the GPU's state (dmesg, nvidia-smi)")

    def _words(self, code: int) -> str:
        if code == 0:
            return "no device"
        name, text = c_char_p(), c_char_p()
        self._library.cuGetErrorName(code, byref(name))
        self._library.cuGetErrorString(code, byref(text))
        known = [value.decode(errors="replace") for value in (name.value, text.value) if value]
        return f"{code} {' '.join(known)}".strip()


class Pair:
    """One tensor's memory: pinned on the host, which the GPU copies from without a detour, and on the device."""

    def __init__(self, host: c_void_p, device: c_ulonglong, array: NDArray[Any]) -> None:
        self.host, self.device, self.array = host, device, array

    @property
    def address(self) -> int:
        """On the device."""
        return int(self.device.value)


class Stream(Cuda):
    """A stream in the GPU's primary context, with the memory and the graph that work on it. Close it."""

    def __init__(self) -> None:
        super().__init__()
        self._context, self._stream = c_void_p(), c_void_p()
        self._pairs: list[Pair] = []
        self._graph, self._launchable = c_void_p(), c_void_p()
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), self._device)
        self._open, self._thread = True, 0
        try:
            self.enter()
            self._call("cuStreamCreate", byref(self._stream), _NON_BLOCKING)
        except EngineError:
            self.close()
            raise

    @property
    def handle(self) -> int:
        """The stream, as other libraries take it."""
        return int(self._stream.value or 0)

    def enter(self) -> None:
        """Make the context the calling thread's."""
        thread = threading.get_ident()
        if thread != self._thread:
            self._call("cuCtxSetCurrent", self._context)
            self._thread = thread

    def allocate(self, shape: tuple[int, ...], dtype: str) -> Pair:
        """Memory for a tensor on both sides, zeroed on the host."""
        size = max(1, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        host, device = c_void_p(), c_ulonglong()
        self._call("cuMemHostAlloc", byref(host), size, 0)
        pair = Pair(host, device, np.zeros(0))
        self._pairs.append(pair)
        self._call("cuMemAlloc_v2", byref(device), size)
        block = (ctypes.c_ubyte * size).from_address(int(host.value or 0))
        count = int(np.prod(shape, dtype=np.int64))
        pair.array = np.frombuffer(memoryview(block), dtype=dtype, count=count).reshape(shape)
        pair.array.fill(0)
        return pair

    def upload(self, pair: Pair) -> None:
        """Copy host to device, in the stream's order."""
        self._call("cuMemcpyHtoDAsync_v2", pair.device, pair.host, pair.array.nbytes, self._stream)

    def download(self, pair: Pair) -> None:
        """Copy device to host, in the stream's order."""
        self._call("cuMemcpyDtoHAsync_v2", pair.host, pair.device, pair.array.nbytes, self._stream)

    def wait(self) -> None:
        """Until everything on the stream is done."""
        self._call("cuStreamSynchronize", self._stream)

    def begin_capture(self) -> None:
        """What follows on the stream is not done but written down."""
        self._call("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)

    def end_capture(self) -> None:
        """Make what was written down launchable. Raises EngineError where the work cannot be captured."""
        self._call("cuStreamEndCapture", self._stream, byref(self._graph))
        self._call("cuGraphInstantiateWithFlags", byref(self._launchable), self._graph, 0)

    def drop_capture(self) -> None:
        """Leave capture mode after a failure, and forget what was captured."""
        if not self._graph.value:
            self._library.cuStreamEndCapture(
                self._stream, byref(self._graph)
            )  # its answer is the failure known already
        self._forget_graph()

    def launch(self) -> None:
        """Do what was captured."""
        self._call("cuGraphLaunch", self._launchable, self._stream)

    def close(self) -> None:
        """Give everything back. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._thread = 0
        self._library.cuCtxSetCurrent(self._context)
        self._forget_graph()
        for pair in self._pairs:
            pair.array = np.zeros(0)
            if pair.device.value:
                self._library.cuMemFree_v2(pair.device)
            self._library.cuMemFreeHost(pair.host)
        self._pairs.clear()
        if self._stream.value:
            self._library.cuStreamDestroy_v2(self._stream)
        self._library.cuDevicePrimaryCtxRelease_v2(self._device)

    def _forget_graph(self) -> None:
        if self._launchable.value:
            self._library.cuGraphExecDestroy(self._launchable)
        if self._graph.value:
            self._library.cuGraphDestroy(self._graph)
        self._graph, self._launchable = c_void_p(), c_void_p()
