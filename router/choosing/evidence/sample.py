"""One finished answer, put together from the pieces that it came in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from router.request import FinishReason, Piece


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is what the model wrote: JSON, if it kept to the form."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What one choice came to. `logprobs`: one natural logarithm per token; empty where the engine told none."""

    text: str = ""
    logprobs: tuple[float, ...] = ()
    finish_reason: FinishReason | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(slots=True)
class _Growing:
    texts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    calls: dict[int, list[str]] = field(default_factory=dict)


def samples_of(pieces: Iterable[Piece], count: int) -> tuple[Sample, ...]:
    """The `count` answers that these pieces make up, by their index."""
    growing = [_Growing() for _ in range(count)]
    for piece in pieces:
        one = growing[piece.index]
        one.texts.append(piece.text)
        one.logprobs += [entry.logprob for entry in piece.logprobs]
        one.finish_reason = piece.finish_reason or one.finish_reason
        if piece.tool_calls_json:
            _add_calls(one.calls, piece.tool_calls_json)
    return tuple(Sample("".join(one.texts), tuple(one.logprobs), one.finish_reason, _calls(one.calls)) for one in growing)


def _add_calls(calls: dict[int, list[str]], deltas_json: bytes) -> None:
    """Tool calls come in parts, in OpenAI's form: the name once, its arguments bit by bit."""
    deltas: list[dict[str, Any]] = orjson.loads(deltas_json)
    for delta in deltas:
        call = calls.setdefault(delta.get("index", 0), ["", ""])
        function = delta.get("function") or {}
        call[0] = function.get("name") or call[0]
        call[1] += function.get("arguments") or ""


def _calls(calls: dict[int, list[str]]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(*calls[index]) for index in sorted(calls))
