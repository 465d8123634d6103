"""A plain ONNX becomes one that explains itself; the same input gives the same bytes, wherever it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="networks are built with onnx (extra: dev)")

from export.config import parse_model_config  # noqa: E402
from export.explain import explain, explained, plain_of, target_of  # noqa: E402
from export.session import Session  # noqa: E402
from runtime.contracts.errors import ConfigError, ModelError  # noqa: E402
from runtime.contracts.model import METADATA_KEY, manifest_of  # noqa: E402
from tests.export.plain import CONFIG, HEIGHT, WIDTH, config, network, written  # noqa: E402

SCRIPT = """\
import sys
from pathlib import Path
from export.config import load_model_config
from export.explain import explain
here = Path()
sys.stdout.buffer.write(explain((here / "given.onnx").read_bytes(), load_model_config(here / "small.yaml")))
"""


def fed(seed: int = 3) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "pixels": rng.integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8),
        "speed": np.array([[0.7]], np.float32),
    }


def test_the_explained_graph_decides_as_the_plain_one_and_gives_a_map() -> None:
    plain = network()
    inputs = fed()
    floats = inputs["pixels"].transpose(0, 3, 1, 2).astype(np.float32) * np.float32(0.0078125) - 1
    expected = Session(plain).run({"pixels": floats, "speed": inputs["speed"]})
    for form in (explain(plain, config()), plain_of(plain, config())):
        np.testing.assert_allclose(Session(form).run(inputs)["control"], expected["control"], atol=1e-6)
    manifest = manifest_of(explain(plain, config()), "explained")
    assert manifest.attribution is not None
    assert manifest.attribution.scale == 0.25
    found = Session(explain(plain, config())).run(inputs)
    assert found[manifest.attribution.output].shape[-2:] == (manifest.attribution.rows, manifest.attribution.columns)
    assert np.abs(found[manifest.attribution.output]).max() > 0.0
    assert "spare" not in found, "what the configuration does not name is left out"
    assert manifest_of(plain_of(plain, config()), "plain").attribution is None


def test_the_map_of_a_network_without_biases_below_sums_to_what_a_tiny_step_of_the_layer_changes() -> None:
    """Completeness to first order: a finite difference along the layer's own direction."""
    plain, inputs = network(), fed()
    manifest = manifest_of(explain(plain, config()), "explained")
    assert manifest.attribution is not None
    layer = manifest.attribution.layer
    floats = inputs["pixels"].transpose(0, 3, 1, 2).astype(np.float32) * np.float32(0.0078125) - 1
    model = onnx.load_from_string(plain)
    step = 1e-3
    for node in model.graph.node:  # what reads the layer reads (1 + step) x the layer
        node.input[:] = ["stretched" if name == layer else name for name in node.input]
    at = next(i for i, node in enumerate(model.graph.node) if layer in node.output)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1 + step), "factor"))
    model.graph.node.insert(at + 1, onnx.helper.make_node("Mul", [layer, "factor"], ["stretched"]))
    whole = {"pixels": floats, "speed": inputs["speed"]}
    before = Session(plain).run(whole)["control"][0, 0]
    after = Session(model.SerializeToString()).run(whole)["control"][0, 0]
    total = Session(explain(plain, config())).run(inputs)[manifest.attribution.output].sum()
    assert total == pytest.approx((after - before) / step, rel=2e-2)


def test_the_same_input_gives_the_same_bytes_in_every_process_and_folder(tmp_path: Path) -> None:
    here = explain(network(), config())
    assert explain(network(), config()) == here
    for name in ("one", "another/deeper"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        written(folder, network())
        done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, capture_output=True, check=True)
        assert done.stdout == here


def test_the_file_tells_nothing_of_where_it_was_made() -> None:
    found = explain(network(), config())
    model = onnx.load_from_string(found)
    assert [entry.key for entry in model.metadata_props] == [METADATA_KEY]
    assert not any(part.doc_string or part.metadata_props for part in (*model.graph.node, *model.graph.initializer))
    assert model.producer_version == ""
    for word in (b".py", b'File "', b"/home", b"/tmp", str(Path.cwd()).encode()):
        assert word not in found


def test_a_graph_that_no_gradient_passes_is_exported_without_a_map_where_auto_was_asked() -> None:
    found = explained(network(impassable=True), config())
    assert found.attribution is None
    assert "Det" in found.left_out
    assert manifest_of(found.onnx, "m").attribution is None
    assert found.onnx == plain_of(network(impassable=True), config())


def test_a_method_asked_for_by_name_is_refused_with_the_operator() -> None:
    with pytest.raises(ModelError, match="Det"):
        explain(network(impassable=True), config("attribution: {method: gradient-x-activation}\n"))
    with pytest.raises(ModelError, match="Det"):
        explain(network(impassable=True), config("attribution: {layer: first}\n"))


def test_no_map_is_made_where_none_is_wanted() -> None:
    found = explained(network(), config("attribution: {method: none}\n"))
    assert (found.attribution, found.left_out) == (None, "")


def test_the_target_is_the_steering_or_what_the_configuration_says() -> None:
    assert (target_of(config()).output, target_of(config()).index, target_of(config()).scale) == ("control", 0, 0.25)
    accelerating = target_of(config("attribution: {target: acceleration_mps2}\n"))
    assert (accelerating.index, accelerating.quantity) == (1, "acceleration_mps2")
    element = target_of(config("attribution: {target: {output: control, index: 1}}\n"))
    assert (element.index, element.quantity) == (1, "acceleration_mps2")


def test_what_the_graph_does_not_have_is_refused_whatever_the_method() -> None:
    with pytest.raises(ConfigError, match=r"attribution.target.output is 'lane'"):
        explain(network(), config("attribution: {target: {output: lane}}\n"))
    wrong = CONFIG.replace("name: control, quantity: acc", "name: brake, quantity: acc")
    with pytest.raises(ConfigError, match=r"names the output 'brake', and the network gives control, spare"):
        explain(network(), parse_model_config(wrong, "f.yaml"))
    with pytest.raises(ModelError, match=r"outputs\[1\]\.index is 7"):
        explain(network(), parse_model_config(CONFIG.replace("index: 1", "index: 7"), "f.yaml"))
