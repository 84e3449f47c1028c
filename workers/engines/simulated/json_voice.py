"""JSON documents of a given schema, drawn by a hash: what the simulated engine says under a constraint. Pure.

It serves the part of JSON Schema that asks for a form (types, properties, items, enum, const, anyOf, $ref, bounds of length and
size) and refuses what it can't honour, so that every document it makes is valid. Documents are small and bounded whatever the
schema asks for.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from workers.engine import InvalidGeneration

_WORDS = ("river", "gate", "stone", "garden", "bridge", "harbour", "河の水", "光", "Grüße", "🌊", "winter", "signal")
_UNSUPPORTED = (
    "allOf", "not", "if", "pattern", "patternProperties", "propertyNames", "uniqueItems", "contains", "multipleOf",
    "dependentRequired", "dependentSchemas", "minProperties", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef",
    "prefixItems",
)  # fmt: skip
_LARGEST_NODES = 2000
_DEEPEST = 24
_LONGEST_TEXT = 2000


def document(schema_json: str, seed: int) -> str:
    """A document that the schema accepts. Raises InvalidGeneration(param json_schema) where there is none we can make."""
    try:
        schema = json.loads(schema_json)
        made = _Maker(schema, random.Random(seed)).make(schema, 0)
    except (ValueError, RecursionError) as fault:
        raise InvalidGeneration("the JSON schema is no JSON", "json_schema") from fault
    return json.dumps(made, ensure_ascii=False)


def any_object(seed: int) -> str:
    """A small JSON object, for the constraint that asks for no more."""
    rng = random.Random(seed)
    return json.dumps({"simulated": True, rng.choice(("note", "topic", "place")): rng.choice(_WORDS)}, ensure_ascii=False)


def _refuse(why: str) -> InvalidGeneration:
    return InvalidGeneration(f"the simulated engine can't follow this JSON schema: {why}", "json_schema")


class _Maker:
    def __init__(self, root: Any, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._nodes = 0
        self._make: dict[str, Callable[[dict[str, Any], int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._integer,
            "boolean": lambda schema, depth: self._rng.random() < 0.5,
            "null": lambda schema, depth: None,
        }

    def make(self, schema: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _LARGEST_NODES:
            raise _refuse("it asks for too large or too deep a document")
        if schema is True or schema == {}:
            return self._rng.choice(_WORDS)
        if not isinstance(schema, dict):
            raise _refuse("a schema must be an object")
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                raise _refuse(f"{keyword!r} is not supported")
        return self._one_form(schema, depth)

    def _one_form(self, schema: dict[str, Any], depth: int) -> Any:
        if "$ref" in schema:
            return self.make(self._referred(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        for keyword in ("anyOf", "oneOf", "enum"):
            if keyword in schema:
                options = schema[keyword]
                if not isinstance(options, list) or not options:
                    raise _refuse(f"{keyword!r} must be a list with something in it")
                # Deep inside, the first is taken: a schema that contains itself usually ends there.
                picked = options[0] if depth > 6 else self._rng.choice(options)
                return picked if keyword == "enum" else self.make(picked, depth + 1)
        kind = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else "string")
        kind = self._rng.choice(kind) if isinstance(kind, list) and kind else kind
        if not isinstance(kind, str) or kind not in self._make:
            raise _refuse(f"there is no type {kind!r}")
        return self._make[kind](schema, depth)

    def _referred(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise _refuse("'$ref' must point into the schema itself")
        found = self._root
        for part in ref[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise _refuse(f"'$ref' {ref!r} points nowhere")
            found = found[key]
        return found

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise _refuse("'properties' must be an object and 'required' a list")
        made: dict[str, Any] = {}
        for name, part in properties.items():
            if name in required or (depth < 4 and self._rng.random() < 0.7 and "maxProperties" not in schema):
                made[name] = self.make(part, depth + 1)
        for name in required:
            if name not in made:
                made[str(name)] = self.make(schema.get("additionalProperties", True), depth + 1)
        return made

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        least, most = self._bounds(schema, "minItems", "maxItems", 64)
        count = self._rng.randint(least, min(most, max(least, 3 if depth < 4 else 0)))
        return [self.make(schema.get("items", True), depth + 1) for _ in range(count)]

    def _string(self, schema: dict[str, Any], depth: int) -> str:
        least, most = self._bounds(schema, "minLength", "maxLength", _LONGEST_TEXT)
        if "format" in schema:
            raise _refuse("'format' is not supported")
        text = " ".join(self._rng.choice(_WORDS) for _ in range(self._rng.randint(1, 4)))
        while len(text) < least:
            text += " " + self._rng.choice(_WORDS)
        return text[: max(least, min(most, len(text)))]

    def _bounds(self, schema: dict[str, Any], lower: str, upper: str, cap: int) -> tuple[int, int]:
        least, most = schema.get(lower, 0), schema.get(upper, cap)
        if not isinstance(least, int) or not isinstance(most, int) or not 0 <= least <= min(most, cap):
            raise _refuse(f"{lower!r} and {upper!r} must be whole numbers in order, the least at most {cap}")
        return least, most

    def _integer(self, schema: dict[str, Any], depth: int) -> int:
        least, most = self._range(schema, 1)
        low, high = -(-least // 1), most // 1
        if low > high:
            raise _refuse("no whole number lies within its bounds")
        return int(self._rng.randint(int(low), int(high)))

    def _number(self, schema: dict[str, Any], depth: int) -> float:
        least, most = self._range(schema, 0.001)
        value = round(self._rng.uniform(least, most), 2)
        return value if least <= value <= most else (least + most) / 2

    def _range(self, schema: dict[str, Any], step: float) -> tuple[float, float]:
        """Inclusive bounds; an exclusive one moves inwards by `step`."""
        given = [schema.get(k) for k in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")]
        if any(v is not None and (isinstance(v, bool) or not isinstance(v, int | float) or abs(v) > 1e15) for v in given):
            raise _refuse("its bounds must be numbers")
        low, above, high, below = given
        lows = [v for v in (low, None if above is None else above + step) if v is not None]
        highs = [v for v in (high, None if below is None else below - step) if v is not None]
        least = max(lows) if lows else min([0, *(h - 100 for h in highs)])
        most = min(highs) if highs else least + 100
        if least > most:
            raise _refuse("nothing lies within its bounds")
        return least, most
