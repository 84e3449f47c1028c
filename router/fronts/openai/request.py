"""Body of an OpenAI request → Request values and the form of the answer: the rules between parameters.

`parameters.py` says what each parameter may hold and where it goes. Nothing a caller asked for is dropped in silence:
what can't be done is refused by name.
"""

from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Literal

from router.fronts.openai.body import Given, json_object, parameters
from router.fronts.openai.faults import InvalidValue, MissingParameter, UnknownParameter, UnsupportedParameter
from router.fronts.openai.kinds import Kind, Number, Text, as_json, object_json
from router.fronts.openai.messages import names_a_tool
from router.fronts.openai.special import MAX_PROMPTS
from router.request import ChatPrompt, Constraint, EmbedCall, Prompt, Request, Sampling, TextPrompt
from router.verdict import Verdict

_COMPLETION_TOKENS = 16
# Fields of a verdict; all but the first may be left out.
_VERDICT: dict[str, Kind] = {
    "request_id": Text(128),
    "score": Number(0.0, 1.0),
    "label": Text(256, low=0),
    "better_than": Text(128),
}
_ID_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:")


@dataclass(frozen=True, slots=True)
class Rules:
    """What this router allows. `max_n` bounds the choices per prompt; `unknown` is for parameters not in the table."""

    unknown: Literal["refuse", "pass"] = "refuse"
    max_n: int = 16


@dataclass(frozen=True, slots=True)
class Caller:
    """What came beside the body. Empty strings where the caller said nothing; `deadline` as in Request."""

    request_id: str = ""
    session: str = ""
    tenant: str = "anonymous"
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How the answer is to be written.

    logprobs   alternatives beside each token; None for no logprobs
    echo       each prompt's text, where it is to be said before its answers; else empty
    """

    chat: bool
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    logprobs: int | None = None
    token_ids: bool = False
    tokens_as_ids: bool = False
    echo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request: a generation per prompt, answered in one form."""

    id: str
    requests: tuple[Request, ...]
    form: Form


def read_chat(body: bytes, caller: Caller, rules: Rules) -> Call:
    """A chat completion. Raises InvalidRequest with the parameter at fault."""
    given = parameters(body, "chat", rules.unknown)
    front = given.front
    given.required("model")
    messages = as_json(given.required("messages"), "messages")
    top = front.get("top_logprobs", 0)
    wanted = front.get("logprobs", False)
    if top and not wanted:
        raise InvalidValue("top_logprobs needs logprobs: true", param="top_logprobs")
    limit = front.get("max_completion_tokens", front.get("max_tokens"))
    if front.get("max_tokens", limit) != limit:
        raise InvalidValue("max_tokens differs from max_completion_tokens: give one", param="max_tokens")
    tools = _tools(given)
    prompt = ChatPrompt(messages, tools, _template(given))
    form = _form(given, rules, chat=True, logprobs=top if wanted else None)
    return _call([prompt], given, form, caller, _sampling(given, limit, form.logprobs))


def read_completion(body: bytes, caller: Caller, rules: Rules) -> Call:
    """A text completion of one prompt or several. Raises InvalidRequest with the parameter at fault."""
    given = parameters(body, "completions", rules.unknown)
    front = given.front
    given.required("model")
    prompts = given.required("prompt")
    echo: tuple[str, ...] = ()
    if front.get("echo"):
        echo = tuple(prompt.text for prompt in prompts if isinstance(prompt, TextPrompt))
        if len(echo) < len(prompts) or "logprobs" in front:
            raise UnsupportedParameter("echo is supported for text prompts without logprobs", param="echo")
    form = _form(given, rules, chat=False, logprobs=front.get("logprobs"), echo=echo)
    if front.get("best_of", form.n) != form.n:
        raise UnsupportedParameter("best_of other than n is not supported", param="best_of")
    if len(prompts) * form.n > (most := max(MAX_PROMPTS, rules.max_n)):
        raise InvalidValue(f"prompts times n may be at most {most}", param="prompt")
    limit = front.get("max_tokens", _COMPLETION_TOKENS)
    return _call(prompts, given, form, caller, _sampling(given, limit, form.logprobs))


def read_embedding(body: bytes, caller: Caller, rules: Rules) -> tuple[EmbedCall, bool]:
    """An embedding call, and whether its vectors are wanted in base64."""
    given = parameters(body, "embeddings", rules.unknown)
    for name in given.engine:
        raise UnknownParameter("embeddings take no engine parameters", param=name[:64] or "body")
    model, texts = given.required("model"), given.required("input")
    call_id = caller.request_id or fresh_id()
    call = EmbedCall(call_id, model, texts, given.front.get("dimensions"), caller.deadline)
    return call, given.front.get("encoding_format") == "base64"


def read_feedback(body: bytes) -> Verdict:
    """A verdict on an answer. Raises InvalidRequest with the field at fault."""
    given = {name: value for name, value in json_object(body).items() if value is not None or name not in _VERDICT}
    for name in given:
        if name not in _VERDICT:
            raise UnknownParameter("unknown field", param=name[:64] or "body")
    if "request_id" not in given:
        raise MissingParameter("request_id is required", param="request_id")
    checked = {name: _VERDICT[name].check(value, name) for name, value in given.items()}
    if not checked.keys() & {"score", "better_than"} and not checked.get("label"):
        raise MissingParameter("score is required where there is neither label nor better_than", param="score")
    return Verdict(**checked)


def fresh_id() -> str:
    """A request id nobody else has."""
    return token_hex(12)


def checked_id(value: str, name: str) -> str:
    """A request id that is safe in headers, logs and file names. Raises InvalidValue."""
    if 1 <= len(value) <= 128 and _ID_CHARS.issuperset(value):
        return value
    raise InvalidValue(f"{name} must be 1 to 128 letters, digits, or any of -_.:", param=name)


def _form(given: Given, rules: Rules, *, chat: bool, logprobs: int | None, echo: tuple[str, ...] = ()) -> Form:
    front = given.front
    stream, n = front.get("stream", False), front.get("n", 1)
    if n > rules.max_n:
        raise InvalidValue(f"n may be at most {rules.max_n}", param="n")
    if "stream_options" in front and not stream:
        raise InvalidValue("stream_options needs stream: true", param="stream_options")
    if logprobs is None and "logprob_token_ids" in given.engine:
        raise InvalidValue("logprob_token_ids needs logprobs", param="logprob_token_ids")
    token_ids, as_ids = front.get("return_token_ids", False), front.get("return_tokens_as_token_ids", False)
    return Form(chat, stream, front.get("stream_options", False), n, logprobs, token_ids, as_ids, echo)


def _sampling(given: Given, limit: int | None, logprobs: int | None) -> Sampling:
    fields = given.sampling
    if limit is not None and fields.get("min_tokens", 0) > limit:
        raise InvalidValue(f"min_tokens may be at most max_tokens, {limit}", param="min_tokens")
    extra = object_json(given.engine).decode() if given.engine else ""
    return Sampling(max_tokens=limit, logprobs=logprobs, constraint=_constraint(given), extra_json=extra, **fields)


def _constraint(given: Given) -> Constraint | None:
    by_format: Constraint | None = given.front.get("response_format")
    by_form: Constraint | None = given.front.get("structured_outputs")
    if by_format is not None and by_form is not None:
        raise InvalidValue(
            "structured_outputs and response_format both constrain the answer: give one", param="structured_outputs"
        )
    return by_format or by_form


def _tools(given: Given) -> bytes:
    """JSON of the tools; puts a choice among them with the engine's parameters."""
    tools, choice = given.front.get("tools"), given.front.get("tool_choice", "auto")
    if tools is None:
        if choice not in ("none", "auto"):
            raise InvalidValue("tool_choice needs tools", param="tool_choice")
        return b""
    if isinstance(choice, dict) and not names_a_tool(choice, tools):
        raise InvalidValue("tool_choice names a function that is not among the tools", param="tool_choice")
    if choice != "auto":
        given.engine["tool_choice"] = choice
    return as_json(tools, "tools")


def _template(given: Given) -> bytes:
    """JSON of the chat template's own variables; settles how the prompt ends."""
    engine = given.engine
    # Both at once make no sense, and an engine begins a new message unless it is told not to.
    if engine.get("continue_final_message") and engine.setdefault("add_generation_prompt", False):
        raise InvalidValue("continue_final_message excludes add_generation_prompt", param="continue_final_message")
    own: dict[str, Any] = given.front.get("chat_template_kwargs", {})
    for name in ("chat_template", "tokenize"):
        if name in own:
            raise UnsupportedParameter(f"chat_template_kwargs.{name} is not supported", param=f"chat_template_kwargs.{name}")
    return as_json(own, "chat_template_kwargs") if own else b""


def _call(prompts: list[Prompt], given: Given, form: Form, caller: Caller, sampling: Sampling) -> Call:
    """One Request per prompt. Prompts after the first get ids of their own, so that each can be followed."""
    front = given.front
    call_id = caller.request_id
    if not call_id:
        call_id = checked_id(front["request_id"], "request_id") if "request_id" in front else fresh_id()
    session = caller.session or front.get("session_id") or front.get("prompt_cache_key", "")
    requests = [
        Request(
            call_id if i == 0 else f"{call_id}.{i}",
            front["model"],
            prompt,
            sampling,
            n=form.n,
            tenant=caller.tenant,
            session=session,
            deadline=caller.deadline,
            stream=form.stream,
            **given.request,
        )
        for i, prompt in enumerate(prompts)
    ]
    return Call(call_id, tuple(requests), form)
