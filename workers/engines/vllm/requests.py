"""Requests on a running vLLM engine: prompt and sampling in, deltas out, abort when the reader leaves.

Needs vLLM to be importable. Owns the request ids; vLLM owns everything about scheduling.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from vllm.pooling_params import PoolingParams
from vllm.renderers import TokenizeParams
from vllm.sampling_params import RepetitionDetectionParams, RequestOutputKind, SamplingParams, StructuredOutputsParams

from workers.config import VllmEngine
from workers.engine import (
    Chat,
    Delta,
    EngineFailed,
    EngineInfo,
    EngineStats,
    FinishReason,
    Generation,
    InvalidGeneration,
)
from workers.engines.vllm.counters import Counters
from workers.engines.vllm.errors import DIED, translated
from workers.engines.vllm.prompt import PromptRenderer, Rendered
from workers.engines.vllm.sampling import constraint_fields, sampling_fields
from workers.engines.vllm.text import Decoder, Manner, Vocabulary, spell
from workers.engines.vllm_parameters import Extras, read_extras, refuse_what_cannot_resume, token_limits
from workers.text import speak

# vLLM's finish reasons. "error" is raised; "repetition" is an answer that its repetition detector cut.
FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length", "abort": "abort", "repetition": "stop"}


@dataclass(frozen=True, slots=True)
class Job:
    """One generation, ready for vLLM. `params` is None where nothing is left to generate."""

    rendered: Rendered
    params: SamplingParams | None
    alternatives: int
    manner: Manner


class Requests:
    """`llm` is an AsyncLLM that runs, `counters` the stat logger it was started with."""

    def __init__(self, llm: Any, counters: Counters, settings: VllmEngine) -> None:
        self._llm = llm
        self._counters = counters
        self._settings = settings
        self._config = llm.vllm_config
        self._max_model_len: int = self._config.model_config.max_model_len
        self._defaults: dict[str, Any] = self._config.model_config.get_diff_sampling_param()
        self._vocabulary = Vocabulary(llm.get_tokenizer())
        self._prompts = PromptRenderer(llm.renderer, self._max_model_len, settings.chat_template)
        self._numbers = count()
        self._unfinished: set[str] = set()

    def info(self, models: tuple[str, ...]) -> EngineInfo:
        cache = self._config.cache_config
        return EngineInfo(
            engine="vllm",
            models=models,
            embeddings=self._settings.embeddings,
            max_context_tokens=self._max_model_len,
            max_running=self._config.scheduler_config.max_num_seqs,
            kv_capacity_tokens=(cache.num_gpu_blocks or 0) * cache.block_size,
            kv_block_tokens=cache.block_size if cache.enable_prefix_caching else 0,
        )

    def check_alive(self) -> None:
        """Raises EngineFailed once vLLM's engine process is gone."""
        if self._llm.errored:
            raise EngineFailed(DIED)

    def stats(self) -> EngineStats:
        return self._counters.seen_from_outside(len(self._unfinished))

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        where = "messages" if isinstance(generation.prompt, Chat) else "prompt"
        constraint = generation.sampling.constraint
        with translated(where, constraint.kind if constraint else ""):
            job = await self._job(generation)
            decoder = Decoder(self._vocabulary, job.rendered.prompt_ids, job.manner)
            spoken = speak(self._steps(generation, job), decoder, generation.sampling, generation.resume_token_ids)
            async with aclosing(spoken):
                async for delta in spoken:
                    yield delta

    async def _job(self, generation: Generation) -> Job:
        sampling = generation.sampling
        extras = read_extras(sampling.extra)
        if generation.resume_token_ids:
            refuse_what_cannot_resume(generation, extras)
        rendered = await self._prompts.render(generation, extras)
        room = self._max_model_len - len(rendered.prompt_ids)
        if room < 1:
            raise InvalidGeneration(
                f"the prompt takes {len(rendered.prompt_ids)} of {self._max_model_len} tokens: none is left for an answer",
                "messages" if isinstance(generation.prompt, Chat) else "prompt",
            )
        most, least = token_limits(sampling, room, self._defaults.get("max_tokens"), len(generation.resume_token_ids))
        alternatives = -1 if extras.logprob_token_ids is not None else sampling.logprobs or 0
        params = self._params(generation, extras, most, least) if most else None
        return Job(rendered, params, alternatives, self._manner(generation, extras))

    def _params(self, generation: Generation, extras: Extras, most: int, least: int) -> SamplingParams:
        constraint, repetition = generation.sampling.constraint, extras.repetition_detection
        return SamplingParams(
            **sampling_fields(generation.sampling, extras, self._defaults),
            max_tokens=most,
            min_tokens=least,
            structured_outputs=StructuredOutputsParams(**constraint_fields(constraint)) if constraint else None,
            repetition_detection=RepetitionDetectionParams(**repetition.model_dump()) if repetition else None,
            output_kind=RequestOutputKind.DELTA,
            skip_clone=True,
        )

    def _manner(self, generation: Generation, extras: Extras) -> Manner:
        sampling, eos = generation.sampling, self._llm.renderer.get_eos_token_id()
        ends = eos is not None and not sampling.ignore_eos and not sampling.include_stop_in_output
        return Manner(extras.skip_special_tokens, extras.spaces_between_special_tokens, (eos,) if ends else ())

    async def _steps(self, generation: Generation, job: Job) -> AsyncGenerator[Delta, None]:
        """What vLLM says, without text: `speak` adds it."""
        prompt_tokens: int | None = len(job.rendered.prompt_ids)
        if job.params is None:
            yield Delta(prompt_tokens=prompt_tokens, finish_reason="length")
            return
        request_id = f"{generation.request_id}.{next(self._numbers)}"
        self._unfinished.add(request_id)
        try:
            outputs = self._llm.generate(job.rendered.engine_input, job.params, request_id, priority=generation.priority)
            async with aclosing(outputs):
                async for output in outputs:
                    delta = self._delta(output.outputs[0], job.alternatives)
                    if prompt_tokens is not None:
                        cached_tokens = min(output.num_cached_tokens or 0, prompt_tokens)
                        delta = replace(delta, prompt_tokens=prompt_tokens, cached_tokens=cached_tokens)
                        prompt_tokens = None
                    yield delta
        finally:
            self._unfinished.discard(request_id)

    def _delta(self, said: Any, alternatives: int) -> Delta:
        """From vLLM's CompletionOutput."""
        if said.finish_reason == "error":
            raise EngineFailed("vLLM gave the request up after an error inside it; it may be tried again")
        speculation = said.spec_decode_metrics
        return Delta(
            token_ids=tuple(said.token_ids),
            logprobs=spell(self._vocabulary, said.token_ids, said.logprobs, alternatives) if said.logprobs else (),
            finish_reason=FINISHES[said.finish_reason] if said.finish_reason else None,
            stop_reason="" if said.stop_reason is None else str(said.stop_reason),
            draft_tokens=speculation.num_draft_tokens if speculation else 0,
            accepted_tokens=sum(n * times for n, times in enumerate(speculation.histogram)) if speculation else 0,
        )

    async def embed(self, texts: Sequence[str], dimensions: int | None) -> tuple[list[list[float]], int]:
        if not self._settings.embeddings:
            raise InvalidGeneration("this model generates, it does not embed", "model")
        with translated("input"):
            limits = TokenizeParams(max_total_tokens=self._max_model_len)
            prompts = await self._llm.renderer.render_cmpl_async([{"prompt": text} for text in texts], limits)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._embed_one(prompt, dimensions)) for prompt in prompts]
        return [task.result() for task in tasks], sum(len(prompt["prompt_token_ids"]) for prompt in prompts)

    async def _embed_one(self, prompt: Any, dimensions: int | None) -> list[float]:
        request_id = f"embed.{next(self._numbers)}"
        self._unfinished.add(request_id)
        try:
            params = PoolingParams(task="embed", dimensions=dimensions)
            async with aclosing(self._llm.encode(prompt, params, request_id)) as outputs:
                async for output in outputs:
                    return [float(x) for x in output.outputs.data.tolist()]
        finally:
            self._unfinished.discard(request_id)
        raise EngineFailed("vLLM ended without a vector")

    async def close(self) -> None:
        """Ends every stream with `abort` first: vLLM's own shutdown would leave their readers waiting for ever."""
        if self._unfinished and not self._llm.errored:
            await self._llm.abort(list(self._unfinished))
        await asyncio.to_thread(self._llm.shutdown)
        # It closes its sockets but not the context they were in, which keeps two threads.
        await asyncio.to_thread(self._llm.engine_core.resources.ctx.destroy, 0)
        # Its __del__ shuts down again, often at the interpreter's exit, and fails there with a traceback on the screen.
        self._llm.shutdown = lambda *_: None
