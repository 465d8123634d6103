"""The pages of the contracts against the contracts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import inspect

from runtime.contracts import model, onnx_file
from runtime.contracts.config import Config
from runtime.contracts.engine import EngineRequest
from runtime.contracts.topics import TOPICS
from runtime.engines.onnx import open_engine
from tests.docs.config_table import keys
from tests.docs.pages import PAGES, ROOT, blocks, inline_code, table, text
from tests.models import tiny_policy

CONFIG, TOPIC, MODEL = (ROOT / "docs" / f"{name}.md" for name in ("config", "topics", "model"))
STRUCTS = (
    *(model.Manifest, model.ImageInput, model.Crop, model.Intrinsics),
    *(model.StateInput, model.Output, model.Recurrent, model.Concept, model.AttributionOutput),
)


def test_the_config_page_has_every_key_with_what_it_takes_and_its_default() -> None:
    shown = [(row["key"], row["takes"], row["default"]) for row in table(CONFIG, "key")]
    assert shown == [(key.name, key.takes, key.default) for key in keys()]
    assert all(row["what it does"] for row in table(CONFIG, "key"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_config_key_that_a_page_names_exists(page: Path) -> None:
    sections = [f.name for f in msgspec.structs.fields(Config) if isinstance(f.default, msgspec.Struct)]
    known = {key.name for key in keys()}
    dotted = re.compile(rf"({'|'.join(sections)})(\.[a-z_0-9]+)+")
    named = {code for code in inline_code(page) if dotted.fullmatch(code)}
    assert named <= known


def test_the_topics_page_is_the_table_of_topics() -> None:
    columns = ("topic", "schema", "encoding", "expected", "viewers' queue", "shows people")
    shown = [tuple(row[column] for column in columns) for row in table(TOPIC, "topic")]
    assert shown == [(t.name, t.schema_name, t.encoding, t.rate, str(t.viewer_queue), t.shows_people) for t in TOPICS]
    assert {topic.name for topic in TOPICS if not topic.recorded} == {"/seal/head"}, "the page says which are recorded"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_topic_that_a_page_names_exists(page: Path) -> None:
    names = {re.sub(r"\{\w+\}", "*", topic.name) for topic in TOPICS}
    roots = {name.split("/")[1] for name in names}
    for code in inline_code(page):
        if re.fullmatch(r"/[a-z/{}_]+", code) and code.split("/")[1] in roots:
            pattern = re.sub(r"\{\w+\}", "*", code).replace("/camera/front/", "/camera/*/")
            assert pattern in names, f"{page.name} names {code}"


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_the_model_page_has_every_field_of_the_manifest(struct: type[msgspec.Struct]) -> None:
    section = re.split(r"^## ", text(MODEL), flags=re.MULTILINE)
    [found] = [part for part in section if part.startswith(f"{struct.__name__}\n")]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*?) ?\|", found, re.MULTILINE)
    assert rows == [(field.name, _kind(field.type), _default(field)) for field in _fields(struct)]


def test_the_model_pages_example_makes_a_model_that_an_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_policy.onnx").write_bytes(onnx_file.without_metadata(tiny_policy()))
    monkeypatch.chdir(tmp_path)
    [example] = blocks(MODEL, "python")
    exec(compile(example, str(MODEL), "exec"), {})
    path = tmp_path / "my_policy_with_manifest.onnx"
    manifest = model.read_manifest(path)
    assert manifest.name == "my-policy"
    engine = open_engine(EngineRequest(path, ("CPUExecutionProvider",), 1, "all"))
    outputs = engine.run({"image": np.zeros((1, 66, 200, 3), np.uint8), "speed_mps": np.full((1, 1), 15.0, np.float32)})
    engine.close()
    assert set(outputs) == {"steering", "acceleration", "attribution"}


def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _kind(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        kinds = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return ", ".join(sorted(_kind(one) for one in kinds))
    if isinstance(kind, inspect.VarTupleType):
        return f"list of {_kind(kind.item_type)}"
    if isinstance(kind, inspect.StructType):
        return kind.cls.__name__
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(str(value) for value in sorted(kind.values, key=str))
    plain: dict[type[inspect.Type], str] = {
        inspect.StrType: "text",
        inspect.IntType: "whole number",
        inspect.FloatType: "number",
        inspect.BoolType: "true, false",
    }
    return plain[type(kind)]


def _default(field: inspect.Field) -> str:
    default: Any = field.default
    if default is msgspec.NODEFAULT:
        return ""
    if default == model.Crop():
        return "whole picture"
    return "none" if default in (None, (), "") else f"{default:f}".rstrip("0") if default == 1e-4 else str(default)
