"""Writes a model's report beside it."""

from __future__ import annotations

from pathlib import Path

from export.frames import Frames
from export.report.album import album
from export.report.page import page
from export.report.report import Report, to_json
from runtime.contracts.model import manifest_of
from runtime.contracts.worth import report_path


def write_report(model_path: Path, explained: bytes, report: Report, frames: Frames | None = None) -> tuple[Path, Path]:
    """Write `X.report.json` and `X.report.html` beside `X.onnx`.

    Args:
        model_path: where the model lies, or will lie.
        explained: its bytes, from which the pictures are made.
        report: what was measured.
        frames: to picture; without them, or without an attribution, the page has no pictures.

    Returns:
        the two files' paths.
    """
    has_map = manifest_of(explained, str(model_path)).attribution is not None
    shown = album(explained, frames, report) if frames is not None and len(frames) and has_map else None
    data = report_path(model_path)
    html = data.with_suffix(".html")
    data.write_bytes(to_json(report))
    html.write_text(page(report, shown), encoding="utf-8")
    return data, html
