"""Against jsonschema-rs, which knows the whole specification."""

from typing import Any

import jsonschema_rs  # schemathesis brings it
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.choosing.evidence.schema import break_of, same

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.sampled_from(["", "a", "bc", "def"]))
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=8
)
KINDS = st.sampled_from(["object", "array", "string", "boolean", "null", "number", "integer"])
SIZES = st.integers(0, 3)


def with_parts(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(KINDS, st.lists(KINDS, min_size=1, max_size=2, unique=True)),
            "enum": st.lists(SCALARS, min_size=1, max_size=3),
            "const": VALUES,
            "minimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "minLength": SIZES,
            "maxLength": SIZES,
            "minItems": SIZES,
            "maxItems": SIZES,
            "minProperties": SIZES,
            "maxProperties": SIZES,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "items": inner,
            "prefixItems": some,
            "allOf": some,
            "anyOf": some,
        },
    )


SCHEMAS = st.recursive(st.booleans() | with_parts(st.booleans()), with_parts, max_leaves=6)


@settings(max_examples=600, deadline=None)
@given(SCHEMAS, VALUES)
def test_it_agrees_on_the_keywords_it_knows(schema: Any, value: Any) -> None:
    assert (break_of(schema, value) == "") == jsonschema_rs.is_valid(schema, value)


FOREIGN = {"pattern": "^(a+)+$", "format": "email", "not": True, "uniqueItems": True, "multipleOf": 7, "oneOf": [{}, {}]}


@settings(max_examples=200, deadline=None)
@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), VALUES, st.sampled_from(sorted(FOREIGN)))
def test_a_keyword_it_does_not_know_never_breaks_an_answer(schema: dict[str, Any], value: Any, keyword: str) -> None:
    if not break_of(schema, value):
        assert break_of({**schema, keyword: FOREIGN[keyword]}, value) == ""


def test_a_reference_within_the_schema_is_followed() -> None:
    schema = {"$defs": {"a/b": {"type": "array", "items": {"$ref": "#/$defs/a~1b"}}}, "$ref": "#/$defs/a~1b"}
    assert break_of(schema, [[], [[]]]) == ""
    assert break_of(schema, [[], [3]]) == "[1][0]: not array"


def test_the_place_is_named() -> None:
    schema = {"properties": {"items": {"items": {"properties": {"price": {"type": "number"}}, "required": ["price"]}}}}
    assert break_of(schema, {"items": [{"price": 1}, {"price": "1"}]}) == "items[1].price: not number"
    assert break_of(schema, {"items": [{}]}) == "items[0].price: missing"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}, "$ref": "#/$defs/x"},
        {"items": {"enum": list(range(4000))}},
        {"const": "x" * 10, "anyOf": [{"anyOf": [{"anyOf": [{"type": "string"}] * 40}] * 40}] * 40},
        7,
        None,
        {"type": "nonsense"},
        {"type": [7]},
        {"required": 3, "properties": 3, "enum": 3, "anyOf": 3, "items": 3, "minItems": "3"},
        {"required": [3]},
    ],
)
def test_no_schema_takes_long_or_raises(schema: Any) -> None:
    break_of(schema, [1] * 4000)
    break_of(schema, {"a": 1})


def test_what_is_too_deep_is_not_called_broken() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    assert break_of({"const": deep}, deep) == ""
    assert break_of({"items": {"$ref": "#"}, "type": "array"}, deep) == ""


@pytest.mark.parametrize(("one", "other", "equal"), [(1, 1.0, True), (True, 1, False), (None, 0, False), ([1], [1.0], True)])
def test_equality_is_that_of_json(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
