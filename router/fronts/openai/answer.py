"""Events of an answer → one whole JSON answer in OpenAI's shape."""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from router.fronts.openai.logprobs import chat_logprobs, completion_logprobs
from router.fronts.openai.request import Call, Form
from router.fronts.openai.response import Tally, headgate_object, usage_object
from router.request import Event, Finished, Piece, TokenLogprob


@dataclass(slots=True)
class _Choice:
    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    finish_reason: str | None = None
    stop_reason: str | None = None


class Answer:
    """Takes events until the generation ends, then writes them as one body."""

    def __init__(self, call: Call) -> None:
        self.tally = Tally(call.id)
        self._form = call.form
        self._choices = [_Choice() for _ in range(len(call.requests) * call.form.n)]

    def take(self, event: Event) -> None:
        if type(event) is Piece:
            self._add(self._choices[event.index], event)
        elif type(event) is Finished:
            self.tally.add(event)

    def body(self) -> bytes:
        """The JSON of the whole answer."""
        chat = self._form.chat
        return orjson.dumps(
            {
                "id": f"{'chatcmpl' if chat else 'cmpl'}-{self.tally.id}",
                "object": "chat.completion" if chat else "text_completion",
                "created": int(time.time()),
                "model": self.tally.decision.model,
                "choices": [self._choice(index, choice) for index, choice in enumerate(self._choices)],
                "usage": usage_object(self.tally.usage),
                "headgate": headgate_object(self.tally),
            }
        )

    def _add(self, choice: _Choice, piece: Piece) -> None:
        choice.texts.append(piece.text)
        if piece.logprobs:
            choice.logprobs.extend(piece.logprobs)
        if self._form.token_ids:
            choice.token_ids.extend(piece.token_ids)
        if piece.tool_calls_json:
            for delta in orjson.loads(piece.tool_calls_json):
                _merge(choice.tool_calls, delta)
        if piece.finish_reason is not None:
            choice.finish_reason, choice.stop_reason = piece.finish_reason, piece.stop_reason or None

    def _choice(self, index: int, choice: _Choice) -> dict[str, Any]:
        form = self._form
        text = choice.texts[0] if len(choice.texts) == 1 else "".join(choice.texts)
        shown: dict[str, Any] = {"index": index}
        if form.chat:
            shown["message"] = _message(text, choice)
        else:
            shown["text"] = form.echo[index // form.n] + text if form.echo else text
        shown["logprobs"] = _logprobs(form, choice)
        shown["finish_reason"] = choice.finish_reason
        shown["stop_reason"] = choice.stop_reason
        if form.token_ids:
            shown["token_ids"] = choice.token_ids
        return shown


def _message(text: str, choice: _Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if choice.tool_calls:
        message["content"] = text or None
        message["tool_calls"] = [choice.tool_calls[index] for index in sorted(choice.tool_calls)]
    return message


def _logprobs(form: Form, choice: _Choice) -> dict[str, Any] | None:
    if form.logprobs is None:
        return None
    if form.chat:
        return chat_logprobs(choice.logprobs, form.tokens_as_ids)
    return completion_logprobs(choice.logprobs, form.tokens_as_ids, 0)


def _merge(calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    """Tool calls come in parts: a name once, its arguments bit by bit."""
    call = calls.setdefault(delta.get("index", 0), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] = delta.get("id") or call["id"]
    function = delta.get("function") or {}
    call["function"]["name"] = function.get("name") or call["function"]["name"]
    call["function"]["arguments"] += function.get("arguments") or ""
