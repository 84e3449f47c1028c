"""Request parameters of the Open Inference Protocol → Sampling. Every fault names the parameter.

The protocol's parameters are bool, int64 and string; double and uint64 are common extensions. So numbers also come as strings
("0.7"), and lists as JSON in a string: `stop` is one string, or a JSON array of strings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from router.fronts.sampling_rules import check, fault, json_of
from router.request import Constraint, Sampling

Value = bool | int | float | str

# Asks for something that we always do: the last message of an answer says that it is the last.
_WITHOUT_EFFECT = frozenset(("triton_enable_empty_final_response",))


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the request's parameters say."""

    sampling: Sampling
    n: int = 1
    session: str = ""


def read_parameters(wire: Mapping[str, oip.InferParameter], unknown: Literal["refuse", "pass"]) -> Parameters:
    """Raises InvalidRequest. Unknown parameters are refused, or passed to the engine by name."""
    values: dict[str, Any] = {}
    extra: dict[str, Value] = {}
    for key, parameter in wire.items():
        where = _path(key)
        kind = parameter.WhichOneof("parameter_choice")
        if kind is None:
            raise fault(where, "has no value")
        value: Value = getattr(parameter, kind)
        if (convert := _CONVERTERS.get(key)) is not None:
            values[key] = convert(value, where)
        elif unknown == "pass":
            extra[key] = value
        elif key not in _WITHOUT_EFFECT:
            raise fault(where, "is unknown")
    return _assembled(values, extra)


def _assembled(values: dict[str, Any], extra: dict[str, Value]) -> Parameters:
    n, session = values.pop("n", 1), values.pop("session_id", "")
    forms = [values.pop(key) for key in list(values) if isinstance(values[key], Constraint)]
    if len(forms) > 1:
        raise fault(_path(forms[1].kind), f"only one form may be asked for; {forms[0].kind} is another")
    passed = orjson.dumps(extra).decode() if extra else ""
    sampling = Sampling(**values, constraint=forms[0] if forms else None, extra_json=passed)
    check(sampling, _path)
    return Parameters(sampling, n, session)


def _integer(value: Value, where: str) -> int:
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            raise fault(where, "must be a whole number") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise fault(where, "must be a whole number")
    return value


def _number(value: Value, where: str) -> float:
    if isinstance(value, bool):
        raise fault(where, "must be a number")
    try:
        return float(value)
    except ValueError:
        raise fault(where, "must be a number") from None


def _flag(value: Value, where: str) -> bool:
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise fault(where, "must be true or false")
    return value


def _string(value: Value, where: str) -> str:
    if not isinstance(value, str):
        raise fault(where, "must be a string")
    return value


def _strings(value: Value, where: str) -> tuple[str, ...]:
    text = _string(value, where)
    try:
        many = orjson.loads(text) if text.startswith("[") else None
    except orjson.JSONDecodeError:
        many = None
    if isinstance(many, list) and all(isinstance(one, str) for one in many):
        return tuple(many)
    return (text,)


def _integers(value: Value, where: str) -> tuple[int, ...]:
    many = json_of(_string(value, where), list, where)
    if not isinstance(many, list) or not all(type(one) is int for one in many):
        raise fault(where, "must be a JSON array of whole numbers")
    return tuple(many)


def _form(kind: Any) -> Callable[[Value, str], Constraint]:
    def convert(value: Value, where: str) -> Constraint:
        if kind == "json_object":
            if not _flag(value, where):
                raise fault(where, "must be true where it is given")
            return Constraint(kind)
        return Constraint(kind, _strings(value, where) if kind == "choice" else _string(value, where))

    return convert


_CONVERTERS: dict[str, Callable[[Value, str], object]] = {
    **dict.fromkeys(("max_tokens", "min_tokens", "top_k", "seed", "n"), _integer),
    **dict.fromkeys(("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"), _number),
    **dict.fromkeys(("ignore_eos", "include_stop_in_output"), _flag),
    **{kind: _form(kind) for kind in ("json_schema", "regex", "grammar", "choice", "json_object", "structural_tag")},
    "stop": _strings,
    "stop_token_ids": _integers,
    "session_id": _string,
}


def _path(name: str) -> str:
    return f"parameters[{name[:64]}]"
