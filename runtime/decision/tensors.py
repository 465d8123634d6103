"""numpy arrays to recorded tensors and back, bit for bit: what a NaN carries, the sign of a zero, subnormals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.errors import RecordError
from runtime.contracts.messages import Tensor, TensorSet

DTYPES = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)
_LITTLE_ENDIAN = {name: np.dtype(name).newbyteorder("<") for name in DTYPES}


def pack_tensor(name: str, array: NDArray[Any]) -> Tensor:
    """An array as it is recorded: little-endian, C order. Raises RecordError on a dtype that a record does not hold."""
    dtype = array.dtype.name
    if dtype not in _LITTLE_ENDIAN:
        raise RecordError(f"tensor {name!r} is of {dtype}; a record holds {', '.join(DTYPES)}")
    return Tensor(name, dtype, array.shape, array.astype(_LITTLE_ENDIAN[dtype], copy=False).tobytes())


def unpack_tensor(tensor: Tensor) -> NDArray[Any]:
    """The array of a recorded tensor, read-only, C order, in the machine's byte order.

    Raises RecordError where dtype, shape and the number of bytes do not fit each other.
    """
    dtype = _LITTLE_ENDIAN.get(tensor.dtype)
    if dtype is None:
        raise RecordError(
            f"tensor {tensor.name!r} is recorded as {tensor.dtype!r}, which is none of {', '.join(DTYPES)}"
        )
    if any(size < 0 for size in tensor.shape):
        raise RecordError(f"tensor {tensor.name!r} is recorded with the shape {tensor.shape}")
    expected = math.prod(tensor.shape) * dtype.itemsize
    if expected != len(tensor.data):
        raise RecordError(
            f"tensor {tensor.name!r} is recorded with {len(tensor.data)} bytes; "
            f"{tensor.dtype} of shape {tensor.shape} takes {expected}"
        )
    array = np.frombuffer(tensor.data, dtype=dtype).reshape(tensor.shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def pack(arrays: Mapping[str, NDArray[Any]], sequence: int, t_source_ns: int) -> TensorSet:
    """All tensors of one side of one pass, in the mapping's order. Raises RecordError as `pack_tensor` does."""
    return TensorSet(sequence, t_source_ns, tuple(pack_tensor(name, array) for name, array in arrays.items()))


def unpack(tensors: TensorSet) -> dict[str, NDArray[Any]]:
    """The arrays by name. Raises RecordError as `unpack_tensor` does, and on a name that stands twice."""
    arrays = {tensor.name: unpack_tensor(tensor) for tensor in tensors.tensors}
    if len(arrays) != len(tensors.tensors):
        names = [tensor.name for tensor in tensors.tensors]
        raise RecordError(f"frame {tensors.sequence}: a tensor's name is recorded twice: {', '.join(sorted(names))}")
    return arrays
