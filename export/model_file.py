"""One model's file, put in place whole."""

from __future__ import annotations

import tempfile
from pathlib import Path


def write_model(path: Path, onnx_bytes: bytes) -> None:
    """Put a model's file in place: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as new:
        new.write(onnx_bytes)
    Path(new.name).chmod(0o644)
    Path(new.name).replace(path)
