"""Every parameter of the OpenAI front, one row each: what it may hold, and where it goes. docs/parameters.md and the OpenAPI
document are written from these rows. The names are OpenAI's and those of vLLM 0.32's own OpenAI server.

A null means the same as leaving the parameter out. Where a parameter goes:

    front      read by `request.py`
    sampling   the field of router.request.Sampling
    request    the field of router.request.Request
    engine     handed to the engine under its own name, unless it holds `default`; an engine that does not know it refuses
    hint       accepted, without effect on the answer
    refused    only values that ask for nothing are accepted
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from router.fronts.openai import constraints, messages, special
from router.fronts.openai.kinds import (
    INT64_MAX,
    Fixed,
    Flag,
    Integer,
    Integers,
    Kind,
    Mapping,
    Mappings,
    Number,
    Special,
    Text,
    Texts,
    Word,
)

Api = Literal["chat", "completions", "embeddings"]
Goes = Literal["front", "sampling", "request", "engine", "hint", "refused"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row. `apis` are the endpoints that take it; `field` is its name where it goes, if another."""

    name: str
    kind: Kind
    goes: Goes
    apis: tuple[Api, ...] = ("chat", "completions")
    field: str = ""
    default: object = None
    note: str = ""


_CHAT: tuple[Api, ...] = ("chat",)
_COMPLETIONS: tuple[Api, ...] = ("completions",)
_EMBEDDINGS: tuple[Api, ...] = ("embeddings",)
_ALL: tuple[Api, ...] = ("chat", "completions", "embeddings")
_FLAG = Flag()
_COUNT = Integer(1)
_PENALTY = Number(-2.0, 2.0)
_ANY_ID = Integers(1024)


def _refused(name: str, why: str, *allowed: object, apis: tuple[Api, ...] = ("chat", "completions")) -> Parameter:
    return Parameter(name, Fixed(allowed, why), "refused", apis, note=why)


_PROMPT = (
    Parameter("model", Text(256), "front", _ALL, note="a pool, a model that a pool serves, or `auto`; required"),
    Parameter("messages", Special(messages.messages, messages.MESSAGES_SCHEMA), "front", _CHAT, note="required"),
    Parameter(
        "prompt",
        Special(special.prompts, special.PROMPT_SCHEMA),
        "front",
        _COMPLETIONS,
        note="a text, token ids, or a list of either; choice `i` of prompt `p` has index `p·n + i`; required",
    ),
    Parameter("input", Special(special.inputs, special.INPUT_SCHEMA), "front", _EMBEDDINGS, note="required"),
)

_ANSWER = (
    Parameter("n", _COUNT, "front", note="up to `limits.max_n`; prompts times `n` up to 128"),
    Parameter("best_of", _COUNT, "front", _COMPLETIONS, note="only with the value of `n`"),
    Parameter("stream", _FLAG, "front"),
    Parameter("stream_options", Special(special.stream_options, special.STREAM_OPTIONS_SCHEMA), "front"),
    Parameter("logprobs", _FLAG, "front", _CHAT),
    Parameter("top_logprobs", Integer(0, 20), "front", _CHAT, note="with `logprobs`"),
    Parameter("logprobs", Integer(0, 20), "front", _COMPLETIONS),
    Parameter("echo", _FLAG, "front", _COMPLETIONS, note="text prompts only, not with `logprobs`"),
    Parameter("return_token_ids", _FLAG, "front", note="`token_ids` per choice; `prompt_token_ids` is not reported"),
    Parameter("return_tokens_as_token_ids", _FLAG, "front"),
    Parameter("max_completion_tokens", _COUNT, "front", _CHAT),
    Parameter("max_tokens", _COUNT, "front", _CHAT, note="the older name of `max_completion_tokens`"),
    Parameter("max_tokens", _COUNT, "front", _COMPLETIONS, note="16 where absent, as OpenAI and vLLM have it"),
    Parameter("encoding_format", Word(("float", "base64")), "front", _EMBEDDINGS),
    Parameter("dimensions", Integer(1, 65536), "front", _EMBEDDINGS),
)

_SAMPLING = (
    Parameter("temperature", Number(0.0, 2.0), "sampling"),
    Parameter("top_p", Number(0.0, 1.0, above=True), "sampling"),
    Parameter("top_k", Integer(-1), "sampling", note="0 and -1: all tokens"),
    Parameter("min_p", Number(0.0, 1.0), "sampling"),
    Parameter("presence_penalty", _PENALTY, "sampling"),
    Parameter("frequency_penalty", _PENALTY, "sampling"),
    Parameter("repetition_penalty", Number(0.0, 1e6, above=True), "sampling"),
    Parameter("seed", Integer(-INT64_MAX - 1, INT64_MAX), "sampling"),
    Parameter("stop", Texts(16, 1024, lone=True), "sampling"),
    Parameter("stop_token_ids", _ANY_ID, "sampling"),
    Parameter("min_tokens", Integer(0), "sampling"),
    Parameter("ignore_eos", _FLAG, "sampling"),
    Parameter("include_stop_str_in_output", _FLAG, "sampling", field="include_stop_in_output"),
    Parameter("logit_bias", Special(special.logit_bias, special.LOGIT_BIAS_SCHEMA), "sampling"),
    Parameter("response_format", Special(constraints.response_format, constraints.RESPONSE_FORMAT_SCHEMA), "front"),
    Parameter(
        "structured_outputs",
        Special(constraints.structured_outputs, constraints.STRUCTURED_OUTPUTS_SCHEMA),
        "front",
        note="not with a `response_format` other than text",
    ),
)

_ROUTING = (
    Parameter("priority", Integer(-(2**31)), "request", note="lower is sooner"),
    Parameter("cache_salt", Text(128, forbidden="@/\\\0"), "request", note="answers with different salts share no KV cache"),
    Parameter("session_id", Text(256), "front", note="as the header `x-session-id`, which wins"),
    Parameter("prompt_cache_key", Text(256), "front", note="the session, where none is given"),
    Parameter("request_id", Text(128), "front", note="as the header `x-request-id`, which wins"),
)

_TOOLS = (
    Parameter("tools", Special(messages.tools, messages.TOOLS_SCHEMA), "front", _CHAT),
    Parameter("tool_choice", Special(messages.tool_choice, messages.TOOL_CHOICE_SCHEMA), "front", _CHAT),
    Parameter("parallel_tool_calls", _FLAG, "engine", _CHAT, default=True),
)

_TEMPLATE = (
    Parameter("add_generation_prompt", _FLAG, "engine", _CHAT),
    Parameter("continue_final_message", _FLAG, "engine", _CHAT, default=False, note="not with `add_generation_prompt`"),
    Parameter("documents", Mappings(1024), "engine", _CHAT),
    Parameter("reasoning_effort", Word(("none", "minimal", "low", "medium", "high", "xhigh", "max")), "engine", _CHAT),
    Parameter("chat_template_kwargs", Mapping(), "front", _CHAT, note="without `chat_template` and `tokenize`"),
)

_ENGINE = (
    Parameter("skip_special_tokens", _FLAG, "engine", default=True),
    Parameter("spaces_between_special_tokens", _FLAG, "engine", default=True),
    Parameter("add_special_tokens", _FLAG, "engine", _CHAT, default=False),
    Parameter("add_special_tokens", _FLAG, "engine", _COMPLETIONS, default=True),
    Parameter("truncate_prompt_tokens", Integer(-1), "engine"),
    Parameter("truncation_side", Word(("left", "right")), "engine"),
    Parameter("bad_words", Texts(256, 1024), "engine", default=()),
    Parameter("allowed_token_ids", Integers(65536, least=1), "engine"),
    Parameter("logprob_token_ids", _ANY_ID, "engine", default=(), note="with `logprobs`"),
    Parameter("thinking_token_budget", Integer(-1), "engine", default=-1),
    Parameter("include_reasoning", _FLAG, "engine", _CHAT, default=True),
    Parameter("repetition_detection", Mapping(), "engine"),
    Parameter("stream_interval", _COUNT, "engine", default=1),
    Parameter("watermarking", _FLAG, "engine"),
    Parameter("vllm_xargs", Mapping(), "engine"),
)

_HINTS = (
    Parameter("user", Text(256, low=0), "hint", _ALL, note="the API key names the tenant"),
    Parameter("safety_identifier", Text(256, low=0), "hint", _CHAT),
    Parameter("metadata", Mapping(), "hint", _CHAT),
    Parameter("prompt_cache_retention", Word(("in_memory", "in-memory", "24h")), "hint", _CHAT),
    Parameter("prompt_cache_options", Mapping(), "hint", _CHAT),
    Parameter("prediction", Mapping(), "hint", _CHAT, note="pools choose their own speculation"),
    Parameter("service_tier", Word(("auto", "default")), "hint", _CHAT),
)

_GUIDED = "vLLM removed it; use structured_outputs"
_REFUSED = (
    _refused("modalities", "answers are text", ["text"], apis=_CHAT),
    _refused("audio", "answers are text", apis=_CHAT),
    _refused("web_search_options", "there is no web search here", apis=_CHAT),
    _refused("moderation", "there is no moderation here", apis=_CHAT),
    _refused("verbosity", "models here have no such setting", "medium", apis=_CHAT),
    _refused("store", "answers are not stored", False, apis=_CHAT),
    _refused("functions", "use tools", apis=_CHAT),
    _refused("function_call", "use tool_choice", apis=_CHAT),
    _refused("echo", "use continue_final_message", False, apis=_CHAT),
    _refused("chat_template", "a template is code: each pool has its own", apis=_CHAT),
    _refused("suffix", "models here do not fill in the middle", "", apis=_COMPLETIONS),
    _refused("prompt_embeds", "prompts are text or token ids", apis=_COMPLETIONS),
    _refused("prompt_logprobs", "a prompt may be read from cache, without logprobs"),
    _refused("use_beam_search", "a beam can't be streamed or continued elsewhere", False),
    _refused("length_penalty", "it belongs to beam search", 1.0, 1),
    _refused("media_io_kwargs", "prompts are text", {}, apis=_CHAT),
    _refused("mm_processor_kwargs", "prompts are text", {}, apis=_CHAT),
    _refused("mm_payload", "prompts are text", "tensors"),
    _refused("return_mm_kwargs", "prompts are text", True),
    _refused("return_prompt_text", "it is not reported", False, apis=_CHAT),
    _refused("return_token_offsets", "they are not reported", False),
    _refused("routed_experts_prompt_start", "expert choices are not reported", 0),
    _refused("kv_transfer_params", "Headgate itself says where KV comes from", {}),
    _refused("ec_transfer_params", "Headgate itself says where encoder output comes from", {}),
    *(_refused(f"guided_{form}", _GUIDED) for form in ("json", "regex", "choice", "grammar", "decoding_backend")),
)

PARAMETERS: tuple[Parameter, ...] = (
    *_PROMPT,
    *_ANSWER,
    *_SAMPLING,
    *_ROUTING,
    *_TOOLS,
    *_TEMPLATE,
    *_ENGINE,
    *_HINTS,
    *_REFUSED,
)


def rows(api: Api) -> Iterator[Parameter]:
    """The parameters that an endpoint takes."""
    return (parameter for parameter in PARAMETERS if api in parameter.apis)
