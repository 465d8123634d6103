"""Every key of the configuration with what it takes and its default, in the words of docs/config.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from runtime.contracts.config import Config


@dataclass(frozen=True)
class Key:
    """One row."""

    name: str  # dotted
    takes: str
    default: str


def keys() -> list[Key]:
    """Every key, in the order of the file."""
    return list(_keys(Config, ""))


def _keys(struct: type[msgspec.Struct], prefix: str) -> Iterator[Key]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        if isinstance(field.type, inspect.StructType):
            yield from _keys(field.type.cls, f"{prefix}{field.name}.")
        else:
            yield Key(f"{prefix}{field.name}", _takes(field.type), _default(field.default))


def _takes(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_takes(one) for one in kind.types if not isinstance(one, inspect.NoneType)) + ", or nothing"
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(str(value) for value in sorted(kind.values, key=str))
    if isinstance(kind, inspect.VarTupleType):
        return f"a list of {_takes(kind.item_type)}" + (f", at least {kind.min_length}" if kind.min_length else "")
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        what = "whole number" if isinstance(kind, inspect.IntType) else "number"
        low = _number(kind.ge) if kind.ge is not None else f"over {_number(kind.gt)}"
        high = _number(kind.le) if kind.le is not None else f"under {_number(kind.lt)}"
        return f"{what}, {low} to {high}"
    if isinstance(kind, inspect.BoolType):
        return "true, false"
    assert isinstance(kind, inspect.StrType), kind
    return "text"


def _number(value: float | None) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _default(value: Any) -> str:
    if value is None:
        return "nothing"
    return ", ".join(value) if isinstance(value, tuple) else value if isinstance(value, str) else json.dumps(value)
