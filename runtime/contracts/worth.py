"""Whether a network's explanation is worth showing: the verdict that its export measured, as the vehicle reads it.

The report lies beside the model (`pilotnet.onnx`, `pilotnet.report.json`) and names the graph that it judged. Measured
figures are no part of the model: they may be measured again, on other frames, without changing what drives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from runtime.contracts.errors import ModelError
from runtime.contracts.model import Manifest
from runtime.contracts.regular_file import read_regular

_LARGEST_REPORT_BYTES = 64 * 1024 * 1024

Verdict = Literal["worth showing", "not worth showing", "not judged"]


class Worth(msgspec.Struct, frozen=True):
    """The verdict on a network's explanation, and what it rests on, in sentences."""

    verdict: Verdict = "not judged"
    reasons: tuple[str, ...] = ()


class _Report(msgspec.Struct, frozen=True):
    """What the vehicle reads of a report; it holds more (docs/worth.md)."""

    graph_sha256: str
    worth: Worth | None = None


def report_path(model_path: Path) -> Path:
    """Where the report of a model lies: `DIR/NAME.report.json` beside `DIR/NAME.onnx`."""
    return model_path.with_name(f"{model_path.stem}.report.json")


def read_worth(model_path: Path, manifest: Manifest) -> Worth:
    """The verdict beside a model; `not judged` where there is no report, or one of another network.

    Raises ModelError where there is a file that is no report.
    """
    path = report_path(model_path)
    try:
        report = msgspec.json.decode(read_regular(path, _LARGEST_REPORT_BYTES), type=_Report)
    except FileNotFoundError:
        return Worth(reasons=(f"no report lies beside the model ({path.name})",))
    except OSError as error:
        raise ModelError(f"report {path}: {error.strerror}; make it readable, or take it away") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"report {path} is none: {error}; export the model again, or take the report away") from error
    if report.graph_sha256 != manifest.graph_sha256:
        judged = f"{report.graph_sha256[:12]}…, this one is {manifest.graph_sha256[:12]}…"
        return Worth(reasons=(f"the report beside the model judged another network: {judged}",))
    return report.worth or Worth(reasons=("the report holds no verdict",))
