"""All reference policies as networks: one form, small, exportable, and taught by whatever labels there are."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training and export need the extra 'export'")
onnx = pytest.importorskip("onnx", reason="training and export need the extra 'export'")

from torch import Tensor  # noqa: E402

from export.concept_labels import CONCEPTS  # noqa: E402
from export.losses import Labels  # noqa: E402
from export.policies.catalogue import REFERENCES, reference_by_name  # noqa: E402
from export.policies.vit import BLOCKS, COLUMNS, HEADS, ROWS  # noqa: E402
from export.session import Session  # noqa: E402
from runtime.contracts.errors import UsageError  # noqa: E402


def _inputs(count: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 66, 200, 3), dtype=np.uint8)
    return torch.from_numpy(images), torch.from_numpy(rng.uniform(0, 15, (count, 1)).astype(np.float32))


@pytest.mark.parametrize("name", REFERENCES)
def test_its_onnx_gives_what_the_network_gives(name: str) -> None:
    torch.manual_seed(1)
    reference = reference_by_name(name)
    policy = reference.make().eval()
    image, speed = _inputs(1)
    session = Session(reference.driver(policy))
    found = session.run({"image": image.numpy(), "speed_mps": speed.numpy()})
    with torch.no_grad():
        expected = dict(zip(reference.config().output_names, policy(image, speed), strict=True))
    assert set(found) >= {"steering_angle_rad", "acceleration_mps2"}
    for output, value in expected.items():
        np.testing.assert_allclose(found[output], value.numpy(), rtol=1e-4, atol=1e-4, err_msg=output)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_label_that_nobody_knows_teaches_nothing(name: str) -> None:
    torch.manual_seed(1)
    policy = REFERENCES[name].make()
    image, speed = _inputs(2)
    unknown = Labels(
        torch.full((2,), torch.nan), torch.full((2,), torch.nan), torch.full((2, len(CONCEPTS)), torch.nan)
    )
    known = Labels(torch.tensor([0.1, torch.nan]), unknown.acceleration_mps2, unknown.concepts)

    def gradients(labels: Labels) -> float:
        policy.zero_grad()
        loss = policy.loss(image, speed, labels)
        assert torch.isfinite(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        return sum(float(p.grad.abs().sum()) for p in policy.parameters() if p.ndim == 1 and p.grad is not None)

    # What is left without labels keeps the concepts' maps sparse.
    assert gradients(known) > 3 * gradients(unknown)


def test_the_transformers_graph_holds_every_attention_matrix() -> None:
    torch.manual_seed(1)
    reference = REFERENCES["vit"]
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(reference.driver(reference.make()))).graph
    matrices = [node.output[0] for node in graph.node if node.op_type == "Softmax"]
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info}
    places = ROWS * COLUMNS
    assert [shapes[name] for name in matrices] == [[1, HEADS, places, places]] * BLOCKS
    assert not any(node.domain for node in graph.node)


def test_pilotnet_is_the_published_layout() -> None:
    shapes = {name: tuple(p.shape) for name, p in REFERENCES["pilotnet"].make().named_parameters() if p.ndim > 1}
    convolutions = [shapes[f"conv{i}.weight"] for i in range(1, 6)]
    assert convolutions == [(24, 3, 5, 5), (36, 24, 5, 5), (48, 36, 5, 5), (64, 48, 3, 3), (64, 64, 3, 3)]
    assert [shapes[f"fc{i}.weight"] for i in range(1, 5)] == [(100, 1152), (50, 100), (10, 50), (2, 10)]


def test_a_policy_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="pilotnet, concepts, vit"):
        reference_by_name("nobody")
