"""Every key of a model's configuration with what it takes and its default, in the words of docs/export.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from export.config import ModelConfig
from tests.docs.config_table import Key


def keys() -> list[Key]:
    """Every key, in the order of the type; what stands in a list has `[]` before it."""
    return list(_keys(ModelConfig, ""))


def _keys(struct: type[msgspec.Struct], prefix: str) -> Iterator[Key]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        name = f"{prefix}{field.name}"
        nested, suffix = _nested(field.type)
        if not isinstance(field.type, inspect.StructType):
            yield Key(name, _takes(field.type), _default(field))
        if nested is not None:
            yield from _keys(nested, f"{name}{suffix}.")


def _nested(kind: inspect.Type) -> tuple[type[msgspec.Struct] | None, str]:
    """The mapping that stands in a value, alone, as a choice or in a list."""
    if isinstance(kind, inspect.StructType):
        return kind.cls, ""
    if isinstance(kind, inspect.VarTupleType):
        return _nested(kind.item_type)[0], "[]"
    if isinstance(kind, inspect.UnionType):
        return next((found for found, _ in map(_nested, kind.types) if found is not None), None), ""
    return None, ""


def _takes(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        parts = [_takes(one) for one in kind.types if not isinstance(one, inspect.NoneType)]
        nothing = len(parts) < len(kind.types)
        return " or ".join(parts) + (", or nothing" if nothing else "")
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(str(value) for value in sorted(kind.values, key=str))
    if isinstance(kind, inspect.VarTupleType):
        least, most = kind.min_length, kind.max_length
        many = f", {least} of them" if least and least == most else f", at least {least}" if least else ""
        return f"a list of {_takes(kind.item_type)}{many}"
    if isinstance(kind, inspect.StructType):
        return "mapping"
    if isinstance(kind, inspect.BoolType):
        return "true, false"
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return ("whole number" if isinstance(kind, inspect.IntType) else "number") + _range(kind)
    assert isinstance(kind, inspect.StrType), kind
    return "text"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f"{kind.ge:g}" if kind.ge is not None else f"over {kind.gt:g}" if kind.gt is not None else ""
    high = f"{kind.le:g}" if kind.le is not None else f"under {kind.lt:g}" if kind.lt is not None else ""
    if low and high:
        return f", {low} to {high}"
    return f", {low}{'' if low.startswith('over') else ' or more'}" if low else ""


def _default(field: inspect.Field) -> str:
    value: Any = field.default
    if value is msgspec.NODEFAULT:
        return "required"
    if value is None or value in ((), ""):
        return "nothing"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
