"""A plan of an ONNX graph, built by TensorRT on this device. One code path for 10.3 to 11: strongly typed, so that no
flag decides over the precision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from runtime.contracts.errors import EngineError, ModelError
from runtime.contracts.model import Manifest
from runtime.engines.check import Declared, settle_inputs
from runtime.engines.tensorrt.bindings import (
    Builder,
    DataType,
    IBuilderConfig,
    IHostMemory,
    INetworkDefinition,
    IProgressMonitor,
    ITensor,
    ITimingCache,
    Log,
    OnnxParser,
    ParserError,
    load,
    make_logger,
)
from runtime.engines.tensorrt.progress import Step
from runtime.engines.tensorrt.settings import BuildSettings
from runtime.engines.tensorrt.uint8_input import casts_first

OnStep = Callable[[Step], bool]
"""Told how far the build is; False ends it. Called from TensorRT's threads."""


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """What a build gave. `timing` are the times of tactics, for the next build; `timing_used`: those given were."""

    plan: bytes
    timing: bytes
    timing_used: bool
    layers: int
    build_s: float


def build_plan(
    onnx: bytes, manifest: Manifest, where: str, *, settings: BuildSettings, timing: bytes, on_step: OnStep
) -> BuiltPlan:
    """Build a plan. Takes minutes.

    Args:
        onnx: the model's file.
        manifest: its manifest, which settles the shapes.
        where: its name in errors.
        settings: how to build.
        timing: an earlier build's times, b"" for none; those of another device or version are left aside.
        on_step: told of the progress.

    Raises:
        ModelError: TensorRT cannot take the graph, or the graph breaks its manifest.
        EngineError: no TensorRT, it found no way to build (memory, tactics), or `on_step` ended it.
    """
    trt, log = load(), Log()
    logger = make_logger(trt, log)
    began = time.monotonic()
    builder: Builder = trt.Builder(logger)
    network: INetworkDefinition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser: OnnxParser = trt.OnnxParser(network, logger)
    if not parser.parse(casts_first(onnx, tuple(image.name for image in manifest.images), where)):
        raise ModelError(
            f"model {where}: TensorRT {trt.__version__} cannot take its graph: {_parser_errors(parser) or log.why()}; "
            "export it with operators that TensorRT has, or run it with `backend: onnxruntime`"
        )
    _settle_shapes(trt, network, manifest, where)
    config: IBuilderConfig = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    config.builder_optimization_level = settings.optimization_level
    config.max_aux_streams = 0  # one stream: what runs beside what would be left to the moment
    if not settings.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    used = _set_timing(config, timing)
    monitor, steps = _monitor(trt, on_step)
    config.progress_monitor = monitor
    built: IHostMemory = builder.build_serialized_network(network, config)
    if built is None and steps.cancelled:
        raise EngineError(f"the build of {where} was cancelled")
    if built is None:
        raise EngineError(
            f"TensorRT {trt.__version__} built no plan of {where}: {log.why()}; where memory is short, end other "
            f"programs or lower --workspace-mib ({settings.workspace_mib})"
        )
    cache: ITimingCache = config.get_timing_cache()
    times: IHostMemory = cache.serialize()
    return BuiltPlan(bytes(built), bytes(times), used, int(network.num_layers), time.monotonic() - began)


def _settle_shapes(trt: ModuleType, network: INetworkDefinition, manifest: Manifest, where: str) -> None:
    """Fix every dynamic dimension, so that the plan has one shape and needs no optimisation profile."""
    tensors: dict[str, ITensor] = {}
    declared: Declared = {}
    for index in range(network.num_inputs):
        tensor: ITensor = network.get_input(index)
        tensors[tensor.name] = tensor
        shape = tuple(None if size < 0 else int(size) for size in tensor.shape)
        declared = {**declared, tensor.name: (dtype_name(trt, tensor.dtype), shape)}
    for name, spec in settle_inputs(manifest, declared, where).items():
        if None in declared[name][1]:
            dynamic: ITensor = tensors[name]
            dynamic.shape = trt.Dims(spec.shape)


def dtype_name(trt: ModuleType, dtype: DataType) -> str:
    """numpy's name of a TensorRT type; TensorRT's own where numpy has none (BF16, FP8)."""
    try:
        return str(np.dtype(trt.nptype(dtype)).name)
    except TypeError:
        return str(dtype.name)


def _set_timing(config: IBuilderConfig, timing: bytes) -> bool:
    """Use an earlier build's times; where they are another device's or version's, begin with none."""
    for data in (timing, b""):
        cache: ITimingCache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return bool(data)
    return False


def _parser_errors(parser: OnnxParser) -> str:
    words = []
    for index in range(min(3, parser.num_errors)):
        error: ParserError = parser.get_error(index)
        words.append(f"{error.node_operator()} {error.node_name()!r}: {' '.join(error.desc().split())}")
    return "; ".join(words)


class Steps:
    """TensorRT's phases, nested in each other and reported from several threads, as one line of progress."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step
        self._under: dict[str, tuple[str, int]] = {}  # phase -> the phase around it, its number of steps
        self.cancelled = False

    def start(self, phase: str, parent: str, steps: int) -> None:
        """A phase begins."""
        self._under[phase] = (parent, steps)
        self._tell(phase, 0)

    def step(self, phase: str, step: int) -> bool:
        """A step of it is done; whether to go on."""
        self._tell(phase, step + 1)
        return not self.cancelled

    def finish(self, phase: str) -> None:
        """It ends."""
        self._under.pop(phase, None)

    def _tell(self, phase: str, step: int) -> None:
        names = [phase]
        while names[-1] in self._under and self._under[names[-1]][0] and len(names) < 8:
            names.append(self._under[names[-1]][0])
        steps = self._under.get(phase, ("", 0))[1]
        if not self._on_step(Step(tuple(reversed(names)), step, steps)):
            self.cancelled = True


def _monitor(trt: ModuleType, on_step: OnStep) -> tuple[IProgressMonitor, Steps]:
    steps = Steps(on_step)

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined, misc]
        """Hands TensorRT's progress on. An exception may not leave these: below them is C++."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """A phase begins, within another or (None or empty) not."""
            steps.start(phase_name, parent_phase or "", num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """A step is done; False ends the build."""
            return steps.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            """A phase ends."""
            steps.finish(phase_name)

    return Monitor(), steps
