"""Metadata is read, written and left out of an ONNX file as the onnx package would; other bytes are a ValueError."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.contracts.onnx_file import external_tensor, metadata, with_metadata, without_metadata
from tests.models import tiny_policy

TEXTS = st.text(max_size=300)
READERS: tuple[Callable[[bytes], object], ...] = (metadata, without_metadata, external_tensor)


@cache
def plain() -> bytes:
    return without_metadata(tiny_policy())


@given(st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_what_is_written_is_read_and_leaves_the_rest_as_it_was(entries: dict[str, str]) -> None:
    data = plain()
    for key, value in entries.items():
        data = with_metadata(data, key, value)
    assert metadata(data) == entries
    assert without_metadata(data) == plain()


@given(TEXTS, TEXTS, TEXTS)
def test_a_key_that_is_there_is_replaced(key: str, old: str, new: str) -> None:
    assert with_metadata(with_metadata(plain(), key, old), key, new) == with_metadata(plain(), key, new)


def test_the_onnx_package_agrees() -> None:
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    data = with_metadata(with_metadata(plain(), "a", "1"), "b", "ü" * 200)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"a": "1", "b": "ü" * 200}
    del model.metadata_props[:]
    assert without_metadata(data) == without_metadata(model.SerializeToString())


def test_a_key_that_is_there_twice_is_refused() -> None:
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    model = onnx.load_from_string(plain())
    for value in ("1", "2"):
        model.metadata_props.add(key="a", value=value)
    with pytest.raises(ValueError, match="holds 'a' twice"):
        metadata(model.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_a_value_error(data: bytes) -> None:
    for read in READERS:
        with suppress(ValueError):
            read(data)
    with suppress(ValueError):
        assert with_metadata(data, "a", "b").startswith(without_metadata(data)[:1])


@given(st.data())
def test_a_damaged_file_is_read_or_a_value_error(data: st.DataObject) -> None:
    damaged = bytearray(tiny_policy()[: data.draw(st.integers(0, 30_000))])
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for read in READERS:
        with suppress(ValueError):
            read(bytes(damaged))


def test_a_file_without_a_graph_is_none() -> None:
    with pytest.raises(ValueError, match="no graph"):
        metadata(b"")


def externalised(*path: str) -> bytes:
    """A model with a tensor in another file: among the initializers, or in a node of a branch."""
    onnx = pytest.importorskip("onnx", reason="the test networks are built with onnx (extra: test)")
    helper = onnx.helper
    tensor = onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "far")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    tensor.ClearField("raw_data")
    nodes: list[Any] = []
    if "branch" in path:
        constant = helper.make_node("Constant", [], ["out"])
        constant.attribute.append(helper.make_attribute("value", tensor))
        branch = helper.make_graph([constant], "branch", [], [helper.make_empty_tensor_value_info("out")])
        nodes.append(helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch))
    graph = helper.make_graph(nodes, "g", [], [], [] if nodes else [tensor])
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("place", ["initializer", "branch"])
def test_a_tensor_in_another_file_is_found_wherever_it_is(place: str) -> None:
    assert external_tensor(externalised(place)) == "far"
    assert external_tensor(tiny_policy()) is None
