"""The form an answer must have: OpenAI's `response_format` and vLLM's `structured_outputs` → Constraint."""

from collections.abc import Callable
from typing import Any

from router.fronts.openai.faults import InvalidType, InvalidValue, MissingParameter
from router.fronts.openai.kinds import Fixed, Flag, Schema, Text, Texts, Word, as_json, only_keys
from router.request import Constraint

_MAX_CHARS = 64 * 1024
_TYPE = Word(("text", "json_object", "json_schema", "structural_tag"))
_OPTION = Fixed((False,), "the engine's own setting holds")
_OPTIONS = {
    "disable_any_whitespace": _OPTION,
    "disable_additional_properties": _OPTION,
    "whitespace_pattern": Fixed((), "the engine's own setting holds"),
}

RESPONSE_FORMAT_SCHEMA: Schema = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"type": {"enum": ["text", "json_object"]}},
            "required": ["type"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "json_schema"},
                "json_schema": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 128},
                        "description": {"type": "string"},
                        "schema": {"type": "object"},
                        "strict": {"type": ["boolean", "null"]},
                    },
                    "required": ["name", "schema"],
                    "additionalProperties": False,
                },
            },
            "required": ["type", "json_schema"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "type": {"const": "structural_tag"},
                "format": {"type": "object"},
            },
            "required": ["type", "format"],
        },
    ]
}
STRUCTURED_OUTPUTS_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "json": {"type": ["object", "string"]},
        "regex": {"type": "string", "minLength": 1},
        "choice": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 1024},
        "grammar": {"type": "string", "minLength": 1},
        "json_object": {"const": True},
        "structural_tag": {"type": "string", "minLength": 1},
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


def response_format(value: object, name: str) -> Constraint | None:
    """None where the answer is free text."""
    if not isinstance(value, dict):
        raise InvalidType(f"{name} must be an object", param=name)
    kind = _TYPE.check(value.get("type"), f"{name}.type")
    if kind == "json_schema":
        only_keys(value, ("type", "json_schema"), name)
        return Constraint("json_schema", _schema_of(value.get("json_schema"), f"{name}.json_schema"))
    if kind == "structural_tag":
        only_keys(value, ("type", "format", "structures", "triggers"), name)
        if ("format" in value) == ("structures" in value):
            raise InvalidValue(f"{name} must have either format or structures", param=f"{name}.format")
        return Constraint("structural_tag", as_json(value, name).decode())
    only_keys(value, ("type",), name)
    return Constraint("json_object") if kind == "json_object" else None


def _schema_of(value: object, name: str) -> str:
    if not isinstance(value, dict):
        raise MissingParameter(f"{name} must be an object with a schema", param=name)
    only_keys(value, ("name", "description", "schema", "strict"), name)
    Text(128).check(value.get("name"), f"{name}.name")
    if value.get("description") is not None:
        Text(_MAX_CHARS, low=0).check(value["description"], f"{name}.description")
    if value.get("strict") is not None:
        Flag().check(value["strict"], f"{name}.strict")
    return _json(value.get("schema"), f"{name}.schema")


def structured_outputs(value: object, name: str) -> Constraint:
    """vLLM's own words for the same: exactly one of six forms."""
    if not isinstance(value, dict):
        raise InvalidType(f"{name} must be an object", param=name)
    only_keys(value, (*_FORMS, *_OPTIONS), name)
    for option, rule in _OPTIONS.items():
        if value.get(option) is not None:
            rule.check(value[option], f"{name}.{option}")
    forms = [form for form in _FORMS if value.get(form) is not None]
    if len(forms) != 1:
        raise InvalidValue(f"{name} must have exactly one of {', '.join(_FORMS)}", param=name)
    return _FORMS[forms[0]](value[forms[0]], f"{name}.{forms[0]}")


def _json(value: object, name: str) -> str:
    if isinstance(value, str):
        return Text(_MAX_CHARS).check(value, name)
    if not isinstance(value, dict):
        raise InvalidType(f"{name} must be a JSON schema", param=name)
    return as_json(value, name).decode()


def _choice(value: object, name: str) -> Constraint:
    options = Texts(1024, _MAX_CHARS).check(value, name)
    if not options:
        raise InvalidValue(f"{name} must not be empty", param=name)
    return Constraint("choice", options)


def _json_object(value: object, name: str) -> Constraint:
    if value is not True:
        raise InvalidValue(f"{name} can only be true", param=name)
    return Constraint("json_object")


_FORMS: dict[str, Callable[[Any, str], Constraint]] = {
    "json": lambda value, name: Constraint("json_schema", _json(value, name)),
    "regex": lambda value, name: Constraint("regex", Text(_MAX_CHARS).check(value, name)),
    "choice": _choice,
    "grammar": lambda value, name: Constraint("grammar", Text(_MAX_CHARS).check(value, name)),
    "json_object": _json_object,
    "structural_tag": lambda value, name: Constraint("structural_tag", Text(_MAX_CHARS).check(value, name)),
}
