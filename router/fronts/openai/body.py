"""Body of a request → its parameters, checked one by one and sorted by where they go. The table decides; see its docstring."""

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from router.fronts.openai.faults import InvalidType, InvalidValue, MissingParameter, UnknownParameter
from router.fronts.openai.parameters import Api, rows

_APIS: tuple[Api, ...] = ("chat", "completions", "embeddings")
_TABLES = {
    api: {row.name: (row.kind.check, row.goes, row.field or row.name, row.default) for row in rows(api)} for api in _APIS
}
_MAX_UNKNOWN = 64


@dataclass(slots=True)
class Given:
    """Checked parameters by where they go."""

    front: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)

    def required(self, name: str) -> Any:
        """Raises MissingParameter."""
        if name not in self.front:
            raise MissingParameter(f"{name} is required", param=name)
        return self.front[name]


def parameters(body: bytes, api: Api, unknown: Literal["refuse", "pass"]) -> Given:
    """Reads a body. `unknown` parameters are refused, or passed to the engine. Raises InvalidRequest with the parameter."""
    table = _TABLES[api]
    given = Given()
    places: dict[str, dict[str, Any]] = {
        "front": given.front,
        "sampling": given.sampling,
        "request": given.request,
        "engine": given.engine,
    }
    strangers = 0
    for name, value in json_object(body).items():
        row = table.get(name)
        if row is None:
            strangers += 1
            _admit_unknown(name, unknown, strangers)
            given.engine[name] = value
        elif value is not None:
            check, goes, place, default = row
            checked = check(value, name)
            if goes in places and not (goes == "engine" and checked == default):
                places[goes][place] = checked
    return given


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises InvalidRequest with the parameter `body`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        # The parser's own text may quote the body; the position helps and tells nothing.
        raise InvalidValue(f"the body is not JSON: stopped at byte {fault.pos}", param="body") from None
    if not isinstance(value, dict):
        raise InvalidType("the body must be a JSON object", param="body")
    return value


def _admit_unknown(name: str, unknown: str, count: int) -> None:
    shown = name[:64] or "body"  # a name of no characters points nowhere
    if unknown == "refuse":
        raise UnknownParameter(f"unknown parameter {shown!r}", param=shown)
    if count > _MAX_UNKNOWN:
        raise UnknownParameter(f"more than {_MAX_UNKNOWN} parameters are unknown", param=shown)
