"""Which answers break the form that was asked for."""

import json

import pytest

from router.choosing.evidence.form import fault_of
from router.choosing.evidence.sample import Sample, ToolCall
from router.request import ChatPrompt, Constraint, Request, Sampling, TextPrompt

SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
TOOLS = json.dumps(
    [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "required": ["what"]}}}]
).encode()


def asked(kind: str = "", value: str | tuple[str, ...] = "") -> Request:
    return Request("q", "auto", TextPrompt("?"), Sampling(constraint=Constraint(kind, value) if kind else None))


def with_tools(choice: object = "auto") -> Request:
    return Request("q", "auto", ChatPrompt(b"[]", TOOLS), Sampling(extra_json=json.dumps({"tool_choice": choice})))


@pytest.mark.parametrize(
    ("request_", "text", "fault"),
    [
        (asked(), "anything", ""),
        (asked(), "", "was empty"),
        (asked(), " \n", "was empty"),
        (asked("json_object"), '{"a": 1}', ""),
        (asked("json_object"), "[1]", "was not a JSON object"),
        (asked("json_object"), '```json\n{"a": 1}\n```', "was not JSON"),
        (asked("json_object"), '{"a": ', "was not JSON"),
        (asked("json_schema", SCHEMA), '{"n": 1}', ""),
        (asked("json_schema", SCHEMA), '{"n": "1"}', "broke its JSON schema"),
        (asked("json_schema", SCHEMA), "{}", "broke its JSON schema"),
        (asked("json_schema", "no schema"), "{}", ""),
        (asked("choice", ("yes", "no")), "yes ", ""),
        (asked("choice", ("yes", "no")), "maybe", "was none of the options"),
        (asked("regex", "^(a+)+$"), "b", ""),
    ],
)
def test_texts(request_: Request, text: str, fault: str) -> None:
    assert fault_of(Sample(text, finish_reason="stop"), request_) == fault


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (ToolCall("find", '{"what": "x"}'), ""),
        (ToolCall("find", "{}"), "called a tool with arguments that break its schema"),
        (ToolCall("find", '{"what'), "called a tool with arguments that are not a JSON object"),
        (ToolCall("find", "[1]"), "called a tool with arguments that are not a JSON object"),
        (ToolCall("lose", "{}"), "called a tool that was not offered"),
    ],
)
def test_tool_calls(call: ToolCall, fault: str) -> None:
    assert fault_of(Sample("", finish_reason="tool_calls", tool_calls=(call,)), with_tools()) == fault


def test_one_bad_call_of_two_is_a_fault() -> None:
    calls = (ToolCall("find", '{"what": "x"}'), ToolCall("find", "{}"))
    assert fault_of(Sample("", finish_reason="tool_calls", tool_calls=calls), with_tools())


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find"}}])
def test_an_answer_without_the_call_that_was_required(choice: object) -> None:
    assert fault_of(Sample("I would rather talk", finish_reason="stop"), with_tools(choice)) == "called no tool"
    assert fault_of(Sample("I would rather talk", finish_reason="stop"), with_tools("auto")) == ""


@pytest.mark.parametrize("reason", [None, "abort"])
def test_an_answer_without_an_end_broke_off(reason: str | None) -> None:
    assert fault_of(Sample("half an", finish_reason=reason), asked()) == "broke off"


def test_no_fault_tells_what_was_said() -> None:
    for request in (asked("json_schema", SCHEMA), asked("json_object"), asked("choice", ("secret",))):
        assert "hidden" not in fault_of(Sample('{"n": "hidden"}', finish_reason="stop"), request)
