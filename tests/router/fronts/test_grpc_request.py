"""headgate.v1 → Request: every field arrives, absent stays absent, and every fault names its path."""

import dataclasses
import math
from typing import Any

import orjson
import pytest

from headgate.v1 import generation_pb2, inference_pb2
from router.config import Limits
from router.errors import InvalidRequest
from router.fronts.grpc.request import Caller, decode_feedback, decode_request, decode_sampling
from router.request import ChatPrompt, Constraint, Request, Sampling, TokenPrompt
from router.snapshot import Tenant

CALLER = Caller(None, "from-metadata", "", 12.5)
Wire = inference_pb2.GenerateRequest


def decoded(caller: Caller = CALLER, **fields: Any) -> Request:
    wire = Wire(**({"model": "auto"} | ({} if {"text", "token_ids", "chat"} & set(fields) else {"text": "hi"}) | fields))
    return decode_request(wire, caller, Tenant("red"), Limits(max_n=4))


def test_every_field_arrives() -> None:
    request = decoded(token_ids={"ids": [1, 2]}, n=3, session_id="s", request_id="r-1", sampling={"temperature": 0})
    assert request == Request(
        id="r-1",
        model="auto",
        prompt=TokenPrompt((1, 2)),
        sampling=Sampling(temperature=0.0),
        n=3,
        tenant="red",
        session="s",
        deadline=12.5,
    )


def test_what_is_absent_has_its_default() -> None:
    request = decoded()
    assert (request.n, request.session, request.sampling) == (1, "from-metadata", Sampling())
    assert len(request.id) == 32
    assert request.id != decoded().id


def test_every_sampling_field_arrives() -> None:
    full = Sampling(
        max_tokens=9, min_tokens=1, temperature=0.5, top_p=0.5, top_k=7, min_p=0.25, presence_penalty=1.0,
        frequency_penalty=-1.0, repetition_penalty=1.5, seed=-3, stop=("a", "b"), stop_token_ids=(4, 5), ignore_eos=True,
        include_stop_in_output=True, logprobs=0, logit_bias=((6, -1.5),), constraint=Constraint("regex", "x+"),
        extra_json='{"bad_words":["x"]}',
    )  # fmt: skip
    values = dataclasses.asdict(full) | {"logit_bias": {6: -1.5}, "regex": "x+"}
    del values["constraint"]
    assert decode_sampling(generation_pb2.Sampling(**values)) == full
    # A field that the message has and the value lacks would be dropped, or fail: both sides hold the same names.
    constraints = {field.name for field in generation_pb2.Sampling.DESCRIPTOR.oneofs_by_name["constraint"].fields}
    names = {field.name for field in generation_pb2.Sampling.DESCRIPTOR.fields} - constraints
    assert names == {field.name for field in dataclasses.fields(Sampling)} - {"constraint"}


@pytest.mark.parametrize("name", ["max_tokens", "min_tokens", "temperature", "top_k", "min_p", "seed", "logprobs"])
def test_zero_and_absent_differ(name: str) -> None:
    assert getattr(decode_sampling(generation_pb2.Sampling()), name) is None
    if name != "max_tokens":
        assert getattr(decode_sampling(generation_pb2.Sampling(**{name: 0})), name) == 0


@pytest.mark.parametrize(
    ("wire", "constraint"),
    [
        ({"json_schema": '{"type":"object"}'}, Constraint("json_schema", '{"type":"object"}')),
        ({"choice": {"options": ["a", "b"]}}, Constraint("choice", ("a", "b"))),
        ({"json_object": True}, Constraint("json_object")),
        ({"grammar": "root ::= x"}, Constraint("grammar", "root ::= x")),
        ({"structural_tag": "{}"}, Constraint("structural_tag", "{}")),
    ],
)
def test_each_form_arrives(wire: dict[str, Any], constraint: Constraint) -> None:
    assert decode_sampling(generation_pb2.Sampling(**wire)).constraint == constraint


def test_a_chat_becomes_openai_messages() -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "Grüße 👋", "name": "ann"}]
    tools = '[{"type":"function"}]'
    prompt = decoded(chat={"messages": messages, "tools_json": tools, "template_kwargs_json": '{"a":1}'}).prompt
    assert isinstance(prompt, ChatPrompt)
    assert orjson.loads(prompt.messages_json) == messages
    assert (prompt.tools_json, prompt.template_kwargs_json) == (tools.encode(), b'{"a":1}')


def chat(*messages: dict[str, str], **more: str) -> dict[str, Any]:
    return {"chat": {"messages": messages or [{"role": "user", "content": "x"}], **more}}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"model": ""}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"text": ""}, "text"),
        ({"token_ids": {}}, "token_ids.ids"),
        ({"token_ids": {"ids": [1, 2**31]}}, "token_ids.ids[1]"),
        ({"chat": {}}, "chat.messages"),
        (chat({"role": "user"}, {"role": "boss", "content": "secret"}), "chat.messages[1].role"),
        (chat({"content": "secret"}), "chat.messages[0].role"),
        (chat(tools_json="{}"), "chat.tools_json"),
        (chat(tools_json="[secret"), "chat.tools_json"),
        (chat(template_kwargs_json="[]"), "chat.template_kwargs_json"),
        ({"n": 0}, "n"),
        ({"n": 5}, "n"),
        ({"session_id": "s" * 257}, "session_id"),
        ({"request_id": "r" * 129}, "request_id"),
        ({"request_id": "two words"}, "request_id"),
        ({"request_id": "späte"}, "request_id"),
        ({"sampling": {"top_p": 2}}, "sampling.top_p"),
        ({"sampling": {"temperature": math.nan}}, "sampling.temperature"),
        ({"sampling": {"max_tokens": 0}}, "sampling.max_tokens"),
        ({"sampling": {"json_object": False}}, "sampling.json_object"),
        ({"sampling": {"choice": {}}}, "sampling.choice.options"),
        ({"sampling": {"stop": ["a", ""]}}, "sampling.stop[1]"),
        ({"sampling": {"logit_bias": {5: 101.0}}}, "sampling.logit_bias[5]"),
        ({"sampling": {"extra_json": "secret"}}, "sampling.extra_json"),
    ],
)
def test_every_fault_names_its_field_and_not_its_value(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decoded(**fields)
    assert refused.value.param == where
    assert refused.value.message.startswith(f"{where}: ")
    assert "secret" not in refused.value.message


def test_a_prompt_is_needed() -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt: one of text, token_ids and chat is required"):
        decode_request(Wire(model="auto"), CALLER, Tenant("red"), Limits())


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"score": 1.0}, "request_id"),
        *(({"request_id": "r", "score": score}, "score") for score in (-0.01, 1.01, math.nan, math.inf, -math.inf)),
        ({"request_id": "r"}, "score"),
        ({"request_id": "r", "label": "x" * 65}, "label"),
        *(({"request_id": "r", "better_than": other}, "better_than") for other in ("a b", "ü", "x" * 129, "a\nb")),
        ({"request_id": "r r"}, "request_id"),
    ],
)
def test_faults_of_feedback(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_feedback(inference_pb2.FeedbackRequest(**fields))
    assert refused.value.param == where
