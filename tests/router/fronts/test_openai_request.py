"""Bodies → requests: every parameter's bounds, where it goes, and the rules between parameters."""

from typing import Any

import orjson
import pytest

from router.errors import InvalidRequest
from router.fronts.openai.kinds import Fixed
from router.fronts.openai.parameters import PARAMETERS
from router.fronts.openai.request import Call, Caller, Rules, read_chat, read_completion, read_embedding, read_feedback
from router.request import ChatPrompt, Constraint, Sampling, TextPrompt, TokenPrompt
from router.verdict import Verdict

HI = [{"role": "user", "content": "hi"}]
RULES = Rules(max_n=4)
PASS = Rules(unknown="pass", max_n=4)
TOOL = {"type": "function", "function": {"name": "f"}}


def chat(rules: Rules = RULES, caller: Caller | None = None, **fields: Any) -> Call:
    body = orjson.dumps({"model": "m", "messages": HI, **fields})
    return read_chat(body, caller or Caller(), rules)


def completion(rules: Rules = RULES, **fields: object) -> Call:
    return read_completion(orjson.dumps({"model": "m", "prompt": "p", **fields}), Caller(), rules)


def sampling(**fields: Any) -> Sampling:
    return chat(**fields).requests[0].sampling


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as failed:
        chat(**fields)
    return failed.value


def test_a_bare_chat_leaves_every_choice_to_the_engine() -> None:
    call = chat()
    (request,) = call.requests
    assert request.sampling == Sampling()
    assert (request.model, request.n, request.session, request.priority, request.cache_salt) == ("m", 1, "", 0, "")
    assert request.prompt == ChatPrompt(orjson.dumps(HI))
    assert len(call.id) == 24


SAMPLED: dict[str, tuple[object, str, object]] = {
    "temperature": (0, "temperature", 0.0),
    "top_p": (1, "top_p", 1.0),
    "top_k": (-1, "top_k", -1),
    "min_p": (0.5, "min_p", 0.5),
    "presence_penalty": (-2, "presence_penalty", -2.0),
    "frequency_penalty": (2, "frequency_penalty", 2.0),
    "repetition_penalty": (1.1, "repetition_penalty", 1.1),
    "seed": (-(2**63), "seed", -(2**63)),
    "stop": ("a", "stop", ("a",)),
    "stop_token_ids": ([1, 2], "stop_token_ids", (1, 2)),
    "min_tokens": (0, "min_tokens", 0),
    "max_tokens": (5, "max_tokens", 5),
    "max_completion_tokens": (5, "max_tokens", 5),
    "ignore_eos": (True, "ignore_eos", True),
    "include_stop_str_in_output": (True, "include_stop_in_output", True),
    "logit_bias": ({"7": 1}, "logit_bias", ((7, 1.0),)),
    "logprobs": (True, "logprobs", 0),
    "skip_special_tokens": (False, "extra_json", '{"skip_special_tokens":false}'),
    "bad_words": (["x"], "extra_json", '{"bad_words":["x"]}'),
    "vllm_xargs": ({"a": 1}, "extra_json", '{"vllm_xargs":{"a":1}}'),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_sampling_parameters_reach_their_field(name: str) -> None:
    value, field, kept = SAMPLED[name]
    assert getattr(sampling(**{name: value}), field) == kept


@pytest.mark.parametrize("name", [row.name for row in PARAMETERS if row.goes == "engine" and "chat" in row.apis])
def test_what_the_engine_does_anyway_is_not_sent(name: str) -> None:
    (row,) = [row for row in PARAMETERS if row.name == name and "chat" in row.apis]
    value = list(row.default) if isinstance(row.default, tuple) else row.default
    assert sampling(**{name: value}).extra_json == ""


@pytest.mark.parametrize("name", sorted({row.name for row in PARAMETERS if "chat" in row.apis} - {"model", "messages"}))
def test_null_is_the_same_as_nothing(name: str) -> None:
    nothing: dict[str, Any] = {name: None}
    assert chat(caller=Caller("id"), **nothing) == chat(caller=Caller("id"))


@pytest.mark.parametrize("name", [row.name for row in PARAMETERS if isinstance(row.kind, Fixed) and "chat" in row.apis])
def test_what_can_not_be_done_is_refused_by_name_unless_it_asks_for_nothing(name: str) -> None:
    (kind,) = [row.kind for row in PARAMETERS if row.name == name and "chat" in row.apis]
    assert isinstance(kind, Fixed)
    for value in kind.allowed:
        neutral: dict[str, Any] = {name: value}
        assert chat(caller=Caller("id"), **neutral) == chat(caller=Caller("id"))
    error = refusal(**{name: {"ask": "for something"}})
    assert (error.param, error.code) == (name, "unsupported_parameter")


WRONG: list[tuple[str, object, str]] = [
    ("temperature", "1", "temperature"),
    ("temperature", True, "temperature"),
    ("temperature", 2.1, "temperature"),
    ("temperature", -0.1, "temperature"),
    ("top_p", 0, "top_p"),
    ("top_p", 1.1, "top_p"),
    ("top_k", 1.0, "top_k"),
    ("top_k", True, "top_k"),
    ("top_k", -2, "top_k"),
    ("min_p", 2, "min_p"),
    ("repetition_penalty", 0, "repetition_penalty"),
    ("seed", 2**63, "seed"),
    ("seed", 1.5, "seed"),
    ("n", 0, "n"),
    ("n", 5, "n"),
    ("n", True, "n"),
    ("max_tokens", 0, "max_tokens"),
    ("max_tokens", "5", "max_tokens"),
    ("max_tokens", 2**40, "max_tokens"),
    ("stop", [1], "stop[0]"),
    ("stop", [""], "stop[0]"),
    ("stop", "", "stop"),
    ("stop", ["a"] * 17, "stop"),
    ("stop", ["a" * 1025], "stop[0]"),
    ("stop", {"a": 1}, "stop"),
    ("stop_token_ids", [True], "stop_token_ids"),
    ("stop_token_ids", [-1], "stop_token_ids"),
    ("stop_token_ids", "1", "stop_token_ids"),
    ("logit_bias", {"a": 1}, "logit_bias"),
    ("logit_bias", {"٣": 1}, "logit_bias"),
    ("logit_bias", {"1": 101}, "logit_bias.1"),
    ("logit_bias", {"1": None}, "logit_bias.1"),
    ("logit_bias", {str(i): 0 for i in range(1025)}, "logit_bias"),
    ("logprobs", 1, "logprobs"),
    ("top_logprobs", 2, "top_logprobs"),
    ("top_logprobs", 21, "top_logprobs"),
    ("logprob_token_ids", [1], "logprob_token_ids"),
    ("stream", "yes", "stream"),
    ("stream_options", {"include_usage": True}, "stream_options"),
    ("priority", 2**40, "priority"),
    ("cache_salt", "", "cache_salt"),
    ("cache_salt", "a/b", "cache_salt"),
    ("cache_salt", "a" * 129, "cache_salt"),
    ("request_id", "a b", "request_id"),
    ("reasoning_effort", "huge", "reasoning_effort"),
    ("chat_template_kwargs", {"chat_template": "x"}, "chat_template_kwargs.chat_template"),
    ("documents", ["x"], "documents"),
    ("metadata", [], "metadata"),
    ("messages", [], "messages"),
    ("messages", {}, "messages"),
    ("messages", ["hi"], "messages[0]"),
    ("messages", [{"content": "hi"}], "messages[0].role"),
    ("messages", [{"role": "", "content": "hi"}], "messages[0].role"),
    ("messages", [{"role": "user"}], "messages[0].content"),
    ("messages", [{"role": "user", "content": 1}], "messages[0].content"),
    ("messages", [{"role": "user", "content": []}], "messages[0].content"),
    ("messages", [{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
    ("messages", [{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
    ("messages", [{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].type"),
    ("messages", [{"role": "user", "content": [{"type": ["text"]}]}], "messages[0].content[0].type"),
    ("messages", [{"role": "user", "content": "a", "name": 1}], "messages[0].name"),
    ("messages", [{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls"),
    ("messages", [{"role": "assistant", "tool_calls": [1]}], "messages[0].tool_calls[0].function"),
    ("messages", [{"role": "tool", "content": "a", "tool_call_id": 1}], "messages[0].tool_call_id"),
    ("tools", [], "tools"),
    ("tools", [1], "tools[0]"),
    ("tools", [{"type": "custom"}], "tools[0].type"),
    ("tools", [{"type": "function"}], "tools[0].function"),
    ("tools", [{"type": "function", "function": {"name": ""}}], "tools[0].function.name"),
    ("tools", [{"type": "function", "function": {"name": "f", "parameters": 1}}], "tools[0].function.parameters"),
    ("tool_choice", "required", "tool_choice"),
    ("tool_choice", "always", "tool_choice"),
    ("tool_choice", {"type": "function", "function": []}, "tool_choice.function.name"),
    ("response_format", "json", "response_format"),
    ("response_format", {"type": "xml"}, "response_format.type"),
    ("response_format", {"type": ["text"]}, "response_format.type"),
    ("response_format", {"type": "text", "x": 1}, "response_format.x"),
    ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a"}}, "response_format.json_schema.schema"),
    ("response_format", {"type": "json_schema", "json_schema": {"schema": {}}}, "response_format.json_schema.name"),
    ("response_format", {"type": "structural_tag"}, "response_format.format"),
    ("structured_outputs", {}, "structured_outputs"),
    ("structured_outputs", {"regex": "a", "choice": ["b"]}, "structured_outputs"),
    ("structured_outputs", {"choice": []}, "structured_outputs.choice"),
    ("structured_outputs", {"json": 1}, "structured_outputs.json"),
    ("structured_outputs", {"json_object": False}, "structured_outputs.json_object"),
    ("structured_outputs", {"regex": "a", "whitespace_pattern": "b"}, "structured_outputs.whitespace_pattern"),
    ("structured_outputs", {"regexp": "a"}, "structured_outputs.regexp"),
]


@pytest.mark.parametrize(("name", "value", "param"), WRONG, ids=[f"{param}-{i}" for i, (_, _, param) in enumerate(WRONG)])
def test_wrong_values_are_refused_with_the_place(name: str, value: object, param: str) -> None:
    error = refusal(**{name: value})
    assert error.param == param
    assert error.code in {
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
        "unsupported_parameter",
        "unknown_parameter",
    }


RIVALS: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"min_tokens": 3, "max_tokens": 2}, "min_tokens"),
    ({"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}}, "structured_outputs"),
    ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
    ({"stream": True, "stream_options": {"continuous_usage_stats": True}}, "stream_options.continuous_usage_stats"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
]


@pytest.mark.parametrize(("fields", "param"), RIVALS)
def test_parameters_that_exclude_each_other(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


def test_unknown_parameters_are_refused_or_passed() -> None:
    error = refusal(new_knob=1)
    assert (error.param, error.code) == ("new_knob", "unknown_parameter")
    passed = chat(PASS, new_knob=[1], other=None)
    assert passed.requests[0].sampling.extra_json == '{"new_knob":[1],"other":null}'
    many: dict[str, Any] = {f"k{i}": 1 for i in range(65)}
    with pytest.raises(InvalidRequest) as failed:
        chat(PASS, **many)
    assert failed.value.param == "k64"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"null", b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"model":NaN}'])
def test_a_body_that_is_no_json_object(body: bytes) -> None:
    for read in (read_chat, read_completion, read_embedding):
        with pytest.raises(InvalidRequest) as failed:
            read(body, Caller(), RULES)
        assert failed.value.param == "body"


@pytest.mark.parametrize("depth", [200, 300, 900, 1500])
@pytest.mark.parametrize("name", ["metadata", "tools", "documents", "vllm_xargs", "chat_template_kwargs", "structured_outputs"])
def test_deep_nesting_is_an_error_of_the_caller_or_no_matter(name: str, depth: int) -> None:
    nest = b'{"a":' * depth + b"1" + b"}" * depth
    values = {
        "tools": b'[{"type":"function","function":{"name":"f","parameters":' + nest + b"}}]",
        "documents": b"[" + nest + b"]",
        "structured_outputs": b'{"json":' + nest + b"}",
    }
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"' + name.encode() + b'":' + values.get(name, nest) + b"}"
    fault = ""
    try:
        read_chat(body, Caller(), RULES)
    except InvalidRequest as error:
        fault = error.param or "no name"
    assert fault in ("", name, "body", f"{name}.json")
    assert fault or depth < 300 or name == "metadata"  # which goes nowhere


def test_errors_never_quote_a_value() -> None:
    secret = "the-secret-prompt"
    for fields in ({"messages": [{"role": secret * 9, "content": secret}]}, {"stop": {secret: secret}}, {"seed": secret}):
        assert secret not in refusal(**fields).message


def test_text_parts_become_one_text_and_the_rest_stays_as_it_came() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": parts, "name": "u"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_call_id": "c", "extra": 1},
    ]
    prompt = chat(messages=messages).requests[0].prompt
    assert isinstance(prompt, ChatPrompt)
    assert orjson.loads(prompt.messages_json) == [{"role": "user", "content": "a\nb", "name": "u"}, *messages[1:]]


CONSTRAINTS: list[tuple[dict[str, Any], Constraint | None]] = [
    ({"response_format": {"type": "text"}}, None),
    ({"response_format": {"type": "json_object"}}, Constraint("json_object")),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object"}}}},
        Constraint("json_schema", '{"type":"object"}'),
    ),
    (
        {"response_format": {"type": "structural_tag", "format": {"type": "any_text"}}},
        Constraint("structural_tag", '{"type":"structural_tag","format":{"type":"any_text"}}'),
    ),
    ({"structured_outputs": {"json": '{"type":"object"}'}}, Constraint("json_schema", '{"type":"object"}')),
    ({"structured_outputs": {"regex": "a+"}}, Constraint("regex", "a+")),
    ({"structured_outputs": {"choice": ["a", "b"]}}, Constraint("choice", ("a", "b"))),
    ({"structured_outputs": {"grammar": "root ::= a"}}, Constraint("grammar", "root ::= a")),
    ({"structured_outputs": {"json_object": True, "regex": None}}, Constraint("json_object")),
    ({"structured_outputs": {"structural_tag": "{}"}}, Constraint("structural_tag", "{}")),
]


@pytest.mark.parametrize(("fields", "constraint"), CONSTRAINTS)
def test_constraints(fields: dict[str, Any], constraint: Constraint | None) -> None:
    assert sampling(**fields).constraint == constraint
    assert completion(**fields).requests[0].sampling.constraint == constraint


def test_tools_and_their_choice() -> None:
    plain = chat(tools=[TOOL], parallel_tool_calls=True).requests[0]
    assert isinstance(plain.prompt, ChatPrompt)
    assert orjson.loads(plain.prompt.tools_json) == [TOOL]
    assert plain.sampling.extra_json == ""
    named = {"type": "function", "function": {"name": "f"}}
    forced = sampling(tools=[TOOL], tool_choice=named, parallel_tool_calls=False)
    assert orjson.loads(forced.extra_json) == {"parallel_tool_calls": False, "tool_choice": named}
    assert sampling(tool_choice="none").extra_json == ""


def test_how_the_prompt_is_rendered() -> None:
    request = chat(
        chat_template_kwargs={"a": 1}, reasoning_effort="low", documents=[{"text": "d"}], continue_final_message=True
    ).requests[0]
    assert isinstance(request.prompt, ChatPrompt)
    assert orjson.loads(request.prompt.template_kwargs_json) == {"a": 1}
    assert orjson.loads(request.sampling.extra_json) == {
        "reasoning_effort": "low",
        "documents": [{"text": "d"}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def test_who_asks_and_the_session() -> None:
    caller = Caller("id-1", "from-header", "team", 9.0)
    call = chat(caller=caller, session_id="s", prompt_cache_key="k", request_id="r", priority=-1, cache_salt="salt")
    (request,) = call.requests
    assert (request.id, request.session, request.tenant, request.deadline) == ("id-1", "from-header", "team", 9.0)
    assert (request.priority, request.cache_salt) == (-1, "salt")
    assert chat(session_id="s", prompt_cache_key="k", request_id="r").requests[0].session == "s"
    assert chat(prompt_cache_key="k", request_id="r").id == "r"
    assert chat(prompt_cache_key="k").requests[0].session == "k"


PROMPTS: list[tuple[object, list[object]]] = [
    ("a", [TextPrompt("a")]),
    (["a", "b"], [TextPrompt("a"), TextPrompt("b")]),
    ([1, 2], [TokenPrompt((1, 2))]),
    ([[1], [2, 3]], [TokenPrompt((1,)), TokenPrompt((2, 3))]),
    (["a", [1]], [TextPrompt("a"), TokenPrompt((1,))]),
]


@pytest.mark.parametrize(("prompt", "kept"), PROMPTS)
def test_prompts(prompt: object, kept: list[object]) -> None:
    call = completion(prompt=prompt)
    assert [request.prompt for request in call.requests] == kept
    assert len({request.id for request in call.requests}) == len(kept)
    assert call.requests[0].sampling.max_tokens == 16


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": [[1], [1.5]]}, "prompt[1]"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": ["a"] * 65, "n": 2}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"best_of": 2}, "best_of"),
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"echo": True, "prompt": [1]}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"messages": HI}, "messages"),
        ({"prompt_logprobs": 0}, "prompt_logprobs"),
    ],
)
def test_wrong_completions(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as failed:
        completion(**fields)
    assert failed.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"input": [[1]]}, "input[0]"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "temperature": 1}, "temperature"),
        ({}, "input"),
    ],
)
def test_wrong_embeddings(fields: dict[str, Any], param: str) -> None:
    for rules in (RULES, PASS):
        with pytest.raises(InvalidRequest) as failed:
            read_embedding(orjson.dumps({"model": "m", **fields}), Caller(), rules)
        assert failed.value.param == param


def test_feedback() -> None:
    assert read_feedback(b'{"request_id":"r","score":1,"label":"good"}') == Verdict("r", 1.0, "good")
    assert read_feedback(b'{"request_id":"r","score":0}') == Verdict("r", 0.0)
    assert read_feedback(b'{"request_id":"r","score":null,"label":"good"}') == Verdict("r", None, "good")
    assert read_feedback(b'{"request_id":"r","better_than":"s","label":null}') == Verdict("r", better_than="s")
    for body, param in (
        (b'{"score":1}', "request_id"),
        (b'{"request_id":"r"}', "score"),
        (b'{"request_id":"r","label":""}', "score"),
        (b'{"request_id":"r","score":null,"label":null,"better_than":null}', "score"),
        (b'{"request_id":null,"score":1}', "request_id"),
        (b'{"request_id":"r","better_than":""}', "better_than"),
        (b'{"request_id":"r","better_than":["s"]}', "better_than"),
        (b'{"request_id":"r","better_than":"%s"}' % (b"s" * 129), "better_than"),
        (b'{"request_id":"r","score":1,"x":null}', "x"),
        (b'{"request_id":"r","score":1.1}', "score"),
        (b'{"request_id":"r","score":true}', "score"),
        (b'{"request_id":"r","score":1,"label":2}', "label"),
        (b'{"request_id":"r","score":1,"x":2}', "x"),
    ):
        with pytest.raises(InvalidRequest) as failed:
            read_feedback(body)
        assert failed.value.param == param
