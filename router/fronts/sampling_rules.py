"""The bounds of sampling parameters, whatever protocol they came in. Pure. Faults name the field by the caller's own path.

The ranges are the engine's (vLLM's SamplingParams), so that a request fails here at once and not on a replica; the counts bound
what one request may make us keep.
"""

import math
from collections.abc import Callable

import orjson

from router.errors import InvalidRequest
from router.request import Constraint, Sampling

Path = Callable[[str], str]

LARGEST_INT = 2**31 - 1
MOST_STOPS = 64
LONGEST_STOP_CHARS = 1024
MOST_STOP_TOKENS = 1024
MOST_BIASES = 1024
MOST_LOGPROBS = 20

_CLOSED_RANGES = (
    ("temperature", 0.0, 2.0),
    ("min_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("max_tokens", 1, LARGEST_INT),
    ("min_tokens", 0, LARGEST_INT),
    ("top_k", -1, LARGEST_INT),
    ("logprobs", 0, MOST_LOGPROBS),
    ("seed", -(2**63), 2**63 - 1),
)


def check(sampling: Sampling, path: Path) -> None:
    """Raises InvalidRequest for the first field out of bounds; `path` turns a field's name into what the caller calls it."""
    for name, low, high in _CLOSED_RANGES:
        value = getattr(sampling, name)
        # Written so that NaN, which compares false to everything, is refused.
        if value is not None and not low <= value <= high:
            raise fault(path(name), f"must be in [{low}, {high}]")
    if sampling.top_p is not None and not 0.0 < sampling.top_p <= 1.0:
        raise fault(path("top_p"), "must be in (0, 1]")
    if sampling.repetition_penalty is not None and not 0.0 < sampling.repetition_penalty < math.inf:
        raise fault(path("repetition_penalty"), "must be above 0 and finite")
    if sampling.min_tokens and sampling.max_tokens and sampling.min_tokens > sampling.max_tokens:
        raise fault(path("min_tokens"), "must not be above max_tokens")
    _check_lists(sampling, path)
    if sampling.constraint is not None:
        _check_constraint(sampling.constraint, path)
    if sampling.extra_json:
        json_of(sampling.extra_json, dict, path("extra_json"))


def _check_lists(sampling: Sampling, path: Path) -> None:
    if len(sampling.stop) > MOST_STOPS:
        raise fault(path("stop"), f"must have at most {MOST_STOPS} strings")
    for index, text in enumerate(sampling.stop):
        if not 0 < len(text) <= LONGEST_STOP_CHARS:
            raise fault(f"{path('stop')}[{index}]", f"must have 1 to {LONGEST_STOP_CHARS} characters")
    if len(sampling.stop_token_ids) > MOST_STOP_TOKENS:
        raise fault(path("stop_token_ids"), f"must have at most {MOST_STOP_TOKENS} ids")
    if sampling.stop_token_ids:
        check_token_ids(sampling.stop_token_ids, path("stop_token_ids"))
    if len(sampling.logit_bias) > MOST_BIASES:
        raise fault(path("logit_bias"), f"must have at most {MOST_BIASES} entries")
    for token_id, bias in sampling.logit_bias:
        if not 0 <= token_id <= LARGEST_INT or not -100.0 <= bias <= 100.0:
            raise fault(f"{path('logit_bias')}[{token_id}]", "must be in [-100, 100], for a token id below 2147483648")


def _check_constraint(constraint: Constraint, path: Path) -> None:
    where = path(constraint.kind)
    match constraint.kind:
        case "json_object":
            return
        case "choice":
            if not constraint.value or not all(constraint.value):
                raise fault(where, "must have at least one option, and no empty one")
        case "json_schema" | "structural_tag":
            json_of(str(constraint.value), dict, where)
        case "regex" | "grammar":
            if not constraint.value:
                raise fault(where, "must not be empty")


def check_token_ids(ids: tuple[int, ...], where: str) -> None:
    """Token ids are 31-bit: engines index with signed integers."""
    if not 0 <= min(ids) <= max(ids) <= LARGEST_INT:
        index = next(i for i, token_id in enumerate(ids) if not 0 <= token_id <= LARGEST_INT)
        raise fault(f"{where}[{index}]", "must be a token id below 2147483648")


def json_of(text: str, kind: type[dict[str, object]] | type[list[object]], where: str) -> object:
    """The parsed text; raises InvalidRequest where it is not JSON, or not of this kind."""
    name = "object" if kind is dict else "array"
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        # orjson's own text may quote the input.
        raise fault(where, f"must be a JSON {name}") from None
    if not isinstance(value, kind):
        raise fault(where, f"must be a JSON {name}")
    return value


def fault(where: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: {rule}", param=where)
