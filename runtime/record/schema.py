"""JSON Schemas of the topics, written so that Foxglove and Lichtblick read them.

Both want `"type": "object"` at the root and refuse `$ref`, unions, null and nested arrays among the properties they
look at (everything else they ignore, and the values are shown all the same). So the root's properties are the plain
ones, references resolved, and the whole schema stands beside them under `allOf`, for readers that validate.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from runtime.contracts.topics import Topic

_PLAIN = frozenset({"string", "integer", "number", "boolean"})


@cache
def json_schema(topic: Topic) -> bytes:
    """The JSON Schema (draft 2020-12) of a topic's messages, as UTF-8."""
    strict = msgspec.json.schema(topic.type)
    definitions: dict[str, Any] = strict["$defs"]
    root = _plain_object(definitions[topic.type.__name__], definitions)
    return msgspec.json.encode(
        {"title": topic.schema_name, **root, "allOf": [{"$ref": strict["$ref"]}], "$defs": definitions}
    )


def _plain_object(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {
        name: plain for name, value in schema["properties"].items() if (plain := _plain(value, definitions)) is not None
    }
    return {"type": "object", "description": schema.get("description", ""), "properties": properties}


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """What a viewer's parser can read of a property's schema, None where that is nothing."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _plain_object(target, definitions) if target.get("type") == "object" else _plain(target, definitions)
    if "enum" in schema:
        kinds = {type(value) for value in schema["enum"]}
        return {"type": "string"} if kinds == {str} else {"type": "integer"} if kinds == {int} else None
    kind = schema.get("type")
    if kind in _PLAIN:
        return {key: schema[key] for key in ("type", "contentEncoding") if key in schema}
    if kind == "array" and isinstance(schema.get("items"), dict):
        items = _plain(schema["items"], definitions)
        return {"type": "array", "items": items} if items and items["type"] != "array" else None
    return None
