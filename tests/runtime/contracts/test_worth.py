"""The verdict on a network's maps is the one of the report that judged this very network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.contracts.errors import ModelError
from runtime.contracts.model import Manifest, manifest_of
from runtime.contracts.worth import Worth, read_worth, report_path
from tests.models import tiny_policy


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return manifest_of(tiny_policy(), "tiny")


def put_report(folder: Path, content: object) -> Path:
    model = folder / "tiny.int8.onnx"
    report_path(model).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    assert report_path(model).name == "tiny.int8.report.json"
    return model


def test_the_report_beside_a_model_gives_its_verdict(manifest: Manifest, tmp_path: Path) -> None:
    worth = {"verdict": "not worth showing", "reasons": ["edges do better"], "deletion": 0.01}
    model = put_report(tmp_path, {"graph_sha256": manifest.graph_sha256, "worth": worth, "parity": {}})
    assert read_worth(model, manifest) == Worth("not worth showing", ("edges do better",))


def test_without_a_report_or_with_another_networks_nothing_is_judged(manifest: Manifest, tmp_path: Path) -> None:
    assert read_worth(tmp_path / "tiny.onnx", manifest).verdict == "not judged"
    model = put_report(tmp_path, {"graph_sha256": "0" * 64, "worth": {"verdict": "worth showing"}})
    assert read_worth(model, manifest).verdict == "not judged"
    assert "another network" in read_worth(model, manifest).reasons[0]


@pytest.mark.parametrize("content", ["{", {"worth": {}}, {"graph_sha256": "0", "worth": {"verdict": "great"}}])
def test_a_file_that_is_no_report_is_refused_by_its_name(content: object, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tiny\.int8\.report\.json is none"):
        read_worth(put_report(tmp_path, content), manifest)
