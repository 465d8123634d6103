"""The back-end `tensorrt`: a plan that this device built, proven by a real pass, with a fingerprint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from runtime.contracts.engine import Engine, EngineFingerprint, EngineRequest, TensorSpec
from runtime.contracts.errors import EngineError, ModelError
from runtime.contracts.model import Manifest, read_manifest
from runtime.decision.tensors import DTYPES
from runtime.engines import processor
from runtime.engines.check import check_outputs, settle_inputs
from runtime.engines.tensorrt.cache import PlanCache, cache_folder
from runtime.engines.tensorrt.execution import Execution
from runtime.engines.tensorrt.find import build_command, choose_plan, no_plan
from runtime.engines.tensorrt.identity import Here, identify
from runtime.engines.tensorrt.plan_file import PlanRecord, open_plan
from runtime.engines.tensorrt.secret import known_secret
from runtime.engines.tensorrt.settings import subject_of
from runtime.engines.tensorrt.trial import trial_inputs

_PROOF_SEED = 1
_PROVEN_ON = 3  # trial inputs, each passed twice


def open_engine(request: EngineRequest) -> Engine:
    """Load the request's plan, or this device's newest of its model, and prove it by real passes.

    Raises:
        ModelError: the file is no model, or its graph breaks the manifest.
        EngineError: no GPU, no TensorRT, no plan (with the command that builds it), or one that may not be loaded.
    """
    engine = open_judged(request)
    parity, latency = engine.record.parity, engine.record.latency
    if parity is None or latency is None:
        engine.close()
        raise no_plan(request.model_path, "this one was not judged yet")
    refused = parity.refusal(read_manifest(request.model_path).tolerance)
    if refused:
        engine.close()
        raise no_plan(request.model_path, f"of this one {refused}")
    if engine.graph:
        sys.stderr.write(f"sightline: no CUDA graph, each pass is enqueued by itself: {engine.graph}\n")
    return engine


def open_judged(request: EngineRequest, where: str = "") -> TensorRTEngine:
    """As `open_engine`, whatever its judgement says: for judging it. `where` names the model in errors."""
    manifest = read_manifest(request.model_path)
    here = identify()
    path = request.plan_path
    if path is None:
        cache = PlanCache(cache_folder())
        entry = choose_plan(cache, manifest, here.device)
        if entry is None:
            raise no_plan(request.model_path, f"there is none for this model and {here.device} in {cache.folder}")
        path = entry.path
        cache.touch(path)
    record, plan = open_plan(path, known_secret(), here.device)
    wanted = subject_of(manifest)
    if (record.subject.graph_sha256, record.subject.shapes) != (wanted.graph_sha256, wanted.shapes):
        raise EngineError(
            f"the plan {path} is of another model ({record.subject.model}, {record.subject.graph_sha256[:12]}…), not "
            f"of {request.model_path} ({wanted.graph_sha256[:12]}…); build its own: {build_command(request.model_path)}"
        )
    return TensorRTEngine(plan, record, here, manifest, where or str(request.model_path))


class TensorRTEngine:
    """A loaded and proven plan. One thread at a time."""

    def __init__(self, plan: bytes, record: PlanRecord, here: Here, manifest: Manifest, where: str) -> None:
        """Load it and prove it. Raises EngineError, ModelError."""
        self.record, self._here, self._where = record, here, where
        execution = Execution(plan, where)
        self._execution: Execution | None = execution
        self.graph = execution.graph
        self._outputs = dict(execution.outputs)
        try:
            self._inputs = settle_inputs(manifest, execution.inputs, where)
            self._prove(manifest)
        except (EngineError, ModelError):
            self.close()
            raise

    @property
    def fingerprint(self) -> EngineFingerprint:
        """What makes the bits repeatable: the plan, whose tactics were chosen by timing, and what it runs on."""
        device, software, settings = self._here.device, self._here.software, self.record.settings
        gpu = f"{device.gpu} (compute capability {device.compute_capability}, {device.uuid or 'no UUID'})"
        return EngineFingerprint(
            backend="tensorrt",
            backend_version=device.tensorrt,
            provider=f"CUDA {software.cuda}",
            threads=1,
            optimisation=f"level {settings.optimization_level}{', tf32' if settings.tf32 else ''}",
            processor="; ".join((processor.cpu(), gpu)),
            system=", ".join(filter(None, (processor.system(), software.os, software.jetpack))),
            plan_sha256=self.record.plan_sha256,
        )

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Every input of the plan, by name."""
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Every output of the plan, by name."""
        return self._outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass. Raises EngineError on inputs that the plan does not take, where the device fails, after `close`."""
        if self._execution is None:
            raise EngineError(f"model {self._where}: its engine was closed; open another")
        if inputs.keys() != self._inputs.keys():
            raise EngineError(
                f"model {self._where}: it takes {', '.join(self._inputs)}, and was given "
                f"{', '.join(inputs) or 'nothing'}"
            )
        for name, spec in self._inputs.items():
            value = inputs[name]
            if value.shape != spec.shape or value.dtype.name != spec.dtype:
                raise EngineError(
                    f"model {self._where}: input {name!r} is {value.dtype.name} of shape {list(value.shape)}; it takes "
                    f"{spec.dtype} of shape {list(spec.shape)}"
                )
        return self._execution.run(inputs)

    def close(self) -> None:
        """Give the device's memory back. Idempotent."""
        if self._execution is not None:
            self._execution.close()
            self._execution = None

    def _prove(self, manifest: Manifest) -> None:
        check_outputs(manifest, self._inputs, self._outputs, self._where)
        for spec in self._outputs.values():
            if spec.dtype not in DTYPES:
                raise ModelError(f"model {self._where}: output {spec.name!r} is {spec.dtype}, which no record holds")
        for (_, given), _ in zip(trial_inputs(manifest, self._inputs, _PROOF_SEED), range(_PROVEN_ON), strict=False):
            first, second = self.run(given), self.run(given)
            for name, value in first.items():
                if value.tobytes() != second[name].tobytes():
                    raise EngineError(
                        f"model {self._where}: two passes over the same input gave different {name!r}, so no decision "
                        "could be replayed; build the plan again, and report it where it stays so"
                    )
