"""What an export is given: a network, as torch code or as ONNX, and what its configuration says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from export.config import ModelConfig, load_model_config, parse_model_config
from export.draft import draft
from export.session import Session
from runtime.contracts import onnx_file
from runtime.contracts.errors import ModelError, UsageError

if TYPE_CHECKING:
    from export.parity import Run, Tensors

Say = Callable[[str], None]
"""Is told of every step as it begins."""


@dataclass(frozen=True)
class Request:
    """What is asked: `module.py:Class` or an ONNX file, its configuration and weights, and where the export goes."""

    network: str
    config: Path | None
    weights: Path | None
    out: Path


@dataclass(frozen=True)
class Network:
    """A network before its export: its plain ONNX, itself to hold the export against, and what is odd about it."""

    onnx: bytes
    run: Run
    name: str
    warning: str = ""


def configured(request: Request) -> tuple[str, ModelConfig]:
    """The configuration's text and what it says: the one that was given, or a draft."""
    if request.config is not None:
        config = load_model_config(request.config)
        return request.config.read_text(encoding="utf-8"), config
    if not _is_onnx(request.network):
        raise UsageError(f"{request.network}: a torch module needs --config: its code tells neither units nor signs")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(request.network).stem).strip("-.") or "model"
    text = draft(_read(request.network), name)
    return text, parse_model_config(text, f"the draft for {request.network}")


@contextmanager
def network(request: Request, config: ModelConfig, say: Say) -> Iterator[Network]:
    """The network, usable inside of the `with`. An ONNX file is taken without torch.

    Raises:
        SightlineError: it is not there, cannot be used, or is not what the configuration says.
    """
    if _is_onnx(request.network):
        if request.weights is not None:
            raise UsageError("--weights is for a torch module; an ONNX file holds its own")
        plain = _read(request.network)
        yield Network(plain, _runner(plain), "the ONNX as given")
        return
    from export.trace import trace
    from export.user_module import network_of

    say("building")
    with network_of(request.network, request.weights) as (module, drawn):
        say("tracing")
        traced = trace(module, config, request.network)
        import torch

        warning = "no --weights were given, and the module draws its own: nothing was learnt here" if drawn else ""
        yield Network(traced.onnx, traced.run, f"torch {torch.__version__}", warning)


def _runner(plain: bytes) -> Run:
    """The file as it was given; pictures come as float32, and some networks take float16."""
    session = Session(plain)

    def run(inputs: Tensors) -> dict[str, NDArray[Any]]:
        taken = {name: inputs[name].astype(spec.dtype, copy=False) for name, spec in session.inputs.items()}
        return session.run(taken)

    return run


def _is_onnx(network: str) -> bool:
    return network.endswith(".onnx")


def _read(path: str) -> bytes:
    try:
        content = Path(path).read_bytes()
        onnx_file.metadata(content)
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}; give the path of an ONNX file") from error
    except ValueError as error:
        raise ModelError(f"model {path} is no ONNX file (protobuf ModelProto): {error}; export it again") from error
    return content
