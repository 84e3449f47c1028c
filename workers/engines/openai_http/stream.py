"""An OpenAI-compatible event stream as deltas. Knows bytes and JSON; connections are the caller's."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from workers.engine import (
    Alternative,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    FinishReason,
    InvalidGeneration,
    TokenLogprob,
)

LONGEST_EVENT_BYTES = 32 * 2**20
LONGEST_MESSAGE = 500
UNFINISHED = "\ufffd"  # stands in a decoded text for a character that lacks bytes
FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "abort": "abort",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "content_filter": "stop",
    "repetition": "stop",
}


def refusal(status: int, raw: bytes) -> EngineError:
    """A server's error answer as ours. Its words are passed on only where the request is at fault: others may hold a key."""
    if status == 429:
        return EngineBusy("the server behind this worker takes no more requests now")
    if status in (400, 413, 422):
        message, param = _error_words(raw)
        return InvalidGeneration(message or f"the server refused the request ({status})", param)
    if status in (401, 403):
        return EngineFailed(f"the server behind this worker refused our key ({status}): see api_key_env")
    return EngineFailed(f"the server behind this worker answered {status}")


def _error_words(raw: bytes) -> tuple[str, str]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "", ""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):  # TGI: {"error": "text"}
        return str(error)[:LONGEST_MESSAGE], ""
    return str(error.get("message") or "")[:LONGEST_MESSAGE], str(error.get("param") or "")


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON of each `data:` line up to [DONE]. Raises EngineFailed where the stream ends before that."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_EVENT_BYTES:
            raise EngineFailed("the server sent an event that is too long")
        for line in lines:
            data = line.strip()
            if not data.startswith(b"data:"):
                continue
            if (payload := data[5:].strip()) == b"[DONE]":
                return
            yield _event(payload)
    raise EngineFailed("the server's stream ended before the answer did")


def _event(payload: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise EngineFailed("the server sent an event that is not JSON") from None
    if not isinstance(event, dict):
        raise EngineFailed("the server sent an event that is not a JSON object")
    if "error" in event:
        error = event["error"]
        code = error.get("code") if isinstance(error, dict) else None
        raise refusal(code if isinstance(code, int) else 500, payload)
    return event


@dataclass(slots=True)
class Usage:
    """What the server said it used, so far."""

    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None

    def read(self, said: Any) -> None:
        if not isinstance(said, dict):
            return
        self.prompt_tokens = said.get("prompt_tokens", self.prompt_tokens)
        self.completion_tokens = said.get("completion_tokens", self.completion_tokens)
        details = said.get("prompt_tokens_details") or {}
        self.cached_tokens = int(details.get("cached_tokens") or 0)


async def deltas(source: AsyncGenerator[dict[str, Any], None], prompt_tokens: int | None = None) -> AsyncGenerator[Delta, None]:
    """One choice's deltas. The last waits for the usage that follows it.

    The prompt's count is on the first delta where it is known by then (`prompt_tokens`, or the server sends the prompt's
    ids). Most servers tell it last, and all of them cached tokens: then it is on the last delta.
    """
    usage, told, last = Usage(), False, None
    async with aclosing(source):
        async for event in source:
            usage.read(event.get("usage"))
            choice = next(iter(event.get("choices") or ()), None)
            if choice is None or last is not None:
                continue
            ids = event.get("prompt_token_ids") or choice.get("prompt_token_ids")
            if prompt_tokens is None and ids:
                prompt_tokens = len(ids)
            delta = _delta(choice)
            if prompt_tokens is not None and not told and _says_something(delta):
                delta, told = replace(delta, prompt_tokens=prompt_tokens), True
            if delta.finish_reason is not None:
                last = delta
            elif _says_something(delta):
                yield delta
    if last is None:
        raise EngineFailed("the server's stream ended without a finish reason")
    if usage.prompt_tokens is not None and (not told or usage.cached_tokens):
        count = usage.prompt_tokens if prompt_tokens is None else prompt_tokens
        last = replace(last, prompt_tokens=count, cached_tokens=min(usage.cached_tokens, count))
    yield replace(last, completion_tokens=usage.completion_tokens)


def _says_something(delta: Delta) -> bool:
    return bool(delta.text or delta.token_ids or delta.tool_calls_json or delta.logprobs or delta.finish_reason)


def _delta(choice: dict[str, Any]) -> Delta:
    said = choice.get("delta") or {}
    ids = tuple(choice.get("token_ids") or ())
    calls = said.get("tool_calls")
    finish, stop = choice.get("finish_reason"), choice.get("stop_reason", choice.get("matched_stop"))
    return Delta(
        token_ids=ids,
        text=choice.get("text") or said.get("content") or "",
        logprobs=_logprobs(choice.get("logprobs"), ids),
        finish_reason=FINISHES.get(finish, "stop") if finish else None,
        stop_reason="" if stop is None else str(stop),
        tool_calls_json=orjson.dumps(calls) if calls else b"",
    )


def _logprobs(said: Any, ids: Sequence[int]) -> tuple[TokenLogprob, ...]:
    """Either of OpenAI's two shapes. Ids of alternatives are not told: 0 stands for them."""
    if not isinstance(said, dict):
        return ()
    if content := said.get("content"):
        steps = [(_chat_token(entry), [_chat_token(other) for other in entry.get("top_logprobs") or ()]) for entry in content]
    else:
        tops = said.get("top_logprobs") or [None] * len(said.get("tokens") or ())
        chosen = zip(said.get("tokens") or (), said.get("token_logprobs") or (), tops, strict=False)
        steps = [
            ((token, token.encode(), logprob or 0.0), [(t, t.encode(), p) for t, p in (top or {}).items()])
            for token, logprob, top in chosen
        ]
    known = [*ids, *[0] * (len(steps) - len(ids))]
    return tuple(
        TokenLogprob(known[at], *chosen_, tuple(Alternative(0, *other) for other in others))
        for at, (chosen_, others) in enumerate(steps)
    )


def _chat_token(entry: dict[str, Any]) -> tuple[str, bytes, float]:
    token, raw = str(entry.get("token", "")), entry.get("bytes")
    return token, bytes(raw) if raw is not None else token.encode(), float(entry.get("logprob", 0.0))


class Dictated:
    """A decoder for `text.speak` whose text a server has already decoded: it is told, then repeats it."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()

    def expect(self, tokens: int, text: str) -> None:
        """The next `tokens` ids have this text between them."""
        self._texts.extend([""] * (tokens - 1))
        self._texts.append(text)

    def step(self, token_id: int) -> str:
        return self._texts.popleft()


async def dictate(source: AsyncGenerator[Delta, None], decoder: Dictated) -> AsyncGenerator[Delta, None]:
    """Hands each delta's text to the decoder. Ids wait for their text, so that no delta ends within a character.

    That makes every delta a place to continue from: a server that is given a prompt which ends within a character says the
    whole prompt again.
    """
    waiting: list[Delta] = []
    async with aclosing(source):
        async for delta in source:
            waiting.append(delta)
            if not delta.text and delta.finish_reason is None:
                continue
            ids = tuple(i for d in waiting for i in d.token_ids)
            if delta.text and not ids:
                raise EngineFailed("the server sends no token ids: set `dialect: openai`")
            if ids:
                decoder.expect(len(ids), delta.text)
            yield replace(
                delta,
                token_ids=ids,
                logprobs=tuple(p for d in waiting for p in d.logprobs),
                prompt_tokens=next((d.prompt_tokens for d in waiting if d.prompt_tokens is not None), None),
                text="",
            )
            waiting.clear()
