"""The second ONNX that answers the gradient at every pixel, and the deep methods that repeat runs of it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.attribution.target import Target  # noqa: E402
from export.companion import Companion, companion_of, input_gradient, integrated_gradients, smoothgrad  # noqa: E402
from export.graph.graph import Graph  # noqa: E402
from export.session import Session  # noqa: E402
from runtime.contracts.errors import ModelError  # noqa: E402
from runtime.contracts.model import model_sha256  # noqa: E402

Array = np.ndarray[Any, Any]
SHAPE = (1, 12, 16, 3)
STEERING = Target("steering", 0, scale=-2.0)
CLASS = Target("score", "argmax", quantity="score")


def _network(*, linear: bool = False, first: str = "camera") -> bytes:
    """A picture and a speed to a steering, and to three scores behind a softmax."""
    rng = np.random.default_rng(5)
    graph = Graph()
    image = graph.add_input(first, np.uint8, SHAPE)
    speed = graph.add_input("speed", np.float32, (1, 1))

    def weights(*shape: int, scale: float = 0.3) -> str:
        return graph.constant(rng.normal(0, scale, shape).astype(np.float32))

    x = graph.emit("Cast", graph.emit("Transpose", image, perm=[0, 3, 1, 2]), to=1)
    x = graph.emit("Mul", x, graph.constant(np.array(1 / 127.5, np.float32)))
    x = graph.emit("Conv", x, weights(4, 3, 3, 3), strides=[2, 2])
    x = x if linear else graph.emit("Relu", x)
    x = graph.emit("Gemm", graph.emit("Flatten", x), weights(140, 8), weights(8))
    x = graph.emit("Add", x, speed)
    x = x if linear else graph.emit("Tanh", x)
    graph.rename(graph.emit("Gemm", x, weights(8, 1)), "steering")
    graph.rename(graph.emit("Softmax", graph.emit("MatMul", x, weights(8, 3)), axis=1), "score")
    graph.outputs += ["steering", "score"]
    return graph.to_bytes()


def _moment(seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"camera": rng.integers(0, 256, SHAPE).astype(np.uint8), "speed": np.array([[0.4]], np.float32)}


def _companion(model: bytes, target: Target, pixels: Literal["float32", "uint8"] = "float32") -> bytes:
    return input_gradient(model, target, ["camera"], model_sha256(model), pixels=pixels)


def test_its_value_is_the_models_answer_and_its_gradient_the_answers_slope() -> None:
    model, moment = _network(), _moment()
    run = Companion(_companion(model, STEERING)).at(moment, "camera")
    seen = moment["camera"].astype(np.float32)
    found = run(seen)
    answer = Session(model).run(moment)["steering"]
    assert found.value == pytest.approx(-2.0 * float(answer[0, 0]), rel=1e-6)
    assert found.gradient.dtype == np.float32
    assert found.gradient.shape == SHAPE
    way = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    rise = (run(seen + 0.05 * way).value - run(seen - 0.05 * way).value) / 0.1
    assert rise == pytest.approx(float((found.gradient * way).sum()), rel=2e-3)


def test_it_takes_recorded_bytes_as_well_and_answers_the_same() -> None:
    model, moment = _network(), _moment()
    exact = Session(_companion(model, STEERING, "uint8")).run(moment)
    floats = Companion(_companion(model, STEERING)).at(moment, "camera")(moment["camera"].astype(np.float32))
    np.testing.assert_allclose(exact["gradient_camera"], floats.gradient, rtol=0, atol=1e-9)
    with pytest.raises(ModelError, match="uint8"):
        Companion(_companion(model, STEERING, "uint8")).at(moment, "camera")


def test_it_names_the_model_that_it_explains() -> None:
    model = _network()
    about = companion_of(_companion(model, STEERING), "x.gradient.onnx")
    assert about.graph_sha256 == model_sha256(model)
    assert (about.tensor, about.index, about.scale, about.value) == ("steering", 0, -2.0, "target")
    assert about.gradients == {"camera": "gradient_camera"}
    with pytest.raises(ModelError, match=r"x\.onnx is no companion"):
        companion_of(model, "x.onnx")


def test_of_a_score_it_answers_the_logit_of_the_class_that_leads_at_the_picture() -> None:
    """Along a path another class may lead; the one that is explained stays."""
    model = _network()
    companion = Companion(_companion(model, CLASS))
    moments = [_moment(seed) for seed in range(12)]
    leads = [int(Session(model).run(moment)["score"].argmax()) for moment in moments]
    assert len(set(leads)) > 1
    other = next(moment for moment, lead in zip(moments, leads, strict=True) if lead != leads[0])
    run = companion.at(moments[0], "camera")
    there = other["camera"].astype(np.float32)
    session = Session(_companion(model, Target("score", leads[0], quantity="score")))
    fixed = session.run({**moments[0], "camera": there})
    assert run(there).value == pytest.approx(float(fixed["target"]), rel=1e-6)
    assert companion.at(other, "camera")(there).value > run(there).value


def test_integrated_gradients_sum_to_the_change_of_the_answer() -> None:
    run = Companion(_companion(_network(), STEERING)).at(_moment(), "camera")
    image, grey = _moment()["camera"], np.full(SHAPE, 128, np.uint8)
    coarse, fine = (integrated_gradients(run, image, grey, steps) for steps in (2, 64))
    change = fine.value - fine.baseline_value
    assert fine.attribution.sum() == pytest.approx(change + fine.gap, rel=1e-4)
    assert abs(fine.gap) < 0.01 * abs(change)
    assert abs(coarse.gap) > abs(fine.gap)


def test_of_a_linear_network_one_step_is_exact_and_noise_changes_nothing() -> None:
    run = Companion(_companion(_network(linear=True), STEERING)).at(_moment(), "camera")
    image, black = _moment()["camera"], np.zeros(SHAPE, np.uint8)
    slope = run(image.astype(np.float32)).gradient
    found = integrated_gradients(run, image, black, steps=1)
    np.testing.assert_allclose(found.attribution, slope * image, rtol=1e-6)
    assert abs(found.gap) < 1e-5 * abs(found.value)
    np.testing.assert_allclose(smoothgrad(run, image, sigma=20.0, samples=3), slope, rtol=1e-6)


def test_smoothgrad_is_the_mean_slope_around_the_picture_and_repeats_itself() -> None:
    run = Companion(_companion(_network(), STEERING)).at(_moment(), "camera")
    image = _moment()["camera"]
    one, again, other = (smoothgrad(run, image, 25.0, 8, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0
    sharp = run(image.astype(np.float32)).gradient
    np.testing.assert_array_equal(smoothgrad(run, image, 0.0, 1), sharp)
    assert np.abs(one - sharp).max() > 0.01 * np.abs(sharp).max()


def test_what_cannot_be_asked_is_refused() -> None:
    model = _network()
    run = Companion(_companion(model, STEERING)).at(_moment(), "camera")
    image = _moment()["camera"]
    with pytest.raises(ModelError, match="no input 'rear'; it takes camera, speed"):
        input_gradient(model, STEERING, ["rear"], "0" * 64)
    with pytest.raises(ModelError, match="'brake' is no output"):
        _companion(model, Target("brake"))
    with pytest.raises(ValueError, match="the same"):
        integrated_gradients(run, image, image[:, :5])
    with pytest.raises(ValueError, match="0 steps"):
        integrated_gradients(run, image, image, 0)
    with pytest.raises(ValueError, match="sigma"):
        smoothgrad(run, image, -1.0)


def test_the_same_model_gives_the_same_companion_byte_for_byte() -> None:
    assert _companion(_network(), CLASS) == _companion(_network(), CLASS)


def test_names_that_the_model_uses_itself_do_no_harm() -> None:
    model = _network(first="target")
    data = input_gradient(model, STEERING, ["target"], "0" * 64)
    about = companion_of(data, "x")
    assert about.value != "target"
    moment = _moment()
    moment["target"] = moment.pop("camera")
    assert np.isfinite(Companion(data).at(moment, "target")(moment["target"].astype(np.float32)).value)
