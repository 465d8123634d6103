"""A network out of somebody's Python file: found, built, given its weights; what goes wrong in it is told by its line.

The file's folder is on `sys.path` while it is used, as if it had been run; afterwards neither the path nor the modules
that came from the folder stay behind.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from runtime.contracts.errors import ModelError, SightlineError, UsageError

_NAME = "sightline_exported"


class Built(NamedTuple):
    """A torch module in evaluation mode, and whether its weights are drawn at random, since nobody gave any."""

    network: Any
    drawn: bool


@contextmanager
def network_of(spec: str, weights: Path | None = None) -> Iterator[Built]:
    """The network that `spec` names, usable inside of the `with`.

    Args:
        spec: `path/to/module.py:Class` or `package.module:function`; called without arguments it gives a module.
        weights: a state_dict as `torch.save` writes it; read without running any code of the file.

    Raises:
        UsageError: the spec, or the file with the weights, names nothing.
        ModelError: the code raises, gives no torch module, or the weights do not fit it.
    """
    where, _, attribute = spec.rpartition(":")
    if not where or not attribute.isidentifier():
        raise UsageError(f"{spec!r} names no network; write path/to/module.py:Class, or give an .onnx file")
    with _imports_of(where) as module:
        factory = getattr(module, attribute, None)
        if not callable(factory):
            named = [name for name in vars(module) if _is_network(getattr(module, name))]
            raise UsageError(f"{where} has no {attribute!r} to call; there are: {', '.join(named) or 'no networks'}")
        yield _built(factory, spec, weights)


@contextmanager
def own_line(spec: str, doing: str) -> Iterator[None]:
    """Turn whatever the user's code raises into a ModelError that shows the user's line, not ours."""
    try:
        yield
    except SightlineError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{spec}: {doing}: {explained(error, spec)}") from error


def explained(error: BaseException, spec: str) -> str:
    """`file:line: what was raised`, of the last line that is the user's."""
    said = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {said}"
    folder = str(Path(spec.rpartition(":")[0]).resolve().parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if str(Path(frame.filename).resolve()).startswith(folder) and "site-packages" not in frame.filename
    ]
    if not frames:
        return said
    return f"{frames[-1].filename}:{frames[-1].lineno}: {said} (in `{frames[-1].line}`)"


@contextmanager
def _imports_of(where: str) -> Iterator[ModuleType]:
    path = Path(where)
    if path.suffix != ".py":
        yield _imported(where)
        return
    if not path.is_file():
        raise UsageError(f"{where}: there is no such file; give path/to/module.py:Class, or an .onnx file")
    folder = str(path.resolve().parent)
    known, before = set(sys.modules), list(sys.path)
    sys.path.insert(0, folder)
    try:
        with own_line(f"{where}:", "it cannot be imported"):
            found = importlib.util.spec_from_file_location(_NAME, path)
            assert found is not None
            assert found.loader is not None
            module = importlib.util.module_from_spec(found)
            sys.modules[_NAME] = module
            found.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = before
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if name == _NAME or (file is not None and str(Path(file).resolve()).startswith(f"{folder}/")):
                del sys.modules[name]


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"there is no module {name!r} ({error}); give path/to/module.py:Class, or an .onnx file"
        ) from error
    except Exception as error:
        raise ModelError(f"module {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _built(factory: Any, spec: str, weights: Path | None) -> Built:
    import torch

    # Weights that nobody gave are drawn; the same ones each time, so that the same inputs give the same file.
    network = _made(factory, spec, seed=0)
    if not isinstance(network, torch.nn.Module):
        raise ModelError(f"{spec} gives a {type(network).__name__}, and must give a torch.nn.Module")
    drawn = False
    if weights is not None:
        _load(network, spec, weights)
    else:
        other = _made(factory, spec, seed=1).state_dict()
        drawn = any(not torch.equal(value, other[name]) for name, value in network.state_dict().items())
    return Built(network.eval().requires_grad_(requires_grad=False), drawn)


def _made(factory: Any, spec: str, seed: int) -> Any:
    import torch

    with own_line(spec, "it cannot be built (it is called without arguments)"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


def _load(network: Any, spec: str, weights: Path) -> None:
    import torch

    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"weights {weights}: {error.strerror or error}; give a state_dict's file") from error
    except Exception as error:
        raise ModelError(
            f"weights {weights} hold more than tensors, or are damaged ({str(error).strip().splitlines()[0]}); "
            "save them with torch.save(network.state_dict(), PATH)"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        found = ", ".join(map(str, list(state)[:6])) if isinstance(state, dict) else type(state).__name__
        raise ModelError(
            f"weights {weights} are no state_dict (they hold {found}); "
            "save them with torch.save(network.state_dict(), PATH)"
        )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"weights {weights} do not fit {spec}: {error}") from error


def _is_network(value: Any) -> bool:
    import torch

    return isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == _NAME
