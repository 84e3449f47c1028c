"""What a request parameter may hold: each kind checks a JSON value and says the same as JSON Schema.

`check` returns the value in the form the router keeps it, or raises a fault with the parameter's name. Texts of faults never
quote the value: it may be the caller's prompt.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from router.fronts.openai.faults import InvalidType, InvalidValue, UnknownParameter, UnsupportedParameter

Schema = dict[str, Any]
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


class Kind(Protocol):
    def check(self, value: object, name: str) -> Any:
        """The value as the router keeps it. Raises InvalidType or InvalidValue."""
        ...

    def schema(self) -> Schema:
        """The same rule as JSON Schema."""
        ...


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def check(self, value: object, name: str) -> bool:
        if value is True or value is False:
            return value
        raise InvalidType(f"{name} must be true or false", param=name)

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `low` to `high`; true and false are not numbers."""

    low: int
    high: int = INT32_MAX

    def check(self, value: object, name: str) -> int:
        if type(value) is not int:
            raise InvalidType(f"{name} must be an integer", param=name)
        if not self.low <= value <= self.high:
            raise InvalidValue(f"{name} must be from {self.low} to {self.high}", param=name)
        return value

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number from `low` to `high`; where `above`, `low` itself is not allowed."""

    low: float
    high: float
    above: bool = False

    def check(self, value: object, name: str) -> float:
        if type(value) is not float and type(value) is not int:
            raise InvalidType(f"{name} must be a number", param=name)
        if not math.isfinite(value) or not self.low <= value <= self.high or (self.above and value == self.low):
            low = f"above {self.low:g} and at most" if self.above else f"from {self.low:g} to"
            raise InvalidValue(f"{name} must be {low} {self.high:g}", param=name)
        return float(value)

    def schema(self) -> Schema:
        return {"type": "number", "exclusiveMinimum" if self.above else "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `low` to `high` characters, without any of `forbidden`."""

    high: int
    low: int = 1
    forbidden: str = ""

    def check(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            raise InvalidType(f"{name} must be a string", param=name)
        if not self.low <= len(value) <= self.high:
            raise InvalidValue(f"{name} must have {self.low} to {self.high} characters", param=name)
        if self.forbidden and not set(self.forbidden).isdisjoint(value):
            raise InvalidValue(f"{name} has a character that is not allowed there", param=name)
        return value

    def schema(self) -> Schema:
        return {"type": "string", "minLength": self.low, "maxLength": self.high}


@dataclass(frozen=True, slots=True)
class Word:
    """One of a few strings."""

    options: tuple[str, ...]

    def check(self, value: object, name: str) -> str:
        if isinstance(value, str) and value in self.options:
            return value
        raise InvalidValue(f"{name} must be one of {', '.join(self.options)}", param=name)

    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.options)}


@dataclass(frozen=True, slots=True)
class Texts:
    """Up to `high` strings of 1 to `each` characters; where `lone`, one string may stand by itself."""

    high: int
    each: int
    lone: bool = False

    def check(self, value: object, name: str) -> tuple[str, ...]:
        if self.lone and isinstance(value, str):
            return (Text(self.each).check(value, name),)
        if not isinstance(value, list):
            raise InvalidType(f"{name} must be {'a string or ' if self.lone else ''}a list of strings", param=name)
        if len(value) > self.high:
            raise InvalidValue(f"{name} may have at most {self.high} entries", param=name)
        item = Text(self.each)
        return tuple([item.check(text, f"{name}[{i}]") for i, text in enumerate(value)])

    def schema(self) -> Schema:
        many = {"type": "array", "items": Text(self.each).schema(), "maxItems": self.high}
        return {"oneOf": [Text(self.each).schema(), many]} if self.lone else many


@dataclass(frozen=True, slots=True)
class Integers:
    """A list of `least` to `high` whole numbers from 0."""

    high: int
    least: int = 0

    def check(self, value: object, name: str) -> tuple[int, ...]:
        if not isinstance(value, list) or not set(map(type, value)) <= {int}:
            raise InvalidType(f"{name} must be a list of integers", param=name)
        if not self.least <= len(value) <= self.high:
            raise InvalidValue(f"{name} must have {self.least} to {self.high} entries", param=name)
        if value and (min(value) < 0 or max(value) > INT32_MAX):
            raise InvalidValue(f"{name} must hold numbers from 0 to {INT32_MAX}", param=name)
        return tuple(value)

    def schema(self) -> Schema:
        item = {"type": "integer", "minimum": 0, "maximum": INT32_MAX}
        return {"type": "array", "items": item, "minItems": self.least, "maxItems": self.high}


@dataclass(frozen=True, slots=True)
class Mapping:
    """Any JSON object."""

    def check(self, value: object, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InvalidType(f"{name} must be an object", param=name)
        return value

    def schema(self) -> Schema:
        return {"type": "object"}


@dataclass(frozen=True, slots=True)
class Mappings:
    """A list of `least` to `high` JSON objects."""

    high: int
    least: int = 0

    def check(self, value: object, name: str) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not set(map(type, value)) <= {dict}:
            raise InvalidType(f"{name} must be a list of objects", param=name)
        if not self.least <= len(value) <= self.high:
            raise InvalidValue(f"{name} must have {self.least} to {self.high} entries", param=name)
        return value

    def schema(self) -> Schema:
        return {"type": "array", "items": {"type": "object"}, "minItems": self.least, "maxItems": self.high}


@dataclass(frozen=True, slots=True)
class Special:
    """A shape with a function of its own."""

    checks: Callable[[object, str], Any]
    shape: Schema

    def check(self, value: object, name: str) -> Any:
        return self.checks(value, name)

    def schema(self) -> Schema:
        return self.shape


@dataclass(frozen=True, slots=True)
class Fixed:
    """Only values that ask for nothing: Headgate can't do what the others ask for."""

    allowed: tuple[object, ...]
    why: str

    def check(self, value: object, name: str) -> None:
        if not any(type(value) is type(one) and value == one for one in self.allowed):
            raise UnsupportedParameter(f"{name} is not supported: {self.why}", param=name)

    def schema(self) -> Schema:
        return {"enum": [None, *self.allowed]}


def as_json(value: object, name: str) -> bytes:
    """JSON of a value that came as JSON. Raises InvalidValue where it is nested too deeply to be written again."""
    try:
        return orjson.dumps(value)
    except TypeError as fault:
        raise InvalidValue(f"{name} is nested too deeply", param=name) from fault


def object_json(values: dict[str, Any]) -> bytes:
    """JSON of several parameters as one object. Raises InvalidValue with the name of one that is nested too deeply."""
    try:
        return orjson.dumps(values)
    except TypeError:
        for name, value in values.items():
            as_json([value], name[:64])
        raise


def only_keys(value: dict[str, Any], known: Iterable[str], name: str) -> None:
    """Raises UnknownParameter for a key that is not known."""
    for key in value:
        if key not in known:
            raise UnknownParameter(f"{name} has an unknown field", param=f"{name}.{key[:64]}")
