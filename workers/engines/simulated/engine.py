"""An engine without weights that behaves like one: deterministic words, continuous batching, KV cache, modelled step times.

Its answers begin with `[simulated]` wherever no constraint forbids it. What it says is in simulated_voice, how it batches in
simulated_batch, how long a step takes in step_time; this module owns the clock, the streams and the faults on purpose.
"""

import asyncio
import logging
import os
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import NoReturn
from zlib import crc32

from workers.config import SimulatedEngine
from workers.engine import Delta, EngineBusy, EngineFailed, EngineInfo, EngineStats, FinishReason, Generation, InvalidGeneration
from workers.engines.simulated import embedding
from workers.engines.simulated import prompt as prompts
from workers.engines.simulated import text as words
from workers.engines.simulated.batch import Batch, Job, Speculation
from workers.engines.simulated.kv import KvPool
from workers.engines.simulated.voice import Chooser, Lengths, Voice
from workers.engines.step_time import PROFILES, StepTime
from workers.text import speak

CRASH_STATUS = 70
_log = logging.getLogger(__name__)


class Simulated:
    """See workers.engine.Engine for the contract."""

    def __init__(self, config: SimulatedEngine, models: Sequence[str]) -> None:
        self._config = config
        self._models = tuple(models)
        self._step_time = _step_time(config)
        speculation = None
        if config.speculation is not None:
            speculation = Speculation(config.speculation.num_speculative_tokens, config.speculation.acceptance)
        kv = KvPool(config.kv_blocks, config.kv_block_tokens, config.prefix_caching)
        self._batch = Batch(kv, config.max_running, config.step_tokens, speculation)
        self._rng = random.Random()  # for requests without a seed: truly random, as on a real engine
        self._streams: dict[Job, asyncio.Event] = {}
        self._work = asyncio.Event()
        self._starting = asyncio.Lock()
        self._stepper: asyncio.Task[None] | None = None
        self._fault: str | None = None
        self._arrivals = 0

    def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        return speak(self._deltas(generation), words.Decoder(), generation.sampling, generation.resume_token_ids)

    def stats(self) -> EngineStats:
        batch, counters = self._batch, self._batch.counters
        return EngineStats(
            running=len(batch.running),
            waiting=len(batch.waiting),
            kv_used=batch.kv.used,
            prompt_tokens_total=counters.prompt_tokens,
            output_tokens_total=counters.output_tokens,
            prefix_query_tokens_total=counters.prefix_query_tokens,
            prefix_hit_tokens_total=counters.prefix_hit_tokens,
            draft_tokens_total=counters.draft_tokens,
            accepted_tokens_total=counters.accepted_tokens,
            preemptions_total=counters.preemptions,
        )

    async def ready(self) -> EngineInfo:
        async with self._starting:
            if self._stepper is None and self._fault is None:
                await asyncio.sleep(self._config.failures.start_s)
                if self._config.failures.start_fails:
                    self._fault = "the simulated engine was told not to start"
                else:
                    self._stepper = asyncio.create_task(self._steps_until_the_end(), name="simulated-steps")
        self._check_alive()
        config = self._config
        return EngineInfo(
            engine="simulated",
            models=self._models,
            simulated=True,
            embeddings=config.embedding_dimensions is not None,
            max_context_tokens=config.max_context_tokens,
            max_running=config.max_running,
            kv_capacity_tokens=config.kv_blocks * config.kv_block_tokens,
            kv_block_tokens=config.kv_block_tokens if config.prefix_caching else 0,
        )

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> tuple[list[list[float]], int]:
        full = self._config.embedding_dimensions
        if full is None:
            raise InvalidGeneration("this simulated engine was not configured to embed", "model")
        if dimensions is not None and not 1 <= dimensions <= full:
            raise InvalidGeneration(f"dimensions must lie between 1 and {full}", "dimensions")
        self._check_alive()
        tokens = sum(len(words.encode(text)) for text in texts)
        await asyncio.sleep(self._step_time.step_s(tokens, 0, 0))
        vectors = [embedding.embed(text, full) for text in texts]
        if dimensions is not None:
            vectors = [embedding.normalised(vector[:dimensions]) for vector in vectors]
        return vectors, tokens

    async def close(self) -> None:
        self._break("the engine is closed")
        if self._stepper is not None:
            self._stepper.cancel()
            await asyncio.gather(self._stepper, return_exceptions=True)

    async def _deltas(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """The request's steps, without text."""
        prompt = prompts.prompt_tokens(generation, self._config.max_context_tokens - 1)
        job = self._job(generation, prompt)
        if job.room <= 0:
            yield Delta(prompt_tokens=len(prompt), finish_reason="length")
            return
        news = self._streams[job] = asyncio.Event()
        self._batch.add(job)
        self._work.set()
        first = True
        try:
            while not job.done or job.fresh:
                await news.wait()
                news.clear()
                self._check_alive()
                delta = _delta(job)
                if first:
                    delta = replace(delta, prompt_tokens=len(prompt), cached_tokens=min(job.cached, len(prompt)))
                    first = False
                yield delta
        finally:
            del self._streams[job]
            self._batch.remove(job)

    def _job(self, generation: Generation, prompt: tuple[int, ...]) -> Job:
        """Raises InvalidGeneration, EngineBusy or EngineFailed where the request can't be taken."""
        self._check_alive()
        prompts.check(generation)
        sampling, resumed = generation.sampling, generation.resume_token_ids
        room = self._config.max_context_tokens - len(prompt)
        self._refuse_if_busy(generation.request_id)
        lengths = Lengths(self._config.shortest_answer_tokens, self._config.longest_answer_tokens)
        voice = Voice(prompt, sampling, lengths, resumed)
        chooser = Chooser(voice, sampling, (*prompt, *resumed), self._rng)
        if sampling.constraint is not None:
            voice.follow(prompts.constraint_script(sampling.constraint, chooser.document_seed()))
        elif script := prompts.repeat_script(generation):
            voice.follow(script)
        return Job(
            tokens=[*prompt, *resumed],
            chooser=chooser,
            salt=generation.cache_salt,
            room=min(room, sampling.max_tokens or room) - len(resumed),
            stop_tokens=frozenset(sampling.stop_token_ids),
            stops_after=len(prompt) + (sampling.min_tokens or 0),
        )

    def _refuse_if_busy(self, request_id: str) -> None:
        self._arrivals += 1
        drawn = crc32(f"{request_id}/{self._arrivals}".encode()) / 2**32
        if drawn < self._config.failures.refuse_rate:
            raise EngineBusy("the simulated engine refuses this request on purpose")
        if len(self._batch.waiting) >= self._config.max_waiting:
            raise EngineBusy(f"{self._config.max_waiting} requests are waiting already")

    async def _steps_until_the_end(self) -> None:
        try:
            await self._step_forever()
        except Exception:  # noqa: BLE001 - everyone who waits for a step must hear of it
            _log.exception("the simulated engine has a bug")
            self._break("the simulated engine has a bug: see its log")

    async def _step_forever(self) -> None:
        batch = self._batch
        while self._fault is None:
            if not batch.running and not batch.waiting:
                self._work.clear()
                await self._work.wait()
            await self._fail_on_purpose()
            work = batch.plan()
            await asyncio.sleep(self._step_time.step_s(work.prefill_tokens, work.decode_tokens, work.kv_tokens))
            for job in batch.commit(work):
                if news := self._streams.get(job):
                    news.set()

    async def _fail_on_purpose(self) -> None:
        failures, produced = self._config.failures, self._batch.counters.output_tokens
        if failures.crash_after_tokens and produced >= failures.crash_after_tokens:
            _crash()
        if failures.fail_after_tokens and produced >= failures.fail_after_tokens:
            self._break("the simulated engine broke on purpose")
        if failures.hang_after_tokens and produced >= failures.hang_after_tokens:
            await asyncio.Event().wait()

    def _break(self, why: str) -> None:
        self._fault = self._fault or why
        for news in self._streams.values():
            news.set()

    def _check_alive(self) -> None:
        if self._fault is not None:
            raise EngineFailed(self._fault)


def _crash() -> NoReturn:
    _log.warning("simulated engine: crashing on purpose")
    os._exit(CRASH_STATUS)


def _delta(job: Job) -> Delta:
    """What the job produced since the last one; empties it."""
    ids, job.fresh = job.fresh, []
    logprobs, job.fresh_logprobs = tuple(job.fresh_logprobs), []
    drafted, job.drafted = job.drafted, 0
    accepted, job.accepted = job.accepted, 0
    finish: FinishReason | None = None
    stop_reason = ""
    if job.done:
        ended = ids[-1] == words.EOS
        on_stop_token = not ended and ids[-1] in job.stop_tokens and len(job.tokens) > job.stops_after
        finish = "stop" if ended or on_stop_token else "length"
        stop_reason = str(ids[-1]) if on_stop_token else ""
    return Delta(
        ids, logprobs=logprobs, finish_reason=finish, stop_reason=stop_reason, draft_tokens=drafted, accepted_tokens=accepted
    )


def _step_time(config: SimulatedEngine) -> StepTime:
    if isinstance(config.profile, str):
        return PROFILES[config.profile].step_time
    return StepTime(**config.profile.model_dump())
