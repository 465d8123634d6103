"""The way of an export, step by step: network, attribution, parity, precision, worth, report, one folder in the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.artefact import refuse_foreign, whole_folder
from export.config import ModelConfig, load_model_config, parse_model_config
from export.draft import draft
from export.explain import Explained, explained
from export.frames import Frames, frames_of
from export.parity import Parity, parity, refuse
from export.session import Session
from runtime.contracts.errors import ModelError, UsageError
from runtime.contracts.model import manifest_of

if TYPE_CHECKING:
    from export.parity import Run

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked: `module.py:Class` or an ONNX file, its configuration and weights, and where the export goes."""

    network: str
    config: Path | None
    weights: Path | None
    out: Path


@dataclass(frozen=True)
class Done:
    """What an export made, and what a person should know of it."""

    out: Path
    files: tuple[tuple[str, int], ...]  # name and size in bytes
    parity: tuple[str, ...]
    explanation: tuple[str, ...]
    warnings: tuple[str, ...]
    next_step: str
    report: Any


@dataclass(frozen=True)
class Network:
    """A network before its export: its plain ONNX, and itself to hold the export against."""

    onnx: bytes
    run: Run
    name: str


def export(request: Request, say: Say) -> Done:
    """Make the export and put it at `request.out` whole; `say` is told of every step as it begins.

    Raises:
        SightlineError: it could not be made, or one of its own gates refuses it; `request.out` is then as it was.
    """
    refuse_foreign(request.out, request.config)  # before the long work, not after it
    say("reading")
    text, config = _configured(request)
    with whole_folder(request.out, request.config) as folder, _network(request, config, say) as network:
        return _Export(request, config, network, folder, say).made(text)


class _Export:
    """One export under way; files go to a folder that nobody sees yet."""

    def __init__(self, request: Request, config: ModelConfig, network: Network, folder: Path, say: Say) -> None:
        self.request, self.config, self.network, self.folder, self.say = request, config, network, folder, say

    def made(self, text: str) -> Done:
        """Every step in its order."""
        config = self.config
        self.say("writing the attribution into the graph")
        result = explained(self.network.onnx, config)
        frames = self._frames(result)
        self.say("parity")
        held = parity(self.network.run, self.network.name, result.onnx, config, frames)
        refuse(held, config.name)
        self._write(f"{config.name}.onnx", result.onnx)
        (self.folder / f"{config.name}.yaml").write_text(text, encoding="utf-8")
        return self._done(result, held)

    def _frames(self, result: Explained) -> Frames | None:
        wanted = self.config.frames
        if wanted.source is None:
            return None
        self.say("frames")
        return self._frames_of(result, wanted.source, wanted.count)

    def _frames_of(self, result: Explained, uri: str, count: int) -> Frames:
        beside = self.request.config.parent / uri if self.request.config is not None else Path(uri)
        located = str(beside) if "://" not in uri and beside.exists() else uri
        manifest = manifest_of(result.onnx, self.config.name)
        return frames_of(manifest, Session(result.onnx).inputs, located, count)

    def _write(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def _done(self, result: Explained, held: Parity) -> Done:
        warnings = [f"no attribution: {result.left_out}"] if result.left_out else []
        if self.config.frames.source is None:
            warnings.append("no frames.source in the configuration: parity was held on noise and extremes only")
        drives = any(output.quantity == "steering_angle_rad" for output in self.config.outputs)
        file = self.request.out / f"{self.config.name}.onnx"
        return Done(
            out=self.request.out,
            files=tuple((path.name, path.stat().st_size) for path in sorted(self.folder.iterdir())),
            parity=tuple(
                f"{output.name}: at most {output.max_abs:.2g} off {held.reference} (allowed {output.allowed:.2g}), "
                f"cosine {output.cosine:.6f}"
                for output in held.outputs
            ),
            explanation=_told(result),
            warnings=tuple(warnings),
            next_step=f"sightline run --model {file}" if drives else f"sightline model show {file}",
            report=held,
        )


def _told(result: Explained) -> tuple[str, ...]:
    found = result.attribution
    if found is None:
        return ("none",)
    return (f"{found.method}, at {found.layer}, {found.rows} x {found.columns}, of {found.target}",)


def _configured(request: Request) -> tuple[str, ModelConfig]:
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
def _network(request: Request, config: ModelConfig, say: Say) -> Iterator[Network]:
    if _is_onnx(request.network):
        if request.weights is not None:
            raise UsageError("--weights is for a torch module; an ONNX file holds its own")
        plain = _read(request.network)
        yield Network(plain, Session(plain).run, "the ONNX as given")
        return
    from export.trace import trace
    from export.user_module import network_of

    say("building")
    with network_of(request.network, request.weights) as module:
        say("tracing")
        traced = trace(module, config, request.network)
        import torch

        yield Network(traced.onnx, traced.run, f"torch {torch.__version__}")


def _is_onnx(network: str) -> bool:
    return network.endswith(".onnx")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}; give the path of an ONNX file") from error
