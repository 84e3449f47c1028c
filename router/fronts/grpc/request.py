"""headgate.v1 messages → `router.request`. Every fault names the field by its path. Nothing is looked up here."""

import uuid
from dataclasses import dataclass
from typing import Any

import grpc
import orjson

from headgate.v1 import generation_pb2, inference_pb2
from router.config import Limits
from router.errors import Unauthenticated
from router.fronts.sampling_rules import check, check_token_ids, fault, json_of
from router.request import ChatPrompt, Constraint, Prompt, Request, Sampling, TextPrompt, TokenPrompt
from router.snapshot import Tenant
from router.verdict import Verdict

LONGEST_NAME_CHARS = 256
LONGEST_ID_CHARS = 128
LONGEST_LABEL_CHARS = 64

_ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call says about itself outside its message. `deadline` is on the loop's clock, in seconds."""

    bearer: str | None
    session: str
    request_id: str
    deadline: float


def read_caller(context: "grpc.aio.ServicerContext[Any, Any]", limits: Limits, now: float) -> Caller:
    """Reads metadata and deadline. Raises Unauthenticated for two authorizations: which of them counts would be a guess."""
    bearer, session, request_id = None, "", ""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            if bearer is not None:
                raise Unauthenticated("authorization: given more than once")
            scheme, _, token = str(value).partition(" ")
            bearer = token.strip() if scheme.lower() == "bearer" else ""
        elif key == "x-session-id":
            session = str(value)
        elif key == "x-request-id":
            request_id = str(value)
    remaining_s: float | None = context.time_remaining()
    left_s = limits.default_timeout_s if remaining_s is None else min(remaining_s, limits.max_timeout_s)
    return Caller(bearer, session, request_id, now + left_s)


def decode_request(wire: inference_pb2.GenerateRequest, caller: Caller, tenant: Tenant, limits: Limits) -> Request:
    """The request as dispatch knows it. Raises InvalidRequest."""
    n = wire.n if wire.HasField("n") else 1
    if not 1 <= n <= limits.max_n:
        raise fault("n", f"must be in [1, {limits.max_n}]")
    return Request(
        id=request_id(wire.request_id or caller.request_id),
        model=name(wire.model, "model"),
        prompt=_prompt(wire),
        sampling=decode_sampling(wire.sampling),
        n=n,
        tenant=tenant.name,
        session=session(wire.session_id or caller.session),
        deadline=caller.deadline,
    )


def decode_feedback(wire: inference_pb2.FeedbackRequest) -> Verdict:
    """Raises InvalidRequest."""
    if not wire.request_id:
        raise fault("request_id", "is required")
    judged = request_id(wire.request_id)
    score = wire.score if wire.HasField("score") else None
    if score is None and not wire.label and not wire.better_than:
        raise fault("score", "is required where there is neither label nor better_than")
    if score is not None and not 0.0 <= score <= 1.0:
        raise fault("score", "must be in [0, 1]")
    if len(wire.label) > LONGEST_LABEL_CHARS:
        raise fault("label", f"must have at most {LONGEST_LABEL_CHARS} characters")
    better_than = request_id(wire.better_than, "better_than") if wire.better_than else ""
    return Verdict(judged, score, wire.label, better_than)


def decode_sampling(wire: generation_pb2.Sampling) -> Sampling:
    """Absent stays None: 0 and absent differ. Raises InvalidRequest."""
    # Only what the caller set: optional fields that are present, others that are not zero. Names are the same on both sides.
    values: dict[str, Any] = {field.name: value for field, value in wire.ListFields()}
    kind = wire.WhichOneof("constraint")
    if kind is not None:
        values["constraint"] = _constraint(kind, values.pop(kind, False))
    for repeated in ("stop", "stop_token_ids"):
        if repeated in values:
            values[repeated] = tuple(values[repeated])
    if "logit_bias" in values:
        values["logit_bias"] = tuple(values["logit_bias"].items())
    sampling = Sampling(**values)
    check(sampling, _sampling_path)
    return sampling


def name(text: str, where: str) -> str:
    """A model's or pool's name, present and of bounded length."""
    if not text:
        raise fault(where, "is required")
    if len(text) > LONGEST_NAME_CHARS:
        raise fault(where, f"must have at most {LONGEST_NAME_CHARS} characters")
    return text


def session(text: str) -> str:
    if len(text) > LONGEST_NAME_CHARS:
        raise fault("session_id", f"must have at most {LONGEST_NAME_CHARS} characters")
    return text


def request_id(given: str, where: str = "request_id") -> str:
    """The caller's id, which logs and headers must be able to show, or a new one."""
    if not given:
        return uuid.uuid4().hex
    if len(given) > LONGEST_ID_CHARS or not all("!" <= char <= "~" for char in given):
        raise fault(where, f"must have at most {LONGEST_ID_CHARS} visible ASCII characters")
    return given


def _prompt(wire: inference_pb2.GenerateRequest) -> Prompt:
    match wire.WhichOneof("prompt"):
        case "text":
            if not wire.text:
                raise fault("text", "must not be empty")
            return TextPrompt(wire.text)
        case "token_ids":
            ids = tuple(wire.token_ids.ids)
            if not ids:
                raise fault("token_ids.ids", "must not be empty")
            check_token_ids(ids, "token_ids.ids")
            return TokenPrompt(ids)
        case "chat":
            return _chat(wire.chat)
        case _:
            raise fault("prompt", "one of text, token_ids and chat is required")


def _chat(wire: inference_pb2.Chat) -> ChatPrompt:
    if not wire.messages:
        raise fault("chat.messages", "must not be empty")
    messages = []
    for index, message in enumerate(wire.messages):
        if message.role not in _ROLES:
            raise fault(f"chat.messages[{index}].role", f"must be one of {', '.join(sorted(_ROLES))}")
        plain = {"role": message.role, "content": message.content}
        if message.name:
            plain["name"] = message.name
        messages.append(plain)
    if wire.tools_json:
        json_of(wire.tools_json, list, "chat.tools_json")
    if wire.template_kwargs_json:
        json_of(wire.template_kwargs_json, dict, "chat.template_kwargs_json")
    return ChatPrompt(orjson.dumps(messages), wire.tools_json.encode(), wire.template_kwargs_json.encode())


def _constraint(kind: Any, value: Any) -> Constraint:
    if kind == "json_object" and value is not True:
        raise fault("sampling.json_object", "must be true where it is given")
    if kind == "json_object":
        return Constraint("json_object")
    return Constraint(kind, tuple(value.options) if kind == "choice" else value)


def _sampling_path(field: str) -> str:
    return f"sampling.{field}.options" if field == "choice" else f"sampling.{field}"
