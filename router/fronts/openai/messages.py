"""Chat messages and tools as callers may send them. The rest of their shape is the chat template's business, in the worker."""

from typing import Any

from router.fronts.openai.faults import InvalidType, InvalidValue, UnsupportedParameter
from router.fronts.openai.kinds import Schema, Text

MAX_MESSAGES = 4096
MAX_TOOLS = 128
_ROLE = Text(64)
_NAME = Text(128)

_TEXT_PART: Schema = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
MESSAGES_SCHEMA: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_MESSAGES,
    "items": {
        "type": "object",
        "properties": {
            "role": {"type": "string", "minLength": 1, "maxLength": 64},
            "content": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": _TEXT_PART, "minItems": 1}]},
            "name": {"type": "string", "minLength": 1, "maxLength": 128},
        },
        "required": ["role"],
    },
}
TOOLS_SCHEMA: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_TOOLS,
    "items": {
        "type": "object",
        "properties": {
            "type": {"const": "function"},
            "function": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 128},
                    "description": {"type": "string"},
                    "parameters": {"type": "object"},
                    "strict": {"type": ["boolean", "null"]},
                },
                "required": ["name"],
            },
        },
        "required": ["type", "function"],
    },
}
TOOL_CHOICE_SCHEMA: Schema = {
    "oneOf": [
        {"type": "string", "enum": ["none", "auto", "required"]},
        {
            "type": "object",
            "properties": {
                "type": {"const": "function"},
                "function": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            },
            "required": ["type", "function"],
        },
    ]
}


def messages(value: object, name: str) -> list[dict[str, Any]]:
    """The conversation, each content one string: text parts are joined with line ends, as vLLM does for plain templates."""
    if not isinstance(value, list):
        raise InvalidType(f"{name} must be a list of messages", param=name)
    if not 1 <= len(value) <= MAX_MESSAGES:
        raise InvalidValue(f"{name} must have 1 to {MAX_MESSAGES} entries", param=name)
    return [_message(message, f"{name}[{i}]") for i, message in enumerate(value)]


def _message(message: object, name: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise InvalidType(f"{name} must be an object", param=name)
    role = _ROLE.check(message.get("role"), f"{name}.role")
    if message.get("name") is not None:
        _NAME.check(message["name"], f"{name}.name")
    calls = message.get("tool_calls")
    if calls is not None:
        _tool_calls(calls, f"{name}.tool_calls")
    if message.get("tool_call_id") is not None:
        Text(256).check(message["tool_call_id"], f"{name}.tool_call_id")
    content = message.get("content")
    if isinstance(content, str):
        return message
    if content is None:
        if role == "assistant":
            return message
        raise InvalidType(f"{name}.content must be a string or a list of text parts", param=f"{name}.content")
    return {**message, "content": _joined(content, f"{name}.content")}


def _joined(parts: object, name: str) -> str:
    if not isinstance(parts, list) or not parts:
        raise InvalidType(f"{name} must be a string or a list of text parts", param=name)
    texts = []
    for i, part in enumerate(parts):
        here = f"{name}[{i}]"
        if not isinstance(part, dict):
            raise InvalidType(f"{here} must be an object", param=here)
        kind = part.get("type")
        if kind not in ("text", "refusal"):
            raise UnsupportedParameter(f"{here}.type must be text: other content is not served here", param=f"{here}.type")
        if not isinstance(part.get(kind), str):
            raise InvalidType(f"{here}.{kind} must be a string", param=f"{here}.{kind}")
        texts.append(part[kind])
    return "\n".join(texts)


def _tool_calls(calls: object, name: str) -> None:
    if not isinstance(calls, list):
        raise InvalidType(f"{name} must be a list", param=name)
    for i, call in enumerate(calls):
        here = f"{name}[{i}].function"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise InvalidType(f"{here} must be an object", param=here)
        for field in ("name", "arguments"):
            if not isinstance(function.get(field), str):
                raise InvalidType(f"{here}.{field} must be a string", param=f"{here}.{field}")


def tools(value: object, name: str) -> list[dict[str, Any]]:
    """Functions the model may call."""
    if not isinstance(value, list):
        raise InvalidType(f"{name} must be a list of tools", param=name)
    if not 1 <= len(value) <= MAX_TOOLS:
        raise InvalidValue(f"{name} must have 1 to {MAX_TOOLS} entries", param=name)
    for i, tool in enumerate(value):
        _tool(tool, f"{name}[{i}]")
    return value


def _tool(tool: object, name: str) -> None:
    if not isinstance(tool, dict):
        raise InvalidType(f"{name} must be an object", param=name)
    if tool.get("type") != "function":
        raise UnsupportedParameter(f"{name}.type must be function", param=f"{name}.type")
    function = tool.get("function")
    if not isinstance(function, dict):
        raise InvalidType(f"{name}.function must be an object", param=f"{name}.function")
    _NAME.check(function.get("name"), f"{name}.function.name")
    for field, kind, said in (("description", str, "a string"), ("parameters", dict, "an object"), ("strict", bool, "a flag")):
        if function.get(field) is not None and not isinstance(function[field], kind):
            raise InvalidType(f"{name}.function.{field} must be {said}", param=f"{name}.function.{field}")


def tool_choice(value: object, name: str) -> str | dict[str, Any]:
    """none, auto, required, or one function by its name."""
    if isinstance(value, str):
        if value in ("none", "auto", "required"):
            return value
        raise InvalidValue(f"{name} must be none, auto, required or a function", param=name)
    if not isinstance(value, dict) or value.get("type") != "function":
        raise InvalidType(f"{name} must be none, auto, required or a function", param=name)
    function = value.get("function")
    _NAME.check(function.get("name") if isinstance(function, dict) else None, f"{name}.function.name")
    return value


def names_a_tool(choice: dict[str, Any], offered: list[dict[str, Any]]) -> bool:
    """Whether the function that must be called is one of those offered."""
    return any(tool["function"]["name"] == choice["function"]["name"] for tool in offered)
