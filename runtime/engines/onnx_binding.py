"""One pass of ONNX Runtime over memory that stays on the device: nothing is allocated from pass to pass.

Without it a session on a GPU takes new memory for every tensor of every pass, both ways. On the CPU there is nothing to
copy, so the engine does not use it there; that it gives the same bits is tested there all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contracts.engine import TensorSpec

_DEVICES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}
_FIRST_DEVICE = 0


def device_of(providers: tuple[str, ...]) -> str | None:
    """ONNX Runtime's name of the device that the first provider computes on; None: the host's own memory."""
    return _DEVICES.get(providers[0])


class Binding:
    """A session's inputs and outputs, bound to a device. One thread at a time."""

    def __init__(
        self,
        library: Any,
        session: Any,
        device: str,
        *,
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
        fixed: frozenset[str],
        held: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Take memory for every input, and for the outputs `fixed`, whose shape never changes.

        Args:
            library: the module onnxruntime.
            session: its session.
            device: `cuda`, or `cpu`.
            inputs: every input of the graph that another value goes into in each pass.
            outputs: every output of the graph as a real pass gave it.
            fixed: the outputs that keep their shape; the others are put into new memory in every pass.
            held: the other inputs, with the value that each keeps; it is copied once.
        """
        self._session, self._inputs, self._names = session, inputs, tuple(outputs)
        self._binding = session.io_binding()
        self._values = {}
        for name, spec in inputs.items():
            value = _allocated(library, spec, device)
            self._values[name] = value
            self._binding.bind_ortvalue_input(name, value)
        for name, array in (held or {}).items():
            value = _allocated(library, TensorSpec(name, str(array.dtype), array.shape), device)
            value.update_inplace(np.ascontiguousarray(array))
            self._binding.bind_ortvalue_input(name, value)
        for name, spec in outputs.items():
            if name in fixed:
                self._binding.bind_ortvalue_output(name, _allocated(library, spec, device))
            else:
                self._binding.bind_output(name, "cpu")

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass; what comes out shares no memory with the next. Raises ValueError on inputs that it has no room for,
        and what ONNX Runtime raises.
        """
        if inputs.keys() != self._values.keys():
            raise ValueError(f"it takes {', '.join(self._values)}, and was given {', '.join(inputs) or 'nothing'}")
        for name, array in inputs.items():
            spec = self._inputs[name]
            if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):  # its bytes would be taken as they are
                given = f"{array.dtype} {list(array.shape)}"
                raise ValueError(f"{name!r} is {given}, and the graph takes {spec.dtype} {list(spec.shape)}")
            self._values[name].update_inplace(np.ascontiguousarray(array))
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        outputs = self._binding.get_outputs()
        return {name: np.array(value.numpy()) for name, value in zip(self._names, outputs, strict=True)}


def _allocated(library: Any, spec: TensorSpec, device: str) -> Any:
    element_type = np.dtype(spec.dtype).type
    return library.OrtValue.ortvalue_from_shape_and_type(list(spec.shape), element_type, device, _FIRST_DEVICE)
