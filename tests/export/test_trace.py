"""A torch module as ONNX: tensors under the configuration's names, and clear words where it cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="what is traced is a torch module (extra: export)")
pytest.importorskip("onnxscript", reason="torch exports through onnxscript (extra: export)")

from torch import Tensor, nn  # noqa: E402

from export.config import ModelConfig, parse_model_config  # noqa: E402
from export.session import Session  # noqa: E402
from export.trace import example_inputs, trace  # noqa: E402
from runtime.contracts.errors import ConfigError, ModelError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = """\
name: traced
images: [{name: image, width: 12, height: 8, normalise: {}}]
states: [{name: speed_mps, quantity: speed_mps}]
recurrent: [{input: h, output: h_next, shape: [1, 5], initial: 0.25}]
outputs:
  - {name: control, quantity: steering_angle_rad, minimum: -1, maximum: 1}
  - {name: control, quantity: acceleration_mps2, index: 1, minimum: -1, maximum: 1}
concepts: [{name: offset, unit: m, output: concepts}]
"""


class Policy(nn.Module):
    """Two controls, three concepts, a memory of five; `answer` says in which form they are returned."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        super().__init__()
        self.answer = answer
        self.look = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.cell = nn.Linear(4 + 1 + 5, 5)
        self.control, self.concepts = nn.Linear(5, 2), nn.Linear(5, 3)

    def forward(self, image: Tensor, speed_mps: Tensor, h: Tensor) -> Any:
        seen = torch.relu(self.look(image)).mean((2, 3))
        after = torch.tanh(self.cell(torch.cat([seen, speed_mps, h], 1)))
        return self.answer(self.control(after), self.concepts(after), after)


def config(text: str = TEXT) -> ModelConfig:
    return parse_model_config(text, "f.yaml")


def policy(answer: Callable[..., Any] = lambda *tensors: tensors) -> Policy:
    torch.manual_seed(2)
    return Policy(answer).eval()


def test_the_network_takes_its_inputs_in_the_order_and_shape_of_the_configuration() -> None:
    example = example_inputs(config())
    assert {name: (value.dtype.name, value.shape) for name, value in example.items()} == {
        "image": ("float32", (1, 3, 8, 12)),
        "speed_mps": ("float32", (1, 1)),
        "h": ("float32", (1, 5)),
    }
    assert (example["h"] == 0.25).all()


def test_a_tuple_is_named_in_order_a_dictionary_by_name_and_both_compute_the_same() -> None:
    rng = np.random.default_rng(1)
    inputs = {name: rng.normal(size=value.shape).astype(np.float32) for name, value in example_inputs(config()).items()}
    listed = trace(policy(), config(), "a.py:Policy")
    named = trace(
        policy(lambda control, concepts, after: {"h_next": after, "control": control, "concepts": concepts}),
        config(),
        "a.py:Policy",
    )
    for traced in (listed, named):
        session = Session(traced.onnx)
        found = session.run(inputs)
        assert set(found) == {"control", "concepts", "h_next"}
        for name, value in traced.run(inputs).items():
            np.testing.assert_allclose(found[name], value, atol=1e-6)
            np.testing.assert_array_equal(value, listed.run(inputs)[name])


def test_outputs_that_the_configuration_does_not_name_are_counted_out() -> None:
    with pytest.raises(
        ConfigError, match=r"gives 2 output\(s\) and the configuration names 3: control, concepts, h_next"
    ):
        trace(policy(lambda control, concepts, after: (control, after)), config(), "a.py:Policy")
    with pytest.raises(ConfigError, match="no concepts"):
        trace(policy(lambda control, _, after: {"control": control, "h_next": after}), config(), "a.py:Policy")
    with pytest.raises(ModelError, match="output 'concepts' is a float"):
        trace(policy(lambda control, _, after: (control, 1.0, after)), config(), "a.py:Policy")


def test_a_hidden_state_without_a_shape_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"recurrent\.0\.shape"):
        trace(policy(), config(TEXT.replace("shape: [1, 5], ", "")), "a.py:Policy")


def test_a_picture_of_another_size_is_told_with_the_shapes_that_went_in() -> None:
    with pytest.raises(ModelError) as raised:
        trace(policy(), config(TEXT.replace("shape: [1, 5]", "shape: [1, 6]")), "a.py:Policy")
    assert "forward(image float32 [1, 3, 8, 12], speed_mps float32 [1, 1], h float32 [1, 6]) failed" in str(
        raised.value
    )


class Bessel(Policy):
    """What ONNX has no operator for."""

    def forward(self, image: Tensor, speed_mps: Tensor, h: Tensor) -> Any:
        return super().forward(image, torch.special.bessel_j0(speed_mps), h)


class Choosing(Policy):
    """Another way through it for bright pictures."""

    def forward(self, image: Tensor, speed_mps: Tensor, h: Tensor) -> Any:
        return super().forward(image if image.mean() > 0.5 else 2 * image, speed_mps, h)


def test_what_onnx_cannot_say_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=r"no ONNX operator for prims\.bessel_j0"):
        trace(Bessel(lambda *tensors: tensors).eval(), config(), "a.py:Bessel")
    with pytest.raises(ModelError, match="hangs on what flows through it"):
        trace(Choosing(lambda *tensors: tensors).eval(), config(), "a.py:Choosing")
    assert "Traceback" not in "".join(capfd.readouterr()), "torch's own account of it is not the user's"
