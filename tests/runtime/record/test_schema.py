"""The schemas in the record: strict for validators, plain for Foxglove and Lichtblick."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from runtime.contracts import messages
from runtime.contracts.topics import EVENT, PICTURE, TOPICS, Topic
from runtime.record.schema import json_schema

JSON_TOPICS = [topic for topic in TOPICS if topic.encoding == "json"]
PLAIN = {"string", "integer", "number", "boolean"}


def readable(schema: dict[str, Any]) -> None:
    """What a viewer's parser accepts: objects of plain values, objects, and arrays of those."""
    assert schema["type"] == "object"
    for value in schema["properties"].values():
        items = value["items"] if value["type"] == "array" else value
        if items["type"] == "object":
            readable(items)
        else:
            assert items["type"] in PLAIN


@pytest.mark.parametrize("topic", JSON_TOPICS, ids=lambda topic: topic.name)
def test_every_schema_is_valid_and_readable_by_viewers(topic: Topic) -> None:
    schema = json.loads(json_schema(topic))
    jsonschema.Draft202012Validator.check_schema(schema)
    readable(schema)
    assert schema["title"] == topic.schema_name


def test_the_picture_has_the_fields_of_foxglove_compressed_image() -> None:
    schema = json.loads(json_schema(PICTURE))
    time = {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}
    assert schema["properties"]["timestamp"]["properties"] == time
    assert schema["properties"]["frame_id"] == {"type": "string"}
    assert schema["properties"]["data"] == {"type": "string", "contentEncoding": "base64"}
    assert schema["properties"]["format"] == {"type": "string"}


def test_an_event_has_the_fields_of_foxglove_log() -> None:
    properties = json.loads(json_schema(EVENT))["properties"]
    assert {name: properties[name]["type"] for name in ("level", "message", "name", "file", "line")} == {
        "level": "integer",
        "message": "string",
        "name": "string",
        "file": "string",
        "line": "integer",
    }
    assert properties["timestamp"]["type"] == "object"


def test_the_strict_part_refuses_what_is_no_message() -> None:
    schema = json.loads(json_schema(EVENT))
    event = messages.Event(messages.timestamp(1), 2, "text", "name", "kind")
    good = json.loads(EVENT.encode(event))
    jsonschema.validate(good, schema)
    for bad in ({**good, "level": 9}, {**good, "t_source_ns": "soon"}, {"message": "alone"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
