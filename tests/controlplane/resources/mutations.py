"""Objects by chance: valid ones with one to three values changed, to edges of what is allowed and beyond, by a seed."""

import random
from collections.abc import Iterator
from typing import Any

from controlplane.resources.definitions import DEFINITIONS
from controlplane.resources.schema import structural
from tests.controlplane.resources.samples import FULL, MINIMAL, wrapped

_TEXTS = (
    "",
    "a",
    "A",
    "auto",
    "a b",
    "a-",
    "-a",
    "a.b",
    "a..b",
    "m",
    "x" * 63,
    "x" * 64,
    "é",
    "\u2028",
    "\u0085",
    "1Gi",
    "0",
    "0.0Gi",
    "1.5",
)
_OTHERS = (None, True, "x", 3, 0.5, [], {}, [None], ["a", "a"], {"a": None}, {"name": "x"})
_NAMES = ("sample", "auto", "a" * 50, "a" * 51, "a" * 63, "7b", "a-b")


def objects(seed: int, count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    schemas = {definition.kind: structural(definition.spec) for definition in DEFINITIONS}
    for _ in range(count):
        kind = chance.choices(list(schemas), (6, 1, 2))[0]
        made = wrapped(kind, chance.choice((MINIMAL, FULL))[kind], chance.choices(_NAMES, (12, *[1] * (len(_NAMES) - 1)))[0])
        for _ in range(chance.choice((1, 1, 2, 3))):
            _change(made["spec"], schemas[kind], chance)
        yield made


def _change(place: dict[str, Any], schema: dict[str, Any], chance: random.Random) -> None:
    """Goes down from an object's place by chance and changes what it ends at."""
    name = chance.choice(sorted(schema["properties"]))
    inner, value = schema["properties"][name], place.get(name)
    if "properties" in inner and (isinstance(value, dict) or value is None) and chance.random() < 0.85:
        place[name] = value or {}
        _change(place[name], inner, chance)
    elif isinstance(value, list) and value and "properties" in inner.get("items", {}) and chance.random() < 0.7:
        entry = chance.choice(value)
        if isinstance(entry, dict):
            _change(entry, inner["items"], chance)
    elif chance.random() < 0.1:
        place.pop(name, None)
    elif chance.random() < 0.03:
        place[f"{name}x"] = value
    else:
        place[name] = _value(inner, chance)


def _value(schema: dict[str, Any], chance: random.Random) -> Any:
    if chance.random() < 0.15:
        return chance.choice(_OTHERS)
    if "enum" in schema:
        return chance.choice([*schema["enum"], "other"])
    match schema["type"]:
        case "integer":
            return chance.choice(_edges(schema, 1))
        case "number":
            return chance.choice(_edges(schema, 0.25))
        case "boolean":
            return chance.random() < 0.5
        case "array":
            return [_value(schema["items"], chance) for _ in range(chance.choice((0, 1, 2, schema["maxItems"] + 1)))]
        case "object":
            return {
                name: _value(inner, chance) for name, inner in schema.get("properties", {}).items() if chance.random() < 0.5
            }
        case _:
            return chance.choice(_TEXTS)


def _edges(schema: dict[str, Any], step: float) -> list[float]:
    least, most = schema["minimum"], schema["maximum"]
    return [least - step, least, least + step, most - step, most, most + step]
