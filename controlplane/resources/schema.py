"""Structural OpenAPI v3 schemas, as CustomResourceDefinitions take them, from the classes' JSON schemas.

The differences: no `$ref`; a field that may be absent is one that `required` does not name, not one that may be null; exclusive
bounds are booleans (JSON schema draft 4); unknown fields are refused by strict field validation, not by additionalProperties.
"""

from typing import Any

from controlplane.resources.kube_model import JsonSchema, KubeModel

_INT32_MAX = 2**31 - 1
_NOTHING: tuple[Any, ...] = (None, "", [], {})
_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)


def structural(model: type[KubeModel]) -> JsonSchema:
    """The schema of one class, for a CustomResourceDefinition."""
    schema = model.model_json_schema(by_alias=True)
    return _node(schema, schema.get("$defs", {}))


def _node(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    schema = _resolved(schema, definitions)
    node = {key: schema[key] for key in _KEPT if key in schema} | _bounds(schema) | _number_format(schema)
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "properties" in schema:
        node["properties"] = {name: _node(inner, definitions) for name, inner in schema["properties"].items()}
    if "items" in schema:
        node["items"] = _node(schema["items"], definitions)
    match schema.get("additionalProperties"):
        case True:
            node["x-kubernetes-preserve-unknown-fields"] = True
        case dict() as values:
            node["additionalProperties"] = _node(values, definitions)
    return node | _default(schema)


def _resolved(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    """The schema without `$ref` and without `or null`; what stands beside them wins, a field's description over its class's."""
    beside = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions) | beside
    if "anyOf" in schema:
        [wanted] = [option for option in schema["anyOf"] if option != {"type": "null"}]
        return _resolved(wanted, definitions) | beside
    return schema


def _bounds(schema: JsonSchema) -> JsonSchema:
    bounds: JsonSchema = {}
    for side in ("Minimum", "Maximum"):
        if f"exclusive{side}" in schema:
            bounds |= {side.lower(): schema[f"exclusive{side}"], f"exclusive{side}": True}
    return bounds


def _number_format(schema: JsonSchema) -> JsonSchema:
    if schema.get("type") == "integer":
        return {"format": "int32" if schema.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"}
    return {"format": "double"} if schema.get("type") == "number" else {}


def _default(schema: JsonSchema) -> JsonSchema:
    """Written out in full: the server checks an object's default before it fills in the defaults of the object's fields."""
    default = _without_nothing(schema.get("default"))
    return {} if default in _NOTHING else {"default": default}


def _without_nothing(value: Any) -> Any:
    """Absent, null and empty are the same to the classes, and absent is what reads best in an object."""
    if not isinstance(value, dict):
        return value
    slim = {name: _without_nothing(inner) for name, inner in value.items()}
    return {name: inner for name, inner in slim.items() if inner not in _NOTHING}
