"""What was measured of one exported model, as it lies beside it: `X.report.json` beside `X.onnx`.

It is keyed by the graph's hash: measured things are no part of the model, and a report of another network says nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from export.parity import Parity
from export.precision.drift import Drift
from export.worth.verdict import Worth
from runtime.contracts.errors import ModelError


class Form(msgspec.Struct, frozen=True):
    """Another precision of the model, held against its float32 form.

    `refused` are the sentences of the drift gate; a form that has any was not written, and `file` is empty.
    """

    name: str  # fp16, int8
    file: str
    drift: Drift
    refused: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured; a section that was not is None or empty."""

    graph_sha256: str
    model: str
    parity: Parity | None = None
    without_map: str = ""  # why it has no attribution though one was wanted
    precision: tuple[Form, ...] = ()
    worth: Worth | None = None
    schema_version: Literal[1] = 1


def to_json(report: Report) -> bytes:
    """The file's bytes: the same report gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def read_report(path: Path) -> Report:
    """A report as it lies beside its model. Raises ModelError where it cannot be read or is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise ModelError(f"report {path}: {error.strerror}; give the path of a report") from error
    except msgspec.DecodeError as error:
        raise ModelError(f"report {path} is none: {error}; export the model again") from error


def report_json_schema() -> dict[str, Any]:
    """The published JSON Schema of the report (draft 2020-12)."""
    return msgspec.json.schema(Report)
