"""A network out of somebody's file: used as it stands there, and nothing of it stays behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="networks out of Python files are torch modules (extra: export)")

from export.user_module import network_of  # noqa: E402
from runtime.contracts.errors import ModelError, UsageError  # noqa: E402

NETWORK = """\
import torch
from torch import nn
from layers_beside import Doubled

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.twice = Doubled()

    def forward(self, x):
        return self.twice(self.head(x))

def make():
    return Policy()

def number():
    return 3

class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.width = 1 // 0

def leaves():
    raise SystemExit(3)
"""
BESIDE = "from torch import nn\n\nclass Doubled(nn.Module):\n    def forward(self, x):\n        return 2 * x\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "layers_beside.py").write_text(BESIDE, encoding="utf-8")
    path = tmp_path / "policy.py"
    path.write_text(NETWORK, encoding="utf-8")
    return path


def test_a_class_or_a_function_of_a_file_gives_a_network_in_evaluation_mode(file: Path) -> None:
    for name in ("Policy", "make"):
        with network_of(f"{file}:{name}") as (network, _):
            assert not network.training
            assert network(torch.ones(1, 4)).shape == (1, 2)


def test_neither_the_path_nor_the_modules_of_the_file_stay_behind(file: Path) -> None:
    path, modules = list(sys.path), set(sys.modules)
    with network_of(f"{file}:Policy"):
        assert str(file.parent) in sys.path
    assert sys.path == path
    assert "layers_beside" not in sys.modules
    assert not [name for name in set(sys.modules) - modules if name.startswith("sightline")]


def test_weights_that_nobody_gave_are_the_same_each_time_and_leave_the_generator_alone(file: Path) -> None:
    before = torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        with network_of(f"{file}:Policy") as (network, _):
            drawn.append(network.head.weight.clone())
    assert torch.equal(*drawn)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_that_are_drawn_are_told_from_those_that_are_given_or_set(file: Path, tmp_path: Path) -> None:
    with network_of(f"{file}:Policy") as built:
        assert built.drawn
        torch.save(built.network.state_dict(), tmp_path / "weights.pt")
    with network_of(f"{file}:Policy", tmp_path / "weights.pt") as built:
        assert not built.drawn
    with network_of(f"{file.parent / 'layers_beside.py'}:Doubled") as built:
        assert not built.drawn


def test_weights_are_a_state_dict(file: Path, tmp_path: Path) -> None:
    with network_of(f"{file}:Policy") as (network, _):
        state = {name: torch.full_like(value, 0.5) for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "weights.pt")
    with network_of(f"{file}:Policy", tmp_path / "weights.pt") as (network, _):
        assert network(torch.ones(1, 4)).tolist() == [[5.0, 5.0]]


def test_weights_that_would_run_code_are_refused_and_run_none(file: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"head.weight": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="more than tensors"), network_of(f"{file}:Policy", tmp_path / "evil.pt"):
        pass
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"head.weight": torch.ones(3, 4), "head.bias": torch.ones(2)}, "size mismatch for head.weight"),
        ({"head.weight": torch.ones(2, 4)}, "Missing key"),
        ({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, "no state_dict (they hold state_dict, epoch)"),
    ],
)
def test_weights_that_do_not_fit_say_what_does_not(
    file: Path, tmp_path: Path, state: dict[str, object], said: str
) -> None:
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ModelError) as raised, network_of(f"{file}:Policy", tmp_path / "weights.pt"):
        pass
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Broken", ["policy.py:23", "ZeroDivisionError", "self.width = 1 // 0"]),
        ("leaves", ["policy.py:26", "SystemExit: 3"]),
        ("number", ["gives a int", "torch.nn.Module"]),
    ],
)
def test_what_cannot_be_built_is_told_by_its_own_line(file: Path, name: str, said: list[str]) -> None:
    with pytest.raises(ModelError) as raised, network_of(f"{file}:{name}"):
        pass
    for words in said:
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import torch\nclass Policy(:\n", ["policy.py:2", "SyntaxError"]),
        ("import torch\nimport absent_package\n", ["policy.py:2", "absent_package"]),
        ("def deep():\n    raise ValueError('no')\n\ndeep()\n", ["policy.py:2", "ValueError: no"]),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_by_its_own_line(tmp_path: Path, code: str, said: list[str]) -> None:
    file, path = tmp_path / "policy.py", list(sys.path)
    file.write_text(code, encoding="utf-8")
    with pytest.raises(ModelError) as raised, network_of(f"{file}:Policy"):
        pass
    for words in said:
        assert words in str(raised.value)
    assert sys.path == path


def test_a_spec_that_names_nothing_says_what_there_is(file: Path) -> None:
    with pytest.raises(UsageError, match="there are: Policy, Broken"), network_of(f"{file}:Police"):
        pass
    for spec in ("absent.py:Policy", "absent_module:Policy"):
        with pytest.raises(UsageError, match="there is no"), network_of(spec):
            pass
    with pytest.raises(UsageError, match=r"path/to/module\.py:Class"), network_of(str(file)):
        pass
