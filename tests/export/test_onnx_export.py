"""The exported file: repeatable, anonymous, small, and carrying its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")
onnx = pytest.importorskip("onnx", reason="training and export need the extra 'export'")

from export.onnx_export import export_onnx, write_model  # noqa: E402
from export.pilotnet import PilotNet  # noqa: E402
from export.reference import manifest  # noqa: E402
from runtime.contracts.model import manifest_of  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


def _policy(seed: int) -> PilotNet:
    torch.manual_seed(seed)
    policy = PilotNet()
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.ndim == 1:
                parameter.normal_(0.0, 0.1)
    return policy


@pytest.fixture(scope="module")
def exported() -> bytes:
    return export_onnx(_policy(1), manifest())


def test_the_same_weights_give_the_same_bytes(exported: bytes) -> None:
    assert export_onnx(_policy(1), manifest()) == exported


def test_other_weights_give_another_identity(exported: bytes) -> None:
    other = export_onnx(_policy(2), manifest())
    assert manifest_of(other, "other").graph_sha256 != manifest_of(exported, "exported").graph_sha256


def test_the_file_tells_nothing_of_where_it_was_made(exported: bytes) -> None:
    model = onnx.load_from_string(exported)
    assert [entry.key for entry in model.metadata_props] == ["sightline.manifest"]
    parts = [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]
    assert not any(part.metadata_props or part.doc_string for part in parts)
    assert not any(word in exported for word in (b".py", b'File "', b"torch.nn", b"pkg."))


def test_the_file_is_whole_and_small(exported: bytes) -> None:
    model = onnx.load_from_string(exported)
    assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
    assert len(exported) < 2_000_000


def test_the_weights_are_there_once_though_the_map_reads_them_too(exported: bytes) -> None:
    names = [tensor.name for tensor in onnx.load_from_string(exported).graph.initializer]
    sizes = sorted(
        tensor.dims[0] * tensor.dims[1]
        for tensor in onnx.load_from_string(exported).graph.initializer
        if len(tensor.dims) == 2
    )
    assert len(names) == len(set(names))
    assert sizes[-1] == 100 * 1152
    assert sizes.count(100 * 1152) == 1


def test_a_model_is_put_in_place_whole(tmp_path: Path, exported: bytes) -> None:
    target = tmp_path / "new" / "model.onnx"
    write_model(target, b"before")
    write_model(target, exported)
    assert target.read_bytes() == exported
    assert [path.name for path in target.parent.iterdir()] == ["model.onnx"]
