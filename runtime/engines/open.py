"""One way in to every back-end: by the name that the configuration gives."""

from __future__ import annotations

from pathlib import Path

from runtime.contracts import registry
from runtime.contracts.config import EngineConfig
from runtime.contracts.engine import Engine, EngineRequest


def open_engine(config: EngineConfig, model_path: Path) -> Engine:
    """Load a model as `config` says. Raises UsageError on an unknown back-end, and what the back-end raises."""
    request = EngineRequest(model_path, config.providers, config.threads, config.optimisation)
    engine: Engine = registry.load("sightline.engines", config.backend)(request)
    return engine
