"""Documents under a schema: valid by an independent validator, bounded, and refused where we can't."""

import json
from typing import Any

import jsonschema_rs  # schemathesis brings it
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine import InvalidGeneration
from workers.engines.simulated.json_voice import any_object, document

SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]},
    {"type": "array", "items": {"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "minItems": 3, "maxItems": 5},
    {"type": "integer", "minimum": 5, "maximum": 5},
    {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
    {"type": "number", "maximum": -7},
    {"type": "string", "minLength": 30, "maxLength": 33},
    {"type": "string", "maxLength": 0},
    {"type": ["null", "boolean"]},
    {"enum": ["red", 5, None]},
    {"const": {"x": [1, 2]}},
    {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "null"}}]},
    {"properties": {"x": True}, "required": ["x", "y"]},
    {"type": "object", "required": ["z"], "additionalProperties": {"type": "integer"}},
    {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}}},
    },
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:40])
@settings(deadline=None)
@given(seed=st.integers(0, 2**64 - 1))
def test_every_document_is_valid(schema: dict[str, Any], seed: int) -> None:
    jsonschema_rs.validate(schema, json.loads(document(json.dumps(schema), seed)))


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[" * 100_000,
        "5",
        '{"type": "no-such-type"}',
        '{"type": "string", "pattern": "a+"}',
        '{"type": "array", "items": {}, "minItems": 1000000}',
        '{"type": "string", "minLength": 1000000}',
        '{"type": "integer", "minimum": 3, "maximum": 2}',
        '{"type": "integer", "minimum": "3"}',
        '{"enum": []}',
        '{"$ref": "#/nowhere"}',
        '{"$ref": "http://elsewhere/"}',
        '{"$ref": "#"}',
        '{"type": "object", "properties": 5}',
        '{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}',
        json.dumps({"$defs": {}, "allOf": [{}]}),
    ],
)
def test_what_can_not_be_made_is_refused(schema: str) -> None:
    with pytest.raises(InvalidGeneration) as caught:
        document(schema, 1)
    assert caught.value.param == "json_schema"


def test_a_schema_that_multiplies_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(8):
        schema = {"type": "array", "minItems": 60, "items": schema}
    with pytest.raises(InvalidGeneration, match="large"):
        document(json.dumps(schema), 1)


def test_any_object_is_one() -> None:
    assert json.loads(any_object(5))["simulated"] is True
