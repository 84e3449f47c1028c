"""Events of an answer → server-sent events in OpenAI's shape. One per request; every method returns the bytes to send.

A chunk is a constant part around one JSON string, so the constant parts are built once per choice. Order per choice: its role
(chat) or the echoed prompt (completions), its pieces, its finish; then usage where it was asked for, and `[DONE]`.
"""

import time

import orjson

from router.fronts.openai.logprobs import chat_logprobs, completion_logprobs
from router.fronts.openai.request import Call
from router.fronts.openai.response import Tally, headgate_object, usage_object
from router.request import Finished, Piece, Started

_DONE = b"data: [DONE]\n\n"


class StreamWriter:
    """`started` once, then `piece` and `finished` as events come; the stream is whole when `done`."""

    def __init__(self, call: Call) -> None:
        self._form = call.form
        self._tally = Tally(call.id)
        self._prompts = len(call.requests)
        self._prefix = b""
        # By choice: what stands before and after the text of its plain chunks.
        self._plain: dict[int, tuple[bytes, bytes]] = {}
        self._chars: dict[int, int] = {}
        self._tail = b',"usage":null}\n\n' if call.form.include_usage else b"}\n\n"
        self._held = b""
        # Usage, reason and offsets need more than the text.
        self._rich = call.form.logprobs is not None or call.form.token_ids

    @property
    def done(self) -> bool:
        return self._tally.answers == self._prompts

    def started(self, event: Started) -> None:
        """Later prompts of the same request change nothing."""
        if self._prefix:
            return
        kind, name = ("chatcmpl", "chat.completion.chunk") if self._form.chat else ("cmpl", "text_completion")
        model = orjson.dumps(event.decision.model)
        self._prefix = b'data: {"id":"%s-%s","object":"%s","created":%d,"model":%b,"choices":[' % (
            kind.encode(),
            self._tally.id.encode(),
            name.encode(),
            int(time.time()),
            model,
        )

    def piece(self, piece: Piece) -> bytes:
        """The chunks of one piece: none where it shows nothing."""
        plain = self._plain.get(piece.index)
        bare = piece.finish_reason is None and not piece.tool_calls_json
        if plain is not None and bare and not self._rich and not self._held:
            return plain[0] + orjson.dumps(piece.text) + plain[1] if piece.text else b""
        out = self._release()
        if plain is None:
            out += self._open(piece.index)
        if piece.text or (self._rich and piece.token_ids) or piece.logprobs:
            out += self._text(piece)
        if piece.tool_calls_json:
            out += self._tool_calls(piece)
        if piece.finish_reason is not None:
            self._held = self._finish(piece)
        return out

    def finished(self, event: Finished) -> bytes:
        """The end of one prompt's answers; of the stream, where it is the last."""
        self._tally.add(event)
        if not self.done:
            return self._release()
        about = b',"headgate":' + orjson.dumps(headgate_object(self._tally)) + b"}\n\n"
        if not self._form.include_usage:
            # Clients that did not ask for usage index into `choices` of every chunk: no chunk without one for them.
            held, self._held = self._held, b""
            return (held + about if held else b"") + _DONE
        usage = b'],"usage":' + orjson.dumps(usage_object(self._tally.usage))
        return self._release() + self._prefix + usage + about + _DONE

    def failed(self, error: bytes) -> bytes:
        """An error after the stream began: said in its place, and no `[DONE]`."""
        return self._release() + b"data: " + error + b"\n\n"

    def _release(self) -> bytes:
        held, self._held = self._held, b""
        return held + self._tail if held else b""

    def _open(self, index: int) -> bytes:
        """The first chunk of a choice."""
        lead = self._prefix + b'{"index":%d,' % index
        rest = b',"logprobs":null,"finish_reason":null}]' + self._tail
        if self._form.chat:
            self._plain[index] = (lead + b'"delta":{"content":', b"}" + rest)
            return lead + b'"delta":{"role":"assistant","content":""}' + rest
        self._plain[index] = (lead + b'"text":', rest)
        if not self._form.echo:
            return b""
        said = self._form.echo[index // self._form.n]
        self._chars[index] = len(said)
        return lead + b'"text":' + orjson.dumps(said) + rest

    def _text(self, piece: Piece) -> bytes:
        before, after = self._plain[piece.index]
        if not self._rich:
            return before + orjson.dumps(piece.text) + after
        extra = b',"token_ids":' + orjson.dumps(piece.token_ids) if self._form.token_ids else b""
        close = b"}" if self._form.chat else b""
        logprobs = orjson.dumps(self._logprobs(piece))
        rest = close + b',"logprobs":' + logprobs + b',"finish_reason":null' + extra + b"}]" + self._tail
        return before + orjson.dumps(piece.text) + rest

    def _logprobs(self, piece: Piece) -> object:
        form = self._form
        if form.logprobs is None or not piece.logprobs:
            return None
        if form.chat:
            return chat_logprobs(piece.logprobs, form.tokens_as_ids)
        offset = self._chars.get(piece.index, 0)
        self._chars[piece.index] = offset + sum(len(token.token) for token in piece.logprobs)
        return completion_logprobs(piece.logprobs, form.tokens_as_ids, offset)

    def _tool_calls(self, piece: Piece) -> bytes:
        # Written again, because a line end inside the worker's JSON would end the event.
        calls = orjson.dumps(orjson.loads(piece.tool_calls_json))
        lead = self._prefix + b'{"index":%d,"delta":{"tool_calls":' % piece.index
        return lead + calls + b'},"logprobs":null,"finish_reason":null}]' + self._tail

    def _finish(self, piece: Piece) -> bytes:
        """The last chunk of a choice, still open: what the request cost joins it if nothing else follows."""
        shown = b'"delta":{}' if self._form.chat else b'"text":""'
        reason, stop = orjson.dumps(piece.finish_reason), orjson.dumps(piece.stop_reason or None)
        end = b',"logprobs":null,"finish_reason":%b,"stop_reason":%b}]' % (reason, stop)
        return self._prefix + b'{"index":%d,' % piece.index + shown + end
