"""The generated schemas are structural, documented and bounded. tests/kube puts them to a real API server."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.resources.crd import custom_resource_definition
from controlplane.resources.definitions import DEFINITIONS, Definition
from controlplane.resources.reference import rows
from controlplane.resources.schema import structural

Node = dict[str, Any]


def root(definition: Definition[Any, Any]) -> Node:
    [version] = custom_resource_definition(definition)["spec"]["versions"]
    schema: Node = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


ALL = [(f"{definition.kind}{path}", node) for definition in DEFINITIONS for path, node in nodes(root(definition))]
SPECS = [(path, node) for path, node in ALL if re.match(r"\w+\.spec\b", path)]


def test_structural() -> None:
    """The rules of "Specifying a structural schema" in Kubernetes' documentation."""
    for path, node in ALL:
        assert node["type"] in ("object", "array", "string", "integer", "number", "boolean"), path
        assert not node.keys() & {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "title", "const", "nullable"}, path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert node.get("additionalProperties") is not False, path
        assert (node["type"] == "array") == ("items" in node), path
        for bound in ("exclusiveMinimum", "exclusiveMaximum"):
            assert node.get(bound, True) is True, path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path


def test_every_list_and_map_of_a_spec_is_bounded() -> None:
    """CEL's cost is reckoned from these."""
    for path, node in SPECS:
        if node["type"] == "array":
            assert "maxItems" in node, path
        if node["type"] == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if node["type"] == "object" and "properties" not in node:
            assert "maxProperties" in node, path
        if node["type"] in ("integer", "number"):
            assert {"minimum", "maximum"} <= node.keys(), path


def test_bounds_are_whole_numbers() -> None:
    """The API server cuts a bound to an integer where the value is one: with a minimum of 0.001 it would take 0."""
    for path, node in SPECS:
        assert all(float(node.get(bound, 0)).is_integer() for bound in ("minimum", "maximum")), path


def test_rules_name_fields_that_are_there() -> None:
    ruled = [(path, node, rule) for path, node in ALL for rule in node.get("x-kubernetes-validations", ())]
    assert len(ruled) > 25
    for path, node, rule in ruled:
        if field := rule.get("fieldPath", "").removeprefix("."):
            assert field in {row.path for row in rows(node)}, (path, rule)
        assert rule["message"]


def test_every_field_says_what_it_means() -> None:
    for definition in DEFINITIONS:
        for part in (definition.spec, definition.status):
            for row in rows(structural(part)):
                assert row.schema.get("description"), f"{definition.kind}: {row.path}"


def test_printer_columns_show_fields_that_are_there() -> None:
    for definition in DEFINITIONS:
        known = {row.path: row.schema["type"] for row in rows(root(definition))}
        for column in definition.columns:
            path = column.path.removeprefix(".").partition("[?")[0]
            if not path.startswith("metadata."):
                assert known[path] == ("array" if "[?" in column.path else column.type), column


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ModelPool.spec.tier", {"type": "string", "enum": ["small", "large", "moe"]}),
        ("ModelPool.spec.replicas", {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10000, "default": 1}),
        ("ModelPool.spec.engine", {"type": "object", "default": {"kind": "vllm"}}),
        ("ModelPool.spec.engine.args", {"type": "object", "maxProperties": 128, "x-kubernetes-preserve-unknown-fields": True}),
        (
            "ModelPool.spec.engine.env",
            {"type": "array", "maxItems": 64, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
        ("ModelPool.spec.model.aliases", {"type": "array", "maxItems": 16, "x-kubernetes-list-type": "set"}),
        (
            "ModelPool.spec.autoscaling.targetUtilization",
            {"type": "number", "format": "double", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "default": 0.7},
        ),
        ("ModelPool.spec.autoscaling", {"type": "object"}),
        (
            "ModelPool.status.conditions",
            {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
        ("ModelPool.status.observedGeneration", {"type": "integer", "format": "int64", "default": 0}),
    ],
)
def test_single_fields(path: str, expected: Node) -> None:
    inside = {"description", "properties", "items", "x-kubernetes-validations", "required"}
    [node] = [node for known, node in ALL if known == path]
    assert {key: value for key, value in node.items() if key not in inside} == expected


def test_conditions_are_those_of_kubernetes() -> None:
    """metav1.Condition's fields and limits, by its documentation."""
    [condition] = [node for path, node in ALL if path == "Tenant.status.conditions[]"]
    fields = condition["properties"]
    assert set(fields) == {"type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"}
    assert set(condition["required"]) == {"type", "status", "reason", "lastTransitionTime"}
    assert fields["reason"]["pattern"] == "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
    assert (fields["reason"]["maxLength"], fields["message"]["maxLength"]) == (1024, 32768)
