"""How long do a pass and preprocessing take on each provider that this machine has?

Everything of one model takes turns in one process, in another order each time, so that all meet the same caches and
clocks. A ratio is against the bare pass of the same model on the CPU provider. A bare pass hands numpy's arrays in and
takes them out; a bound one has its tensors in memory of the device and copies what changes: the way the engine drives
on a GPU. Both preprocessings begin with a picture of 1280x720 on the host and end with the model's input on the host,
as the record needs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine, today
from runtime.contracts.config import packaged
from runtime.contracts.engine import EngineRequest
from runtime.contracts.errors import EngineError
from runtime.contracts.model import ImageInput, read_manifest
from runtime.engines import processor, providers
from runtime.engines.check import zeros
from runtime.engines.onnx import open_engine
from runtime.engines.onnx_binding import device_of
from runtime.engines.onnx_library import Library
from runtime.engines.preprocessing.session import PreprocessingSession
from runtime.preprocess import preprocess

MODELS = ("concepts", "pilotnet", "vit")
WARM_UP = 20
_HEIGHT, _WIDTH = 720, 1280
_BASELINE = (providers.CPU, "bare pass")

Passes = dict[tuple[str, str], Callable[[], object]]


class Row(msgspec.Struct, frozen=True):
    """One step of one model on one provider."""

    model: str
    provider: str
    step: str
    p50_us: float
    p99_us: float
    ratio_p50: float  # to the bare pass on the CPU provider
    ratio_p99: float


def measure(model: str, turns: int) -> tuple[list[Row], dict[str, str]]:
    """The rows of one packaged model, and of each provider that could not run it the reason."""
    path = packaged(f"{model}.onnx")
    if path is None:
        raise ValueError(f"there is no packaged model {model!r}")
    image = read_manifest(path).images[0]
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (_HEIGHT, _WIDTH, 3), dtype=np.uint8)
    passes: Passes = {}
    refused: dict[str, str] = {}
    for provider in here():
        found, reason = _tried(path, image, picture, provider)
        passes |= found
        refused |= {provider: reason} if reason else {}
    passes["OpenCV", "preprocessing"] = lambda: preprocess(picture, image)
    order = list(passes)
    taken: dict[tuple[str, str], list[int]] = {each: [] for each in order}
    for turn in range(WARM_UP + turns):
        for index in random.permutation(len(order)):
            begin = time.perf_counter_ns()
            passes[order[index]]()
            if turn >= WARM_UP:
                taken[order[index]].append(time.perf_counter_ns() - begin)
    base = _percentiles_us(taken[_BASELINE])
    rows = []
    for (provider, step), ns in taken.items():
        p50_us, p99_us = _percentiles_us(ns)
        rows.append(Row(model, provider, step, p50_us, p99_us, p50_us / base[0], p99_us / base[1]))
    return rows, refused


def here() -> list[str]:
    """The providers of this ONNX Runtime that the engine knows how to bind, the CPU's first."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    return [providers.CPU, *(name for name in available if device_of((name,)) is not None)]


def _tried(path: Path, image: ImageInput, picture: NDArray[np.uint8], provider: str) -> tuple[Passes, str]:
    try:
        return _passes(path, image, picture, provider), ""
    except EngineError as error:
        return {}, str(error)


def _passes(path: Path, image: ImageInput, picture: NDArray[np.uint8], provider: str) -> Passes:
    wanted = (provider,)
    engine = open_engine(EngineRequest(path, wanted, 1, "all"))  # proves that the provider computes
    inputs, outputs = engine.inputs, engine.outputs
    engine.close()
    feed: Mapping[str, NDArray[Any]] = {**zeros(inputs), image.name: preprocess(picture, image)}
    library = Library(path.read_bytes(), f"model {path.name}", wanted, 1, "all")
    session = library.session()
    device = device_of(wanted) or "cpu"
    bound = library.bound_to(device, library.session(), inputs=inputs, outputs=outputs, fixed=frozenset(outputs))
    passes: Passes = {
        (provider, "bare pass"): lambda: session.run(None, dict(feed)),
        (provider, "bound pass"): lambda: bound.run(feed),
    }
    if provider in (providers.CPU, providers.CUDA):  # the only ones that preprocessing is asked of
        graph = PreprocessingSession(image, provider, device)
        passes[provider, "preprocessing graph"] = lambda: graph(picture)
    return passes


def _percentiles_us(ns: list[int]) -> tuple[float, float]:
    p50, p99 = np.percentile(np.array(ns) / 1000.0, [50, 99])
    return float(p50), float(p99)


def main() -> int:
    """Print the table. Returns 0: nothing is promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--turns", type=int, default=400, help="of each step (default 400)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows: list[Row] = []
    refused: dict[str, str] = {}
    for model in MODELS:
        found, reasons = measure(model, arguments.turns)
        rows += found
        refused |= reasons
    gpus = processor.nvidia_gpus()
    if arguments.json:
        report = {"benchmark": "engines", "machine": machine(), "gpu": gpus, "date": today(), "refused": refused}
        print(json.dumps({**report, "results": [msgspec.to_builtins(row) for row in rows]}, indent=2))
        return 0
    print(f"{machine()}, {gpus or 'no NVIDIA GPU'}, {today()}\n")
    print("| model | on | step | p50, µs | p99, µs | p50 to a bare pass on the CPU | p99 |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        name = row.provider.removesuffix("ExecutionProvider")
        figures = f"{row.p50_us:.0f} | {row.p99_us:.0f} | {row.ratio_p50:.2f} x | {row.ratio_p99:.2f} x"
        print(f"| {row.model} | {name} | {row.step} | {figures} |")
    for provider, reason in refused.items():
        print(f"\n{provider} was not measured: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
