"""A torch module to a plain ONNX: inputs and outputs named as its configuration names them."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from export.front import network_shape
from export.user_module import own_line
from runtime.contracts.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch

    from export.config import ModelConfig

OPSET = 20
"""What ONNX Runtime and TensorRT 10 both read."""

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Traced:
    """A plain ONNX, and the module itself to hold it against; `run` takes and gives tensors by name."""

    onnx: bytes
    run: Callable[[Tensors], dict[str, NDArray[Any]]]


def trace(network: torch.nn.Module, config: ModelConfig, spec: str) -> Traced:
    """The network as ONNX.

    `forward` is called with the images, then the states, then the hidden states, each in the configuration's order. It
    gives one tensor, or a tuple in the order in which the configuration first names them (outputs, concepts, hidden
    states), or a dictionary by name.

    Args:
        network: in evaluation mode.
        config: names, shapes and order.
        spec: what errors call the network.

    Raises:
        ConfigError: the configuration lacks what tracing needs, or the network gives other outputs than it names.
        ModelError: the network cannot take such inputs, or torch cannot export it.
    """
    example = example_inputs(config)
    names = config.output_names

    def run(inputs: Tensors) -> dict[str, NDArray[Any]]:
        import torch

        with torch.inference_mode(), own_line(spec, _called_with(example)):
            tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in example]
            return {name: value.numpy() for name, value in _named(network(*tensors), names, spec).items()}

    given = tuple(run(example))  # eagerly first: what is wrong with the network is told by its own line
    return Traced(_exported(network, example, given, spec), run)


def example_inputs(config: ModelConfig) -> dict[str, NDArray[Any]]:
    """Every input as the network itself takes it, in `forward`'s order: all 0, hidden states at their initial value."""
    example: dict[str, NDArray[Any]] = {
        image.name: np.zeros(network_shape(image), np.uint8 if image.normalise is None else np.float32)
        for image in config.images
    }
    example |= {state.name: np.zeros((1, 1), np.float32) for state in config.states}
    for i, state in enumerate(config.recurrent):
        if state.shape is None:
            raise ConfigError(f"recurrent.{i}.shape: a torch module does not tell the shape of {state.input!r}; add it")
        example[state.input] = np.full(state.shape, state.initial, np.float32)
    return example


def _named(given: Any, names: tuple[str, ...], spec: str) -> dict[str, torch.Tensor]:
    import torch

    if isinstance(given, Mapping):
        tensors = dict(given)
        lacking = [name for name in names if name not in tensors]
        if lacking:
            raise ConfigError(f"{spec} gives {', '.join(map(str, tensors))}, but no {', '.join(lacking)}")
    else:
        listed = list(given) if isinstance(given, tuple | list) else [given]
        if len(listed) != len(names):
            raise ConfigError(
                f"{spec} gives {len(listed)} output(s) and the configuration names {len(names)}: {', '.join(names)}; "
                "name each in outputs, concepts or recurrent, in the order in which forward returns them"
            )
        tensors = dict(zip(names, listed, strict=True))
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f"{spec}: output {name!r} is a {type(tensor).__name__}, and must be a tensor")
    return tensors


def _exported(network: torch.nn.Module, example: Tensors, names: tuple[str, ...], spec: str) -> bytes:
    import torch

    tensors = tuple(torch.from_numpy(np.array(value)) for value in example.values())
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                tensors,
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=list(example),
                output_names=list(names),
                verbose=False,
            )
    except (Exception, SystemExit) as error:
        raise ModelError(f"{spec}: torch cannot export it to ONNX: {_reason(error)}") from error
    assert program is not None
    return bytes(program.model_proto.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints graphs, and warns of packages that it does not need here and of its own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), io.StringIO() as unsaid:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(unsaid), contextlib.redirect_stderr(unsaid):
                yield
    finally:
        logging.disable(before)


def _called_with(example: Tensors) -> str:
    shapes = ", ".join(f"{name} {value.dtype} {list(value.shape)}" for name, value in example.items())
    return f"forward({shapes}) failed"


def _reason(error: BaseException) -> str:
    """What torch has to say, without its own traceback and advice: the first cause, and where in the user's code."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = str(cause).strip()
    operator = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", f"{text}\n{error}")
    if operator:
        return f"there is no ONNX operator for {operator.group(1)}; write it with others"
    places = [place for place in re.findall(r'File "([^"]+)", line (\d+)', text) if "site-packages" not in place[0]]
    where = f"{places[-1][0]}:{places[-1][1]}: " if places else ""
    if "data-dependent" in text:
        return f"{where}its way through forward hangs on what flows through it; write it without such an `if`"
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(cause).__name__)
    return f"{where}{type(cause).__name__}: {first}"
