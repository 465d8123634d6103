"""Which plan a model runs from: the newest in the cache that this device built for its graph."""

from __future__ import annotations

import shlex
from pathlib import Path

from runtime.contracts.engine import EngineRequest
from runtime.contracts.errors import EngineError
from runtime.contracts.model import Manifest, read_manifest
from runtime.engines.tensorrt.cache import Entry, PlanCache, cache_folder
from runtime.engines.tensorrt.identity import Device
from runtime.engines.tensorrt.plan_file import is_own
from runtime.engines.tensorrt.secret import known_secret
from runtime.engines.tensorrt.settings import subject_of


def find_plan(request: EngineRequest) -> Path:
    """The plan to run a request's model from; nothing is asked of the device, and nothing is built.

    Raises EngineError with the command that builds it where there is none.
    """
    manifest = read_manifest(request.model_path)
    entry = choose_plan(PlanCache(cache_folder()), manifest, None)
    if entry is None:
        raise no_plan(request.model_path, f"there is none for this model in {cache_folder()}")
    return entry.path


def choose_plan(cache: PlanCache, manifest: Manifest, device: Device | None) -> Entry | None:
    """The newest plan that this device built and judged for a model's graph at its shapes, None where there is none.

    Args:
        cache: where to look.
        manifest: the model's.
        device: what it must have been built on; None: not known, any.
    """
    secret, subject = known_secret(), subject_of(manifest)
    fitting = [
        entry
        for entry in cache.entries()
        if entry.record is not None
        and (entry.record.subject.graph_sha256, entry.record.subject.shapes) == (subject.graph_sha256, subject.shapes)
        and entry.record.parity is not None
        and is_own(entry.record, secret)
        and (device is None or entry.record.here.device == device)
    ]
    return max(
        fitting, key=lambda entry: (entry.record.built_utc, entry.path.name) if entry.record else ("", ""), default=None
    )


def no_plan(model: Path, why: str) -> EngineError:
    """The error of a model without a plan."""
    return EngineError(
        f"engine.backend is tensorrt, which runs a plan that this device has built, and {why}; build it, which takes "
        f"minutes: {build_command(model)}"
    )


def build_command(model: Path) -> str:
    """What a person types to have a plan."""
    return f"sightline engine build {shlex.quote(str(model))}"
