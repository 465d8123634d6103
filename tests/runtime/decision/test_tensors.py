"""Tensors in the record are the arrays, bit for bit."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Tensor
from runtime.contracts.topics import MODEL_INPUT
from runtime.decision.tensors import DTYPES, pack, pack_tensor, unpack, unpack_tensor


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda name: npst.arrays(
            np.dtype(name),
            npst.array_shapes(min_dims=0, max_dims=4, min_side=0),
            elements={"allow_nan": True} if name.startswith("float") else None,
        )
    )
)
def test_every_array_comes_back_with_its_bits_shape_and_type(array: NDArray[Any]) -> None:
    back = unpack_tensor(pack_tensor("x", array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_nan_payloads_the_sign_of_zero_and_subnormals_survive_the_wire() -> None:
    bits = np.array([0x7FC00001, 0xFF800001, 0x80000000, 0x00000001, 0x7F800000], np.uint32)
    message = pack({"x": bits.view(np.float32)}, 3, 4)
    back = unpack(MODEL_INPUT.decode(MODEL_INPUT.encode(message)))["x"]
    assert back.view(np.uint32).tolist() == bits.tolist()


def test_byte_order_and_memory_order_do_not_change_what_is_recorded() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pack_tensor("x", array.astype(">f4")) == pack_tensor("x", array)
    assert pack_tensor("x", np.asfortranarray(array)) == pack_tensor("x", array)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data": b"\0" * 7}, "7 bytes"),
        ({"shape": (3,)}, "12"),
        ({"shape": (-1, -2)}, "shape"),
        ({"dtype": "complex64"}, "complex64"),
        ({"dtype": "|O"}, "|O"),
    ],
)
def test_a_malformed_tensor_is_refused_with_what_is_wrong(change: dict[str, Any], named: str) -> None:
    tensor = msgspec.structs.replace(Tensor("steering", "float32", (2,), b"\0" * 8), **change)
    with pytest.raises(RecordError, match="steering") as refusal:
        unpack_tensor(tensor)
    assert named in str(refusal.value)


def test_a_type_that_no_network_has_is_not_recorded() -> None:
    with pytest.raises(RecordError, match="complex128"):
        pack_tensor("x", np.zeros(2, np.complex128))


def test_a_name_that_stands_twice_is_refused() -> None:
    tensors = pack({"x": np.zeros(1, np.float32)}, 0, 0)
    doubled = msgspec.structs.replace(tensors, tensors=tensors.tensors * 2)
    with pytest.raises(RecordError, match="twice"):
        unpack(doubled)
