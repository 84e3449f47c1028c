"""Between the wire and the engine seam: requests are checked and bounded here, messages are built here; nothing is decided.

`param` of a refusal is the public name of the field at fault, so that a front can hand it to the caller as it is.
"""

import math
from collections.abc import Sequence
from typing import Any

import orjson

from headgate.v1 import generation_pb2 as gen
from headgate.v1 import worker_pb2 as wire
from workers.engine import Chat, Constraint, Delta, FinishReason, Generation, InvalidGeneration, Sampling, TokenLogprob

LONGEST_ID = 256
MOST_STOPS = 64
LONGEST_STOP = 1024
MOST_STOP_TOKENS = 1024
MOST_BIASES = 1024
MOST_CHOICES = 1024
MOST_LOGPROBS = 20
MOST_TEXTS = 2048
LONGEST_CONSTRAINT = 256 * 1024

_FINISH: dict[FinishReason, gen.FinishReason] = {
    "stop": gen.FINISH_REASON_STOP,
    "length": gen.FINISH_REASON_LENGTH,
    "abort": gen.FINISH_REASON_ABORT,
    "tool_calls": gen.FINISH_REASON_TOOL_CALLS,
}

# Field → (least, most, whether the least itself is allowed).
_RANGES: dict[str, tuple[float, float, bool]] = {
    "max_tokens": (1, math.inf, True),
    "temperature": (0, 100, True),
    "top_p": (0, 1, False),
    "top_k": (-1, math.inf, True),
    "min_p": (0, 1, True),
    "presence_penalty": (-2, 2, True),
    "frequency_penalty": (-2, 2, True),
    "repetition_penalty": (0, 100, False),
    "logprobs": (0, MOST_LOGPROBS, True),
}
_OPTIONAL = (*_RANGES, "min_tokens", "seed")


def generation(message: wire.WorkerGenerateRequest) -> Generation:
    """The engine's request. Raises InvalidGeneration."""
    _bounded(message.request_id, "request_id", LONGEST_ID, empty=False)
    _bounded(message.tenant, "tenant", LONGEST_ID)
    _bounded(message.cache_salt, "cache_salt", LONGEST_ID)
    return Generation(
        request_id=message.request_id,
        prompt=_prompt(message),
        sampling=_sampling(message.sampling),
        resume_token_ids=tuple(message.resume_token_ids),
        cache_salt=message.cache_salt,
        priority=message.priority,
        tenant=message.tenant,
    )


def response(delta: Delta) -> wire.WorkerGenerateResponse:
    """One message, without `finish`."""
    message = wire.WorkerGenerateResponse(token_ids=delta.token_ids, text=delta.text)
    if delta.logprobs:
        message.logprobs.extend(map(_logprob, delta.logprobs))
    if delta.prompt_tokens is not None:
        message.prompt.prompt_tokens = delta.prompt_tokens
        message.prompt.cached_tokens = delta.cached_tokens
    if delta.tool_calls_json:
        message.tool_calls_json = delta.tool_calls_json
    return message


def finish(reason: FinishReason, stop_reason: str = "") -> wire.WorkerGenerateResponse.Finish:
    return wire.WorkerGenerateResponse.Finish(reason=_FINISH[reason], stop_reason=stop_reason)


def texts(message: wire.EmbedRequest) -> Sequence[str]:
    """The texts to embed. Raises InvalidGeneration."""
    if not 1 <= len(message.texts) <= MOST_TEXTS:
        raise InvalidGeneration(f"give 1 to {MOST_TEXTS} texts, not {len(message.texts)}", "input")
    if not all(message.texts):
        raise InvalidGeneration("a text must not be empty", "input")
    if message.HasField("dimensions") and message.dimensions < 1:
        raise InvalidGeneration("dimensions must be at least 1", "dimensions")
    return list(message.texts)


def _prompt(message: wire.WorkerGenerateRequest) -> str | tuple[int, ...] | Chat:
    kind = message.WhichOneof("prompt")
    if kind == "text" and message.text:
        return message.text
    if kind == "token_ids" and message.token_ids.ids:
        return tuple(message.token_ids.ids)
    if kind == "chat":
        chat = message.chat
        messages = _objects(chat.messages_json, "messages")
        if not messages:
            raise InvalidGeneration("messages must not be empty", "messages")
        tools = _objects(chat.tools_json, "tools") if chat.tools_json else []
        return Chat(messages, tools, _object(chat.template_kwargs_json, "chat_template_kwargs"))
    raise InvalidGeneration("the prompt is missing or empty", "prompt")


def _sampling(message: gen.Sampling) -> Sampling:
    given: dict[str, Any] = {name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)}
    for name, (least, most, closed) in _RANGES.items():
        value = given.get(name)
        if value is not None and not ((least < value or (closed and least == value)) and value <= most):
            raise InvalidGeneration(f"{name} must lie {_words(least, most, closed)}, not {value:g}", name)
    if given.get("min_tokens", 0) > given.get("max_tokens", math.inf):
        raise InvalidGeneration("min_tokens must not exceed max_tokens", "min_tokens")
    return Sampling(
        **given,
        stop=_stops(message),
        stop_token_ids=_few(message.stop_token_ids, "stop_token_ids", MOST_STOP_TOKENS),
        ignore_eos=message.ignore_eos,
        include_stop_in_output=message.include_stop_in_output,
        logit_bias=_biases(message),
        constraint=_constraint(message),
        extra=_object(message.extra_json.encode(), "extra_json"),
    )


def _stops(message: gen.Sampling) -> tuple[str, ...]:
    stops = _few(message.stop, "stop", MOST_STOPS)
    for stop in stops:
        _bounded(stop, "stop", LONGEST_STOP, empty=False)
    return stops


def _biases(message: gen.Sampling) -> dict[int, float]:
    if len(message.logit_bias) > MOST_BIASES:
        raise InvalidGeneration(f"logit_bias has more than {MOST_BIASES} entries", "logit_bias")
    biases = dict(message.logit_bias)
    if not all(-100 <= bias <= 100 for bias in biases.values()):
        raise InvalidGeneration("a logit bias must lie from -100 to 100", "logit_bias")
    return biases


def _constraint(message: gen.Sampling) -> Constraint | None:
    kind: Any = message.WhichOneof("constraint")
    if kind is None or (kind == "json_object" and not message.json_object):
        return None
    if kind == "json_object":
        return Constraint("json_object")
    if kind == "choice":
        options = _few(message.choice.options, "choice", MOST_CHOICES)
        if not options or not all(options):
            raise InvalidGeneration("choice must hold at least one option, none of them empty", "choice")
        return Constraint("choice", options)
    value = getattr(message, kind)
    _bounded(value, kind, LONGEST_CONSTRAINT, empty=False)
    return Constraint(kind, value)


def _few(items: Sequence[Any], name: str, most: int) -> tuple[Any, ...]:
    if len(items) > most:
        raise InvalidGeneration(f"{name} has more than {most} entries", name)
    return tuple(items)


def _bounded(text: str, name: str, most: int, empty: bool = True) -> None:
    if len(text) > most:
        raise InvalidGeneration(f"{name} is longer than {most} characters", name)
    if not empty and not text:
        raise InvalidGeneration(f"{name} must not be empty", name)


def _json(raw: bytes, name: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as fault:
        raise InvalidGeneration(f"{name} is not JSON", name) from fault


def _objects(raw: bytes, name: str) -> list[dict[str, object]]:
    parsed = _json(raw, name)
    if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
        raise InvalidGeneration(f"{name} must be a JSON array of objects", name)
    return parsed


def _object(raw: bytes, name: str) -> dict[str, object]:
    parsed = _json(raw, name) if raw else {}
    if not isinstance(parsed, dict):
        raise InvalidGeneration(f"{name} must be a JSON object", name)
    return parsed


def _words(least: float, most: float, closed: bool) -> str:
    lower = f"at {least:g} or above" if closed else f"above {least:g}"
    return lower if most == math.inf else f"{lower} and at most {most:g}"


def _logprob(logprob: TokenLogprob) -> gen.TokenLogprob:
    message = gen.TokenLogprob(
        token_id=logprob.token_id, token=logprob.token, token_bytes=logprob.token_bytes, logprob=logprob.logprob
    )
    for other in logprob.top:
        message.top.add(token_id=other.token_id, token=other.token, token_bytes=other.token_bytes, logprob=other.logprob)
    return message
