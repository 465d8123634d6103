"""ONNX bytes as a session: what it takes and gives, and clear words where it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.session import Session
from runtime.contracts.errors import ModelError
from tests import models


def test_it_tells_its_inputs_and_gives_the_outputs_that_are_asked_for() -> None:
    session = Session(models.tiny_policy())
    assert {name: (spec.dtype, spec.shape) for name, spec in session.inputs.items()} == {
        "image": ("uint8", (1, 66, 200, 3)),
        "speed_mps": ("float32", (1, 1)),
    }
    fed: dict[str, NDArray[Any]] = {
        "image": np.zeros((1, 66, 200, 3), np.uint8),
        "speed_mps": np.ones((1, 1), np.float32),
        "more": np.ones(1),
    }
    assert set(session.run(fed)) == {"steering", "acceleration", "attribution"}
    assert set(session.run(fed, ["steering"])) == {"steering"}


def test_bytes_that_are_no_graph_and_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="cannot load the graph"):
        Session(b"no graph")
    with pytest.raises(ModelError, match="cannot run the graph"):
        Session(models.tiny_policy()).run({"image": np.zeros((1, 2, 2, 3), np.uint8)})
