"""The page of the export against the export."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from export.config import ModelConfig, parse_model_config
from tests.docs.export_table import keys
from tests.docs.pages import ROOT, blocks, table

PAGE = ROOT / "docs" / "export.md"
SIGHTLINE = Path(sysconfig.get_path("scripts")) / "sightline"


def test_the_page_has_every_key_with_what_it_takes_and_its_default() -> None:
    shown = [(row["key"], row["takes"], row["default"]) for row in table(PAGE, "key")]
    assert shown == [(key.name, key.takes, key.default) for key in keys()]
    assert all(row["what it does"] for row in table(PAGE, "key"))


def test_the_page_has_every_method() -> None:
    [methods] = [key.takes for key in keys() if key.name == "attribution.method"]
    assert {row["method"] for row in table(PAGE, "method")} | {"auto"} == set(methods.split(", "))


def test_the_pages_configuration_is_one() -> None:
    [example] = blocks(PAGE, "yaml")
    assert isinstance(parse_model_config(example, "the page"), ModelConfig)


def test_the_pages_example_is_exported_as_it_stands(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the example is a torch module (extra: export)")
    [code], [config] = blocks(PAGE, "python"), blocks(PAGE, "yaml")
    (tmp_path / "my_policy.py").write_text(code, encoding="utf-8")
    (tmp_path / "model.yaml").write_text(config, encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(code, "my_policy.py", "exec"), namespace)
    torch.manual_seed(3)
    torch.save(namespace["Policy"]().state_dict(), tmp_path / "policy.pt")
    command = blocks(PAGE, "sh")[0].splitlines()[0].split()
    done = subprocess.run([SIGHTLINE, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    stated = {name for row in table(PAGE, "file") for name in row["file"].replace("NAME", "my_policy").split(", ")}
    written = {path.name for path in (tmp_path / "exported").iterdir() if not path.name.startswith(".")}
    assert written == stated - {"my_policy.gradient.onnx"}
    shutil.rmtree(tmp_path / "exported")
