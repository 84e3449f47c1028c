"""Requests as the body of an OpenAI-compatible call, by dialect. Pure: nothing here speaks HTTP.

A parameter goes out under the name the server knows it by. One that the dialect lacks is refused by name: a server that
silently ignores it would give an answer that nobody asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from workers.engine import Chat, Constraint, Generation, InvalidGeneration, Sampling
from workers.engines.vllm_parameters import FIELDS, read_extras, token_limits

OPENAI = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
}
SAMPLERS = OPENAI | {
    "min_tokens": "min_tokens",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "stop_token_ids": "stop_token_ids",
    "ignore_eos": "ignore_eos",
}
OPENAI_EXTRAS = frozenset(
    {
        "metadata",
        "modalities",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "tool_choice",
        "user",
        "verbosity",
    }
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server understands.

    fields        our Sampling field → the server's name
    extras        names that `Sampling.extra` may hold
    constraints   kinds that it takes
    token_ids     it reports token ids and takes them as a prompt, so answers can be continued on it
    template      it takes chat_template_kwargs
    """

    name: str
    fields: Mapping[str, str]
    extras: frozenset[str]
    constraints: frozenset[str]
    token_ids: bool = False
    template: bool = False


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "vllm",
            SAMPLERS | {"include_stop_in_output": "include_stop_str_in_output"},
            FIELDS,
            frozenset(("json_schema", "regex", "grammar", "choice", "json_object", "structural_tag")),
            token_ids=True,
            template=True,
        ),
        Dialect(
            "sglang",
            SAMPLERS | {"include_stop_in_output": "no_stop_trim"},
            OPENAI_EXTRAS | {"skip_special_tokens", "continue_final_message", "separate_reasoning", "custom_params"},
            frozenset(("json_schema", "regex", "grammar", "json_object", "structural_tag")),
            template=True,
        ),
        Dialect("tgi", OPENAI, frozenset({"tool_choice"}), frozenset(("json_schema", "json_object"))),
        Dialect("openai", OPENAI, OPENAI_EXTRAS, frozenset(("json_schema", "json_object"))),
    )
}


def chat_or_text(generation: Generation, model: str, dialect: Dialect, max_context_tokens: int) -> tuple[str, dict[str, Any]]:
    """(path, body) of a streamed call that starts the answer. Raises InvalidGeneration."""
    prompt = generation.prompt
    if not isinstance(prompt, Chat):
        given = prompt if isinstance(prompt, str) else list(prompt)
        return "/v1/completions", _body(generation, model, dialect, max_context_tokens) | {"prompt": given}
    body = _body(generation, model, dialect, 0) | {"messages": prompt.messages}
    if prompt.tools:
        body["tools"] = prompt.tools
    if prompt.template_kwargs:
        if not dialect.template:
            raise InvalidGeneration(f"a {dialect.name} server takes no chat_template_kwargs", "chat_template_kwargs")
        body["chat_template_kwargs"] = prompt.template_kwargs
    if generation.sampling.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": generation.sampling.logprobs}
    return "/v1/chat/completions", body


def continued(
    generation: Generation, model: str, dialect: Dialect, max_context_tokens: int, prompt_ids: list[int]
) -> tuple[str, dict[str, Any]] | None:
    """(path, body) of a call that continues the answer after its resumed tokens; None where it already has all of them.

    `prompt_ids` are the original prompt's.
    """
    room_tokens = (max_context_tokens or 2**31) - len(prompt_ids)
    most, least = token_limits(generation.sampling, room_tokens, None, len(generation.resume_token_ids))
    if not most:
        return None
    body = _body(generation, model, dialect, max_context_tokens)
    for template_only in ("add_generation_prompt", "continue_final_message", "truncate_prompt_tokens", "truncation_side"):
        body.pop(template_only, None)
    body |= {"prompt": [*prompt_ids, *generation.resume_token_ids], "max_tokens": most, "min_tokens": least}
    return "/v1/completions", body


def tokenize(generation: Generation, model: str) -> dict[str, Any]:
    """Body of vLLM's /tokenize for the request's prompt, rendered as /v1/chat/completions would."""
    extras = read_extras(generation.sampling.extra)
    prompt = generation.prompt
    if not isinstance(prompt, Chat):
        special = True if extras.add_special_tokens is None else extras.add_special_tokens
        return {"model": model, "prompt": prompt, "add_special_tokens": special}
    return {
        "model": model,
        "messages": prompt.messages,
        "tools": prompt.tools or None,
        "chat_template_kwargs": prompt.template_kwargs or None,
        "add_generation_prompt": extras.add_generation_prompt,
        "continue_final_message": extras.continue_final_message,
        "add_special_tokens": bool(extras.add_special_tokens),
    }


def _body(generation: Generation, model: str, dialect: Dialect, max_context_tokens: int) -> dict[str, Any]:
    """What every call has. `max_context_tokens` stands in for an absent max_tokens where it isn't 0."""
    sampling = generation.sampling
    body: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    body |= _extras(sampling, dialect) | _fields(sampling, dialect)
    if sampling.max_tokens is None and max_context_tokens and dialect.token_ids:
        # vLLM's completions default to 16 tokens; more than there is room for is cut to the room.
        body["max_tokens"] = max_context_tokens
    if sampling.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    if sampling.constraint is not None:
        body |= _constraint(sampling.constraint, dialect)
    if not isinstance(generation.prompt, Chat) or generation.resume_token_ids:
        body |= {"logprobs": sampling.logprobs} if sampling.logprobs is not None else {}
    if dialect.token_ids:
        body["return_token_ids"] = True
        body |= {"priority": generation.priority} if generation.priority else {}
        body |= {"cache_salt": generation.cache_salt} if generation.cache_salt else {}
    elif sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


def _fields(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for ours in (*SAMPLERS, "include_stop_in_output"):
        value = getattr(sampling, ours)
        if value is None or value is False or value == ():
            continue
        if ours not in dialect.fields:
            raise InvalidGeneration(f"a {dialect.name} server takes no {ours}", ours)
        fields[dialect.fields[ours]] = list(value) if isinstance(value, tuple) else value
    return fields


def _extras(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    if dialect.extras is FIELDS:
        return read_extras(sampling.extra).model_dump(exclude_unset=True, exclude_none=True)
    for name in sampling.extra:
        if name not in dialect.extras:
            raise InvalidGeneration(f"a {dialect.name} server takes no parameter {name!r}", name)
    return dict(sampling.extra)


def _constraint(constraint: Constraint, dialect: Dialect) -> dict[str, Any]:
    kind, value = constraint.kind, constraint.value
    if kind not in dialect.constraints:
        raise InvalidGeneration(f"a {dialect.name} server can't hold an answer to a {kind}", kind)
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    if kind == "json_schema":
        schema = _parsed(value, kind)
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}}
    if dialect.name == "sglang":
        if kind == "structural_tag":
            return {"response_format": _parsed(value, kind)}
        return {{"regex": "regex", "grammar": "ebnf"}[kind]: value}
    return {"structured_outputs": {kind: list(value) if kind == "choice" else value}}


def _parsed(text: str | tuple[str, ...], param: str) -> Any:
    try:
        return orjson.loads(text if isinstance(text, str) else "")
    except orjson.JSONDecodeError as fault:
        raise InvalidGeneration(f"{param} is not JSON: {fault}", param) from None
