"""Whether a JSON value has the structure that a JSON Schema (2020-12) asks for. Pure, and bounded for any schema and value.

A check of structure, not a validator: an answer is called broken only where it surely is. Keywords that are not looked at
(`pattern`, `format`, `not`, `if`, references out of the schema) never break an answer: patterns come from callers, and one can
be made that a matcher never ends on.
"""

from collections.abc import Callable, Mapping
from typing import Any

_DEEPEST = 64
_MOST_STEPS = 5000


class _Unclear(Exception):
    """Too deep, too large, or no schema: nothing can be said."""


def break_of(schema: Any, value: Any) -> str:
    """The first place where the value surely breaks the schema, such as "items[2].price: not a number"; "" for none."""
    try:
        return _Check(schema).check(schema, value, "", 0)
    except _Unclear:
        return ""


class _Check:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0

    def check(self, schema: Any, value: Any, path: str, depth: int) -> str:
        self._steps += 1
        if isinstance(schema, dict):
            self._steps += len(_listed(schema, "enum")) + len(_listed(schema, "required"))
        if depth > _DEEPEST or self._steps > _MOST_STEPS:
            raise _Unclear
        if schema is False:
            return f"{path or 'the value'}: nothing is allowed here"
        if not isinstance(schema, dict):
            return ""
        if "$ref" in schema and (fault := self.check(self._referred(schema["$ref"]), value, path, depth + 1)):
            return fault
        return (
            _of_kind(schema, value, path)
            or _of_values(schema, value, path)
            or self._of_forms(schema, value, path, depth)
            or (self._object(schema, value, path, depth) if isinstance(value, dict) else "")
            or (self._array(schema, value, path, depth) if isinstance(value, list) else "")
        )

    def _of_forms(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> str:
        for part in _listed(schema, "allOf"):
            if fault := self.check(part, value, path, depth + 1):
                return fault
        for keyword in ("anyOf", "oneOf"):
            forms = _listed(schema, keyword)
            if forms and all(self.check(form, value, path, depth + 1) for form in forms):
                return f"{path or 'the value'}: has none of the forms allowed"
        return ""

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], path: str, depth: int) -> str:
        for name in _listed(schema, "required"):
            if name not in value:
                return f"{_at(path, name)}: missing"
        properties = schema.get("properties")
        known: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        # Names that fit a pattern are not looked at, so with patterns no name is surely too many.
        rest = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        for name, item in value.items():
            if fault := self.check(known.get(name, rest), item, _at(path, name), depth + 1):
                return fault
        return ""

    def _array(self, schema: Mapping[str, Any], value: list[Any], path: str, depth: int) -> str:
        first, rest = _listed(schema, "prefixItems"), schema.get("items", True)
        for index, item in enumerate(value):
            part = first[index] if index < len(first) else rest
            if part is not True and (fault := self.check(part, item, f"{path}[{index}]", depth + 1)):
                return fault
        return ""

    def _referred(self, ref: Any) -> Any:
        """What a pointer within the schema points at; True, which allows all, where it points elsewhere."""
        if not isinstance(ref, str) or not ref.startswith("#"):
            return True
        found = self._root
        for step in ref[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                return True
            found = found[key]
        return found


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}
_SIZES: tuple[tuple[str, type, str, int], ...] = (
    ("minLength", str, "too short", 1),
    ("maxLength", str, "too long", -1),
    ("minItems", list, "too few items", 1),
    ("maxItems", list, "too many items", -1),
    ("minProperties", dict, "too few properties", 1),
    ("maxProperties", dict, "too many properties", -1),
)
_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, bound: value < bound,
    "exclusiveMinimum": lambda value, bound: value <= bound,
    "maximum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value >= bound,
}


def _of_kind(schema: Mapping[str, Any], value: Any, path: str) -> str:
    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(kinds, list) or not kinds or any(kind not in _KINDS for kind in kinds if isinstance(kind, str)):
        return ""
    if any(_KINDS[kind](value) for kind in kinds if isinstance(kind, str)):
        return ""
    return f"{path or 'the value'}: not {' or '.join(map(str, kinds))}"


def _of_values(schema: Mapping[str, Any], value: Any, path: str) -> str:
    here = path or "the value"
    size: int = len(value) if isinstance(value, str | list | dict) else 0
    if "const" in schema and not same(schema["const"], value):
        return f"{here}: not the value asked for"
    options = schema.get("enum")
    if isinstance(options, list) and not any(same(option, value) for option in options):
        return f"{here}: not one of the values allowed"
    for keyword, kind, said, sign in _SIZES:
        bound: Any = schema.get(keyword)
        if isinstance(value, kind) and _is_number(bound) and (size - bound) * sign < 0:
            return f"{here}: {said}"
    if _is_number(value):
        for keyword, beyond in _BOUNDS.items():
            limit: Any = schema.get(keyword)
            if _is_number(limit) and beyond(value, limit):
                return f"{here}: beyond its {keyword}"
    return ""


def same(one: Any, other: Any, depth: int = 0) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1."""
    if depth > _DEEPEST:
        raise _Unclear
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(item, other[name], depth + 1) for name, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b, depth + 1) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
