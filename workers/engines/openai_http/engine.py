"""Any running OpenAI-compatible server as a replica: vLLM, SGLang, TGI, or one that knows OpenAI's parameters alone.

The text is the server's. A vLLM server also tells token ids and takes them as a prompt, so its answers can be continued, and
stop strings are then matched here, over the whole answer; the other dialects report no ids, and the router runs a lost answer
again. The server outlives this engine: `close` ends our requests, not the server.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from workers.config import OpenAIHttpEngine
from workers.engine import Chat, Delta, EngineBusy, EngineFailed, EngineInfo, EngineStats, Generation, InvalidGeneration
from workers.engines.openai_http.body import DIALECTS, chat_or_text, continued, tokenize
from workers.engines.openai_http.load import LoadWatch
from workers.engines.openai_http.server import Server
from workers.engines.openai_http.stream import UNFINISHED, Dictated, deltas, dictate
from workers.engines.vllm_parameters import read_extras, refuse_what_cannot_resume
from workers.text import speak

RETRY_S = 0.5


class OpenAIHttp:
    """One model on one server. `models` are the names the worker answers to; the server's own is `settings.model`."""

    def __init__(self, settings: OpenAIHttpEngine, models: Sequence[str]) -> None:
        self._settings = settings
        self._models = tuple(models)
        self._dialect = DIALECTS[settings.dialect]
        self._server = Server(settings)
        self._load = LoadWatch(self._server.get, settings.dialect, settings.metrics_every_s)
        self._max_context_tokens = settings.max_context_tokens

    async def ready(self) -> EngineInfo:
        """Waits for the server, at most `start_s`. Raises EngineFailed where it lacks the model or refuses our key."""
        try:
            async with asyncio.timeout(self._settings.start_s):
                card = await self._model_card()
        except TimeoutError:
            raise EngineFailed(f"base_url: no server answered within {self._settings.start_s:g} s") from None
        told = card.get("max_model_len")
        self._max_context_tokens = self._settings.max_context_tokens or (told if isinstance(told, int) else 0)
        self._load.start()
        return EngineInfo(
            engine="openai_http",
            models=self._models,
            embeddings=self._settings.embeddings,
            max_context_tokens=self._max_context_tokens,
            max_running=self._settings.max_running,
            reports_token_ids=self._dialect.token_ids,
            parses_tool_calls=True,
        )

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        with self._load.request():
            async with aclosing(self._answer(generation)) as answer:
                async for delta in answer:
                    self._load.count(delta)
                    yield delta

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> tuple[list[list[float]], int]:
        body: dict[str, object] = {"model": self._settings.model, "input": list(texts), "encoding_format": "float"}
        body |= {"dimensions": dimensions} if dimensions is not None else {}
        with self._load.request():
            said = await self._server.call("/v1/embeddings", body)
        try:
            vectors = [entry["embedding"] for entry in sorted(said["data"], key=lambda entry: entry["index"])]
            return vectors, int((said.get("usage") or {}).get("prompt_tokens") or 0)
        except (KeyError, TypeError) as fault:
            raise EngineFailed("the server's embeddings are not in OpenAI's form") from fault

    def stats(self) -> EngineStats:
        return self._load.stats()

    async def close(self) -> None:
        await self._load.stop()
        await self._server.close()

    async def _model_card(self) -> dict[str, object]:
        while True:
            try:
                listed = (await self._server.get_json("/v1/models")).get("data")
            except EngineBusy:
                listed = None
            except EngineFailed:
                if self._server.hopeless:
                    raise
                listed = None  # not up yet
            if isinstance(listed, list):
                cards = {card.get("id"): card for card in listed if isinstance(card, dict)}
                if self._settings.model in cards:
                    return cards[self._settings.model]
                raise EngineFailed(f"model: the server serves {sorted(map(str, cards))}, not {self._settings.model!r}")
            await asyncio.sleep(RETRY_S)

    def _answer(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        if generation.resume_token_ids:
            return self._continue(generation)
        call = chat_or_text(generation, self._settings.model, self._dialect, self._max_context_tokens)
        source = deltas(self._server.stream(*call))
        if isinstance(generation.prompt, Chat) and generation.prompt.tools:
            # Tool calls are parsed out of the text, so with tools ids and text don't belong together.
            return _without_ids(source)
        return _spoken(source, generation, ()) if self._dialect.token_ids else source

    async def _continue(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        if not self._dialect.token_ids:
            raise InvalidGeneration("this server takes no token ids: no answer can be continued on it", "resume_token_ids")
        refuse_what_cannot_resume(generation, read_extras(generation.sampling.extra))
        prompt_ids = await self._prompt_ids(generation)
        call = continued(generation, self._settings.model, self._dialect, self._max_context_tokens, prompt_ids)
        if call is None:
            yield Delta(prompt_tokens=len(prompt_ids), finish_reason="length")
            return
        texts = await self._resumed_texts(generation, prompt_ids)
        source = _spoken(deltas(self._server.stream(*call), len(prompt_ids)), generation, texts)
        async with aclosing(source):
            async for delta in source:
                yield delta

    async def _prompt_ids(self, generation: Generation) -> list[int]:
        if isinstance(generation.prompt, tuple):
            return list(generation.prompt)
        told = await self._server.call("/tokenize", tokenize(generation, self._settings.model))
        ids = told.get("tokens")
        if not isinstance(ids, list):
            raise EngineFailed("the server's /tokenize answer holds no tokens")
        return ids

    async def _resumed_texts(self, generation: Generation, prompt_ids: list[int]) -> list[tuple[int, str]]:
        """The resumed tokens as (count, text) parts, decoded by the server: cut where stop strings begin to count."""
        resumed, least = generation.resume_token_ids, generation.sampling.min_tokens or 0
        ends = sorted({min(least, len(resumed)), len(resumed)} - {0})
        texts: list[tuple[int, str]] = []
        begin, said = 0, len(await self._detokenize(prompt_ids))
        for end in ends:
            text = await self._detokenize([*prompt_ids, *resumed[:end]])
            texts.append((end - begin, text[said:]))
            begin, said = end, len(text)
        if texts[-1][1].endswith(UNFINISHED):
            # Left to another replica, or to a second run: given such a prompt, the server would say all of it again.
            raise EngineBusy("the answer was cut within a character, and this server can't go on there")
        return texts

    async def _detokenize(self, ids: list[int]) -> str:
        said = await self._server.call("/detokenize", {"model": self._settings.model, "tokens": ids})
        return str(said.get("prompt", ""))


async def _spoken(
    source: AsyncGenerator[Delta, None], generation: Generation, resumed: Sequence[tuple[int, str]]
) -> AsyncGenerator[Delta, None]:
    """Matches our stop strings over the whole answer, whose text the server decodes."""
    decoder, theirs = Dictated(), ""
    for tokens, text in resumed:
        decoder.expect(tokens, text)

    async def steps() -> AsyncGenerator[Delta, None]:
        nonlocal theirs
        async with aclosing(dictate(source, decoder)) as dictated:
            async for delta in dictated:
                theirs = delta.stop_reason
                yield replace(delta, stop_reason="", completion_tokens=None)  # the text leaves the stop token out already

    async with aclosing(speak(steps(), decoder, generation.sampling, generation.resume_token_ids)) as spoken:
        async for delta in spoken:
            yield replace(delta, stop_reason=delta.stop_reason or theirs) if delta.finish_reason == "stop" else delta


async def _without_ids(source: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    async with aclosing(source):
        async for delta in source:
            yield replace(delta, token_ids=())
