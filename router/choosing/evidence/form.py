"""Whether an answer has the form that was asked for: JSON, a schema, an option, tool calls with arguments that can be used.

Engines that constrain their output keep the form but for answers that are cut; those behind a plain HTTP server may not.
`regex`, `grammar` and `structural_tag` are not checked: a caller's pattern can be made so that a matcher never ends on it.
"""

from typing import Any

import orjson

from router.choosing.evidence.sample import Sample, ToolCall
from router.choosing.evidence.schema import break_of
from router.request import ChatPrompt, Constraint, Request


def fault_of(sample: Sample, request: Request) -> str:
    """How the answer breaks the form, as the rest of a sentence about it, without its words; "" where it keeps it."""
    if sample.finish_reason in (None, "abort"):
        return "broke off"
    if not sample.text.strip() and not sample.tool_calls:
        return "was empty"
    if sample.tool_calls:
        offered = _offered(request)
        return next((fault for call in sample.tool_calls if (fault := _call_fault(call, offered))), "")
    if _must_call(request):
        return "called no tool"
    return _text_fault(sample.text, request.sampling.constraint)


def _text_fault(text: str, constraint: Constraint | None) -> str:
    if constraint is None or constraint.kind not in ("json_object", "json_schema", "choice"):
        return ""
    if constraint.kind == "choice":
        return "" if text.strip() in constraint.value else "was none of the options"
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "was not JSON"
    if constraint.kind == "json_object":
        return "" if isinstance(value, dict) else "was not a JSON object"
    schema = _loaded(constraint.value if isinstance(constraint.value, str) else "")
    fault = break_of(schema, value)
    return "broke its JSON schema" if fault else ""


def _call_fault(call: ToolCall, offered: dict[str, Any]) -> str:
    if call.name not in offered:
        return "called a tool that was not offered"
    arguments = _loaded(call.arguments or "{}")
    if not isinstance(arguments, dict):
        return "called a tool with arguments that are not a JSON object"
    fault = break_of(offered[call.name], arguments)
    return "called a tool with arguments that break its schema" if fault else ""


def _offered(request: Request) -> dict[str, Any]:
    """Schema of the parameters of each tool, by its name."""
    tools = _loaded(getattr(request.prompt, "tools_json", b""))
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return {str(each.get("name")): each.get("parameters", True) for each in functions if isinstance(each, dict)}


def _must_call(request: Request) -> bool:
    if not isinstance(request.prompt, ChatPrompt) or not request.sampling.extra_json:
        return False
    extras = _loaded(request.sampling.extra_json)
    choice = extras.get("tool_choice") if isinstance(extras, dict) else None
    return choice == "required" or isinstance(choice, dict)


def _loaded(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
