"""Real vLLM engines for tests: small, exact (float32), one prefix block per 32 tokens, and closed whatever happens."""

import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from workers.config import VllmEngine
from workers.engine import Chat
from workers.engines.vllm.engine import Vllm


def settings_for(folder: Path, **changes: Any) -> VllmEngine:
    small = {"dtype": "float32", "max_model_len": 1024, "max_num_seqs": 16, "block_size": 32, "kv_cache_gib": 0.25}
    return VllmEngine.model_validate({"model": str(folder), **small, **changes})


@asynccontextmanager
async def running(settings: VllmEngine) -> AsyncIterator[Vllm]:
    engine = Vllm(settings, ("tested",))
    with warnings.catch_warnings():
        # What vLLM and torch are told off for while they load is theirs; everywhere else a warning fails the test.
        warnings.simplefilter("ignore")
        await engine.ready()
    try:
        yield engine
    finally:
        await engine.close()


async def vllms_own(engine: Vllm, prompt: str | Chat, **sampling: Any) -> Any:
    """vLLM's CompletionOutput for the same prompt: decoded by vLLM, from one call of its own."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    llm = engine._starting.result()._llm  # type: ignore[union-attr]
    given: Any = {"prompt": prompt} if isinstance(prompt, str) else None
    if isinstance(prompt, Chat):
        tokenizer = llm.get_tokenizer()
        ids = tokenizer.apply_chat_template(prompt.messages, add_generation_prompt=True, return_dict=False)
        given = {"prompt_token_ids": ids}
    params = SamplingParams(temperature=0.0, output_kind=RequestOutputKind.FINAL_ONLY, **sampling)
    async with aclosing(llm.generate(given, params, f"own-{id(params)}")) as outputs:
        return [output async for output in outputs][-1].outputs[0]


async def prompt_ids_of(engine: Vllm, chat: Chat) -> tuple[int, ...]:
    tokenizer = engine._starting.result()._llm.get_tokenizer()  # type: ignore[union-attr]
    return tuple(tokenizer.apply_chat_template(chat.messages, add_generation_prompt=True, return_dict=False))
