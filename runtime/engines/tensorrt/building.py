"""From a model to a plan in the cache: built, judged, and only then swapped in whole."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from runtime.contracts.errors import EngineError, ModelError
from runtime.contracts.model import Manifest, manifest_of
from runtime.engines.tensorrt.cache import PlanCache
from runtime.engines.tensorrt.find import choose_plan, no_plan
from runtime.engines.tensorrt.identity import Here, identify
from runtime.engines.tensorrt.lock import build_lock
from runtime.engines.tensorrt.plan_file import PlanRecord, open_plan, sealed, write_plan
from runtime.engines.tensorrt.process import run_job
from runtime.engines.tensorrt.progress import BuildJob, Built, Checked, CheckJob, Step
from runtime.engines.tensorrt.secret import device_secret, known_secret
from runtime.engines.tensorrt.settings import BuildSettings, plan_key, subject_of

OnProgress = Callable[[str], None]
"""Told once a second or more often what is being done."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a plan must keep. `tolerance` None: the manifest's. `limit_us` is of a pass, p99."""

    tolerance: float | None
    limit_us: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What is to be built, and how. `again`: also where there is a plan already."""

    model: Path
    settings: BuildSettings
    demand: Demand
    cache: PlanCache
    limit_bytes: int
    again: bool = False
    wait: bool = True


class BuildResult(msgspec.Struct, frozen=True):
    """The plan that there is now. `built` False: it was there. `graph` "": it runs as a CUDA graph; None: not asked."""

    plan: str
    built: bool
    record: PlanRecord
    graph: str | None
    timing_cache: bool
    evicted: tuple[str, ...]


class CheckResult(msgspec.Struct, frozen=True):
    """A plan judged again: `refusal` is "" where it may drive."""

    plan: str
    record: PlanRecord
    checked: Checked
    refusal: str


def build(order: BuildOrder, on_progress: OnProgress) -> BuildResult:
    """Have a plan: the one there is, or a new one.

    Raises:
        ModelError: the file is no model that TensorRT can take.
        EngineError: no GPU, no TensorRT, it cannot be built, or the plan did not pass; then what was there is there.
    """
    onnx, manifest = _read(order.model)
    here = identify()
    key = plan_key(subject_of(manifest), order.settings, here)
    target = order.cache.path(key)
    secret = device_secret()
    there = None if order.again else _usable(target, secret, here, manifest)
    if there is not None:
        return BuildResult(str(target), False, there, None, False, ())
    with build_lock(
        order.cache.folder, f"building {order.model.name}", _waiting(on_progress), wait=order.wait
    ) as waited:
        there = _usable(target, secret, here, manifest) if waited else None
        if there is not None:
            return BuildResult(str(target), False, there, None, False, ())
        with order.cache.staging() as staging:
            return _Build(order, onnx, manifest, here, key, secret, staging, on_progress).run()


def check(model: Path, cache: PlanCache, demand: Demand, on_progress: OnProgress) -> CheckResult:
    """Judge the plan that `model` runs from again. Raises as `build`, and EngineError where there is none."""
    _, manifest = _read(model)
    here = identify()
    entry = choose_plan(cache, manifest, here.device)
    if entry is None:
        raise no_plan(model, f"there is none for this model and {here.device} in {cache.folder}")
    record, _ = open_plan(entry.path, known_secret(), here.device)
    job = _check_job(model, model, entry.path, None, demand)
    checked = run_job(job, _telling(on_progress, "checking"))
    assert isinstance(checked, Checked)
    return CheckResult(str(entry.path), record, checked, _refusal(checked, manifest))


@dataclass(frozen=True, slots=True)
class _Build:
    """One build, in its staging folder."""

    order: BuildOrder
    onnx: bytes
    manifest: Manifest
    here: Here
    key: str
    secret: bytes
    staging: Path
    on_progress: OnProgress

    def run(self) -> BuildResult:
        order, cache, target = self.order, self.order.cache, self.order.cache.path(self.key)
        try:
            (self.staging / "model.onnx").write_bytes(self.onnx)  # the bytes that were hashed, whatever the file does
            built = self._built()
            plan = (self.staging / "raw").read_bytes()
            (self.staging / "raw").unlink()
            record = self._record(plan, built)
            candidate = self.staging / "candidate.plan"
            write_plan(candidate, sealed(record, self.secret), plan)
            replaced = target if target.exists() else None
            job = _check_job(self.staging / "model.onnx", order.model, candidate, replaced, order.demand)
            checked = run_job(job, _telling(self.on_progress, "checking"))
            assert isinstance(checked, Checked)
            refused = _refusal(checked, self.manifest)
            if refused:
                kept = "; the plan in use stays" if replaced else ""
                raise EngineError(f"the plan of {order.model} was built and is not taken into use: {refused}{kept}")
            judged = msgspec.structs.replace(record, parity=checked.parity, latency=checked.latency)
            judged = sealed(judged, self.secret)
            write_plan(candidate, judged, plan)
            evicted = cache.make_room(candidate.stat().st_size, order.limit_bytes, target)
        except OSError as error:
            raise EngineError(
                f"the plan cache {cache.folder} cannot be written: {error.strerror}; make room, or choose another with "
                "--cache"
            ) from error
        cache.swap_in(candidate, target)
        gone = tuple(str(path) for path in evicted)
        return BuildResult(str(target), True, judged, checked.graph, built.timing_cache, gone)

    def _built(self) -> Built:
        timing = self.order.cache.timing_path(_device_name(self.here))
        staged = self.staging / "timing"
        with contextlib.suppress(FileNotFoundError):
            staged.write_bytes(timing.read_bytes())
        job = BuildJob(
            str(self.staging / "model.onnx"),
            str(self.order.model),
            str(self.staging / "raw"),
            str(staged),
            self.order.settings,
        )
        built = run_job(job, _telling(self.on_progress, "building"))
        assert isinstance(built, Built)
        self.order.cache.swap_in(staged, timing)  # of use whatever becomes of the plan
        return built

    def _record(self, plan: bytes, built: Built) -> PlanRecord:
        return PlanRecord(
            key=self.key,
            plan_sha256=hashlib.sha256(plan).hexdigest(),
            plan_bytes=len(plan),
            subject=subject_of(self.manifest),
            settings=self.order.settings,
            here=self.here,
            built_utc=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            build_s=round(built.build_s, 3),
        )


def _check_job(model: Path, named: Path, plan: Path, replaced: Path | None, demand: Demand) -> CheckJob:
    return CheckJob(
        model=str(model),
        where=str(named),
        plan=str(plan),
        replaced=None if replaced is None else str(replaced),
        tolerance=demand.tolerance,
        limit_us=demand.limit_us,
        seed=demand.seed,
    )


def _read(model: Path) -> tuple[bytes, Manifest]:
    try:
        onnx = model.read_bytes()
    except OSError as error:
        raise ModelError(f"model {model}: {error.strerror}; give the path of an ONNX file") from error
    return onnx, manifest_of(onnx, str(model))


def _usable(target: Path, secret: bytes, here: Here, manifest: Manifest) -> PlanRecord | None:
    """The record of a plan that is there and may drive; None sends for a new one."""
    try:
        record, _ = open_plan(target, secret, here.device)
    except EngineError:
        return None
    passed = record.parity is not None and not record.parity.refusal(manifest.tolerance)
    return record if passed else None


def _refusal(checked: Checked, manifest: Manifest) -> str:
    return "; ".join(filter(None, (checked.parity.refusal(manifest.tolerance), checked.latency.refusal())))


def _device_name(here: Here) -> str:
    return hashlib.sha256(msgspec.json.encode(here)).hexdigest()[:16]


def _waiting(on_progress: OnProgress) -> Callable[[str], None]:
    return lambda who: on_progress(f"waiting: {who} holds the device")


def _telling(on_progress: OnProgress, what: str) -> Callable[[Step | None], None]:
    return lambda step: on_progress(what if step is None else f"{what}: {step}")
