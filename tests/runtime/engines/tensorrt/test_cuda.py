"""The CUDA driver: its functions against NVIDIA's headers, and what is made of them on a stand-in."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt import cuda
from tests.runtime.engines.tensorrt.bench import CUDA_HEADERS, STAND_IN, Bench, cuda_library, fetched

C_TYPES: dict[object, str] = {
    ctypes.c_uint: "unsigned int",
    ctypes.c_int: "int",
    ctypes.c_size_t: "size_t",
    ctypes.c_ulonglong: "unsigned long long",
    ctypes.c_void_p: "void *",
    ctypes.c_char_p: "char *",
    ctypes.POINTER(ctypes.c_int): "int *",
    ctypes.POINTER(ctypes.c_char_p): "const char **",
    ctypes.POINTER(ctypes.c_void_p): "void *",  # of whatever handle
    ctypes.POINTER(ctypes.c_ulonglong): "unsigned long long *",
}


def calls(prototypes: dict[str, tuple[object, ...]]) -> str:
    """A C file that calls every function as ctypes does. c_ulong and c_size_t are one type on Linux."""
    lines = ['#include "cuda.h"']
    for name, arguments in prototypes.items():
        # The header's macro turns the plain name into the one that the driver exports.
        plain = {"cuGraphInstantiateWithFlags": "cuGraphInstantiate"}.get(name, name.removesuffix("_v2"))
        given = ", ".join(f"({C_TYPES[kind]})a{index}" for index, kind in enumerate(arguments))
        taken = ", ".join(f"{C_TYPES[kind]} a{index}" for index, kind in enumerate(arguments))
        lines.append(f"int call_{name}({taken}) {{ return (int){plain}({given}); }}")
    return "\n".join(lines)


def compiled(folder: Path, version: str, source: str) -> subprocess.CompletedProcess[str]:
    """Compile to an object, with what C lets pass made an error."""
    (folder / "calls.c").write_text(source + "\n")
    strict = ("-Werror", "-Wconversion", "-Wint-conversion", "-Wincompatible-pointer-types", "-Wno-enum-conversion")
    command = ["gcc", "-c", *strict, "-I", str(fetched("--cuda", version)), "-o", "calls.o", "calls.c"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", CUDA_HEADERS)
def test_every_function_is_exported_under_this_name_and_takes_these_arguments(version: str, tmp_path: Path) -> None:
    prototypes = dict(cuda._PROTOTYPES)
    uuid = "cuDeviceGetUuid_v2"
    if version == "12.6":  # there the newer of the two has no macro yet
        source = calls(prototypes).replace("return (int)cuDeviceGetUuid(", f"return (int){uuid}(")
    else:
        source = calls(prototypes)
    done = compiled(tmp_path, version, source)
    assert done.returncode == 0, done.stderr
    symbols = subprocess.run(["nm", "-u", str(tmp_path / "calls.o")], capture_output=True, text=True, check=True).stdout
    assert {line.split()[-1] for line in symbols.splitlines()} >= set(prototypes)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cuStreamSynchronize", (ctypes.c_int,)),
        ("cuMemAlloc_v2", (ctypes.c_size_t, ctypes.POINTER(ctypes.c_ulonglong))),
        ("cuCtxSetCurrent", (ctypes.c_void_p, ctypes.c_int)),
        ("cuDeviceGetName", (ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_int)),
    ],
)
def test_the_compiler_refuses_another_number_or_kind_of_arguments(
    name: str, arguments: tuple[object, ...], tmp_path: Path
) -> None:
    assert compiled(tmp_path, "12.6", calls({name: arguments})).returncode != 0


@pytest.mark.parametrize("version", CUDA_HEADERS)
def test_the_stand_in_is_built_with_nvidias_header(version: str, tmp_path: Path) -> None:
    assert (cuda_library(tmp_path, version) / "libcuda.so.1").is_file()
    assert '#include "cuda.h"' in (STAND_IN / "cuda.c").read_text(encoding="utf-8")


def test_a_machine_without_a_driver_is_refused_before_tensorrt_is_touched() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has a CUDA driver")
    with pytest.raises(EngineError, match=r"there is no CUDA driver \(libcuda.so.1: .*choose `backend: onnxruntime`"):
        cuda.Cuda()


def test_a_driver_without_a_gpu_is_refused(bench: Bench) -> None:
    code = """
from runtime.engines.tensorrt.cuda import Cuda
try: Cuda()
except Exception as error: print(error)
"""
    said = bench.python(code, STAND_IN_CUDA="no-gpu")
    assert "finds no GPU (100 CUDA_ERROR_NO_DEVICE no CUDA-capable device is detected)" in said


@pytest.mark.parametrize(("mode", "uuid"), [("", "5a" * 16), ("no-uuid", ""), ("uuid-refused", "")])
def test_the_gpu_is_told_as_the_driver_tells_it(bench: Bench, mode: str, uuid: str) -> None:
    code = """
from runtime.engines.tensorrt.cuda import Cuda
gpu = Cuda().gpu()
print([gpu.name, gpu.compute_capability, gpu.uuid, gpu.cuda])
"""
    said = bench.python(code, STAND_IN_CUDA=mode, STAND_IN_GPU="Orin")
    assert said.strip() == str(["Orin", "8.7", uuid, "12.6"])


MEMORY = """
import ctypes
import numpy as np
from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.cuda import Stream

live = ctypes.CDLL("libcuda.so.1").stand_in_live
stream = Stream()
one, other = (stream.allocate((2, 3), "float32") for _ in range(2))
assert one.array.shape == (2, 3) and not one.array.any() and one.address != other.address
stream.begin_capture()
try: stream.wait()
except EngineError: pass
else: raise SystemExit("waiting inside of a capture must be an error")
stream.upload(one); stream.download(one); stream.end_capture()
one.array[:] = 1.0
stream.launch(); stream.wait()
assert one.array.all()
stream.drop_capture()
try: stream.launch()
except EngineError as error: assert "cuGraphLaunch" in str(error)
else: raise SystemExit("nothing is captured any more")
assert live() > 4
stream.close(); stream.close()
assert live() == 0, live()
"""


def test_memory_and_graph_are_used_and_given_back(bench: Bench) -> None:
    bench.python(MEMORY)


def test_a_device_without_room_gives_everything_back(bench: Bench) -> None:
    code = """
import ctypes
from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.cuda import Stream
live = ctypes.CDLL("libcuda.so.1").stand_in_live
stream = Stream()
try: stream.allocate((2, 3), "float32")
except EngineError as error: print(error)
stream.close()
assert live() == 0, live()
"""
    assert "cuMemAlloc_v2 answered 2" in bench.python(code, STAND_IN_CUDA="no-memory")
