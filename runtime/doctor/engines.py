"""The GPU, TensorRT, and whether the model runs: by one real inference on each provider."""

from __future__ import annotations

from pathlib import Path

import msgspec

from runtime.contracts.config import Config
from runtime.contracts.errors import EngineError, SightlineError
from runtime.contracts.model import read_manifest
from runtime.doctor.finding import Finding
from runtime.engines import processor
from runtime.engines.open import open_engine
from runtime.engines.preprocessing.open import open_preprocess
from runtime.engines.providers import CUDA
from runtime.engines.tensorrt import bindings
from runtime.engines.tensorrt.cuda import Cuda


def gpu(root: Path = Path("/")) -> Finding:
    """The GPU that CUDA's driver gives. A Jetson has one, and gives it to the groups of its device files."""
    try:
        found = Cuda().gpu()
    except EngineError as error:
        if (root / "etc/nv_tegra_release").exists():
            mend = "sudo usermod -aG video,render $USER, and log in again; in a container both groups by number, and "
            return Finding("gpu", "warn", str(error), mend + "--runtime nvidia (docs/jetson.md)")
        told = processor.nvidia_gpus()
        if told:
            return Finding("gpu", "warn", f"{told}, which CUDA's driver does not open: {error}", "install its driver")
        return Finding("gpu", "ok", "none that CUDA's driver knows; the CPU computes")
    return Finding("gpu", "ok", f"{found.name}, compute capability {found.compute_capability}, CUDA {found.cuda}")


def tensorrt() -> Finding:
    """Whether TensorRT's bindings load."""
    try:
        return Finding("tensorrt", "ok", str(bindings.load().__version__))
    except EngineError as error:
        try:
            Cuda().gpu()
        except EngineError:
            return Finding("tensorrt", "ok", "not here, and nothing to run it on")
        return Finding("tensorrt", "warn", str(error), "on a Jetson: apt install python3-libnvinfer (docs/jetson.md)")


def engines(config: Config) -> list[Finding]:
    """One line for each provider that the configuration names, or one of another back-end than ONNX Runtime; one more
    where the GPU is to preprocess.
    """
    providers = config.engine.providers if config.engine.backend == "onnxruntime" else ("",)
    found = [_engine(config, provider) for provider in providers]
    return found if config.engine.preprocessing == "cpu" else [*found, _preprocessing(config)]


def _preprocessing(config: Config) -> Finding:
    """Whether the GPU preprocesses: by a real pass."""
    try:
        open_preprocess(config.engine, read_manifest(Path(config.model)))
    except SightlineError as error:
        return Finding("preprocessing", "fail", str(error), "set engine.preprocessing: cpu, or install what it needs")
    return Finding("preprocessing", "ok", f"ran on {CUDA}")


def _engine(config: Config, provider: str) -> Finding:
    """Whether the back-end runs the model; `provider` is the one to try by itself, "" where it has none."""
    check = f"engine {provider.removesuffix('ExecutionProvider') or config.engine.backend}"
    try:
        manifest = read_manifest(Path(config.model))
        alone = msgspec.structs.replace(config.engine, providers=(provider,)) if provider else config.engine
        engine = open_engine(alone, Path(config.model))  # proves the provider with one real inference
    except SightlineError as error:
        return Finding(check, "fail", str(error), "choose another under engine:, or install what it needs")
    fingerprint = engine.fingerprint
    engine.close()
    return Finding(check, "ok", f"ran {manifest.name} on {fingerprint.backend} {fingerprint.backend_version}")
