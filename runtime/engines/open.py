"""One way in to every back-end: by the name that the configuration gives.

A back-end that runs a plan which it compiled on this device registers beside its `open_engine`, under the same name in
the group `sightline.plans`, a function EngineRequest -> Path that finds it: a drive keeps the plan that drove.
"""

from __future__ import annotations

from pathlib import Path

from runtime.contracts import registry
from runtime.contracts.config import EngineConfig
from runtime.contracts.engine import Engine, EngineRequest


def open_engine(config: EngineConfig, model_path: Path, plan_path: Path | None = None) -> Engine:
    """Load a model as `config` says, from `plan_path` where it is given and the back-end runs plans.

    Raises UsageError on an unknown back-end, and what the back-end raises.
    """
    engine: Engine = registry.load("sightline.engines", config.backend)(_request(config, model_path, plan_path))
    return engine


def find_plan(config: EngineConfig, model_path: Path) -> Path | None:
    """The plan that a model would be run from, None for a back-end that runs none.

    Raises EngineError with the way to build it where there is no plan.
    """
    if config.backend not in registry.names("sightline.plans"):
        return None
    found: Path = registry.load("sightline.plans", config.backend)(_request(config, model_path, None))
    return found


def _request(config: EngineConfig, model_path: Path, plan_path: Path | None) -> EngineRequest:
    return EngineRequest(model_path, config.providers, config.threads, config.optimisation, plan_path)
