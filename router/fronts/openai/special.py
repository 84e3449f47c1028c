"""Parameters with a shape of their own: prompts, inputs, stream options, token biases."""

from typing import Any

from router.fronts.openai.faults import InvalidType, InvalidValue
from router.fronts.openai.kinds import INT32_MAX, Fixed, Flag, Integers, Kind, Number, Schema, Text, only_keys
from router.request import TextPrompt, TokenPrompt

MAX_PROMPTS = 128
MAX_INPUTS = 2048
_MAX_CHARS = INT32_MAX  # the body's size bounds it
_MAX_TOKENS = 1 << 20
_MAX_BIASES = 1024
_TEXT = Text(_MAX_CHARS)
_IDS = Integers(_MAX_TOKENS, least=1)
_BIAS = Number(-100.0, 100.0)

_TEXT_SCHEMA: Schema = {"type": "string", "minLength": 1}
_IDS_SCHEMA: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": INT32_MAX}, "minItems": 1}
PROMPT_SCHEMA: Schema = {
    "anyOf": [
        _TEXT_SCHEMA,
        _IDS_SCHEMA,
        {"type": "array", "items": {"anyOf": [_TEXT_SCHEMA, _IDS_SCHEMA]}, "minItems": 1, "maxItems": MAX_PROMPTS},
    ]
}
INPUT_SCHEMA: Schema = {
    "anyOf": [_TEXT_SCHEMA, {"type": "array", "items": _TEXT_SCHEMA, "minItems": 1, "maxItems": MAX_INPUTS}]
}
STREAM_OPTIONS_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "include_usage": {"type": ["boolean", "null"]},
        "continuous_usage_stats": {"enum": [False, None]},
        "include_obfuscation": {"enum": [False, None]},
    },
    "additionalProperties": False,
}
LOGIT_BIAS_SCHEMA: Schema = {
    "type": "object",
    "patternProperties": {"^[0-9]{1,10}$": {"type": "number", "minimum": -100, "maximum": 100}},
    "additionalProperties": False,
    "maxProperties": _MAX_BIASES,
}
_STREAM_OPTIONS: dict[str, Kind] = {
    "include_usage": Flag(),
    "continuous_usage_stats": Fixed((False,), "usage is known at the end"),
    "include_obfuscation": Fixed((False,), "chunks are not padded"),
}


def prompts(value: object, name: str) -> list[TextPrompt | TokenPrompt]:
    """One prompt or several, each a text or token ids."""
    if isinstance(value, str):
        return [TextPrompt(_TEXT.check(value, name))]
    if not isinstance(value, list) or not value:
        raise InvalidType(f"{name} must be a text, token ids, or a list of either", param=name)
    if not isinstance(value[0], str | list):
        return [TokenPrompt(_IDS.check(value, name))]
    if len(value) > MAX_PROMPTS:
        raise InvalidValue(f"{name} may have at most {MAX_PROMPTS} entries", param=name)
    return [_prompt(one, f"{name}[{i}]") for i, one in enumerate(value)]


def _prompt(value: object, name: str) -> TextPrompt | TokenPrompt:
    if isinstance(value, list):
        return TokenPrompt(_IDS.check(value, name))
    return TextPrompt(_TEXT.check(value, name))


def inputs(value: object, name: str) -> tuple[str, ...]:
    """Texts to embed. Token ids are not taken: a pool may have any tokenizer."""
    if isinstance(value, str):
        return (_TEXT.check(value, name),)
    if not isinstance(value, list) or not value:
        raise InvalidType(f"{name} must be a text or a list of texts", param=name)
    if len(value) > MAX_INPUTS:
        raise InvalidValue(f"{name} may have at most {MAX_INPUTS} entries", param=name)
    return tuple([_TEXT.check(text, f"{name}[{i}]") for i, text in enumerate(value)])


def stream_options(value: object, name: str) -> bool:
    """Whether the stream ends with its usage."""
    if not isinstance(value, dict):
        raise InvalidType(f"{name} must be an object", param=name)
    only_keys(value, _STREAM_OPTIONS, name)
    for option, rule in _STREAM_OPTIONS.items():
        if value.get(option) is not None:
            rule.check(value[option], f"{name}.{option}")
    return value.get("include_usage") is True


def logit_bias(value: object, name: str) -> tuple[tuple[int, float], ...]:
    """Token id → what to add to its logit."""
    if not isinstance(value, dict):
        raise InvalidType(f"{name} must be an object", param=name)
    if len(value) > _MAX_BIASES:
        raise InvalidValue(f"{name} may have at most {_MAX_BIASES} entries", param=name)
    return tuple([_bias(token, bias, name) for token, bias in value.items()])


def _bias(token: str, bias: Any, name: str) -> tuple[int, float]:
    # str.isdigit takes digits of every script; int() would, too.
    if not (token.isascii() and token.isdigit() and len(token) <= 10 and int(token) <= INT32_MAX):
        raise InvalidValue(f"{name} must have token ids as keys", param=name)
    return int(token), _BIAS.check(bias, f"{name}.{token}")
