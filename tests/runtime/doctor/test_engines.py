"""What the doctor says of the engine that the configuration asks for."""

from __future__ import annotations

import msgspec

from runtime.contracts.config import EngineConfig, default_config
from runtime.doctor.engines import engines


def test_a_gpu_that_cannot_preprocess_is_a_failure_with_its_mend() -> None:
    plain = default_config()
    asked = msgspec.structs.replace(plain, engine=EngineConfig(preprocessing="gpu"))
    engine, preprocessing = engines(asked)
    assert engine.verdict == "ok"
    assert (preprocessing.check, preprocessing.verdict) == ("preprocessing", "fail")
    assert "names no CUDAExecutionProvider" in preprocessing.found
    assert "engine.preprocessing: cpu" in preprocessing.mend
    assert [finding.check for finding in engines(plain)] == ["engine CPU"]
