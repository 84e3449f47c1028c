"""Real vLLM engines for tests: small, exact (float32), one prefix block per 32 tokens, and closed whatever happens."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from workers.config import VllmEngine
from workers.engines.vllm_engine import Vllm


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
