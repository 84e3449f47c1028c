"""OpenAI-compatible servers on a local port, for tests of the engine that talks to them: no model, real HTTP.

`FakeVllm` speaks vLLM's dialect in front of the simulated engine, so that it says the same thing every time and can be
continued. `Scripted` answers each call with the events and the status a test gives it, in any server's dialect.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from workers.config import SimulatedEngine
from workers.engine import Chat, Constraint, Delta, EngineError, Generation, InvalidGeneration, Sampling, TokenLogprob
from workers.engines.simulated import prompt as simulated_prompt
from workers.engines.simulated import text as simulated_text
from workers.engines.simulated.engine import Simulated

MODEL = "upstream-model"
FIELDS = ("max_tokens", "min_tokens", "temperature", "top_p", "seed", "ignore_eos")


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The app on a free port; yields its base URL."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


def sse(event: dict[str, Any] | str) -> bytes:
    return b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n"


class FakeVllm:
    """vLLM's HTTP server, as far as we use it."""

    def __init__(self) -> None:
        self.engine = Simulated(SimulatedEngine(max_context_tokens=2048, embedding_dimensions=16), (MODEL,))
        self._prompts: set[tuple[int, ...]] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._text)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/detokenize", self._detokenize)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 2048}]})

    async def _metrics(self, _: web.Request) -> web.Response:
        stats = self.engine.stats()
        lines = ["# HELP vllm:num_requests_running Number of requests in model execution batches."]
        values = {
            "vllm:num_requests_running": stats.running,
            "vllm:num_requests_waiting": stats.waiting,
            "vllm:kv_cache_usage_perc": stats.kv_used,
            "vllm:prompt_tokens_total": stats.prompt_tokens_total,
            "vllm:generation_tokens_total": stats.output_tokens_total,
        }
        lines += [f'{name}{{engine="0",model_name="{MODEL}"}} {float(value)}' for name, value in values.items()]
        return web.Response(text="\n".join(lines) + "\n")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return await self._stream(request, body, Chat(body["messages"]), chat=True)

    async def _text(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["prompt"]
        return await self._stream(request, body, prompt if isinstance(prompt, str) else tuple(prompt), chat=False)

    async def _stream(
        self, request: web.Request, body: dict[str, Any], prompt: str | tuple[int, ...] | Chat, chat: bool
    ) -> web.StreamResponse:
        generation = self._generation(body, prompt)
        async with aclosing(self.engine.generate(generation)) as deltas:
            try:
                first = await anext(deltas)
            except InvalidGeneration as fault:
                error = {"message": fault.message, "type": "BadRequestError", "param": fault.param, "code": 400}
                return web.json_response({"error": error}, status=400)
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            prompt_ids = [0] * (first.prompt_tokens or 0)
            if chat:
                await response.write(sse({"prompt_token_ids": prompt_ids, "choices": [{"delta": {"content": ""}}]}))
            completion = 0
            async for delta in _again(first, deltas):
                completion += len(delta.token_ids)
                choice = _choice(delta, chat)
                if not chat and delta is first:
                    choice["prompt_token_ids"] = prompt_ids
                await response.write(sse({"choices": [choice]}))
            usage = {"prompt_tokens": len(prompt_ids), "completion_tokens": completion}
            await response.write(sse({"choices": [], "usage": usage}) + sse("[DONE]"))
            return response

    def _generation(self, body: dict[str, Any], prompt: str | tuple[int, ...] | Chat) -> Generation:
        assert not body.get("stop"), "stop strings of a server with token ids are matched on our side"
        assert body["return_token_ids"] is True
        sampling = {name: body[name] for name in FIELDS if body.get(name) is not None}
        sampling["logprobs"] = body.get("top_logprobs") if "messages" in body else body.get("logprobs")
        sampling["constraint"] = _constraint(body)
        resumed: tuple[int, ...] = ()
        if isinstance(prompt, tuple):
            # A model goes on from any tokens; the simulated engine has to be told which of them it said itself.
            known = max((p for p in self._prompts if prompt[: len(p)] == p), key=len, default=prompt)
            prompt, resumed = known, prompt[len(known) :]
            sampling["max_tokens"] += len(resumed)
            sampling["min_tokens"] = sampling.get("min_tokens", 0) + len(resumed)
        return Generation("upstream", prompt, Sampling(**sampling), resumed, body.get("cache_salt", ""))

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = body["prompt"] if "prompt" in body else Chat(body["messages"])
        ids = simulated_prompt.prompt_tokens(Generation("tokenize", prompt), 2048)
        self._prompts.add(ids)
        return web.json_response({"tokens": ids, "count": len(ids), "max_model_len": 2048})

    async def _detokenize(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt": simulated_text.decode((await request.json())["tokens"])})

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await request.json()
        vectors, tokens = await self.engine.embed(body["input"], body.get("dimensions"))
        data = [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        return web.json_response({"data": data[::-1], "usage": {"prompt_tokens": tokens}})


async def _again(first: Delta, rest: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    yield first
    async for delta in rest:
        yield delta


def _constraint(body: dict[str, Any]) -> Constraint | None:
    if asked := body.get("response_format"):
        return Constraint("json_schema", json.dumps(asked["json_schema"]["schema"]))
    if asked := body.get("structured_outputs"):
        return Constraint("choice", tuple(asked["choice"]))
    return None


def _choice(delta: Delta, chat: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "token_ids": list(delta.token_ids), "finish_reason": delta.finish_reason}
    choice |= {"delta": {"content": delta.text}} if chat else {"text": delta.text}
    if delta.logprobs:
        choice["logprobs"] = _chat_logprobs(delta.logprobs) if chat else _text_logprobs(delta.logprobs)
    if delta.stop_reason:
        choice["stop_reason"] = delta.stop_reason
    return choice


def _chat_logprobs(steps: Sequence[TokenLogprob]) -> dict[str, Any]:
    def entry(token: Any) -> dict[str, Any]:
        return {"token": token.token, "logprob": token.logprob, "bytes": list(token.token_bytes)}

    return {"content": [entry(step) | {"top_logprobs": [entry(other) for other in step.top]} for step in steps]}


def _text_logprobs(steps: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {
        "tokens": [step.token for step in steps],
        "token_logprobs": [step.logprob for step in steps],
        # As in vLLM: alternatives are keyed by their text, so those that look alike would fall together.
        "top_logprobs": [{f"{other.token}#{n}": other.logprob for n, other in enumerate(step.top)} for step in steps],
    }


@dataclass
class Scripted:
    """`calls` collects (path, headers, body) of every POST. After the events the connection ends, without a good-bye."""

    events: list[bytes] = field(default_factory=list)
    status: int = 200
    error: dict[str, Any] | str = ""
    metrics: Callable[[], str] = str
    calls: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    models: Sequence[str] = (MODEL,)
    models_status: int = 200
    hold: bool = False  # keep the stream open after the events
    hung_up: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/{path:.*}", self._answer)
        return app

    async def _models(self, request: web.Request) -> web.Response:
        self.calls.append((request.path, dict(request.headers), {}))
        return web.json_response({"data": [{"id": name} for name in self.models]}, status=self.models_status)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self.metrics())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((request.path, dict(request.headers), await request.json()))
        if self.status != 200:
            body = self.error if isinstance(self.error, str) else json.dumps(self.error)
            return web.Response(status=self.status, text=body)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in self.events:
            await response.write(event)
        if self.hold:
            await self._until_hung_up()
        if request.transport is not None:
            request.transport.close()
        return response

    async def _until_hung_up(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.hung_up += 1


async def all_of(deltas: AsyncGenerator[Delta, None]) -> list[Delta]:
    async with aclosing(deltas) as stream:
        return [delta async for delta in stream]


def fault_of(error: BaseException | None) -> str:
    return str(error) if isinstance(error, EngineError) else ""
